"""Removes what of a shipped database is kept no longer, and copies it to another place."""

import shutil
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from audobon.clock import Clock, utc_now
from audobon.database.generations import Generation, generations
from audobon.errors import ForeignRepository, ObjectExists, ObjectNotFound
from audobon.storage.port import ObjectInfo, ObjectStore

_DAY_SECONDS = 86_400.0
KEEP_SNAPSHOT_DAYS = 30.0
"""For so long one snapshot of each day stays."""


class Pruned(msgspec.Struct, frozen=True):
    """What was removed, or would be."""

    objects: int
    size_bytes: int


def prune_shipped(
    store: ObjectStore,
    *,
    keep_days: float,
    keep_snapshot_days: float = KEEP_SNAPSHOT_DAYS,
    is_dry_run: bool = False,
    clock: Clock = utc_now,
) -> Pruned:
    """Remove what is older than `keep_days`, except one snapshot of each day; needs full rights.

    Each commit of the days kept can still be restored: what leads to the first of them stays, and the newest
    snapshot stays however old it is.
    """
    found = [generation for generation in generations(store) if generation.snapshots]
    # Of a generation that never got its snapshot nothing can be restored; the newest may get it yet.
    useless = [
        entry
        for generation in generations(store)[:-1]
        if not generation.snapshots
        for entry in generation.segments.values()
    ]
    cut = clock() - keep_days * _DAY_SECONDS
    doomed: list[ObjectInfo] = list(useless)
    days: set[str] = set()
    for number, generation in enumerate(found):
        last_of_all = number == len(found) - 1
        doomed += _doomed(
            generation, cut, cut - keep_snapshot_days * _DAY_SECONDS, days, is_newest=last_of_all
        )
    if not is_dry_run:
        # The newest first: what a prune that was broken off leaves still begins with its snapshot.
        for entry in sorted(doomed, key=lambda entry: entry.name, reverse=True):
            with suppress(ObjectNotFound):
                store.delete(entry.name)
    return Pruned(len(doomed), sum(entry.size_bytes for entry in doomed))


def _doomed(
    generation: Generation, cut: float, snapshot_cut: float, days: set[str], *, is_newest: bool
) -> list[ObjectInfo]:
    snapshots = sorted(generation.snapshots.items())
    # The last snapshot before the cut leads to the commits right after it.
    before = [first for first, entry in snapshots if entry.created_at < cut]
    newest_entry = max(
        entry.created_at for entry in (*generation.snapshots.values(), *generation.segments.values())
    )
    base = before[-1] if before and (is_newest or newest_entry >= cut) else None
    doomed = []
    for first, entry in snapshots:
        if entry.created_at >= cut or first == base:
            continue
        day = datetime.fromtimestamp(entry.created_at, UTC).date().isoformat()
        if entry.created_at < snapshot_cut or day in days:
            doomed.append(entry)
        days.add(day)
    if base is None and newest_entry < cut:
        doomed += generation.segments.values()
    elif base is not None:
        doomed += [entry for first, entry in generation.segments.items() if first <= base]
    return doomed


def copy_shipped(source: ObjectStore, target: ObjectStore) -> Pruned:
    """Copy what another place lacks of the shipped database, oldest first; rights to create suffice.

    raises  ForeignRepository when the place holds another history under the same names
    """
    there = {entry.name: entry for generation in generations(target) for entry in _objects(generation)}
    count = size_bytes = 0
    for generation in generations(source):
        entries = _objects(generation)
        missing = [entry for entry in entries if entry.name not in there]
        common = [entry for entry in entries if entry.name in there]
        if missing and common:
            _demand_same(source, target, common[-1].name)
        for entry in missing:
            try:
                with source.open(entry.name) as file, target.create(entry.name) as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)
            except ObjectExists:
                _demand_same(source, target, entry.name)
                continue
            except ObjectNotFound:
                # It was pruned meanwhile.
                continue
            count += 1
            size_bytes += entry.size_bytes
    return Pruned(count, size_bytes)


def _objects(generation: Generation) -> list[ObjectInfo]:
    every = [*generation.snapshots.values(), *generation.segments.values()]
    return sorted(every, key=lambda entry: entry.name)


def _demand_same(source: ObjectStore, target: ObjectStore, name: str) -> None:
    with source.open(name) as ours, target.open(name) as theirs:
        while True:
            left, right = ours.read(1 << 20), theirs.read(1 << 20)
            if left != right:
                raise ForeignRepository(
                    f"{name} is another one at that place: the database went back in time here",
                    hint="begin with an empty folder there, and keep the old one",
                )
            if not left:
                return
