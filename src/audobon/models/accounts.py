"""The books of what is in memory: who holds how much, who uses it, and who would make room."""

from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from audobon.clock import Clock
from audobon.models.eviction import Candidate, Frequency, choose

UNLIMITED_BYTES = 1 << 62


class Key(NamedTuple):
    """What is loaded: a model's graph, and the way it runs."""

    name: str
    lean: bool
    graph_sha256: str


class Resident(Protocol):
    """What can be kept in memory."""

    @property
    def load_seconds(self) -> float:
        """Return what loading it again would take."""

    @property
    def held_bytes(self) -> int | None:
        """Return what it was measured to hold when idle; None when nobody could measure it."""

    def close(self) -> None:
        """Give its memory back."""


M = TypeVar("M", bound=Resident)


class Entry(Generic[M]):
    """A model in memory, or on its way there (then `model` is None and the owner loads it).

    charge_bytes    counted against the budget now
    resident_bytes  what it holds when idle
    is_measured     resident_bytes is no guess
    is_doomed       it goes as soon as it is idle
    is_ahead        it was loaded for a use that is still to come, and counted as used
    used_at         when it was last given to a thread, by the clock of the accounts
    owner           the thread that uses it, `depth` leases deep; None when idle
    """

    __slots__ = (
        "charge_bytes", "depth", "frequency", "is_ahead", "is_doomed", "is_measured", "key", "load_seconds",
        "model", "owner", "resident_bytes", "used_at", "uses",
    )  # fmt: skip

    def __init__(self, key: Key, resident_bytes: int, frequency: Frequency) -> None:
        self.key = key
        self.model: M | None = None
        self.charge_bytes = 0
        self.resident_bytes = resident_bytes
        self.is_measured = False
        self.is_doomed = False
        self.is_ahead = False
        self.owner: int | None = None
        self.depth = 0
        self.uses = 0
        self.used_at = 0.0
        self.load_seconds = 0.0
        self.frequency = frequency


class Wish(NamedTuple):
    """A thread wants a model.

    peak_bytes      most it will take while in use, its own size included
    resident_bytes  what it is thought to hold when idle
    """

    key: Key
    peak_bytes: int
    resident_bytes: int
    thread: int


class Eviction(NamedTuple, Generic[M]):
    """Models that are off the books but still in memory; close them, then say so with `Accounts.gone`.

    charge_bytes  still counted for them until then
    """

    victims: list[Entry[M]]
    charge_bytes: int


class Accounts(Generic[M]):
    """Every model in memory with its charge: what it holds when idle, its predicted peak when in use.

    Invariant: granting never lets the charges exceed the budget. Only a measurement can, when a model holds
    more than was predicted, or a lowered budget; `excess` names who must go then.
    leaving_bytes  part of charged_bytes that belongs to evicted models not yet closed
    Not for two threads at once.
    """

    def __init__(self, *, clock: Clock) -> None:
        self.budget_bytes = UNLIMITED_BYTES
        self.charged_bytes = 0
        self.leaving_bytes = 0
        self.entries: dict[Key, Entry[M]] = {}
        self._pins: set[str] = set()
        self._uses = 0
        # What is known of models that were in memory once.
        self._held_bytes: dict[Key, int] = {}
        self._frequencies: dict[Key, Frequency] = {}
        self._clock = clock

    def pin(self, name: str) -> None:
        """Never choose a model to make room."""
        self._pins.add(name)

    def unpin(self, name: str) -> None:
        """Let a model make room again."""
        self._pins.discard(name)

    def loaded(self) -> set[Key]:
        """Return what is in memory, in use or not."""
        return {key for key, entry in self.entries.items() if entry.model is not None}

    def loaded_bytes(self) -> int:
        """Return the charges of what is in memory by now."""
        return sum(entry.charge_bytes for entry in self.entries.values() if entry.model is not None)

    def take(self, entry: Entry[M], thread: int, charge_bytes: int) -> None:
        """Give an idle entry to a thread."""
        self.charged_bytes += charge_bytes - entry.charge_bytes
        entry.charge_bytes = charge_bytes
        entry.owner, entry.depth = thread, 1
        entry.uses += 1
        entry.used_at = self._clock()
        self._uses += 1
        if entry.is_ahead:
            entry.is_ahead = False
        else:
            entry.frequency.use(self._uses)

    def grant(self, wish: Wish) -> tuple[Entry[M], Eviction[M]] | None:
        """Give a model to a thread, and name who must go before; None without room.

        It must be idle or not in memory; then the thread is to load it.
        """
        entry = self.entries.get(wish.key)
        victims: list[Entry[M]] = []
        if entry is None:
            # The other way to run it, or an older graph, would be kept for nothing.
            victims = [other for other in self._evictable() if other.key.name == wish.key.name]
            held, charge = 0, max(wish.peak_bytes, wish.resident_bytes)
        else:
            held, charge = entry.charge_bytes, max(wish.peak_bytes, entry.resident_bytes)
        missing = self.charged_bytes + charge - held - self.budget_bytes
        missing -= sum(victim.charge_bytes for victim in victims)
        room = self._room(missing, but=[wish.key, *(victim.key for victim in victims)])
        if room is None:
            return None
        eviction = self._evict(victims + room, replaced_by_bytes=charge - held)
        if entry is None:
            entry = self._add(wish.key, self._held_bytes.get(wish.key, wish.resident_bytes))
        self.take(entry, wish.thread, charge)
        return entry, eviction

    def grant_ahead(self, wish: Wish) -> Entry[M] | None:
        """Give a thread a model to load that will be used soon; None when nobody should load it now.

        That is when it is in memory already, whichever way it runs, or has no room beside all that is there.
        """
        is_here = any(key.name == wish.key.name for key in self.entries)
        if is_here or self.charged_bytes + wish.resident_bytes > self.budget_bytes:
            return None
        entry = self._add(wish.key, wish.resident_bytes)
        entry.is_ahead = True
        entry.frequency.use(self._uses)
        entry.charge_bytes = wish.resident_bytes
        self.charged_bytes += wish.resident_bytes
        entry.owner, entry.depth = wish.thread, 1
        entry.used_at = self._clock()
        return entry

    def _add(self, key: Key, resident_bytes: int) -> Entry[M]:
        frequency = self._frequencies.setdefault(key, Frequency())
        entry = self.entries[key] = Entry(key, resident_bytes, frequency)
        return entry

    def weigh(self, entry: Entry[M], held_bytes: int | None) -> None:
        """Correct what a model holds by what was measured."""
        if held_bytes is not None:
            entry.resident_bytes, entry.is_measured = max(0, held_bytes), True
            self._held_bytes[entry.key] = entry.resident_bytes
        elif not entry.key.lean:
            # An arena keeps what it took, and nobody could see how much that was.
            entry.resident_bytes, entry.is_measured = max(entry.resident_bytes, entry.charge_bytes), False
        charge = entry.resident_bytes
        if entry.owner is not None:
            charge = max(charge, entry.charge_bytes)
        self.charged_bytes += charge - entry.charge_bytes
        entry.charge_bytes = charge

    def forget(self, entry: Entry[M]) -> None:
        """Strike an entry off the books."""
        del self.entries[entry.key]
        self.charged_bytes -= entry.charge_bytes

    @property
    def is_over(self) -> bool:
        """Tell whether more is in memory than the budget allows, what is leaving not counted."""
        return self.charged_bytes - self.leaving_bytes > self.budget_bytes

    def excess(self) -> Eviction[M]:
        """Name the idle models that are doomed, or too much for the budget."""
        victims = self._where(lambda entry: entry.owner is None and entry.is_doomed)
        missing = self.charged_bytes - self.leaving_bytes - self.budget_bytes
        missing -= sum(victim.charge_bytes for victim in victims)
        but = [victim.key for victim in victims]
        room = self._room(missing, but=but)
        if room is None:
            room = [entry for entry in self._evictable() if entry.key not in but]
        return self._evict(victims + room)

    def gone(self, eviction: Eviction[M]) -> None:
        """Count evicted models no longer, now that their memory is free."""
        self.charged_bytes -= eviction.charge_bytes
        self.leaving_bytes -= eviction.charge_bytes

    def _evict(self, victims: list[Entry[M]], *, replaced_by_bytes: int = 0) -> Eviction[M]:
        freed = sum(victim.charge_bytes for victim in victims)
        for victim in victims:
            self.forget(victim)
        # What takes their place waits for them to be gone; only what it leaves over stays counted.
        left = max(0, freed - max(0, replaced_by_bytes))
        self.charged_bytes += left
        self.leaving_bytes += left
        return Eviction(victims, left)

    def least_bytes(self, wish: Wish) -> int:
        """Return the budget a wish needs whatever others give back: with pins and what its thread holds."""
        entry = self.entries.get(wish.key)
        own = wish.resident_bytes if entry is None else entry.resident_bytes
        stays = self._where(
            lambda other: (
                other.key != wish.key and (other.key.name in self._pins or other.owner == wish.thread)
            )
        )
        return max(wish.peak_bytes, own) + sum(other.charge_bytes for other in stays)

    def owners(self) -> set[int]:
        """Return the threads that use or load something."""
        return {entry.owner for entry in self.entries.values() if entry.owner is not None}

    def _where(self, fits: Callable[[Entry[M]], bool]) -> list[Entry[M]]:
        return [entry for entry in self.entries.values() if fits(entry)]

    def _evictable(self) -> list[Entry[M]]:
        return self._where(lambda entry: entry.owner is None and entry.key.name not in self._pins)

    def _room(self, missing_bytes: int, *, but: list[Key]) -> list[Entry[M]] | None:
        """Return the idle models of least worth that hold so much; None when all hold less."""
        if missing_bytes <= 0:
            return []
        candidates = [
            Candidate(entry.key, entry.load_seconds, entry.frequency.at(self._uses), entry.charge_bytes)
            for entry in self._evictable()
            if entry.key not in but
        ]
        chosen = choose(candidates, missing_bytes)
        return None if chosen is None else [self.entries[one.key] for one in chosen]
