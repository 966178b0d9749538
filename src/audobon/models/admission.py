"""Decides whose turn it is among those who wait for a model; knows no threads and no memory."""

from collections.abc import Container

from audobon.clock import Clock


class Turn:
    """One who waits.

    key            what it waits for
    asked_at       when it began to wait
    is_holding     it uses another model already, and keeps it while it waits
    """

    __slots__ = ("asked_at", "is_holding", "key")

    def __init__(self, key: object, asked_at: float, *, is_holding: bool) -> None:
        self.key = key
        self.asked_at = asked_at
        self.is_holding = is_holding


class Admission:
    """The order of those who wait: what is loaded first, yet nobody is passed over for long.

    Whoever holds a model while waiting for another goes first, since others wait for what it holds. Then
    come those who waited for half the bound, oldest first, then those whose model is loaded, then the rest.
    The other half of the bound is left for those who are served before them.
    max_wait_seconds  the bound
    """

    def __init__(self, *, max_wait_seconds: float, clock: Clock) -> None:
        self._patience_seconds = max_wait_seconds / 2
        self._clock = clock
        self._waiting: list[Turn] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, key: object, *, is_holding: bool = False) -> Turn:
        """Begin to wait."""
        turn = Turn(key, self._clock(), is_holding=is_holding)
        self._waiting.append(turn)
        return turn

    def leave(self, turn: Turn) -> None:
        """Stop waiting, served or not."""
        self._waiting.remove(turn)

    def is_overdue(self, turn: Turn) -> bool:
        """Tell whether nobody who came later may be served before it any more."""
        return self._clock() - turn.asked_at >= self._patience_seconds

    def in_order(self, loaded: Container[object]) -> list[Turn]:
        """Return those who wait in the order in which they should be served."""
        return sorted(self._waiting, key=lambda turn: self._rank(turn, loaded))

    def _rank(self, turn: Turn, loaded: Container[object]) -> int:
        # Sorting keeps those of one rank in the order of their coming.
        if turn.is_holding:
            return 0
        if self.is_overdue(turn):
            return 1
        return 2 if turn.key in loaded else 3
