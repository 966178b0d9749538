"""Keeps models in memory within a budget and lends each to one thread at a time."""

import gc
import threading
import time
from collections.abc import Callable
from typing import Generic

from audobon.clock import Clock
from audobon.models.accounts import UNLIMITED_BYTES, Accounts, Entry, Eviction, Key, M, Wish
from audobon.models.admission import Admission
from audobon.models.meter import METER
from audobon.models.runtime import trim_heap
from audobon.models.unexplained import RETURNED_SHARE, UnexplainedMemory
from audobon.models.waiting import Request, WaitingRoom


class _BriefLock:
    """A lock for a few lines that never block; whoever finds it taken lets others run and tries again.

    A thread that slept on a lock owns it before it may run, so the next one sleeps too, and so on: measured
    with eight threads that do nothing else, the 99th percentile of a lease fell from 545 to 5 microseconds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        while not self._lock.acquire(blocking=False):
            time.sleep(0)

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Residency(Generic[M]):
    """Models in memory, lent to threads; see `Accounts` for what counts against the budget.

    One lock guards the books. It is never held while a model is loaded, run or closed, so different models
    load at the same time and the same model is loaded once.

    load              loads what a key names
    max_wait_seconds  longest that a request waits before Exhausted is raised
    fair_seconds      see `Admission`
    """

    def __init__(
        self,
        load: Callable[[Key], M],
        *,
        budget_bytes: int | None = None,
        max_wait_seconds: float = 300.0,
        fair_seconds: float = 30.0,
        clock: Clock = time.monotonic,
        unexplained: UnexplainedMemory | None = None,
    ) -> None:
        self._load = load
        self._max_wait_seconds = max_wait_seconds
        self._lock = _BriefLock()
        self._accounts: Accounts[M] = Accounts(clock=clock)
        self._accounts.budget_bytes = UNLIMITED_BYTES if budget_bytes is None else budget_bytes
        admission = Admission(max_wait_seconds=fair_seconds, clock=clock)
        self._waiting: WaitingRoom[M] = WaitingRoom(self._accounts, admission)
        self._unexplained = unexplained or UnexplainedMemory()

    def acquire(self, key: Key, *, peak_bytes: int, resident_bytes: int) -> Entry[M]:
        """Return a loaded model for this thread alone, to be given back with `release`.

        A thread that uses it already gets it once more.
        peak_bytes      predicted growth of the process while it is used, weights included
        resident_bytes  what it is thought to hold, until that is measured
        raises          MemoryTooSmall when it can never fit, Exhausted when its turn did not come, and
                        whatever loading raises
        """
        accounts, me = self._accounts, threading.get_ident()
        with self._lock:
            entry = accounts.entries.get(key)
            if entry is not None and entry.model is not None:
                if entry.owner == me:
                    entry.depth += 1
                    return entry
                if entry.owner is None and not self._waiting.is_reserved:
                    charge = max(peak_bytes, entry.resident_bytes)
                    if accounts.charged_bytes + charge - entry.charge_bytes <= accounts.budget_bytes:
                        accounts.take(entry, me, charge)
                        return entry
            request = self._waiting.enter(Wish(key, peak_bytes, resident_bytes, me))
        return self._await(request)

    def load_ahead(self, key: Key, *, resident_bytes: int) -> bool:
        """Load a model that will be asked for soon; False when it is there, or is not to be had for free.

        Never waits and never makes room: it counts as soon as it is decided, and stays idle until it is
        asked for. Who asks for it meanwhile waits for this load. Raises whatever loading raises.
        resident_bytes  what loading it is thought to take at most
        """
        with self._lock:
            if self._waiting:
                return False
            wish = Wish(key, resident_bytes, resident_bytes, threading.get_ident())
            entry = self._accounts.grant_ahead(wish)
        if entry is None:
            return False
        self._bring_in(entry)
        self.release(entry)
        return not entry.is_doomed

    def release(self, entry: Entry[M]) -> None:
        """Give a model back; it stays in memory while there is room."""
        accounts = self._accounts
        with self._lock:
            entry.depth -= 1
            if entry.depth:
                return
            assert entry.model is not None
            entry.owner = None
            accounts.weigh(entry, entry.model.held_bytes)
            if not (self._waiting or entry.is_doomed or accounts.is_over):
                return
            eviction = accounts.excess()
            self._waiting.serve()
        self._drop(eviction)

    def set_budget(self, budget_bytes: int | None) -> None:
        """Change the budget; idle models go until the rest fits, those in use once they are given back."""
        with self._lock:
            self._accounts.budget_bytes = UNLIMITED_BYTES if budget_bytes is None else budget_bytes
            eviction = self._accounts.excess()
            self._waiting.serve()
        self._drop(eviction)

    def pin(self, name: str) -> None:
        """Keep a model once it is loaded, whichever way it runs."""
        with self._lock:
            self._accounts.pin(name)

    def unpin(self, name: str) -> None:
        """Let a pinned model make room again."""
        with self._lock:
            self._accounts.unpin(name)
            eviction = self._accounts.excess()
            self._waiting.serve()
        self._drop(eviction)

    def close(self) -> None:
        """Evict every model, pinned or not; those in use once they are given back."""
        with self._lock:
            for entry in self._accounts.entries.values():
                entry.is_doomed = True
            eviction = self._accounts.excess()
            self._waiting.serve()
        self._drop(eviction)

    def entries(self) -> list[Entry[M]]:
        """Return what is loaded at this moment."""
        with self._lock:
            return [entry for entry in self._accounts.entries.values() if entry.model is not None]

    @property
    def charged_bytes(self) -> int:
        """Everything that counts against the budget now."""
        return self._accounts.charged_bytes

    @property
    def waiting(self) -> int:
        """How many threads wait for a model now."""
        return len(self._waiting)

    def unexplained_bytes(self) -> int:
        """Return what the process grew by since the first load, beyond what its models account for."""
        with self._lock:
            return self._unexplained.grown_bytes(self._accounts.loaded_bytes())

    def recycling_reason(self) -> str | None:
        """Return why this process should be replaced, if it should."""
        with self._lock:
            if not self._accounts.owners():
                self._unexplained.check_growth(self._accounts.loaded_bytes())
            return self._unexplained.reason

    def _await(self, request: Request[M]) -> Entry[M]:
        if not request.ready.wait(self._max_wait_seconds):
            with self._lock:
                self._waiting.give_up(request, after_seconds=self._max_wait_seconds)
        if request.entry is None:
            assert request.error is not None
            raise request.error
        self._drop(request.eviction)
        if request.entry.model is None:
            self._bring_in(request.entry)
        return request.entry

    def _bring_in(self, entry: Entry[M]) -> None:
        """Load what our entry stands for; all who wait for it share a failure, and the next may try again."""
        try:
            model = self._load(entry.key)
        except BaseException as error:
            with self._lock:
                self._accounts.forget(entry)
                self._waiting.fail(entry.key, error)
                self._waiting.serve()
            raise
        with self._lock:
            entry.model = model
            entry.load_seconds = model.load_seconds
            held = model.held_bytes
            if held is not None:
                self._accounts.weigh(entry, held)
            self._unexplained.loaded(held or 0)
            if entry.is_ahead and self._accounts.is_over:
                # It holds more than was thought: nobody makes room for what nobody asked for yet.
                entry.is_doomed = True
                return
            eviction = self._accounts.excess()
        self._drop(eviction)

    def _drop(self, eviction: Eviction[M] | None) -> None:
        """Close evicted models and see whether their memory came back."""
        if eviction is None or not eviction.victims:
            return
        held = sum(victim.resident_bytes for victim in eviction.victims)
        with METER.weighing() as weighing:
            for victim in eviction.victims:
                if victim.model is not None:
                    victim.model.close()
                    victim.model = None
            trim_heap()
            if weighing.grown_so_far() > -RETURNED_SHARE * held:
                # Something in a cycle may hold it still; looking costs more than most evictions.
                gc.collect()
                trim_heap()
        with self._lock:
            accounts = self._accounts
            accounts.gone(eviction)
            if weighing.is_alone and all(victim.is_measured for victim in eviction.victims):
                self._unexplained.evicted(
                    held, -weighing.grown_bytes, accounted_bytes=accounts.loaded_bytes()
                )
            self._waiting.serve()
