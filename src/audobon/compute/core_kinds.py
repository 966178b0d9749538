"""Which processors of this machine are fast and which are slow, where they differ."""

import os
from pathlib import Path
from typing import NamedTuple

_DEVICES = Path("/sys/devices")
# Processors of one kind are told with slightly different highest frequencies.
_SAME_KIND = 0.85


class CoreKinds(NamedTuple):
    """The processors this process may use, by kind; `slow` is empty where all are alike."""

    fast: tuple[int, ...]
    slow: tuple[int, ...]


def core_kinds(allowed: set[int] | None = None, devices: Path = _DEVICES) -> CoreKinds:
    """Return the kinds of the processors that may be used.

    allowed  numbers of processors; None: those of this process
    """
    usable = _own_processors() if allowed is None else allowed
    fast = _listed(devices / "cpu_core" / "cpus") & usable
    slow = _listed(devices / "cpu_atom" / "cpus") & usable
    if not (fast and slow):
        fast, slow = _by_speed(usable, devices / "system" / "cpu")
    return CoreKinds(tuple(sorted(fast)), tuple(sorted(slow)))


def _by_speed(usable: set[int], folder: Path) -> tuple[set[int], set[int]]:
    speeds = {number: _speed(folder / f"cpu{number}") for number in usable}
    fastest = max(speeds.values(), default=0)
    if not all(speeds.values()):
        return usable, set()
    fast = {number for number, speed in speeds.items() if speed >= _SAME_KIND * fastest}
    return fast, usable - fast


def _speed(processor: Path) -> int:
    """Return a figure that is larger for faster processors; 0 when the system does not tell."""
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        try:
            return int((processor / name).read_text())
        except (OSError, ValueError):
            continue
    return 0


def _listed(file: Path) -> set[int]:
    """Return the numbers of a list such as "0-3,8"."""
    try:
        parts = file.read_text().strip().split(",")
        ranges = [(part.partition("-")[0], part.rpartition("-")[2]) for part in parts]
        return {number for first, last in ranges for number in range(int(first), int(last) + 1)}
    except (OSError, ValueError):
        return set()


def _own_processors() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
