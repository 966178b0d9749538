"""Decides which idle models make room; knows no model runtime."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

# Counted in uses of any model, so that it fits jobs with fast pages and slow ones alike. Chosen on random
# traces (benchmarks/residency_traces.py): 8 to 25 differ little, 2 forgets too soon, 40 remembers too long.
HALF_LIFE_USES = 12


class Frequency:
    """How often something was used lately: a use counts one, and half as much a half-life later."""

    __slots__ = ("_count", "_used_at")

    def __init__(self) -> None:
        self._count = 0.0
        self._used_at = 0

    def use(self, now: int) -> None:
        """Count a use; `now` counts the uses of everything."""
        self._count = self.at(now) + 1.0
        self._used_at = now

    def at(self, now: int) -> float:
        """Return what is left of all uses."""
        return self._count * float(0.5 ** ((now - self._used_at) / HALF_LIFE_USES))


K = TypeVar("K")


class Candidate(NamedTuple, Generic[K]):
    """An idle model that could make room.

    load_seconds    what loading it again would take
    frequency       its recent use
    resident_bytes  what it holds
    """

    key: K
    load_seconds: float
    frequency: float
    resident_bytes: int

    @property
    def score(self) -> float:
        """Seconds of loading that a byte kept for it is likely to save."""
        return self.load_seconds * self.frequency / max(1, self.resident_bytes)


def choose(candidates: Sequence[Candidate[K]], needed_bytes: int) -> list[Candidate[K]] | None:
    """Return whom to evict to gain so many bytes, least worth first; None when all together hold less."""
    chosen: list[Candidate[K]] = []
    gained = 0
    for candidate in sorted(candidates, key=lambda one: one.score):
        if gained >= needed_bytes:
            break
        chosen.append(candidate)
        gained += candidate.resident_bytes
    if gained < needed_bytes:
        return None
    # A large one chosen late may have made smaller ones needless: keep the best of these.
    for candidate in reversed(chosen[:]):
        if gained - candidate.resident_bytes >= needed_bytes:
            chosen.remove(candidate)
            gained -= candidate.resident_bytes
    return chosen
