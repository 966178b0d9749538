"""Segments are put together: few objects, and still each commit and each instant exact."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from shipped_desk import Desk, content, number_in

from audobon.database import compacting
from audobon.database.compacting import compact_shipped
from audobon.database.generations import points
from audobon.database.looking import faults_in_copy
from audobon.database.pruning import copy_shipped, prune_shipped
from audobon.database.restoring import restore_database
from audobon.storage.embedded import FolderObjectStore


class Ended(BaseException):
    """What ends a process, in effigy."""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Return a desk with a snapshot and thirty segments; five are enough to be put together."""
    monkeypatch.setattr(compacting, "FEWEST", 5)
    monkeypatch.setattr(compacting, "_FEWEST_MERGED", 3)
    (tmp_path / "data").mkdir()
    desk = Desk(tmp_path / "data")
    desk.ship()
    for number in range(30):
        desk.write_many(1 + number % 3)
        desk.ship()
    yield desk
    desk.close()


def commits(desk: Desk) -> list[int]:
    point = next(points(desk.store, desk.keys))
    return list(range(point.first, point.last + 1))


def at_instant(desk: Desk, store: FolderObjectStore, instant: float) -> int:
    into = desk.folder / "then.db"
    restored = restore_database(
        store, desk.keys, into, to=datetime.fromtimestamp(instant, UTC), overwrite=True
    )
    assert restored.position.at <= instant
    with closing(sqlite3.connect(f"file:{into}?immutable=1", uri=True)) as connection:
        return number_in(content(connection))


def all_states(desk: Desk) -> list[Any]:
    return [desk.restored(commit) for commit in commits(desk)]


def test_each_commit_and_each_instant_is_the_same_before_and_after(desk: Desk) -> None:
    states = all_states(desk)
    instants = [1_000_001.0 + number / 2 for number in range(62)]
    numbers = [at_instant(desk, desk.store, instant) for instant in instants]
    objects = desk.objects()
    assert compact_shipped(desk.store, desk.keys, is_alone=True) == 28
    assert len(desk.objects()) == len(objects) - 28 == 3
    assert all_states(desk) == states
    assert [at_instant(desk, desk.store, instant) for instant in instants] == numbers
    assert list(faults_in_copy(desk.store, desk.keys)) == []
    assert compact_shipped(desk.store, desk.keys, is_alone=True) == 0


def test_shipping_goes_on_behind_what_was_put_together(desk: Desk) -> None:
    for _ in range(4):
        desk.shipper.compact()
        for _ in range(8):
            desk.write_many(1)
            desk.ship()
    desk.shipper.compact()
    assert len(desk.generations()) == 1
    assert len(desk.objects()) < 8
    assert desk.restored() == desk.seen[desk.number]
    assert all(state == desk.seen[number_in(state)] for state in all_states(desk))
    desk.reopen()
    desk.write_many(1)
    desk.ship()
    assert len(desk.generations()) == 1
    assert desk.restored() == desk.seen[desk.number]


def test_nothing_is_put_together_over_a_snapshot(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audobon.database.shipping_state._LEAST_BYTES", 150_000)
    for _ in range(40):
        desk.write_many(1)
        desk.ship()
    snapshots = len(desk.generations()[0].snapshots)
    assert snapshots > 2
    states = all_states(desk)
    assert compact_shipped(desk.store, desk.keys) > 20
    assert len(desk.generations()[0].snapshots) == snapshots
    assert all_states(desk) == states
    for first in desk.generations()[0].snapshots:
        desk.store.delete(f"wal/{desk.generations()[0].name}/{first:012d}.snapshot")
        if len(desk.generations()[0].snapshots) == 1:
            break
        # What leads from the next snapshot on is whole by itself.
        assert desk.restored() == desk.seen[desk.number]
    assert list(faults_in_copy(desk.store, desk.keys)) == []


@pytest.mark.parametrize("deletions", range(0, 32, 3))
def test_broken_off_anywhere_it_loses_nothing_and_is_finished_by_the_next(desk: Desk, deletions: int) -> None:
    left = deletions

    class Dying(FolderObjectStore):
        def delete(self, name: str) -> None:
            nonlocal left
            if not left:
                raise Ended
            left -= 1
            super().delete(name)

    with suppress(Ended):
        compact_shipped(Dying({"standard": desk.folder}), desk.keys, is_alone=True)
    assert desk.restored() == desk.seen[desk.number]
    assert list(faults_in_copy(desk.store, desk.keys)) == []
    compact_shipped(desk.store, desk.keys, is_alone=True)
    assert len(desk.objects()) == 3
    assert all(state == desk.seen[number_in(state)] for state in all_states(desk))


def test_what_is_damaged_is_left_as_it_is(desk: Desk) -> None:
    name = [name for name in desk.objects() if name.endswith("segment")][7]
    path = desk.store.path(name)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    before = desk.objects()
    compact_shipped(desk.store, desk.keys, is_alone=True)
    assert desk.objects() == before
    assert any(name in fault for fault in faults_in_copy(desk.store, desk.keys))


def test_a_restore_goes_on_while_segments_are_put_together(desk: Desk) -> None:
    class Slow(FolderObjectStore):
        is_first = True

        def open(self, name: str):  # type: ignore[no-untyped-def,override]
            if self.is_first and name.endswith("000009.segment"):
                type(self).is_first = False
                compact_shipped(desk.store, desk.keys, is_alone=True)
            return super().open(name)

    into = desk.folder / "restored.db"
    restore_database(Slow({"standard": desk.folder}, rights="read"), desk.keys, into)
    with closing(sqlite3.connect(f"file:{into}?immutable=1", uri=True)) as connection:
        assert content(connection) == desk.seen[desk.number]


def test_another_place_gets_what_it_lacks_and_nothing_twice(desk: Desk, tmp_path: Path) -> None:
    place = FolderObjectStore({"standard": tmp_path / "place"}, rights="create")
    copy_shipped(desk.store, place, desk.keys)
    compact_shipped(desk.store, desk.keys, is_alone=True)
    assert copy_shipped(desk.store, place, desk.keys).objects == 0
    for _ in range(8):
        desk.write_many(1)
        desk.ship()
    compact_shipped(desk.store, desk.keys, is_alone=True)
    copied = copy_shipped(desk.store, place, desk.keys)
    assert 0 < copied.objects <= 3
    assert copy_shipped(desk.store, place, desk.keys).objects == 0
    full = FolderObjectStore({"standard": tmp_path / "place"})
    compact_shipped(full, desk.keys, is_alone=True)
    assert copy_shipped(desk.store, place, desk.keys).objects == 0
    assert list(faults_in_copy(place, desk.keys)) == []
    for instant in (1_000_004.5, 1_000_020.0, 1_000_037.0):
        assert at_instant(desk, place, instant) == at_instant(desk, desk.store, instant)


def test_another_place_is_whole_though_segments_are_put_together_while_it_is_copied_to(
    desk: Desk, tmp_path: Path
) -> None:
    class Busy(FolderObjectStore):
        is_first = True

        def open(self, name: str):  # type: ignore[no-untyped-def,override]
            if self.is_first and name.endswith("000009.segment"):
                type(self).is_first = False
                compact_shipped(desk.store, desk.keys, is_alone=True)
            return super().open(name)

    place = FolderObjectStore({"standard": tmp_path / "place"}, rights="create")
    copy_shipped(Busy({"standard": desk.folder}), place, desk.keys)
    assert list(faults_in_copy(place, desk.keys)) == []
    restore_database(place, desk.keys, tmp_path / "x.db")
    with closing(sqlite3.connect(f"file:{tmp_path / 'x.db'}?immutable=1", uri=True)) as connection:
        assert content(connection) == desk.seen[desk.number]


def test_what_was_put_together_is_pruned_like_the_rest(desk: Desk) -> None:
    compact_shipped(desk.store, desk.keys, is_alone=True)
    desk.now += 40 * 86_400
    desk.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    desk.write_many(1)
    desk.ship()
    prune_shipped(desk.store, desk.keys, keep_days=7, clock=lambda: desk.now)
    assert len(desk.generations()) == 1
    assert desk.restored() == desk.seen[desk.number]


def test_it_happens_by_itself_while_a_database_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audobon.database.continuous import ContinuousShipping
    from audobon.database.shipping import Shipper

    monkeypatch.setattr("audobon.database.shipping_state._SEGMENTS_PUT_TOGETHER", 150)
    desk = Desk(tmp_path)
    desk.ship()
    done = threading.Event()

    class Telling(Shipper):
        def compact(self) -> None:
            super().compact()
            done.set()

    shipping = ContinuousShipping(
        desk.path, lambda: Telling(desk.path, desk.store, desk.keys), mode="sync", seconds=0.01
    )
    connection = desk.connection
    shipping.attach(connection)
    for _ in range(160):
        desk.write_many(1)
    assert done.wait(20)
    assert len(desk.objects()) < 100
    assert desk.restored() == desk.seen[desk.number]
    desk.close()
