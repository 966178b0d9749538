"""Notices memory that evicted models did not give back."""

import os
from collections.abc import Callable

from audobon.processes import resident_bytes

# An eviction that returns less than this share of what the model was measured to hold has failed.
RETURNED_SHARE = 0.5
KEPT_LIMIT_BYTES = 64 << 20
# Anything else in the process may grow as well, pages above all, so mere growth needs to be plain.
GROWTH_LIMIT_BYTES = 256 << 20


def own_resident_bytes() -> int:
    """Return what this process holds now."""
    return resident_bytes(os.getpid())


class UnexplainedMemory:
    """Compares what the process holds with what is accounted for.

    kept_limit_bytes    that failed evictions may have kept, when the process has grown by as much
    growth_limit_bytes  the process may have grown for no known reason, with no model in use
    measure             returns what the process holds
    Not for two threads at once.
    """

    def __init__(
        self,
        *,
        kept_limit_bytes: int = KEPT_LIMIT_BYTES,
        growth_limit_bytes: int = GROWTH_LIMIT_BYTES,
        measure: Callable[[], int] = own_resident_bytes,
    ) -> None:
        self._kept_limit_bytes = kept_limit_bytes
        self._growth_limit_bytes = growth_limit_bytes
        self._measure = measure
        self._floor_bytes: int | None = None
        self._kept_bytes = 0
        self.reason: str | None = None

    def loaded(self, held_bytes: int) -> None:
        """Take what the process holds after its first load, less the model, as its own size."""
        if self._floor_bytes is None:
            self._floor_bytes = self._measure() - held_bytes

    def grown_bytes(self, accounted_bytes: int) -> int:
        """Return how much more the process holds than after its first load, beyond what is accounted for."""
        if self._floor_bytes is None:
            return 0
        return max(0, self._measure() - self._floor_bytes - accounted_bytes)

    def evicted(self, held_bytes: int, returned_bytes: int, *, accounted_bytes: int) -> None:
        """Judge an eviction.

        held_bytes       measured to be held by what was evicted
        accounted_bytes  held by the models that remain
        """
        if returned_bytes >= RETURNED_SHARE * held_bytes:
            return
        self._kept_bytes += held_bytes - max(0, returned_bytes)
        # Kept memory may be used again by the next model: then the process has not grown.
        kept = min(self._kept_bytes, self.grown_bytes(accounted_bytes))
        if self.reason is None and kept > self._kept_limit_bytes:
            self.reason = f"{kept >> 20} MB did not come back from evicted models"

    def check_growth(self, accounted_bytes: int) -> None:
        """Judge the whole process; to be called while no model is in use."""
        grown = self.grown_bytes(accounted_bytes)
        if self.reason is None and grown > self._growth_limit_bytes:
            self.reason = f"the process holds {grown >> 20} MB that nothing accounts for"
