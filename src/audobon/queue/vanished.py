"""Finds workers of other machines that vanished, by the beats they no longer give."""

import time
from collections.abc import Callable

from audobon.queue.tasks import Owner


class Vanished:
    """Compares beats by this process's own clock, so that no clock that is set can take a task away.

    An owner is gone when its beat did not rise for its lease, by two looks at least. Of a long time between
    two looks half a lease counts: what held us up, a locked database perhaps, may have held it up as well.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._silent: dict[str, tuple[int, float]] = {}
        self._looked_at = clock()

    def look(self, owners: list[Owner], *, lease_seconds: float) -> list[Owner]:
        """Return the owners that are gone."""
        now = self._clock()
        watched = min(now - self._looked_at, lease_seconds / 2)
        self._looked_at = now
        silent: dict[str, tuple[int, float]] = {}
        for owner in owners:
            beat, seconds = self._silent.get(owner.name, (-1, 0.0))
            silent[owner.name] = (owner.beat, seconds + watched if beat == owner.beat else 0.0)
        self._silent = silent
        return [owner for owner in owners if silent[owner.name][1] >= lease_seconds]


def boot_id() -> str:
    """Return what names this run of the machine; changes with every start of it."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        import psutil

        return f"{psutil.boot_time():.0f}"
