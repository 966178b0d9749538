"""Storage against other processes, swapped bytes, hostile packs, and the erasure of whom it serves."""

import os
import shutil
from contextlib import closing
from pathlib import Path

import blake3
import pytest
from tests.storage.stored_blobs import pack_files, place_of, storage_in

from audobon.errors import CorruptBlob, SubjectErased
from audobon.keys.service import PERSONAL
from audobon.storage.service import Storage


@pytest.fixture
def storage(tmp_path: Path):
    with closing(storage_in(tmp_path)) as made:
        yield made


def test_the_user_begins_anew_in_a_process_that_lives_through_the_erasure(tmp_path: Path) -> None:
    with closing(storage_in(tmp_path)) as living, closing(storage_in(tmp_path)) as other:
        before = living.put(b"before")
        first = living.subject_of(before)
        other._keys.erase(PERSONAL)
        other.erase_subject(first)
        living._keys._ring._fresh_until = 0.0
        key = living.put(b"after")
        assert living.get(key) == b"after"
        second = other._keys.subject(PERSONAL)
        assert living.subject_of(key) == second
        assert other.key_of(b"after") == living.key_of(b"after") == key
        assert [path.parent.parent.name for path in pack_files(tmp_path)] == [second]
        other._keys.erase(PERSONAL)
        assert other.erase_subject(second) == 1
        assert pack_files(tmp_path) == []


def test_nothing_of_the_erased_is_confirmed_in_a_process_that_lives_on(tmp_path: Path) -> None:
    with closing(storage_in(tmp_path)) as living, closing(storage_in(tmp_path)) as other:
        subject = living._keys.subject("the heron")
        living.put(b"secret", subject=subject)
        other._keys.erase(subject)
        living._keys._ring._fresh_until = 0.0
        with pytest.raises(SubjectErased):
            living.key_of(b"secret", subject=subject)
        with pytest.raises(SubjectErased):
            living.put(b"secret", subject=subject)


def test_what_is_held_is_erased_with_its_subject(storage: Storage) -> None:
    subject = storage._keys.subject("the heron")
    key = storage.put(b"held", subject=subject)
    storage.annotate([key], event_hold=True)
    storage._keys.erase(subject)
    storage.erase_subject(subject)
    assert storage.index.rows("SELECT * FROM note") == []


def test_a_blob_of_before_is_not_shared_with_another_subject(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    key = blake3.blake3(b"page one").hexdigest()
    (blobs / key[:2]).mkdir(parents=True)
    (blobs / key[:2] / key[2:]).write_bytes(b"page one")
    with closing(storage_in(tmp_path)) as storage:
        assert storage.put(b"page one") == key
        subject = storage._keys.subject("the heron")
        theirs = storage.put(b"page one", subject=subject)
        assert theirs != key
        assert theirs == storage.key_of(b"page one", subject=subject)
        assert storage.subject_of(theirs) == subject
        storage._keys.erase(PERSONAL)
        storage.erase_subject(PERSONAL)
        assert storage.get(theirs) == b"page one"


def test_a_writer_goes_on_while_another_process_makes_the_index_anew(tmp_path: Path) -> None:
    with closing(storage_in(tmp_path)) as one, closing(storage_in(tmp_path)) as other:
        subject = one._keys.subject("the heron")
        gone = one.put(b"gone", kind="page")
        one.put(b"a", subject=subject)
        one.put(b"b")
        one.sweep(lambda: set(one.keys()) - {gone}, broken_before=0)
        other.rebuild()
        keys = {one.put(b"c", subject=subject): b"c", one.put(b"d"): b"d"}
        for key, data in keys.items():
            assert one.get(key) == data
            assert other.get(key) == data


def test_records_that_change_places_in_a_pack_are_noticed_at_the_first_read(storage: Storage) -> None:
    with storage.batch() as batch:
        keys = [batch.put(os.urandom(1000)) for _ in range(2)]
    path, first = place_of(storage, keys[0])
    second = storage.stat(keys[1])
    data = bytearray(path.read_bytes())
    size = second.offset - first.offset
    one, other = data[first.offset : first.offset + size], data[second.offset : second.offset + size]
    data[first.offset : first.offset + size], data[second.offset : second.offset + size] = other, one
    path.write_bytes(data)
    for key in keys:
        with pytest.raises(CorruptBlob), storage.open(key) as file:
            file.read(1)


def test_a_hold_outlasts_packs_adopted_in_any_order(tmp_path: Path) -> None:
    with closing(storage_in(tmp_path)) as storage:
        held, removed = storage.put(b"held"), storage.put(b"removed", kind="user")
        storage.seal_open_packs()
        storage.annotate([held], event_hold=True)
        storage.remove([removed])
        storage.seal_open_packs()
        names = [pack.name for pack in storage.packs()]
    aside = tmp_path / "aside"
    shutil.move(tmp_path / "blobs", aside)
    for each in tmp_path.glob("storage.db*"):
        each.unlink()
    with closing(storage_in(tmp_path)) as storage:
        for name in reversed(names):
            with storage.store.create(name) as target:
                target.write((aside / name).read_bytes())
            storage.adopt_pack(name)
        assert storage.stat(held).event_hold
        assert storage.stat(removed).dead_at is not None if storage.has(removed) else True
