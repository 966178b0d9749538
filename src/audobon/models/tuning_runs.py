"""Measures ways to run a model in turns: `python -m audobon.models.tuning_runs`.

Reads a `Trial` as JSON on standard input and prints the `Timing` of each way. Decides nothing.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from audobon.models.page_cache import forget
from audobon.models.running import Running

if TYPE_CHECKING:
    from audobon.models.sessions import Session

_LEAST_SECONDS = 0.1
_WARM_UPS = 2
# Threads that spin were seen to go on for 35 ms after a run: that is theirs, and not the next way's.
_REST_SECONDS = 0.1
_GRACE_SECONDS = 10.0
# The smallest window all picture models take: enough for a first answer.
_FIRST_SIDE = 32


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run a model.

    window   height and width of what is fed
    repeats  how many windows make the unit that is timed, such as a page
    is_cold  before each opening, the system lets go of its copy of the file
    """

    name: str
    threads: int
    running: Running = Running()
    window: tuple[int, int] = (_FIRST_SIDE, _FIRST_SIDE)
    repeats: float = 1.0
    is_cold: bool = False


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """Ways to be measured in turns, round by round.

    measure       run: of a model that is open; open: from nothing to the first answer
    model         a prepared one
    most_seconds  after which no further round begins
    """

    measure: Literal["run", "open"]
    model: str
    models_folder: str
    ways: tuple[Way, ...]
    rounds: int
    most_seconds: float


class Timing(msgspec.Struct, frozen=True):
    """What one way took, a figure for each round, for one unit.

    seconds            of clock time
    processor_seconds  of all threads together
    """

    name: str
    seconds: tuple[float, ...]
    processor_seconds: tuple[float, ...]


def measure_apart(trial: Trial) -> list[Timing]:
    """Return the timings of a trial made in a process of its own; none when that fails or takes too long."""
    # -P: the folder we are started in may hold anything, modules included.
    command = [sys.executable, "-P", "-m", "audobon.models.tuning_runs"]
    try:
        done = subprocess.run(
            command,
            input=msgspec.json.encode(trial),
            capture_output=True,
            check=True,
            timeout=trial.most_seconds + _GRACE_SECONDS,
        )
        return msgspec.json.decode(done.stdout, type=list[Timing])
    except (subprocess.SubprocessError, msgspec.DecodeError):
        return []


def measure(trial: Trial) -> list[Timing]:
    """Return the timings of every way; the same number of rounds for each, maybe fewer than asked for."""
    end = time.perf_counter() + trial.most_seconds
    if trial.measure == "open":
        return _in_turns([(way.name, _opener(trial, way)) for way in trial.ways], trial.rounds, end)
    return _in_turns([(way.name, _runner(trial, way)) for way in trial.ways], trial.rounds, end)


def _in_turns(
    ways: Iterable[tuple[str, Callable[[], tuple[float, float]]]], rounds: int, end: float
) -> list[Timing]:
    ways = list(ways)
    found: list[list[tuple[float, float]]] = [[] for _ in ways]
    for _ in range(rounds):
        if time.perf_counter() > end:
            break
        # A whole round or none, so that all ways saw the same moments.
        for figures, (_, once) in zip(found, ways, strict=True):
            figures.append(once())
    return [
        Timing(name, tuple(seconds for seconds, _ in figures), tuple(burnt for _, burnt in figures))
        for (name, _), figures in zip(ways, found, strict=True)
    ]


def _runner(trial: Trial, way: Way) -> Callable[[], tuple[float, float]]:
    """Open a model and warm it up; return what times one unit of its work."""
    import numpy as np

    session = _session(trial, way)
    tensor = np.random.default_rng(1).random((1, 3, *way.window), dtype=np.float32)
    for _ in range(_WARM_UPS):
        session.run(tensor)

    def once() -> tuple[float, float]:
        # The way before left its own data in the processor's caches.
        session.run(tensor)
        runs, began, burnt = 0, time.perf_counter(), time.process_time()
        while (seconds := time.perf_counter() - began) < _LEAST_SECONDS:
            session.run(tensor)
            runs += 1
        time.sleep(_REST_SECONDS)
        scale = way.repeats / runs
        return seconds * scale, (time.process_time() - burnt) * scale

    return once


def _opener(trial: Trial, way: Way) -> Callable[[], tuple[float, float]]:
    """Return what times opening a model, proving its bytes, and getting a first answer."""
    import numpy as np

    from audobon.models.catalogue import card_named
    from audobon.models.runtime import trim_heap
    from audobon.models.store import is_intact, prepared_path

    card, folder = card_named(trial.model), Path(trial.models_folder)
    graph = prepared_path(card, folder)
    tensor = np.zeros((1, 3, *way.window), np.float32)

    def once() -> tuple[float, float]:
        if way.is_cold:
            forget(graph.parent.iterdir())
        began, burnt = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(max_workers=1) as other_core:
            proof = other_core.submit(is_intact, card, folder)
            session = _session(trial, way)
            session.run(tensor)
            proof.result()
        took = time.perf_counter() - began, time.process_time() - burnt
        session.close()
        trim_heap()
        return took

    return once


def _session(trial: Trial, way: Way) -> "Session":
    from audobon.models.catalogue import card_named
    from audobon.models.devices import Choice
    from audobon.models.runtime import session_options
    from audobon.models.sessions import Session
    from audobon.models.store import prepared_path

    graph = prepared_path(card_named(trial.model), Path(trial.models_folder))
    options = session_options(threads=way.threads, arena=True, optimise=False, spinning=way.running.spinning)
    return Session(graph, options, Choice(), lean=False, running=way.running)


def main() -> None:
    """Measure what standard input asks for."""
    from audobon.models.catalogue import use_own_models

    trial = msgspec.json.decode(sys.stdin.buffer.read(), type=Trial)
    use_own_models(Path(trial.models_folder))
    sys.stdout.buffer.write(msgspec.json.encode(measure(trial)))


if __name__ == "__main__":
    main()
