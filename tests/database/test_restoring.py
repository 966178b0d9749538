"""Restores: exact, checked, never over something unasked, and every fault of the copy is named."""

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from shipped_desk import Desk, number_in

from audobon.database.generations import latest_position, points
from audobon.database.looking import faults_in_copy
from audobon.database.pruning import copy_shipped, prune_shipped
from audobon.database.restoring import Restored, restore_database
from audobon.errors import (
    AudobonError,
    BackupNotFound,
    CorruptBackup,
    ForeignRepository,
    NewerFormat,
    ObjectNotFound,
    OutputExists,
)
from audobon.keys.unlocking import open_keys
from audobon.storage.embedded import FolderObjectStore


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Return a desk with a snapshot and eight segments of two commits each."""
    (tmp_path / "data").mkdir()
    desk = Desk(tmp_path / "data")
    desk.ship()
    for _ in range(8):
        desk.write_many(2)
        desk.ship()
    yield desk
    desk.close()


def restore(desk: Desk, **options: Any) -> Restored:
    return restore_database(desk.store, desk.keys, desk.folder / "restored.db", **options)


def segment(desk: Desk, number: int) -> Path:
    return desk.store.path([name for name in desk.objects() if name.endswith("segment")][number])


def test_an_instant_holds_all_that_was_shipped_until_then(desk: Desk) -> None:
    positions = {}
    for _ in range(5):
        desk.write_many(3)
        position = desk.ship()
        positions[position.at] = desk.number
    for at, number in positions.items():
        for later in (0.0, 0.9):
            restore(desk, to=datetime.fromtimestamp(at + later, UTC), overwrite=True)
            with closing(sqlite3.connect(desk.folder / "restored.db")) as connection:
                assert connection.execute("SELECT number FROM mark").fetchone()[0] == number


def test_a_file_that_is_there_stays_unless_asked(desk: Desk) -> None:
    into = desk.folder / "restored.db"
    into.write_bytes(b"dear to somebody")
    with pytest.raises(OutputExists):
        restore(desk)
    assert into.read_bytes() == b"dear to somebody"
    assert number_in(desk.restored()) == desk.number


def test_what_was_never_there_cannot_be_restored(desk: Desk) -> None:
    for target in (0, 10_000, datetime(1970, 1, 2, tzinfo=UTC)):
        with pytest.raises(BackupNotFound):
            restore(desk, to=target)
    with pytest.raises(BackupNotFound):
        restore_database(FolderObjectStore({"standard": desk.folder / "empty"}), desk.keys, desk.folder / "x")
    assert not (desk.folder / "restored.db").exists()


def test_a_missing_segment_is_named_and_what_lies_before_it_can_be_had(desk: Desk) -> None:
    path = segment(desk, 3)
    path.unlink()
    with pytest.raises(CorruptBackup, match="does not follow commit 7") as refused:
        restore(desk)
    assert "--as-far-as-possible restores to commit 7" in str(refused.value.hint)
    restored = restore(desk, as_far_as_possible=True)
    assert restored.position.commit == 7
    assert list(faults_in_copy(desk.store, desk.keys))


def test_segments_that_change_places_are_noticed(desk: Desk) -> None:
    first, second = segment(desk, 2), segment(desk, 3)
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    with pytest.raises(CorruptBackup, match=first.name):
        restore(desk)


def test_a_segment_of_another_database_is_noticed(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Desk(tmp_path / "other")
    other.ship()
    other.write_many(2)
    other.ship()
    segment(desk, 2).write_bytes(segment(other, 0).read_bytes())
    other.close()
    with pytest.raises(CorruptBackup, match=segment(desk, 2).name):
        restore(desk)


def test_a_snapshot_that_is_damaged_is_named(desk: Desk) -> None:
    path = desk.store.path(next(name for name in desk.objects() if name.endswith("snapshot")))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CorruptBackup, match="snapshot"):
        restore(desk)


def test_any_flipped_bit_and_any_missing_end_is_noticed(desk: Desk) -> None:
    draw = random.Random(3)
    for _ in range(150):
        path = desk.store.path(draw.choice(desk.objects()))
        raw = path.read_bytes()
        if draw.random() < 0.7:
            at = draw.randrange(len(raw))
            changed = raw[:at] + bytes([raw[at] ^ 1 << draw.randrange(8)]) + raw[at + 1 :]
        else:
            changed = raw[: draw.randrange(len(raw))]
        assert changed != raw
        path.write_bytes(changed)
        faults: list[str] = []
        try:
            faults += faults_in_copy(desk.store, desk.keys)
        except NewerFormat as error:
            faults.append(error.message)
        assert any(path.stem in fault for fault in faults)
        with pytest.raises((CorruptBackup, NewerFormat), match=path.stem):
            restore(desk)
        path.write_bytes(raw)
    assert list(faults_in_copy(desk.store, desk.keys)) == []


def test_other_keys_restore_nothing(desk: Desk, tmp_path: Path) -> None:
    others = open_keys(tmp_path / "others", unlock_folder=tmp_path / "others")
    others.subject("system")
    with pytest.raises(AudobonError):
        restore_database(desk.store, others, tmp_path / "x.db")
    others.close()
    assert not (tmp_path / "x.db").exists()


def test_what_is_shipped_is_not_readable_without_keys(desk: Desk) -> None:
    desk.write("INSERT INTO note (text) VALUES ('very secret words')")
    desk.ship()
    for name in desk.objects():
        raw = desk.store.path(name).read_bytes()
        assert b"secret" not in raw
        assert b"CREATE TABLE" not in raw


def test_a_copy_goes_to_another_place_with_rights_to_create_alone(desk: Desk, tmp_path: Path) -> None:
    place = FolderObjectStore({"standard": tmp_path / "place"}, rights="create")
    copied = copy_shipped(desk.store, place, desk.keys)
    assert copied.objects == len(desk.objects())
    assert copy_shipped(desk.store, place, desk.keys).objects == 0
    desk.write_many(2)
    position = desk.ship()
    assert copy_shipped(desk.store, place, desk.keys).objects == 1
    assert latest_position(place, desk.keys) == position
    restored = restore_database(place, desk.keys, tmp_path / "x.db")
    assert restored.position == position


def test_a_place_with_another_history_is_left_alone(desk: Desk, tmp_path: Path) -> None:
    place = FolderObjectStore({"standard": tmp_path / "place"}, rights="create")
    shutil.copytree(desk.folder, tmp_path / "then")
    desk.write_many(1)
    desk.ship()
    copy_shipped(desk.store, place, desk.keys)
    # What was copied aside goes on otherwise, in the same generation and under the same names.
    other = Desk(tmp_path / "then", is_new=False)
    for _ in range(2):
        other.write_many(1)
        other.ship()
    assert {entry.name for entry in place.list("wal/")} < set(other.objects())
    with pytest.raises(ForeignRepository):
        copy_shipped(other.store, place, other.keys)
    other.close()


def test_a_copy_of_what_is_damaged_is_refused(desk: Desk, tmp_path: Path) -> None:
    place = FolderObjectStore({"standard": tmp_path / "place"}, rights="create")
    copy_shipped(desk.store, place, desk.keys)
    last = desk.objects()[-1]
    raw = bytearray(desk.store.path(last).read_bytes())
    raw[-1] ^= 1
    desk.store.path(last).write_bytes(raw)
    desk.write_many(1)
    desk.ship()
    with pytest.raises(CorruptBackup, match=last):
        copy_shipped(desk.store, place, desk.keys)


def age(desk: Desk, days: float) -> None:
    """Let time pass; files say what they like of it."""
    desk.now += days * 86_400
    for name in desk.objects():
        os.utime(desk.store.path(name), (desk.now - 1e9, 2e9))


def test_what_is_older_than_the_days_kept_goes_and_the_rest_can_be_restored(desk: Desk) -> None:
    for _ in range(3):
        age(desk, 5)
        desk.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        desk.write_many(3)
        desk.ship()
        desk.write_many(3)
        desk.ship()
    desk.write_many(1)
    desk.ship()
    before = [point.first for point in points(desk.store, desk.keys)]
    pruned = prune_shipped(desk.store, desk.keys, keep_days=7, is_dry_run=True, clock=lambda: desk.now)
    assert pruned.objects > 0
    assert prune_shipped(desk.store, desk.keys, keep_days=7, clock=lambda: desk.now) == pruned
    after = list(points(desk.store, desk.keys))
    assert [point.first for point in after] == before
    # Of what is older, the snapshot of the day is left; of the rest each commit.
    assert [point.last - point.first for point in after] == [4, 3, 0, 0]
    assert desk.restored() == desk.seen[desk.number]
    for point in after:
        assert desk.restored(point.last) == desk.seen[number_in(desk.restored(point.last))]
    assert list(faults_in_copy(desk.store, desk.keys)) == []


def test_the_newest_state_stays_however_old_it_is(desk: Desk) -> None:
    age(desk, 400)
    prune_shipped(desk.store, desk.keys, keep_days=7, clock=lambda: desk.now)
    assert desk.restored() == desk.seen[desk.number]
    with pytest.raises(ObjectNotFound):
        desk.store.stat("wal/none")
