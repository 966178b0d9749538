"""Loads and runs one model with nothing beside it: `python -m audobon.models.profile_runs`.

Answers one `Question`, and ends; see `audobon.models.apart`.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from audobon.models.apart import Tell, ask, serve
from audobon.models.card import Card
from audobon.models.devices import Choice
from audobon.models.feeds import Shape, main_shape, useful_megapixels
from audobon.models.meter import peak_resident_bytes, reset_peak
from audobon.models.page_cache import forget
from audobon.models.profile_trace import Trace, read_trace
from audobon.models.runtime import import_runtime, return_memory_at_once, session_options
from audobon.models.sessions import Session
from audobon.models.store import prepared_folder, prepared_path
from audobon.processes import resident_bytes

_MODULE = "audobon.models.profile_runs"
_LEAST_SECONDS = 0.2
_MOST_RUNS = 20


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured.

    load       seconds until a model is in memory, every byte proved; `is_cold`: its files read from the disk
    operators  the time of each operator, over some runs
    peak       growth of the process at its highest, over two runs
    speed      seconds of a run, and processor seconds
    shape      what is fed; () takes the card's main one
    """

    what: Literal["load", "operators", "peak", "speed"]
    model: str
    models_folder: str
    threads: int
    shape: Shape = ()
    lean: bool = False
    is_cold: bool = False


class Speed(msgspec.Struct, frozen=True):
    """What a run takes, the least of several: seconds, and processor seconds of all threads."""

    seconds: float
    processor_seconds: float
    megapixels: float


def load_seconds(question: Question) -> float:
    """Return what loading takes, in a process of its own."""
    return ask(_MODULE, msgspec.structs.replace(question, what="load"), float)


def operator_times(question: Question) -> Trace:
    """Return the time of each operator, in a process of its own."""
    return ask(_MODULE, msgspec.structs.replace(question, what="operators"), Trace)


def peak_growth(question: Question) -> int:
    """Return by how much a process grows that opens the model and runs it twice."""
    return ask(_MODULE, msgspec.structs.replace(question, what="peak"), int)


def speed(question: Question) -> Speed:
    """Return what a run takes, in a process of its own."""
    return ask(_MODULE, msgspec.structs.replace(question, what="speed"), Speed)


def answer(question: Question, _tell: Tell) -> Any:
    """Measure what is asked, here."""
    from audobon.models.service import Models

    card = Models(Path(question.models_folder)).card(question.model)
    import_runtime()
    return_memory_at_once()
    if question.what == "load":
        return _load(card, question)
    tensor = np.random.default_rng(1).random(question.shape or main_shape(card), dtype=np.float32)
    if question.what == "operators":
        return _operators(card, question, tensor)
    if question.what == "peak":
        return _peak(card, question, tensor)
    return _speed(card, question, tensor)


def _load(card: Card, question: Question) -> float:
    from audobon.models.loading import load

    folder = Path(question.models_folder)
    files = list(prepared_folder(card, folder).iterdir())
    if question.is_cold:
        forget(files)
    else:
        for file in files:
            file.read_bytes()
    model = load(card, folder, threads=question.threads, arena=not question.lean)
    return model.load_seconds


def _operators(card: Card, question: Question, tensor: Any) -> Trace:
    with tempfile.TemporaryDirectory(prefix="audobon-profile-") as scratch:
        options = session_options(threads=question.threads, arena=not question.lean, optimise=False)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(scratch) / "runs")
        session = _session(card, question, options)
        # The first runs plan memory; what they take is no operator's own.
        for _ in range(2):
            session.run(tensor)
        began, runs = time.perf_counter(), 0
        while runs < 3 or (runs < _MOST_RUNS and time.perf_counter() - began < _LEAST_SECONDS * 5):
            session.run(tensor)
            runs += 1
        # The profile is written when the session goes.
        session.close()
        return read_trace(next(Path(scratch).glob("runs*.json")), skip=2)


def _peak(card: Card, question: Question, tensor: Any) -> int:
    reset_peak()
    before = resident_bytes(os.getpid())
    # The session alone: a loaded model watches its first runs, and that sets the peak back.
    session = _session(card, question)
    for _ in range(2):
        session.run(tensor)
    return max(0, peak_resident_bytes() - before)


def _speed(card: Card, question: Question, tensor: Any) -> Speed:
    session = _session(card, question)
    session.run(tensor)
    times: list[tuple[float, float]] = []
    began = time.perf_counter()
    while len(times) < 2 or (len(times) < _MOST_RUNS and time.perf_counter() - began < _LEAST_SECONDS):
        start, burnt = time.perf_counter(), time.process_time()
        session.run(tensor)
        times.append((time.perf_counter() - start, time.process_time() - burnt))
    seconds, processor = (min(time[index] for time in times) for index in (0, 1))
    return Speed(seconds, processor, useful_megapixels(card, tensor.shape))


def _session(card: Card, question: Question, options: Any = None) -> Session:
    if options is None:
        options = session_options(threads=question.threads, arena=not question.lean, optimise=False)
    graph = prepared_path(card, Path(question.models_folder))
    return Session(graph, options, Choice(), lean=question.lean)


if __name__ == "__main__":
    sys.exit(serve(Question, answer))
