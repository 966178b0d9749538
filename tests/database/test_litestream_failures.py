"""What Litestream is known to have lost, one test for each; its issues are named.

752 and 1164 are in test_shipping.py, beside what they are about.
"""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from shipped_desk import Desk, number_in, random_deed

from audobon.database import compacting
from audobon.database.compacting import compact_shipped
from audobon.database.generations import points
from audobon.database.looking import faults_in_copy
from audobon.database.pruning import prune_shipped
from audobon.database.restoring import faults_of, restore_database
from audobon.errors import BackupNotFound
from audobon.keys.service import PERSONAL
from audobon.storage.embedded import FolderObjectStore


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "data").mkdir()
    desk = Desk(tmp_path / "data")
    desk.ship()
    yield desk
    desk.close()


def test_224_what_retention_removes_while_it_is_restored_is_no_missing_segment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audobon.database.shipping_state._LEAST_BYTES", 100_000)
    for _ in range(40):
        desk.write_many(1)
        desk.ship()
    assert len(desk.generations()[0].snapshots) > 2

    class Pruning(FolderObjectStore):
        is_first = True

        def open(self, name: str):  # type: ignore[no-untyped-def,override]
            if self.is_first and name.endswith(".segment"):
                type(self).is_first = False
                desk.now += 40 * 86_400
                prune_shipped(desk.store, desk.keys, keep_days=1, clock=lambda: desk.now)
            return super().open(name)

    with pytest.raises(BackupNotFound, match="is not kept; the oldest is"):
        restore_database(Pruning({"standard": desk.folder}), desk.keys, desk.folder / "then.db", to=5)
    assert not (desk.folder / "then.db").exists()
    assert desk.restored() == desk.seen[desk.number]


def test_805_the_first_segment_that_is_kept_follows_a_snapshot_that_is_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audobon.database.shipping_state._LEAST_BYTES", 100_000)
    for day in range(12):
        for _ in range(8):
            desk.write_many(1)
            desk.ship()
        if day % 5 == 4:
            desk.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        desk.now += 86_400
        prune_shipped(desk.store, desk.keys, keep_days=3, clock=lambda: desk.now)
        for generation in desk.generations():
            if generation.segments:
                assert min(generation.segments) - 1 >= min(generation.snapshots)
        for point in points(desk.store, desk.keys):
            for commit in (point.first, point.last):
                state = desk.restored(commit)
                assert state == desk.seen[number_in(state)]


def test_582_after_weeks_of_snapshots_retention_and_putting_together_all_is_sound(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audobon.database.shipping_state._LEAST_BYTES", 300_000)
    monkeypatch.setattr(compacting, "FEWEST", 4)
    draw = random.Random(582)
    for number in range(160):
        desk.write(*random_deed(draw, number))
        if draw.random() < 0.6:
            desk.ship()
        if draw.random() < 0.05:
            desk.reopen()
        if draw.random() < 0.1:
            compact_shipped(desk.store, desk.keys)
        if draw.random() < 0.05:
            desk.now += 3 * 86_400
            prune_shipped(desk.store, desk.keys, keep_days=7, clock=lambda: desk.now)
    desk.ship()
    for point in points(desk.store, desk.keys):
        for commit in {point.first, point.last, draw.randint(point.first, point.last)}:
            state = desk.restored(commit)
            assert state == desk.seen[number_in(state)]
            assert faults_of(desk.folder / "restored.db") == []
    assert desk.restored() == desk.seen[desk.number]
    assert list(faults_in_copy(desk.store, desk.keys)) == []


def test_1083_news_show_though_the_log_keeps_its_size_and_its_head(desk: Desk) -> None:
    for _ in range(5):
        log = desk.path.with_name("audobon.db-wal")
        before = (log.stat().st_size, log.read_bytes()[:32])
        assert not desk.shipper.has_news()
        desk.write_many(1)
        assert (log.stat().st_size, log.read_bytes()[:32]) == before
        assert desk.shipper.has_news()
        desk.ship()
        assert desk.restored() == desk.seen[desk.number]


def test_177_and_777_what_is_sealed_stays_sealed_in_the_copy_and_opens_after_a_restore(desk: Desk) -> None:
    sealed = desk.keys.seal_text(PERSONAL, "the fox", context=b"note")
    desk.write(f"INSERT INTO note (text) VALUES ('{sealed}')")
    desk.ship()
    assert all(sealed.encode() not in desk.store.path(name).read_bytes() for name in desk.objects())
    assert desk.restored() == desk.seen[desk.number]
    with closing(sqlite3.connect(desk.folder / "restored.db")) as connection:
        (text,) = connection.execute("SELECT text FROM note").fetchone()
    assert desk.keys.unseal_text(text, context=b"note") == "the fox"
