"""Ends tasks that were called off: first by asking, then by signal, then by force."""

import time
from collections.abc import Callable

from audobon.queue.tasks import StopRequest

Deed = str
"""What is to be done to a worker: "terminate" or "kill"."""

ASKING_SECONDS = 5.0
TERMINATING_SECONDS = 5.0


class Stopping:
    """Remembers since when each task was to stop, by a clock that nobody sets.

    The worker sees the request itself and stops between two tiles. One that does not within
    `ASKING_SECONDS` gets SIGTERM, and SIGKILL `TERMINATING_SECONDS` later.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[int, float] = {}

    def look(self, requests: list[StopRequest]) -> list[tuple[str, Deed, str]]:
        """Return (owner, deed, reason) for the workers that did not stop in time."""
        now = self._clock()
        asked = {request.task_id for request in requests}
        self._since = {task_id: at for task_id, at in self._since.items() if task_id in asked}
        deeds = []
        for request in requests:
            waited = now - self._since.setdefault(request.task_id, now)
            if waited >= ASKING_SECONDS + TERMINATING_SECONDS:
                deeds.append((request.owner, "kill", request.reason))
            elif waited >= ASKING_SECONDS:
                deeds.append((request.owner, "terminate", request.reason))
        return deeds


class Stalls:
    """Finds tasks that make no step for long, by a clock that nobody sets."""

    def __init__(self, stall_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stall_seconds = stall_seconds
        self._clock = clock
        self._seen: dict[tuple[int, int], tuple[int, float]] = {}

    def look(self, leased: list[tuple[int, int, str, int]]) -> list[str]:
        """Return the owners of tasks that did not advance; each leased task is (id, token, owner, done)."""
        now = self._clock()
        seen: dict[tuple[int, int], tuple[int, float]] = {}
        stalled = []
        for task_id, token, owner, done_units in leased:
            before, since = self._seen.get((task_id, token), (-1, now))
            seen[task_id, token] = (done_units, since if before == done_units else now)
            if now - seen[task_id, token][1] >= self._stall_seconds:
                stalled.append(owner)
        self._seen = seen
        return stalled
