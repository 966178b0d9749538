"""Storage against other processes, swapped bytes, hostile packs, and the erasure of whom it serves."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import blake3
import pytest
import zstandard
from stored_blobs import pack_files, place_of, storage_in

from audobon.errors import Corrupt, CorruptBlob, OnHold, SubjectErased
from audobon.keys.service import PERSONAL
from audobon.storage import collecting, service, zstd_frames
from audobon.storage.lifecycle_rules import parse_rules
from audobon.storage.pack_format import PackCipher, make_header, parse_header
from audobon.storage.pack_reading import read_footer
from audobon.storage.service import Storage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
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
        assert not storage.has(removed)


def test_a_hold_put_on_while_a_blob_is_being_removed_keeps_it(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = storage.put(b"page", kind="user")

    def look_then_hold(*given: object, **named: object) -> None:
        storage.annotate([key], event_hold=True)

    monkeypatch.setattr(service, "demand_free", look_then_hold)
    with pytest.raises(OnHold):
        storage.remove([key])
    assert storage.get(key) == b"page"


def test_a_term_is_only_ever_made_longer(storage: Storage) -> None:
    key = storage.put(b"page", kind="user")
    storage.keep([key], 4e9)
    storage.keep([key], 3e9)
    assert storage.stat(key).kept_until == 4e9


def test_what_came_into_a_pack_after_the_plan_is_not_deleted_with_it(storage: Storage) -> None:
    old = storage.put(b"old", kind="user")
    with storage.index.changing() as connection:
        connection.execute("UPDATE blob SET created_at = created_at - 100 * 86400")
    rules = parse_rules(b'{"rule":[{"action":{"type":"Delete"},"condition":{"age":90}}]}')
    plan = storage.tiering.plan(rules)
    new = storage.put(b"new", kind="user")
    done = storage.let_go(plan, lambda: ())
    assert (done.deleted_packs, done.skipped_packs) == (0, 1)
    assert [storage.get(key) for key in (old, new)] == [b"old", b"new"]


def test_few_files_are_open_however_many_subjects_there_are(storage: Storage) -> None:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    keys = {}
    for number in range(80):
        subject = storage._keys.subject(f"person {number}")
        keys[storage.put(b"page", subject=subject)] = subject
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) - before < 45
    assert all(storage.subject_of(key) == subject for key, subject in keys.items())


def test_a_blob_put_while_its_like_was_swept_lives(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (b"page", os.urandom(1_500_000)):
        key = storage.put(data, kind="page")
        place = storage._parts.putting.place

        def swept_after(*given: object, place: Any = place) -> Any:
            found = place(*given)
            storage.sweep(set, broken_before=0)
            with storage.index.changing() as connection:
                connection.execute("UPDATE blob SET dead_at = dead_at + 60")
            return found

        storage.sweep(set, broken_before=0)
        monkeypatch.setattr(storage._parts.putting, "place", swept_after)
        assert storage.put(data, kind="page") == key
        monkeypatch.undo()
        assert storage.get(key) == data


def header_with(**changes: Any) -> bytes:
    facts: dict[str, Any] = {
        "pack_id": "ab" * 16,
        "kind": "page",
        "created_at": 1.0,
        "key_id": bytes(16),
        "subject_version": 1,
        "subject": "personal",
        "wrapped": bytes(60),
    }
    return make_header(**facts | changes).data


@pytest.mark.parametrize(
    "changes", [{"created_at": float("nan")}, {"created_at": 1e300}, {"subject": "\udcff"}]
)
def test_a_header_that_anybody_can_make_is_not_believed(storage: Storage, changes: dict[str, Any]) -> None:
    data = header_with(**changes) if "subject" not in changes else None
    if data is None:
        data = bytearray(header_with(subject="Xersonal"))
        data[data.index(b"Xersonal")] = 0xFF
        data[-16:] = blake3.blake3(bytes(data[:-16])).digest(16)
    with pytest.raises(Corrupt):
        parse_header(bytes(data))
    name = "page/personal/ab/" + "ab" * 16 + ".pack"
    with storage.store.create(name) as target:
        target.write(bytes(data))
    key = storage.put(b"page")
    told = storage.rebuild()
    assert [name in fault for fault in told.faults] == [True]
    assert storage.get(key) == b"page"


def test_a_frame_that_claims_to_be_large_takes_no_memory() -> None:
    bomb = zstandard.ZstdCompressor(1).compress(bytes(64 << 20))
    stream = bomb + zstd_frames.table([len(bomb)])
    with pytest.raises(Corrupt):
        zstd_frames.decompress(stream, 1000)
    with pytest.raises(Corrupt):
        zstd_frames.decompress(stream, 1 << 60)


def test_a_footer_is_not_read_for_what_it_claims_to_be(tmp_path: Path) -> None:
    path = tmp_path / "claims"
    with path.open("w+b") as file:
        file.truncate(1 << 30)
        file.seek(0, os.SEEK_END)
        file.write((1 << 29).to_bytes(4, "big") + b"AUDOEND1")
        file.flush()
        cipher = PackCipher(parse_header(header_with()), bytes(32))
        assert read_footer(file.fileno(), cipher) is None


def test_a_link_among_the_packs_is_no_pack(storage: Storage, tmp_path: Path) -> None:
    key = storage.put(b"page")
    path = place_of(storage, key)[0]
    aside = tmp_path / "aside.pack"
    path.rename(aside)
    path.symlink_to(aside)
    before = aside.read_bytes()
    assert not storage.has(key)
    assert list(storage.store.list("other/")) == []
    assert storage.put(b"page") == key
    assert aside.read_bytes() == before


def test_packs_in_cold_tiers_are_collected_when_their_time_is_paid(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with storage.batch() as batch:
        keys = [batch.put(os.urandom(100_000)) for _ in range(20)]
    storage.seal_open_packs()
    (pack,) = storage.packs()
    storage.store.set_tier(pack.name, "archive")
    with storage.index.changing() as connection:
        connection.execute("UPDATE pack SET tier = 'archive'")
    storage.sweep(lambda: keys[:3], broken_before=0)
    assert storage.collect().moved_packs == 0
    later = time.time() + 366 * 86400
    monkeypatch.setattr(collecting, "utc_now", lambda: later)
    assert storage.collect().moved_packs == 1
    assert sorted(storage.keys()) == sorted(keys[:3])
    assert {storage.stat(key).tier for key in keys[:3]} == {"standard"}
