"""What is known of a database and its copy, and whether both are sound."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from audobon.clock import Clock, utc_now
from audobon.database.generations import check_follows, generations, latest_position
from audobon.database.shipped import Info, ShippedObject
from audobon.database.shipping_state import FailureFile, ShippingState, StateFile
from audobon.database.wal_format import FRAME_HEADER_BYTES, INDEX_BYTES, parse_index
from audobon.errors import CorruptBackup, ObjectNotFound
from audobon.keys.service import Keys
from audobon.sqlite import read_index_head
from audobon.storage.port import ObjectStore


class ShippingStatus(msgspec.Struct, frozen=True):
    """How far the copy of a database is.

    generation, commit, at  the last point it can be restored to; None when there is none
    age_seconds             since then; nothing need have been committed meanwhile
    lag_bytes               committed and not shipped; None when that cannot be told without the database open
    objects, size_bytes     of the copy
    failure                 why shipping fails, since its last try; None when it works
    """

    generation: str | None
    commit: int | None
    at: float | None
    age_seconds: float | None
    lag_bytes: int | None
    objects: int
    size_bytes: int
    failure: str | None


def shipping_status(path: Path, store: ObjectStore, keys: Keys, *, clock: Clock = utc_now) -> ShippingStatus:
    """Return how far the copy of a database is; changes nothing. raises CorruptBackup."""
    position = latest_position(store, keys)
    entries = [
        entry for generation in generations(store) for entry in (*generation.objects(), *generation.covered)
    ]
    failure = FailureFile(path).read()
    return ShippingStatus(
        None if position is None else position.generation,
        None if position is None else position.commit,
        None if position is None else position.at,
        None if position is None else max(0.0, clock() - position.at),
        _lag_bytes(path),
        len(entries),
        sum(entry.size_bytes for entry in entries),
        None if failure is None else failure.message,
    )


def _lag_bytes(path: Path) -> int | None:
    """Return what the log holds beyond what was shipped; by the files alone."""
    log = Path(f"{path}-wal")
    if not log.exists():
        return 0
    state = StateFile(path).read()
    try:
        index = parse_index(read_index_head(path, INDEX_BYTES))
    except OSError:
        return None
    if index is None or state is None:
        return None
    frames = index.frames - (state.place.frame if state.place.salts == index.salts else 0)
    return max(0, frames) * (FRAME_HEADER_BYTES + index.page_bytes)


def faults_in_copy(
    store: ObjectStore,
    keys: Keys,
    *,
    shipped: ShippingState | None = None,
    on_object: Callable[[str], None] = lambda _: None,
) -> Iterator[str]:
    """Read every byte of a copy; yield each fault in words, naming the object.

    shipped  how far it reached when something was shipped last: that its end was cut off shows nowhere else
    """
    reach = -1
    for generation in generations(store):
        infos: dict[int, Info] = {}
        for first, entry in sorted(generation.snapshots.items()):
            on_object(entry.name)
            try:
                infos[first] = _read_whole(store, keys, entry.name)
            except CorruptBackup as error:
                yield from _unless_gone(store, generation.name, error)
        before: Info | None = None
        for first, entry in sorted(generation.segments.items()):
            on_object(entry.name)
            try:
                info = _read_whole(store, keys, entry.name)
                # What was pruned before a snapshot is not missing.
                if before is None or (first != before.last + 1 and first - 1 in infos):
                    before = infos.get(first - 1)
                if before is not None:
                    check_follows(info, before)
                before = info
            except CorruptBackup as error:
                yield from _unless_gone(store, generation.name, error)
        reach = max([reach, *infos, *([] if before is None else [before.last])])
    if shipped is not None and shipped.last_name and reach < shipped.commit:
        yield (
            f"{shipped.last_name} of the shipped database is missing: the copy ends with commit"
            f" {max(reach, 0)}, and reached to {shipped.commit}"
        )


def _unless_gone(store: ObjectStore, generation: str, error: CorruptBackup) -> Iterator[str]:
    """Yield a fault, unless what is missing was put together with others, or pruned, meanwhile."""
    if isinstance(error.__cause__, ObjectNotFound):
        names = {
            entry.name for each in generations(store) if each.name == generation for entry in each.objects()
        }
        if not any(name in error.message for name in names):
            return
    yield error.message


def _read_whole(store: ObjectStore, keys: Keys, name: str) -> Info:
    try:
        with store.open(name) as file:
            shipped = ShippedObject(file, keys, name)
            for _ in shipped.plain():
                pass
            return shipped.info
    except ObjectNotFound as error:
        raise CorruptBackup(f"{name} of the shipped database is missing") from error
