"""Loads, runs and evicts one model again and again: `python -m audobon.models.leak_runs`.

Answers one `Question` with what the process held after each cycle; see `audobon.models.apart`.
"""

import os
import sys
import time
from pathlib import Path

import msgspec

from audobon.models import golden
from audobon.models.apart import Tell, serve
from audobon.models.runtime import import_runtime, return_memory_at_once
from audobon.models.service import Models
from audobon.processes import resident_bytes

# The first cycles also load libraries, start threads and fill caches that stay.
WARM_UPS = 3
_TOLD_TIMES = 10


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Which model goes round how often, with how many threads."""

    model: str
    models_folder: str
    threads: int
    cycles: int


class Cycles(msgspec.Struct, frozen=True):
    """What was held while nothing was loaded.

    baseline_bytes  by the process, after the first cycles
    grown_bytes     over that, after each further cycle
    seconds         that those took
    recycling       why the engine would replace such a process; None while it would not
    """

    baseline_bytes: int
    grown_bytes: tuple[int, ...]
    seconds: float
    recycling: str | None


def answer(question: Question, tell: Tell) -> Cycles:
    """Go round, and weigh this process each time."""
    import_runtime()
    return_memory_at_once()
    models = Models(Path(question.models_folder), threads=question.threads)
    tensor = golden.pattern(models.card(question.model).golden.input_shape)

    def cycle() -> int:
        with models.lease(question.model) as model:
            model(tensor)
        models.close()
        return resident_bytes(os.getpid())

    baseline = [cycle() for _ in range(WARM_UPS)][-1]
    grown: list[int] = []
    step = max(1, question.cycles // _TOLD_TIMES)
    began = time.perf_counter()
    for number in range(1, question.cycles + 1):
        grown.append(cycle() - baseline)
        if number % step == 0:
            tell(f"{number} of {question.cycles} cycles, {grown[-1] / (1 << 20):+.1f} MB")
    return Cycles(baseline, tuple(grown), time.perf_counter() - began, models.recycling_reason)


if __name__ == "__main__":
    sys.exit(serve(Question, answer))
