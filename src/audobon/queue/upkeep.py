"""What a shared queue needs done now and then, by whoever serves it."""

from audobon.queue.port import Queue
from audobon.queue.vanished import Vanished


class Upkeep:
    """Takes tasks from workers that vanished, and enqueues what schedules bring.

    Any number of processes may do so at once. A worker is known by its beats, which are compared by this
    process's own clock.
    """

    def __init__(self, queue: Queue, *, vanished: Vanished | None = None) -> None:
        self._queue = queue
        self._vanished = vanished or Vanished()

    def look(self) -> int:
        """Do what is due; return how many tasks were taken from workers that vanished."""
        self._queue.run_schedules()
        lease_seconds = max(rules.lease_seconds for rules in self._queue.rules())
        gone = self._vanished.look(self._queue.owners(), lease_seconds=lease_seconds)
        return sum(
            self._queue.retire(owner.name, reason="its machine gave no sign of life", is_blameless=False)
            for owner in gone
        )
