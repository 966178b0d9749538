"""Weighs this process before and after something, and tells whether anything else went on meanwhile."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from audobon.processes import resident_bytes

_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# source: proc_pid_clear_refs(5): "5" sets the peak back to what is resident now
_RESET_PEAK = b"5"


class Weighing:
    """What a block of code did to the process; the figures are there when the block has ended.

    is_alone        nothing else that is metered ran at the same time, so the figures are this block's
    grown_bytes     more resident at the end than at the beginning; negative when less
    peak_bytes      most that was resident over the beginning; None where the system does not tell
    """

    def __init__(self, before_bytes: int) -> None:
        self._before_bytes = before_bytes
        self.is_alone = False
        self.grown_bytes = 0
        self.peak_bytes: int | None = None

    def grown_so_far(self) -> int:
        """Return the growth up to now, while the block runs."""
        return resident_bytes(os.getpid()) - self._before_bytes


class Meter:
    """Meters loads, runs and evictions of this process, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active = 0
        self._begun = 0

    def begin(self) -> int:
        """Note that something begins that moves memory; pair it with `end`. Returns a mark for `end`."""
        with self._lock:
            self._active += 1
            self._begun += 1
            return self._begun if self._active == 1 else 0

    def end(self, mark: int) -> bool:
        """Note its end; return whether it was alone all the time."""
        with self._lock:
            self._active -= 1
            return mark == self._begun

    @contextmanager
    def weighing(self, *, peak: bool = False) -> Iterator[Weighing]:
        """Weigh the process around a block.

        peak  watch the highest point as well, where the system can; some 50 microseconds
        """
        mark = self.begin()
        watches_peak = peak and reset_peak()
        before = resident_bytes(os.getpid())
        found = Weighing(before)
        try:
            yield found
        finally:
            found.grown_bytes = found.grown_so_far()
            if watches_peak:
                found.peak_bytes = max(0, peak_resident_bytes() - before)
            found.is_alone = self.end(mark)


METER = Meter()
"""The one meter of this process."""


def reset_peak() -> bool:
    """Set the highest point of this process back to what it holds now; false where that cannot be."""
    if sys.platform != "linux":
        return False
    # A hardened system may keep the file closed: then there is no peak to be had.
    with suppress(OSError):
        _CLEAR_REFS.write_bytes(_RESET_PEAK)
        return True
    return False


def peak_resident_bytes() -> int:
    """Return the highest point of this process since it began, or was set back; 0 where nobody tells."""
    for line in _STATUS.read_bytes().splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
