"""Tells why nothing happens while a job waits."""

import time
from collections.abc import Callable

from audobon.jobs.report import Watcher
from audobon.queue.port import Queue

_LOOK_SECONDS = 1.0


class Waits:
    """Says once, each time it begins, that a queue is paused or that others go first."""

    def __init__(
        self, queue: Queue, watcher: Watcher, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._queue = queue
        self._watcher = watcher
        self._clock = clock
        self._told = ""
        self._looked_at = float("-inf")

    def tell(self, *, is_quiet: bool) -> None:
        """Say why nothing of the job is at work; cheap while something is."""
        now = self._clock()
        if not is_quiet:
            self._told = ""
            return
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        paused = [rules.name for rules in self._queue.rules() if rules.state == "pause"]
        words = f"waiting: {', '.join(paused)} paused (audobon queue resume --all)" if paused else ""
        if words and words != self._told:
            self._watcher.stage(words)
        self._told = words
