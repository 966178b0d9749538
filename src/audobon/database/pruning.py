"""Removes what of a shipped database is kept no longer, and copies it to another place."""

import shutil
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from audobon.clock import Clock, utc_now
from audobon.database.generations import Generation, generations, is_merged, newest_info
from audobon.database.shipped import read_info
from audobon.errors import CorruptBackup, ForeignRepository, ObjectExists, ObjectNotFound
from audobon.keys.service import Keys
from audobon.storage.port import ObjectInfo, ObjectStore

_DAY_SECONDS = 86_400.0
KEEP_SNAPSHOT_DAYS = 30.0
"""For so long one snapshot of each day stays."""

_MOST_LOOKS = 10


class Pruned(msgspec.Struct, frozen=True):
    """What was removed, or would be."""

    objects: int
    size_bytes: int


def prune_shipped(
    store: ObjectStore,
    keys: Keys,
    *,
    keep_days: float,
    keep_snapshot_days: float = KEEP_SNAPSHOT_DAYS,
    is_dry_run: bool = False,
    clock: Clock = utc_now,
) -> Pruned:
    """Remove what is older than `keep_days`, except one snapshot of each day; needs full rights.

    How old something is, it tells itself, sealed; the times of files count for nothing. Each commit of the
    days kept can still be restored: what leads to the first of them stays, and the newest snapshot stays
    however old it is. A snapshot that is damaged leads nowhere, and stays to be looked at.
    """
    every = generations(store)
    found = [generation for generation in every if generation.snapshots]
    # Of a generation that never got its snapshot nothing can be restored; the newest may get it yet.
    doomed = [
        entry
        for generation in every[:-1]
        if not generation.snapshots
        for entry in (*generation.segments.values(), *generation.covered)
    ]
    cut = clock() - keep_days * _DAY_SECONDS
    days: set[str] = set()
    for generation in found:
        with suppress(ObjectNotFound):
            doomed += _Doomed(store, keys, generation, is_newest=generation is found[-1]).find(
                cut, cut - keep_snapshot_days * _DAY_SECONDS, days
            )
    if not is_dry_run:
        # The newest first: what a prune that was broken off leaves still begins with its snapshot.
        for entry in sorted(doomed, key=lambda entry: entry.name, reverse=True):
            with suppress(ObjectNotFound):
                store.delete(entry.name)
    return Pruned(len(doomed), sum(entry.size_bytes for entry in doomed))


class _Doomed:
    """What of one generation is kept no longer."""

    def __init__(self, store: ObjectStore, keys: Keys, generation: Generation, *, is_newest: bool) -> None:
        self._generation = generation
        self._is_newest = is_newest
        self._ages: dict[int, float] = {}
        for first, entry in sorted(generation.snapshots.items()):
            with suppress(CorruptBackup):
                self._ages[first] = read_info(store, keys, entry.name)[0].at
        self._ends_at: float | None = None
        with suppress(CorruptBackup):
            self._ends_at = newest_info(store, keys, generation).at

    def find(self, cut: float, snapshot_cut: float, days: set[str]) -> list[ObjectInfo]:
        """Return what goes; `days` are those of which a snapshot stays already."""
        if self._ends_at is None:
            return []
        generation, is_over = self._generation, self._ends_at < cut and not self._is_newest
        # The last snapshot before the cut leads to the commits right after it.
        before = [first for first, at in self._ages.items() if at < cut]
        base = before[-1] if before and not is_over else None
        doomed = []
        for first in before:
            if first == base:
                continue
            day = datetime.fromtimestamp(self._ages[first], UTC).date().isoformat()
            if self._ages[first] < snapshot_cut or day in days:
                doomed.append(generation.snapshots[first])
            days.add(day)
        segments = generation.segments.items()
        gone = {first for first, _ in segments if is_over or (base is not None and first <= base)}
        doomed += [entry for first, entry in segments if first in gone]
        if is_over:
            doomed += generation.covered
        return doomed


def copy_shipped(source: ObjectStore, target: ObjectStore, keys: Keys) -> Pruned:
    """Copy what another place lacks of the shipped database, oldest first; rights to create suffice.

    What was put together here and lies there in pieces is not copied again.
    raises  ForeignRepository when the place holds another history under the same names
    """
    count = size_bytes = 0
    for _ in range(_MOST_LOOKS):
        is_settled = True
        there = {generation.name: generation for generation in generations(target)}
        for generation in generations(source):
            copying = _Copying(source, target, keys, there.get(generation.name))
            copying.demand_same(generation)
            for entry in generation.objects():
                try:
                    is_copied = copying.copy(entry)
                except ObjectNotFound:
                    # It was pruned meanwhile, or put together with others: a second look finds those.
                    is_settled = False
                    continue
                if is_copied:
                    count += 1
                    size_bytes += entry.size_bytes
        if is_settled:
            break
    return Pruned(count, size_bytes)


class _Copying:
    """One generation on its way to another place."""

    def __init__(
        self, source: ObjectStore, target: ObjectStore, keys: Keys, there: Generation | None
    ) -> None:
        self._source = source
        self._target = target
        self._keys = keys
        self._there = {} if there is None else {entry.name for entry in (*there.objects(), *there.covered)}
        self._segments = {} if there is None else there.segments

    def copy(self, entry: ObjectInfo) -> bool:
        """Copy an object unless it is there; tell whether so. raises ObjectNotFound, ForeignRepository."""
        if entry.name in self._there:
            return False
        if is_merged(entry.name) and self._is_there_in_pieces(entry.name):
            return False
        try:
            with self._source.open(entry.name) as file, self._target.create(entry.name) as copy:
                shutil.copyfileobj(file, copy, 1 << 20)
        except ObjectExists:
            self._demand_same(entry.name)
            return False
        return True

    def _is_there_in_pieces(self, name: str) -> bool:
        info = read_info(self._source, self._keys, name)[0]
        begun = [info.first, *(commit + 1 for commit, _ in info.ships[:-1])]
        ends = sorted(self._ends())
        return all(
            commit in self._segments or any(first <= commit <= last for first, last in ends)
            for commit in begun
        )

    def _ends(self) -> list[tuple[int, int]]:
        """The first and last commits of what was put together there."""
        merged = [entry.name for entry in self._segments.values() if is_merged(entry.name)]
        spans = [name.rpartition("/")[2].removesuffix(".segment").split("-") for name in merged]
        return [(int(first), int(last)) for first, last in spans]

    def demand_same(self, generation: Generation) -> None:
        """Raise ForeignRepository unless what both hold is the same; asked when something is to be copied."""
        names = [entry.name for entry in generation.objects()]
        common = [name for name in names if name in self._there]
        if common and len(common) < len(names):
            with suppress(ObjectNotFound):
                self._demand_same(common[-1])

    def _demand_same(self, name: str) -> None:
        # Not by their bytes: each place may have put the same segments together by itself.
        ours, theirs = (read_info(store, self._keys, name)[0] for store in (self._source, self._target))
        if ours != theirs:
            raise ForeignRepository(
                f"{name} is another one at that place: the database went back in time here",
                hint="begin with an empty folder there, and keep the old one",
            )
