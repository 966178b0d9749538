"""The process that first reads and runs a user's model: `python -m audobon.models.admit_process`.

The file can be a bomb or worse. This process has limits on memory, time and files, and is ended by the other
side when it takes too long. It reads an `Ask` as a line of JSON on standard input and prints an `Answer`; the
input closing is how it learns that the one who asked is gone.
"""

import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from audobon.atomic import disk_error
from audobon.errors import AudobonError, UnsafeModel
from audobon.models.admit_messages import Answer, Ask, Limits

if TYPE_CHECKING:
    from audobon.models.runtime import LoadedModel

_MOST_FILES = 128
_LEAST_TIMED_SECONDS = 0.2


def main() -> None:
    """Do what is asked, and answer."""
    ask = msgspec.json.decode(_first_line(), type=Ask)
    threading.Thread(target=_end_with_the_asker, daemon=True).start()
    _limit(ask.limits, ask.threads)
    try:
        answer = _ACTS[ask.act](ask)
    except AudobonError as error:
        answer = Answer(code=error.code, message=error.message, hint=error.hint)
    except OSError as error:
        told = disk_error(error, Path(ask.models_folder))
        answer = Answer(code=told.code, message=told.message, hint=told.hint)
    except MemoryError:
        answer = Answer(code=UnsafeModel.code, message="reading it takes more memory than a model may take")
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.flush()


def _check(ask: Ask) -> Answer:
    from audobon.models.graph_checks import check_graph
    from audobon.models.sources import read_graph

    check_graph(read_graph(ask.card))
    return Answer()


def _prepare(ask: Ask) -> Answer:
    from audobon.models.store import prepare

    prepare(ask.card, Path(ask.models_folder))
    return Answer()


def _prove(ask: Ask) -> Answer:
    from audobon.models.proving import is_tile_exact, prove

    model = _open(ask, lean=True)
    golden = prove(ask.card, model)
    shape = ask.card.picture
    assert shape is not None
    return Answer(golden=golden, tile_exact=shape.tile_exact and is_tile_exact(shape, model))


def _weigh(ask: Ask) -> Answer:
    import numpy as np

    from audobon.models.meter import METER
    from audobon.models.proving import window_side
    from audobon.models.runtime import return_memory_at_once

    shape = ask.card.picture
    assert shape is not None
    return_memory_at_once()
    side = window_side(shape, ask.side)
    tensor = np.full((1, 3, side, side), 0.5, np.float32)
    # The library is no part of a model's size.
    import onnxruntime  # noqa: F401

    with METER.weighing(peak=True) as weighing:
        model = _open(ask, lean=ask.lean)
        # An arena plans its memory in the first run and grows again in the second.
        model(tensor)
        runs, began, burnt = 0, time.perf_counter(), time.process_time()
        # Some systems tell processor time in steps of 10 ms.
        while runs == 0 or time.perf_counter() - began < _LEAST_TIMED_SECONDS:
            model(tensor)
            runs += 1
        seconds = (time.process_time() - burnt) / runs
        grown = weighing.grown_so_far()
    return Answer(peak_bytes=weighing.peak_bytes or max(1, grown), seconds=seconds)


def _open(ask: Ask, *, lean: bool) -> "LoadedModel":
    from audobon.models.runtime import LoadedModel
    from audobon.models.store import prepared_path

    path = prepared_path(ask.card, Path(ask.models_folder))
    return LoadedModel(path, threads=ask.threads, arena=not lean)


def _first_line() -> bytes:
    # Byte by byte, so that the end of the input is left for the thread that waits for it.
    line = bytearray()
    while (byte := os.read(sys.stdin.fileno(), 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line)


def _end_with_the_asker() -> None:
    while os.read(sys.stdin.fileno(), 64):
        continue
    os._exit(1)


def _limit(limits: Limits, threads: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    processor_seconds = int(limits.seconds * threads) + 1
    for which, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, processor_seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, _MOST_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(which)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (bound, bound))


_ACTS = {"check": _check, "prepare": _prepare, "prove": _prove, "weigh": _weigh}


if __name__ == "__main__":
    main()
