"""How fast the machine is at this instant: the disk's `fdatasync` and one processor."""

import os
import statistics
import time
from pathlib import Path
from typing import TypedDict

_SYNCS = 60
_LOOPS = 30
_BLOCK = b"x" * 4096


class Probe(TypedDict):
    """One look: median time of a small durable write, mean time of a fixed loop."""

    fdatasync_microseconds: float
    loop_microseconds: float


def probe(folder: str) -> Probe:
    """Look at the machine; takes about 40 ms."""
    path = Path(folder, "probe")
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.pwrite(file, _BLOCK * _SYNCS, 0)
        os.fsync(file)
        syncs = [_sync(file, number) for number in range(_SYNCS)]
    finally:
        os.close(file)
        path.unlink()
    return {
        "fdatasync_microseconds": statistics.median(syncs) / 1000,
        "loop_microseconds": statistics.mean(_loop() for _ in range(_LOOPS)) / 1000,
    }


def unrest(slices: list[list[Probe]]) -> float:
    """Return the largest ratio between slices, by disk or by processor; each by the mean of its looks."""
    worst = 1.0
    for key in ("fdatasync_microseconds", "loop_microseconds"):
        values = [statistics.geometric_mean([look[key] for look in looks]) for looks in slices]
        worst = max(worst, max(values) / min(values))
    return worst


def _sync(file: int, number: int) -> int:
    started = time.perf_counter_ns()
    os.pwrite(file, _BLOCK, number * len(_BLOCK))
    os.fdatasync(file)
    return time.perf_counter_ns() - started


def _loop() -> int:
    started = time.perf_counter_ns()
    total = 0
    for number in range(40_000):
        total += number
    return time.perf_counter_ns() - started
