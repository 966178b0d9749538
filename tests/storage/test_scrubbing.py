"""Packs are proved in their turn; what is damaged is found, named and mended from a second copy."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import IO

import pytest
from stored_blobs import OPENED, flip_a_byte, pack_files, place_of, storage_in

from audobon.errors import AudobonError, CorruptBlob
from audobon.storage.scrub_report import Damage, Scrubbed, refuse
from audobon.storage.service import Storage


class Copies:
    """A second place: packs as they were when it was made."""

    def __init__(self, storage: Storage, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(storage.store.folder, folder)

    def fetch(self, name: str, make: Callable[[], AbstractContextManager[IO[bytes]]]) -> bool:
        path = self.folder / name
        if not path.exists():
            return False
        try:
            with make() as target:
                target.write(path.read_bytes())
        except AudobonError:
            return False
        return True


def fill(storage: Storage) -> dict[str, bytes]:
    """Put small blobs into a shared pack, and large ones into packs of their own; seal all."""
    chance = random.Random(3)
    sizes = [10, 5_000, 300_000, 1_500_000, 3_000_000]
    stored = {}
    for size in sizes:
        data = chance.randbytes(size) if size % 2 == 0 else b"line " * size
        stored[storage.put(data, kind="page")] = data
    storage.seal_open_packs()
    return stored


def scrub(storage: Storage, **options: object) -> Scrubbed:
    return storage.scrubber.scrub(days=30, is_all=True, **options)  # type: ignore[arg-type]


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with closing(storage_in(tmp_path / "data")) as storage:
        yield storage


def test_a_sound_store_is_read_to_the_last_byte(storage: Storage, tmp_path: Path) -> None:
    fill(storage)
    found = scrub(storage)
    assert (found.packs, found.blobs, found.faults, found.left_packs) == (3, 5, [], 0)
    assert found.read_bytes == sum(path.stat().st_size for path in pack_files(tmp_path / "data"))
    refuse(found)
    assert all(pack.verified_at for pack in storage.packs())


def test_flipped_bytes_are_found_and_mended(storage: Storage, tmp_path: Path) -> None:
    stored = fill(storage)
    copies = Copies(storage, tmp_path / "copies")
    chance = random.Random(5)
    for key in stored:
        path, info = place_of(storage, key)
        before = path.read_bytes()
        at = chance.randrange(len(before))
        path.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
        looked = scrub(storage, is_dry=True)
        assert [(each.pack, each.mended) for each in looked.damages] == [(info.pack, None)]
        with pytest.raises(CorruptBlob, match=info.pack):
            refuse(looked)
        found = scrub(storage, copies=copies)
        assert [(each.pack, each.mended, each.lost) for each in found.damages] == [
            (info.pack, "from a second copy", [])
        ]
        refuse(found)
        assert path.read_bytes() == before
    assert {key: storage.get(key) for key in stored} == stored
    assert scrub(storage).faults == []


def test_a_missing_pack_is_brought_back(storage: Storage, tmp_path: Path) -> None:
    stored = fill(storage)
    copies = Copies(storage, tmp_path / "copies")
    for path in pack_files(tmp_path / "data"):
        path.unlink()
    found = scrub(storage, copies=copies)
    assert [(each.what, each.mended) for each in found.damages] == [
        ("it is missing", "from a second copy")
    ] * 3
    assert {key: storage.get(key) for key in stored} == stored


def test_packs_that_changed_places_are_mended(storage: Storage, tmp_path: Path) -> None:
    stored = fill(storage)
    copies = Copies(storage, tmp_path / "copies")
    one, two = pack_files(tmp_path / "data")[:2]
    aside = tmp_path / "aside"
    one.rename(aside), two.rename(one), aside.rename(two)
    assert len(scrub(storage, is_dry=True).damages) == 2
    assert scrub(storage, copies=copies).unmended == []
    assert {key: storage.get(key) for key in stored} == stored


def test_an_older_version_of_a_pack_is_mended(storage: Storage, tmp_path: Path) -> None:
    first = storage.put(b"first", kind="page")
    (path,) = pack_files(tmp_path / "data")
    older = path.read_bytes()
    second = storage.put(b"second", kind="page")
    storage.seal_open_packs()
    copies = Copies(storage, tmp_path / "copies")
    path.write_bytes(older)
    (damage,) = scrub(storage, is_dry=True).damages
    assert (damage.what, damage.lost) == ("its end is missing, or not as it was written", [second])
    assert scrub(storage, copies=copies).unmended == []
    assert (storage.get(first), storage.get(second)) == (b"first", b"second")


def test_without_a_second_copy_the_loss_is_named_until_it_is_made_good(
    storage: Storage, tmp_path: Path
) -> None:
    stored = fill(storage)
    key = list(stored)[1]
    flip_a_byte(storage, key)
    _, info = place_of(storage, key)
    found = scrub(storage)
    assert found.damages == [
        Damage(pack=info.pack, what="1 of 3 records are not as they were written", mended=None, lost=[key])
    ]
    with pytest.raises(CorruptBlob, match="records are not as they were written"):
        refuse(found)
    assert scrub(storage).unmended != []
    assert storage.put(stored[key], kind="page") == key
    again = scrub(storage)
    assert [(each.mended, each.lost) for each in again.damages] == [
        ("what it held lies in another pack now", [])
    ]
    assert again.index_faults == []
    assert {key: storage.get(key) for key in stored} == stored
    storage.seal_open_packs()
    assert scrub(storage).faults == []


def test_what_was_set_aside_comes_back_with_the_copy_and_survives_the_loss_of_the_index(
    storage: Storage, tmp_path: Path
) -> None:
    stored = fill(storage)
    copies = Copies(storage, tmp_path / "copies")
    key = list(stored)[1]
    flip_a_byte(storage, key)
    with pytest.raises(CorruptBlob):
        storage.get(key)
    assert not storage.has(key)
    assert scrub(storage, copies=copies).unmended == []
    assert storage.get(key) == stored[key]
    storage.rebuild()
    assert storage.get(key) == stored[key]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE blob SET offset = offset + 1 WHERE size_bytes = 10",
        "UPDATE blob SET flags = flags + 4 WHERE size_bytes = 10",
        "UPDATE blob SET size_bytes = 11 WHERE size_bytes = 10",
        "UPDATE blob SET pack = 99 WHERE size_bytes = 10",
        "UPDATE blob SET pack = (SELECT max(id) FROM pack) WHERE size_bytes = 10",
        "UPDATE blob SET key = zeroblob(32) WHERE size_bytes = 10",
        "DELETE FROM blob WHERE size_bytes = 10",
        "UPDATE pack SET name = 'page/x' WHERE id = 1",
        "UPDATE pack SET digest = 'wrong' WHERE id = 1",
        "UPDATE pack SET tier = 'archive' WHERE id = 1",
        "UPDATE pack SET state = 'open' WHERE id = 1",
        "UPDATE pack SET size_bytes = 7 WHERE id = 1",
        "DELETE FROM pack WHERE id = 1",
    ],
)
def test_a_wrong_index_is_found_and_made_right(storage: Storage, damage: str) -> None:
    stored = fill(storage)
    with closing(sqlite3.connect(storage.index.path, isolation_level=None)) as connection:
        assert connection.execute(damage).rowcount == 1
    with pytest.raises(CorruptBlob):
        refuse(scrub(storage, is_dry=True))
    found = scrub(storage)
    assert found.index_faults
    assert found.unmended == []
    assert {key: storage.get(key) for key in stored} == stored
    assert scrub(storage).faults == []


def test_a_loss_is_not_forgotten_when_the_index_is_made_anew(storage: Storage, tmp_path: Path) -> None:
    stored = fill(storage)
    lone, _ = place_of(storage, list(stored)[3])
    lone.unlink()
    with storage.index.changing() as connection:
        connection.execute("UPDATE blob SET offset = offset + 1 WHERE size_bytes = 10")
    found = scrub(storage)
    assert [each.lost for each in found.unmended] == [[list(stored)[3]]]
    assert [each.lost for each in scrub(storage).unmended] == [[list(stored)[3]]]


def test_each_pack_has_its_turn_and_a_budget_holds(storage: Storage) -> None:
    fill(storage)
    seen = 0
    for left in (2, 1, 0):
        found = storage.scrubber.scrub(days=30, budget_bytes=1)
        assert found.packs == 1
        seen += found.read_bytes
        unproved = [pack for pack in storage.packs() if pack.verified_at is None]
        assert len(unproved) == left
    assert seen == sum(pack.size_bytes for pack in storage.packs())
    assert storage.scrubber.late_days == 0
    with storage.index.changing() as connection:
        connection.execute("UPDATE pack SET verified_at = verified_at - 40 * 86400, created_at = 0")
    assert round(storage.scrubber.late_days) == 10
    assert storage.scrubber.scrub(days=30).packs == 3


def test_a_pack_that_a_killed_collector_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    script = """
import os, signal
key = storage.put(b"mine" * 500_000, kind="user")
storage.store.delete = lambda name: os.kill(os.getpid(), signal.SIGKILL)
storage.remove([key])
"""
    died = subprocess.run([sys.executable, "-c", OPENED + script, str(folder)], check=False)
    assert died.returncode == -signal.SIGKILL
    assert len(pack_files(folder)) == 2
    with closing(storage_in(folder)) as storage:
        assert storage.collect().found_packs == 1
        assert len(pack_files(folder)) == 1
        assert list(storage.keys()) == []
        assert scrub(storage).faults == []


def test_a_large_pack_that_was_never_noted_is_taken_in(storage: Storage, tmp_path: Path) -> None:
    stored = fill(storage)
    key = list(stored)[3]
    with storage.index.changing() as connection:
        for table in ("blob", "pack"):
            connection.execute(
                f"DELETE FROM {table} WHERE {'key' if table == 'blob' else 'id'} ="
                + (
                    "?"
                    if table == "blob"
                    else " (SELECT id FROM pack WHERE id NOT IN (SELECT pack FROM blob))"
                ),
                (bytes.fromhex(key),) if table == "blob" else (),
            )
    assert not storage.has(key)
    assert scrub(storage, is_dry=True).found_packs == 1
    assert storage.collect(is_dry=True).found_packs == 1
    assert scrub(storage).found_packs == 1
    assert storage.get(key) == stored[key]
    assert storage.collect().found_packs == 0


def test_what_nobody_can_read_in_the_place_of_packs_is_told(storage: Storage, tmp_path: Path) -> None:
    fill(storage)
    copies = Copies(storage, tmp_path / "copies")
    path = pack_files(tmp_path / "data")[0]
    name = path.relative_to(storage.store.folder).as_posix()
    with storage.index.changing() as connection:
        connection.execute("DELETE FROM blob WHERE pack = (SELECT id FROM pack WHERE name = ?)", (name,))
        connection.execute("DELETE FROM pack WHERE name = ?", (name,))
    path.write_bytes(b"no pack at all")
    (damage,) = scrub(storage).unmended
    assert (damage.pack, damage.what) == (name, "it does not begin as a pack does")
    assert scrub(storage, copies=copies).unmended == []
    assert scrub(storage).faults == []


def test_an_open_pack_is_proved_as_far_as_it_is_known(storage: Storage, tmp_path: Path) -> None:
    first, second = storage.put(b"first", kind="page"), storage.put(b"second", kind="page")
    assert scrub(storage).faults == []
    flip_a_byte(storage, first)
    found = scrub(storage)
    assert [each.lost for each in found.unmended] == [[first]]
    assert storage.get(second) == b"second"
    assert storage.put(b"first", kind="page") == first
    assert scrub(storage).unmended == []
    assert storage.get(first) == b"first"


def test_a_damaged_file_of_the_index_is_told_once(tmp_path: Path) -> None:
    with closing(storage_in(tmp_path)) as storage:
        fill(storage)
    os.truncate(tmp_path / "storage.db", 100)
    with closing(storage_in(tmp_path)) as storage:
        found = scrub(storage, is_dry=True)
        assert found.news == ["the index of storage was made anew from 3 packs with 5 blobs: it was damaged"]
        with pytest.raises(CorruptBlob):
            refuse(found)
        assert scrub(storage, is_dry=True).faults == []


def test_a_copy_that_is_damaged_too_is_refused(storage: Storage, tmp_path: Path) -> None:
    stored = fill(storage)
    flip_a_byte(storage, list(stored)[4])
    copies = Copies(storage, tmp_path / "copies")
    path, _ = place_of(storage, list(stored)[4])
    before = path.read_bytes()
    assert len(scrub(storage, copies=copies).unmended) == 1
    assert path.read_bytes() == before


def test_a_broken_hash_check_is_noticed(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof has teeth: under another key for names, no blob passes."""
    fill(storage)
    monkeypatch.setattr(storage.scrubber, "_id_key", lambda subject: bytes(32))
    assert len(scrub(storage, is_dry=True).damages) == 3
