"""Finds workers of other machines that vanished, by the beats they no longer give."""

import time
from collections.abc import Callable

from audobon.queue.tasks import Owner


class Vanished:
    """Compares beats by this process's own clock, so that no clock that is set can take a task away.

    An owner is gone when its beat did not rise for `lease_seconds` of watching.
    """

    def __init__(self, *, lease_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}

    def look(self, owners: list[Owner]) -> list[Owner]:
        """Return the owners that are gone."""
        now = self._clock()
        seen: dict[str, tuple[int, float]] = {}
        gone = []
        for owner in owners:
            beat, since = self._seen.get(owner.name, (-1, now))
            seen[owner.name] = (owner.beat, since if beat == owner.beat else now)
            if now - seen[owner.name][1] >= self._lease_seconds:
                gone.append(owner)
        self._seen = seen
        return gone


def boot_id() -> str:
    """Return what names this run of the machine; changes with every start of it."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        import psutil

        return f"{psutil.boot_time():.0f}"
