"""Notices that somebody set the machine's clock."""

import time

from audobon.clock import Clock, utc_now

# Below this it is the slow correction of a clock that is kept right, and harms nothing.
_TOLERANCE_SECONDS = 2.0


def steady_seconds() -> float:
    """Return a clock that nobody sets and that goes on while the machine sleeps, where there is one."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class ClockWatch:
    """Compares the clock on the wall with one that nobody sets."""

    def __init__(self, *, wall: Clock = utc_now, steady: Clock = steady_seconds) -> None:
        self._wall = wall
        self._steady = steady
        self._apart = wall() - steady()

    def moved_seconds(self) -> float:
        """Return by how much the clock was set since the last look; 0 when it was not."""
        apart = self._wall() - self._steady()
        moved = apart - self._apart
        if abs(moved) < _TOLERANCE_SECONDS:
            return 0.0
        self._apart = apart
        return moved
