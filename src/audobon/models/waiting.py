"""Those who wait for a model, and what they are told in the end."""

import threading
from typing import Generic

from audobon.errors import Exhausted, MemoryTooSmall
from audobon.models.accounts import Accounts, Entry, Eviction, Key, M, Wish
from audobon.models.admission import Admission, Turn


class Request(Generic[M]):
    """A wish that waits; `ready` is set when it has its entry, or an error.

    eviction  what must be closed before the entry is used
    """

    def __init__(self, wish: Wish, turn: Turn) -> None:
        self.wish = wish
        self.turn = turn
        self.ready = threading.Event()
        self.entry: Entry[M] | None = None
        self.eviction: Eviction[M] | None = None
        self.error: BaseException | None = None


class WaitingRoom(Generic[M]):
    """Grants requests from the accounts, in the order of admission. Not for two threads at once."""

    def __init__(self, accounts: Accounts[M], admission: Admission) -> None:
        self._accounts = accounts
        self._admission = admission
        self._requests: dict[Turn, Request[M]] = {}

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def is_reserved(self) -> bool:
        """Whether what is free is kept for somebody who waited long."""
        return bool(self._requests) and self._admission.is_overdue(next(iter(self._requests)))

    def enter(self, wish: Wish) -> Request[M]:
        """Begin to wait; perhaps the request is granted at once."""
        turn = self._admission.join(wish.key, is_holding=wish.thread in self._accounts.owners())
        request: Request[M] = Request(wish, turn)
        self._requests[turn] = request
        self.serve()
        return request

    def serve(self) -> None:
        """Grant what can be granted, and refuse what never can be."""
        if not self._requests:
            return
        accounts = self._accounts
        for turn in self._admission.in_order(accounts.loaded()):
            request = self._requests[turn]
            least = accounts.least_bytes(request.wish)
            if least > accounts.budget_bytes:
                self._settle(request, _too_small(request.wish, least, accounts.budget_bytes))
                continue
            entry = accounts.entries.get(request.wish.key)
            if entry is not None and entry.owner is not None:
                continue
            granted = accounts.grant(request.wish)
            if granted is not None:
                request.entry, request.eviction = granted
                self._settle(request)
            elif self._admission.is_overdue(turn):
                # What becomes free from now on is for this one.
                break
        self._end_deadlock()

    def give_up(self, request: Request[M], *, after_seconds: float) -> None:
        """Stop waiting, unless the request was settled just now."""
        if not request.ready.is_set():
            self._settle(request, _late(request.wish, after_seconds))
            self.serve()

    def fail(self, key: Key, error: BaseException) -> None:
        """Tell all who wait for a model that it could not be loaded."""
        for request in list(self._requests.values()):
            if request.wish.key == key:
                self._settle(request, error)

    def _end_deadlock(self) -> None:
        """Refuse the last of those who hold something and wait, when nobody else is left to give back."""
        waiting = {request.wish.thread: request for request in self._requests.values()}
        owners = self._accounts.owners()
        if owners and owners <= waiting.keys() and not self._accounts.leaving_bytes:
            last = max((waiting[thread] for thread in owners), key=lambda request: request.turn.asked_at)
            self._settle(last, _deadlocked(last.wish))

    def _settle(self, request: Request[M], error: BaseException | None = None) -> None:
        self._admission.leave(request.turn)
        del self._requests[request.turn]
        request.error = error
        request.ready.set()


def _late(wish: Wish, seconds: float) -> Exhausted:
    return Exhausted(
        f"{wish.key.name} was not free, or had no room, within {seconds:g} seconds",
        hint="run fewer tasks at once, or raise the memory budget",
    )


def _deadlocked(wish: Wish) -> Exhausted:
    return Exhausted(
        f"{wish.key.name} cannot be had: threads hold what others wait for, and wait for what these hold",
        hint="give one model back before asking for the next, or raise the budget",
    )


def _too_small(wish: Wish, least_bytes: int, budget_bytes: int) -> MemoryTooSmall:
    least, budget = -(-least_bytes // (1 << 20)), budget_bytes >> 20
    return MemoryTooSmall(
        f"{wish.key.name} needs {least} MB, with what must stay beside it; the models' budget is {budget} MB",
        hint=f"raise the memory budget by {least - budget} MB",
    )
