"""Packs: what dies with a writer, what many writers do to one pack, and what the packs alone can tell."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import Popen

import blake3
import pytest
from stored_blobs import OPENED, flip_a_byte, flip_back, pack_files, place_of, storage_in

from audobon.errors import BlobNotFound, CorruptBlob, OnHold
from audobon.storage.index import IndexDamaged
from audobon.storage.looking import Wanted
from audobon.storage.pack_format import HEAD_BYTES
from audobon.storage.service import Storage

StartPython = Callable[..., "Popen[str]"]

PUT_FOR_EVER = (
    OPENED
    + """
number = 0
while True:
    size = (700, 90_000, 1_200_000)[number % 3]
    data = (f"{sys.argv[2]} {number} ".encode() * size)[:size]
    print(storage.put(data), number, flush=True)
    number += 1
"""
)

PUT_BATCHES_FOR_EVER = (
    OPENED
    + """
number = 0
while True:
    with storage.batch() as batch:
        keys = [batch.put(f"{sys.argv[2]} {number} {each} ".encode() * 300) for each in range(40)]
    print(keys[0], keys[-1], flush=True)
    number += 1
"""
)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with closing(storage_in(tmp_path)) as storage:
        yield storage


def table(storage: Storage) -> list[tuple[object, ...]]:
    """Return all that the index knows, but what only it knows."""
    blobs = [
        (
            info.key,
            info.subject,
            info.kind,
            info.tier,
            info.pack,
            info.offset,
            info.stored_bytes,
            info.size_bytes,
            info.is_packed,
            info.is_legacy,
            info.created_at,
            info.custom_time,
            info.event_hold,
            info.temporary_hold,
            info.kept_until,
            info.dead_at,
        )
        for is_dead in (False, True)
        for info in storage.find(Wanted(is_dead=is_dead))
    ]
    packs = [
        (pack.name, pack.state, pack.size_bytes, pack.digest, pack.created_at, pack.blobs, pack.live_bytes)
        for pack in storage.packs(sealed_only=False)
    ]
    return [*blobs, *packs]


def remove_index(folder: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        (folder / f"storage.db{ending}").unlink(missing_ok=True)


# Writers that die


@pytest.mark.parametrize("code", [PUT_FOR_EVER, PUT_BATCHES_FOR_EVER], ids=["one by one", "in batches"])
def test_killed_at_any_instant_nothing_acknowledged_is_lost(
    tmp_path: Path, start_python: StartPython, code: str
) -> None:
    acknowledged: list[str] = []
    for round_number in range(6):
        writers = [start_python(code, tmp_path, f"{name}{round_number}") for name in "ab"]
        for writer in writers:
            assert writer.stdout is not None
            for _ in range(1 + round_number * 3):
                acknowledged += [word for word in writer.stdout.readline().split() if len(word) == 64]
        for writer in writers:
            writer.kill()
            assert writer.stdout is not None
            rest = writer.stdout.read().split("\n")
            acknowledged += [word for line in rest[:-1] for word in line.split() if len(word) == 64]
        with closing(storage_in(tmp_path)) as storage:
            assert [key for key in acknowledged if not storage.is_intact(key)] == []
    told: list[str] = []
    remove_index(tmp_path)
    with closing(storage_in(tmp_path, told=told)) as storage:
        assert [key for key in acknowledged if not storage.is_intact(key)] == []
    assert len(told) == 1


@pytest.mark.parametrize("torn", [b"\x89REC", b"\0" * 5000, os.urandom(3000)], ids=["head", "zeros", "noise"])
def test_what_a_dead_writer_left_half_done_is_cut_by_the_next(
    storage: Storage, tmp_path: Path, torn: bytes
) -> None:
    first = storage.put(b"first")
    (pack,) = pack_files(tmp_path)
    with pack.open("ab") as file:
        file.write(torn)
    second = storage.put(b"second")
    assert storage.get(first) == b"first"
    assert storage.get(second) == b"second"
    info = storage.stat(second)
    assert pack.stat().st_size == info.offset + HEAD_BYTES + info.stored_bytes
    assert pack_files(tmp_path) == [pack]


def test_what_was_written_but_not_indexed_is_there_after_opening(tmp_path: Path) -> None:
    # As after a power cut: the packs have it, and the index is one of before.
    with closing(storage_in(tmp_path)) as storage:
        first = storage.put(b"first")
    before = (tmp_path / "storage.db").read_bytes()
    with closing(storage_in(tmp_path)) as storage:
        second = storage.put(b"second")
        storage.annotate([first], event_hold=True)
        expected = table(storage)
    remove_index(tmp_path)
    (tmp_path / "storage.db").write_bytes(before)
    with closing(storage_in(tmp_path)) as storage:
        assert storage.get(second) == b"second"
        assert storage.stat(first).event_hold
        assert table(storage) == expected


def test_a_pack_that_became_shorter_is_noticed_and_written_to_no_more(tmp_path: Path) -> None:
    with closing(storage_in(tmp_path)) as storage:
        kept, lost = storage.put(b"kept"), storage.put(b"lost" * 100)
        path, _ = place_of(storage, lost)
    os.truncate(path, path.stat().st_size - 1)
    told: list[str] = []
    with closing(storage_in(tmp_path, told=told)) as storage:
        assert storage.get(kept) == b"kept"
        with pytest.raises(BlobNotFound):
            storage.get(lost)
        assert storage.put(b"lost" * 100) == lost
        assert storage.get(lost) == b"lost" * 100
        assert place_of(storage, lost)[0] != path
    assert told == [f"the pack {path.relative_to(tmp_path / 'blobs')} is shorter than what was written to it"]


# Many writers


def test_processes_append_to_the_same_pack(tmp_path: Path, start_python: StartPython) -> None:
    code = (
        OPENED
        + """
sys.stdin.readline()
for number in range(60):
    print(storage.put(f"{sys.argv[2]} {number}".encode() * 500))
"""
    )
    processes = [start_python(code, tmp_path, name) for name in "abc"]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    keys = [key for process in processes for key in process.communicate()[0].split()]
    with closing(storage_in(tmp_path)) as storage:
        assert len(pack_files(tmp_path)) == 1
        assert sorted(storage.keys()) == sorted(keys)
        assert len(set(keys)) == 180
        assert all(storage.is_intact(key) for key in keys)
        expected = table(storage)
        storage.rebuild()
        assert table(storage) == expected


def test_threads_put_together(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.put(b"first")
    syncs: list[int] = []
    sync = os.fdatasync
    barrier = threading.Barrier(8)
    monkeypatch.setattr(os, "fdatasync", lambda handle: (syncs.append(handle), sync(handle)))
    keys: list[str] = []

    def put(name: str) -> None:
        barrier.wait()
        keys.extend(storage.put(f"{name} {number}".encode()) for number in range(25))

    threads = [threading.Thread(target=put, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 200
    assert all(storage.is_intact(key) for key in keys)
    assert len(syncs) < 200
    assert len(pack_files(tmp_path)) == 1


def test_a_full_pack_is_sealed_and_the_next_begun(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audobon.storage.open_packs.SEAL_BYTES", 1 << 20)
    with storage.batch() as batch:
        keys = [batch.put(os.urandom(300_000)) for _ in range(40)]
    sealed = list(storage.packs())
    assert len(sealed) >= 2
    for pack in sealed:
        data = (tmp_path / "blobs" / pack.name).read_bytes()
        assert (len(data), blake3.blake3(data).hexdigest()) == (pack.size_bytes, pack.digest)
    assert all(storage.is_intact(key) for key in keys)
    assert storage.seal_open_packs() == len(pack_files(tmp_path)) - len(sealed)
    assert storage.seal_open_packs() == 0
    assert {pack.state for pack in storage.packs(sealed_only=False)} == {"sealed"}


def test_a_batch_syncs_once(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.put(b"first")
    syncs: list[int] = []
    for name in ("fsync", "fdatasync"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda handle, call=call: (syncs.append(handle), call(handle)))
    with storage.batch() as batch:
        keys = [batch.put(b"%d" % number * 1000) for number in range(300)]
    assert len(syncs) == 1
    assert all(storage.has(key) for key in keys)


# The packs alone


def fill(storage: Storage) -> dict[str, bytes]:
    stored = {}
    subject = storage._keys.subject("the heron")
    for number in range(30):
        data = os.urandom(50 + number * 3000) if number % 2 else b"line work %d " % number * 2000
        stored[storage.put(data, kind="page")] = data
        stored[storage.put(data, subject=subject, kind="result")] = data
    for data in (os.urandom(2_500_000), b"compressible " * 300_000):
        stored[storage.put(data)] = data
    return stored


def test_the_packs_alone_tell_the_very_same_index(tmp_path: Path) -> None:
    with closing(storage_in(tmp_path, keep_removed_days=7)) as storage:
        stored = fill(storage)
        storage.seal_open_packs()
        keys = sorted(stored)
        storage.annotate(keys[:3], event_hold=True)
        storage.annotate(keys[2:5], temporary_hold=True, custom_time=77.0)
        storage.annotate(keys[1:2], event_hold=False)
        storage.annotate(keys[5:6], kept_until=4e9)
        storage.remove([keys[10], keys[11]])
        storage.undelete(keys[11])
        flip_a_byte(storage, keys[12])
        path, info = place_of(storage, keys[12])
        with pytest.raises(CorruptBlob):
            storage.get(keys[12])
        # It was the reading that erred; what was noted stays.
        flip_back(path, info)
        expected = table(storage)
        told = storage.rebuild()
        assert table(storage) == expected
        assert (told.erased, told.faults) == (0, [])
    remove_index(tmp_path)
    words: list[str] = []
    with closing(storage_in(tmp_path, keep_removed_days=7, told=words)) as storage:
        assert table(storage) == expected
        for key, data in stored.items():
            if key not in (keys[10], keys[12]):
                assert storage.get(key) == data
    assert words == [
        f"the index of storage was made anew from {told.packs} packs with {told.blobs} blobs: it was gone"
    ]


@pytest.mark.parametrize("damage", ["overwritten", "cut", "scrambled"])
def test_a_damaged_index_is_made_anew(tmp_path: Path, damage: str) -> None:
    with closing(storage_in(tmp_path)) as storage:
        stored = fill(storage)
        expected = table(storage)
    path = tmp_path / "storage.db"
    data = bytearray(path.read_bytes())
    if damage == "overwritten":
        path.write_bytes(b"this is no database" * 1000)
    elif damage == "cut":
        os.truncate(path, len(data) // 2)
    else:
        data[4096:] = os.urandom(len(data) - 4096)
        path.write_bytes(data)
    words: list[str] = []
    for _ in range(3):
        try:
            with closing(storage_in(tmp_path, told=words)) as storage:
                assert all(storage.get(key) == data for key, data in stored.items())
                assert table(storage) == expected
            break
        except IndexDamaged:
            # Deep inside: noticed when it is met, and made anew by the same command again.
            continue
    else:
        raise AssertionError("it was not made anew")
    assert [word for word in words if word.endswith("it was damaged")] == words[:1]
    assert len(words) == 1


def test_packs_that_change_places_are_noticed(storage: Storage) -> None:
    data = [os.urandom(1_500_000), os.urandom(1_500_000)]
    keys = [storage.put(each) for each in data]
    one, other = (place_of(storage, key)[0] for key in keys)
    spare = one.with_suffix(".spare")
    one.rename(spare)
    other.rename(one)
    spare.rename(other)
    storage._parts.ciphers.forget(storage.stat(keys[0]).pack)
    for key, each in zip(keys, data, strict=True):
        with pytest.raises(CorruptBlob):
            storage.get(key)
        assert storage.put(each) == key
        assert storage.get(key) == each


def test_a_missing_pack_is_a_blob_that_is_not_there(storage: Storage) -> None:
    for data in (b"small", os.urandom(1_500_000)):
        key = storage.put(data)
        place_of(storage, key)[0].unlink()
        assert not storage.has(key)
        with pytest.raises(BlobNotFound):
            storage.get(key)
        assert storage.put(data) == key
        assert storage.get(key) == data


def test_a_pack_of_another_storage_of_the_same_keys_is_adopted(tmp_path: Path) -> None:
    with closing(storage_in(tmp_path)) as storage:
        stored = fill(storage)
        storage.seal_open_packs()
        packs = list(storage.packs())
        held = next(iter(stored))
        storage.annotate([held], event_hold=True)
        storage.seal_open_packs()
        packs = list(storage.packs())
        expected = table(storage)
    aside = tmp_path / "aside"
    shutil.move(tmp_path / "blobs", aside)
    remove_index(tmp_path)
    with closing(storage_in(tmp_path)) as storage:
        assert list(storage.keys()) == []
        for pack in packs:
            with storage.store.create(pack.name) as target:
                target.write((aside / pack.name).read_bytes())
            storage.adopt_pack(pack.name)
        assert table(storage) == expected
        assert all(storage.get(key) == data for key, data in stored.items())
        assert storage.stat(held).event_hold


# Blobs of before


def test_blobs_that_lay_in_clear_are_encrypted_under_their_old_keys(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    old = {blake3.blake3(data).hexdigest(): data for data in (b"page one", os.urandom(2_000_000), b"")}
    for key, data in old.items():
        (blobs / key[:2]).mkdir(parents=True, exist_ok=True)
        (blobs / key[:2] / key[2:]).write_bytes(data)
    wrong = "ab" * 32
    (blobs / "ab").mkdir(exist_ok=True)
    (blobs / "ab" / wrong[2:]).write_bytes(b"not what its name says")
    (blobs / "incoming").mkdir()
    (blobs / "incoming" / "12-ab").write_bytes(b"half a page one")
    told: list[str] = []
    with closing(storage_in(tmp_path, told=told)) as storage:
        assert {key: storage.get(key) for key in old} == old
        assert not storage.has(wrong)
        # The same bytes are known by their old key, so that jobs of before are gone on with.
        first = blake3.blake3(b"page one").hexdigest()
        assert [storage.put(b"page one"), storage.key_of(b"page one")] == [first, first]
        with storage.writing() as writer:
            writer.write(b"page one")
        assert writer.key == storage.key_of(b"page one")
        assert all(storage.is_intact(key) for key in old)
        page = tmp_path / "page"
        page.write_bytes(b"page one")
        assert storage.keys_of_files([page]) == [first]
        # What a person puts has a blob of its own: the one of before may go with its job.
        foretold = storage.keys_of_files([page], kind="user")
        with storage.batch(kind="user") as batch:
            assert batch.put_files([page]) == foretold != [first]
        storage.remove(foretold)
        page.unlink()
        (kept,) = storage.find(Wanted(kind="user"))
        assert storage.get(kept.key) == b"not what its name says"
        clear = [path for path in blobs.rglob("*") if path.is_file() and b"page one" in path.read_bytes()]
        assert clear == []
        assert {path.suffix for path in blobs.rglob("*") if path.is_file()} <= {".pack", ".lock"}
        expected = table(storage)
        storage.rebuild()
        assert table(storage) == expected
    assert told == [
        f"the damaged blob {wrong[2:]} of before was kept as {kept.key}",
        "4 blobs of before, which lay in clear, were encrypted",
    ]


# Removing


def test_what_a_person_put_or_holds_is_never_swept(storage: Storage) -> None:
    mine = storage.put(b"mine", kind="user")
    held, kept, gone = storage.put(b"held"), storage.put(b"kept"), storage.put(b"gone")
    storage.annotate([held], temporary_hold=True)
    storage.annotate([kept], kept_until=4e9)
    assert storage.sweep(set, broken_before=0) == len(b"gone")
    assert {key: storage.has(key) for key in (mine, held, kept, gone)} == {
        mine: True,
        held: True,
        kept: True,
        gone: False,
    }
    with pytest.raises(OnHold):
        storage.remove([mine, kept])
    assert storage.has(mine)
    storage.remove([mine])
    assert not storage.has(mine)


def test_what_a_job_has_and_a_person_puts_stays_when_the_job_goes(storage: Storage) -> None:
    for data in (b"page", os.urandom(1_500_000)):
        key = storage.put(data, kind="page")
        assert storage.put(data, kind="user") == key
        storage.sweep(set, broken_before=0)
        assert storage.get(key) == data
        assert storage.stat(key).kind == "user"


def test_what_was_removed_can_be_brought_back_for_a_while(tmp_path: Path) -> None:
    with closing(storage_in(tmp_path, keep_removed_days=1)) as storage:
        key = storage.put(b"page", kind="user")
        storage.remove([key])
        with pytest.raises(BlobNotFound):
            storage.get(key)
        assert [info.key for info in storage.find(Wanted(is_dead=True))] == [key]
        storage.undelete(key)
        assert storage.get(key) == b"page"
        storage.rebuild()
        assert storage.get(key) == b"page"


def test_packs_less_than_half_alive_are_moved_together(storage: Storage, tmp_path: Path) -> None:
    stored = {}
    with storage.batch() as batch:
        for _ in range(40):
            data = os.urandom(100_000)
            stored[batch.put(data)] = data
    keep = sorted(stored)[:10]
    storage.annotate(keep[:1], custom_time=5.0)
    storage.sweep(lambda: set(keep), broken_before=0)
    (pack,) = pack_files(tmp_path)
    planned = storage.collect(is_dry=True)
    assert pack_files(tmp_path) == [pack]
    steps: list[tuple[int, int]] = []
    done = storage.collect(on_step=lambda *step: steps.append(step))
    assert (planned.moved_packs, done.moved_packs, steps) == (1, 1, [(1, 1)])
    assert 2_900_000 < done.freed_bytes < 3_200_000
    assert not pack.exists()
    assert {key: storage.get(key) for key in keep} == {key: stored[key] for key in keep}
    expected = table(storage)
    storage.rebuild()
    assert table(storage) == expected
    assert storage.stat(keep[0]).custom_time == 5.0
    assert storage.collect().moved_packs == 0


def test_readers_and_writers_go_on_while_packs_are_collected(
    tmp_path: Path, start_python: StartPython
) -> None:
    code = (
        OPENED
        + """
import os
kept = [storage.put(os.urandom(60_000), kind="user") for _ in range(10)]
print("ready", flush=True)
sys.stdin.readline()
for number in range(150):
    key = storage.put(os.urandom(60_000))
    for each in kept:
        assert len(storage.get(each)) == 60_000
print(*kept)
"""
    )
    workers = [start_python(code, tmp_path) for _ in range(2)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    with closing(storage_in(tmp_path)) as storage:
        while any(worker.poll() is None for worker in workers):
            storage.sweep(set, broken_before=0)
            storage.collect()
        kept = [key for worker in workers for key in worker.communicate()[0].split()]
        assert [worker.returncode for worker in workers] == [0, 0]
        assert len(kept) == 20
        storage.sweep(set, broken_before=0)
        storage.collect()
        assert sorted(storage.keys()) == sorted(kept)
        assert all(storage.is_intact(key) for key in kept)


def test_reads_are_counted(tmp_path: Path) -> None:
    with closing(storage_in(tmp_path)) as storage:
        key, other = storage.put(b"page"), storage.put(b"other")
        for _ in range(3):
            storage.get(key)
        storage.is_intact(other)
    with closing(storage_in(tmp_path)) as storage:
        assert (storage.stat(key).reads, storage.stat(other).reads) == (3, 0)
        assert storage.stat(key).last_read_at is not None


def test_a_second_open_storage_sees_an_index_that_was_made_anew(tmp_path: Path) -> None:
    with closing(storage_in(tmp_path)) as one, closing(storage_in(tmp_path)) as other:
        first = one.put(b"first")
        assert other.get(first) == b"first"
        remove_index(tmp_path)
        second = other.put(b"second")
        third = one.put(b"third")
        assert [one.get(key) for key in (first, second, third)] == [b"first", b"second", b"third"]
        with closing(sqlite3.connect(tmp_path / "storage.db")) as index:
            assert index.execute("SELECT count(*) FROM blob").fetchone()[0] == 3
