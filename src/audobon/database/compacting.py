"""Puts the many small segments of a shipped database together, so that their number stays bounded.

Each commit can still be restored, and each instant at which something was shipped is told. Segments are put
together between two snapshots only, so that each snapshot is followed by a segment that begins behind it.
"""

from contextlib import suppress
from itertools import pairwise

from audobon.database.generations import Generation, check_follows, generations, is_merged
from audobon.database.shipped import Info, ShippedObject, ShippedWriter, read_info
from audobon.errors import CorruptBackup, ObjectExists, ObjectNotFound
from audobon.keys.service import Keys
from audobon.storage.port import ObjectInfo, ObjectStore

FEWEST = 100
"""Fewer segments are left as they are: to put them together again and again costs more than it saves."""

_FEWEST_MERGED = 16
_MOST_BYTES = 32 << 20
_MOST_SHIPS = 20_000


def compact_shipped(store: ObjectStore, keys: Keys, *, is_alone: bool = False) -> int:
    """Put segments together; return how many objects there are less. Needs full rights.

    A segment goes once the one that takes its place was read back; broken off, the next goes on. What is
    damaged stays as it is.
    is_alone  no snapshot is being taken; else only what a snapshot follows is touched
    raises    DiskFull, Denied
    """
    return sum(_compact(store, keys, generation, is_alone=is_alone) for generation in generations(store))


def _compact(store: ObjectStore, keys: Keys, generation: Generation, *, is_alone: bool) -> int:
    gone = 0
    for run in _runs(generation, is_alone=is_alone):
        merged = _merge(store, keys, run)
        if merged is not None:
            gone += _remove(store, run) - 1
    if generation.covered:
        gone += _remove(
            store, [entry for entry in generation.covered if _is_needless(store, keys, generation, entry)]
        )
    return gone


def _runs(generation: Generation, *, is_alone: bool) -> list[list[ObjectInfo]]:
    """Return what may be put together: neighbours of a kind, between two snapshots, never the last."""
    runs: list[list[ObjectInfo]] = []
    size_bytes = 0
    end = max(generation.snapshots, default=0)
    for first, entry in sorted(generation.segments.items())[:-1]:
        if not is_alone and first > end:
            break
        run = runs[-1] if runs else []
        is_full = size_bytes + entry.size_bytes > _MOST_BYTES
        if (
            not run
            or is_full
            or first - 1 in generation.snapshots
            or is_merged(entry.name) != is_merged(run[0].name)
        ):
            runs.append([])
            size_bytes = 0
        runs[-1].append(entry)
        size_bytes += entry.size_bytes
    return [run for run in runs if len(run) >= (_FEWEST_MERGED if is_merged(run[0].name) else FEWEST)]


def _merge(store: ObjectStore, keys: Keys, run: list[ObjectInfo]) -> Info | None:
    """Store one segment in place of some; None when they cannot be read, or do not follow one another."""
    try:
        infos = [read_info(store, keys, entry.name)[0] for entry in run]
        for before, info in pairwise(infos):
            check_follows(info, before)
        first, last = infos[0], infos[-1]
        ships = tuple(ship for info in infos for ship in info.ships)
        if len(ships) > _MOST_SHIPS:
            return None
        merged = Info(
            "segment",
            last.id,
            first.previous,
            first.generation,
            first.first,
            last.last,
            last.at,
            last.page_bytes,
            last.pages,
            first.begins,
            last.ends,
            marks=ships,
        )
        with suppress(ObjectExists):
            _store(store, keys, run, merged)
        return merged if _read_back(store, keys, merged.name) == merged else None
    except (CorruptBackup, ObjectNotFound):
        return None


def _store(store: ObjectStore, keys: Keys, run: list[ObjectInfo], merged: Info) -> None:
    key = read_info(store, keys, run[0].name)[1]
    with store.create(merged.name) as file:
        writer = ShippedWriter(file, key, merged.name)
        for entry in run:
            with store.open(entry.name) as source:
                for data in ShippedObject(source, keys, entry.name).plain():
                    writer.write(data)
        writer.finish(merged)


def _read_back(store: ObjectStore, keys: Keys, name: str) -> Info:
    """Read every byte of an object."""
    with store.open(name) as file:
        shipped = ShippedObject(file, keys, name)
        for _ in shipped.plain():
            pass
        return shipped.info


def _is_needless(store: ObjectStore, keys: Keys, generation: Generation, entry: ObjectInfo) -> bool:
    """Tell whether a segment is in another that is sound."""
    try:
        info = read_info(store, keys, entry.name)[0]
    except (CorruptBackup, ObjectNotFound):
        return False
    holding = max(first for first in generation.segments if first <= info.first)
    try:
        other = _read_back(store, keys, generation.segments[holding].name)
    except (CorruptBackup, ObjectNotFound):
        return False
    return other.first <= info.first and info.last <= other.last and set(info.ships) <= set(other.ships)


def _remove(store: ObjectStore, entries: list[ObjectInfo]) -> int:
    for entry in entries:
        with suppress(ObjectNotFound):
            store.delete(entry.name)
    return len(entries)
