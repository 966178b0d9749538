"""Judges whether a model gives back the memory it took, from many cycles of load, run and evict."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from audobon.models.apart import Tell, ask, silent
from audobon.models.leak_runs import Cycles, Question
from audobon.models.profiling import prepare_first
from audobon.models.service import Models
from audobon.processes import usable_threads

GROWTH_LIMIT_BYTES = 16 << 20
SLOPE_LIMIT_BYTES = round(0.05 * (1 << 20))
"""For each cycle, by least squares over all of them."""
FEWEST_CYCLES = 20


class LeakReport(msgspec.Struct, frozen=True):
    """What stayed in a process that loaded, ran and evicted a model.

    growth_bytes  most over the baseline after any cycle, with nothing loaded
    slope_bytes   for each cycle, by least squares
    reasons       why it leaks, one for each bound that was passed
    """

    name: str
    verdict: Literal["ok", "leaks"]
    reasons: tuple[str, ...]
    cycles: int
    growth_bytes: int
    slope_bytes: float
    growth_limit_bytes: int
    slope_limit_bytes: int
    baseline_bytes: int
    grown_bytes: tuple[int, ...]
    seconds: float


def look_for_leak(
    name: str, folder: Path, *, cycles: int = 200, threads: int | None = None, tell: Tell = silent
) -> LeakReport:
    """Return what stays after cycles of a model, in a process of its own.

    cycles  at least 20: in fewer, one step of the heap looks like a slope
    raises  ModelNotFound, CorruptModel
    """
    card = Models(folder).card(name)
    prepare_first(card, folder, tell)
    question = Question(
        model=name,
        models_folder=str(folder),
        threads=threads or usable_threads(),
        cycles=max(cycles, FEWEST_CYCLES),
    )
    found = ask("audobon.models.leak_runs", question, Cycles, tell=tell)
    return judge(card.name, found)


def judge(name: str, found: Cycles) -> LeakReport:
    """Return the report on some cycles."""
    growth, slope = max(found.grown_bytes), slope_of(found.grown_bytes)
    reasons = []
    if growth > GROWTH_LIMIT_BYTES:
        reasons.append(f"{growth / (1 << 20):.1f} MB stayed, {GROWTH_LIMIT_BYTES >> 20} MB are allowed")
    if slope > SLOPE_LIMIT_BYTES:
        megabytes, limit = slope / (1 << 20), SLOPE_LIMIT_BYTES / (1 << 20)
        reasons.append(f"{megabytes:.3f} MB more with each cycle, {limit:.2f} MB are allowed")
    if found.recycling is not None:
        reasons.append(f"the engine would replace the process: {found.recycling}")
    return LeakReport(
        name=name,
        verdict="leaks" if reasons else "ok",
        reasons=tuple(reasons),
        cycles=len(found.grown_bytes),
        growth_bytes=growth,
        slope_bytes=slope,
        growth_limit_bytes=GROWTH_LIMIT_BYTES,
        slope_limit_bytes=SLOPE_LIMIT_BYTES,
        baseline_bytes=found.baseline_bytes,
        grown_bytes=found.grown_bytes,
        seconds=found.seconds,
    )


def slope_of(values: Sequence[float]) -> float:
    """Return the slope of the straight line nearest to evenly spaced values, by least squares."""
    count = len(values)
    if count < 2:
        return 0.0
    middle, mean = (count - 1) / 2, sum(values) / count
    above = sum((at - middle) * (value - mean) for at, value in enumerate(values))
    return above / sum((at - middle) ** 2 for at in range(count))
