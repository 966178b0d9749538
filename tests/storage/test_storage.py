"""Blobs: one copy of the same bytes, whole or absent, and never wrong without a word."""

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import Popen

import blake3
import pytest
from stored_blobs import OPENED, flip_a_byte, pack_files, storage_in

from audobon.errors import AlreadyRunning, BlobNotFound, CorruptBlob, Denied
from audobon.storage.looking import Wanted
from audobon.storage.service import Storage

StartPython = Callable[..., "Popen[str]"]

BROKEN_OFF = (
    OPENED
    + """
with storage.writing() as writer:
    writer.write(b"page" * 1_000_000)
    print("half")
    sys.stdin.read()
"""
)

PUT_MANY = (
    OPENED
    + """
sys.stdin.readline()
print(*[storage.put(str(number % 5).encode() * 50_000) for number in range(40)])
"""
)

SHARE = (
    OPENED
    + """
print("waiting")
with storage.sharing():
    print(storage.put(b"page"))
    sys.stdin.read()
"""
)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with closing(storage_in(tmp_path)) as storage:
        yield storage


def read_line(process: "Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def say(process: "Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go on\n")
    process.stdin.flush()


def test_the_key_is_the_keyed_blake3_of_the_bytes_and_nothing_lies_in_clear(
    storage: Storage, tmp_path: Path
) -> None:
    page = b"a page that nobody else shall read " * 100
    key = storage.put(page)
    assert key == storage.key_of(page)
    assert key != blake3.blake3(page).hexdigest()
    assert storage.get(key) == page
    assert storage.has(key)
    assert storage.subject_of(key) == "personal"
    (pack,) = pack_files(tmp_path)
    assert page[:40] not in pack.read_bytes()
    assert pack.relative_to(tmp_path / "blobs").as_posix() == storage.stat(key).pack


def test_the_same_bytes_have_another_key_in_another_data_folder(storage: Storage, tmp_path: Path) -> None:
    with closing(storage_in(tmp_path / "other")) as other:
        assert other.put(b"page") != storage.put(b"page")


def test_the_same_bytes_are_kept_once(storage: Storage) -> None:
    keys = {storage.put(b"page") for _ in range(3)}
    with storage.writing() as writer:
        for piece in (b"p", b"", b"age"):
            writer.write(piece)
    with storage.batch() as batch:
        keys |= {batch.put(b"page"), batch.put(b"page")}
    assert keys == {writer.key}
    assert writer.size_bytes == 4
    assert list(storage.keys()) == [writer.key]


def test_the_same_bytes_of_two_subjects_are_two_blobs(storage: Storage) -> None:
    other = storage._keys.subject("the heron")
    keys = [storage.put(b"page"), storage.put(b"page", subject=other)]
    assert len(set(keys)) == 2
    assert [storage.subject_of(key) for key in keys] == ["personal", other]
    assert keys == [storage.key_of(b"page"), storage.key_of(b"page", subject=other)]


def test_no_bytes_at_all_are_a_blob_too(storage: Storage) -> None:
    assert storage.get(storage.put(b"")) == b""


def test_a_blob_is_copied_piece_by_piece(storage: Storage) -> None:
    data = os.urandom(3_000_000)
    target = io.BytesIO()
    storage.copy_to(storage.put(data), target)
    assert target.getvalue() == data


def test_what_was_never_stored_is_not_found(storage: Storage) -> None:
    key = "0" * 64
    assert not storage.has(key)
    with pytest.raises(BlobNotFound) as caught:
        storage.get(key)
    assert caught.value.message == "no blob 000000000000…"
    with pytest.raises(BlobNotFound):
        storage.copy_to(key, io.BytesIO())


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_a_flipped_byte_is_noticed_on_reading(storage: Storage, size: int) -> None:
    data = os.urandom(size)
    key = storage.put(data)
    flip_a_byte(storage, key)
    with pytest.raises(CorruptBlob) as caught:
        storage.get(key)
    assert caught.value.message == f"blob {key[:12]}… is not what was stored; it was set aside"
    assert not storage.has(key)
    assert list(storage.keys()) == []
    with pytest.raises(BlobNotFound):
        storage.get(key)
    # The same command again: what it held is stored anew.
    assert storage.put(data) == key
    assert storage.get(key) == data


def test_a_flipped_byte_is_noticed_on_copying_opening_and_proving(storage: Storage) -> None:
    def opened(key: str) -> None:
        with storage.open(key) as file:
            file.read()

    for read in (lambda key: storage.copy_to(key, io.BytesIO()), opened):
        data = os.urandom(3_000_000)
        key = storage.put(data)
        flip_a_byte(storage, key)
        with pytest.raises(CorruptBlob):
            read(key)
        assert storage.put(data) == key
        assert storage.get(key) == data
        assert storage.is_intact(key)
    flip_a_byte(storage, key)
    assert not storage.is_intact(key)
    assert not storage.has(key)


@pytest.mark.parametrize(
    "data",
    [b"", b"a", os.urandom(1_500_000), b"line work " * 400_000, os.urandom((1 << 20) - 56) * 2],
    ids=["nothing", "one byte", "large", "compressible", "two segments"],
)
def test_an_opened_blob_can_be_read_at_any_place(storage: Storage, data: bytes) -> None:
    with storage.open(storage.put(data)) as file:
        assert file.read() == data
        for place in (0, len(data) // 3, len(data) - 7, len(data)):
            file.seek(max(0, place))
            assert file.read(1000) == data[max(0, place) :][:1000]
        file.seek(-min(5, len(data)), os.SEEK_END)
        assert file.read() == data[-5:]


def test_what_compresses_takes_less_room(storage: Storage) -> None:
    key = storage.put(b"line work " * 400_000)
    info = storage.stat(key)
    assert (info.is_packed, info.size_bytes) == (True, 4_000_000)
    assert info.stored_bytes < 100_000
    assert not storage.stat(storage.put(os.urandom(100_000))).is_packed


def test_a_block_that_fails_stores_nothing(storage: Storage, tmp_path: Path) -> None:
    def stopped() -> None:
        with storage.writing() as writer:
            writer.write(b"page")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(storage.keys()) == []
    assert pack_files(tmp_path) == []


def test_a_large_block_that_fails_leaves_nothing(storage: Storage, tmp_path: Path) -> None:
    def stopped() -> None:
        with storage.writing() as writer:
            writer.write(os.urandom(3_000_000))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "blobs").touch()
    with pytest.raises(Denied):
        storage_in(tmp_path).put(b"page")


def test_a_kill_during_writing_leaves_nothing_readable_and_is_swept(
    storage: Storage, tmp_path: Path, start_python: StartPython
) -> None:
    process = start_python(BROKEN_OFF, tmp_path)
    assert read_line(process) == "half\n"
    process.kill()
    process.wait()
    (left,) = (tmp_path / "blobs" / ".incoming").iterdir()
    assert list(storage.keys()) == []
    assert b"page" not in left.read_bytes()
    # Not yet: another process may still be writing it.
    assert storage.sweep(set, broken_before=left.stat().st_mtime - 1) == 0
    size = left.stat().st_size
    assert storage.sweep(set, broken_before=time.time() + 60) == size
    assert list((tmp_path / "blobs" / ".incoming").iterdir()) == []


def test_sweeping_keeps_what_is_needed_and_says_how_much_came_free(storage: Storage) -> None:
    needed, other = storage.put(b"needed"), storage.put(b"not needed")
    assert storage.sweep(lambda: {needed}, broken_before=0) == len(b"not needed")
    assert (storage.has(needed), storage.has(other)) == (True, False)
    assert storage.sweep(lambda: {needed}, broken_before=0) == 0


def test_sweeping_an_empty_folder_is_no_trouble(storage: Storage) -> None:
    assert storage.sweep(set, broken_before=time.time()) == 0


def test_sweeping_is_refused_while_somebody_is_about_to_need_a_blob(
    storage: Storage, tmp_path: Path, start_python: StartPython
) -> None:
    sharer = start_python(SHARE, tmp_path)
    assert read_line(sharer) == "waiting\n"
    key = read_line(sharer).strip()
    with storage.sharing(), pytest.raises(AlreadyRunning):
        storage.sweep(set, broken_before=0)
    with pytest.raises(AlreadyRunning):
        storage.sweep(set, broken_before=0)
    assert storage.get(key) == b"page"
    sharer.kill()
    sharer.wait()
    assert storage.sweep(set, broken_before=0) == len(b"page")


def test_who_wants_to_share_waits_until_sweeping_is_over(
    storage: Storage, tmp_path: Path, start_python: StartPython
) -> None:
    storage.put(b"page")
    sharers: list[Popen[str]] = []

    def needed() -> set[str]:
        # The sweep holds its lock here; a sharer that did not wait could put its blob now.
        sharers.append(start_python(SHARE, tmp_path))
        assert read_line(sharers[0]) == "waiting\n"
        return set()

    assert storage.sweep(needed, broken_before=0) == len(b"page")
    key = read_line(sharers[0]).strip()
    assert storage.get(key) == b"page"


def test_many_processes_may_store_the_same_bytes_at_once(
    storage: Storage, tmp_path: Path, start_python: StartPython
) -> None:
    expected = [storage.put(str(number).encode() * 50_000) for number in range(5)]
    processes = [start_python(PUT_MANY, tmp_path) for _ in range(4)]
    for process in processes:
        say(process)
    printed = {process.communicate()[0] for process in processes}
    assert printed == {" ".join(expected * 8) + "\n"}
    assert sorted(storage.keys()) == sorted(expected)
    assert len(pack_files(tmp_path)) == 1
    for key in expected:
        storage.get(key)


def test_a_large_file_that_is_there_already_is_only_read(tmp_path: Path) -> None:
    storage = storage_in(tmp_path / "data")
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom(3_000_000))
    with storage.batch(kind="user") as batch:
        key = batch.put_file(source)
    before = [(path, path.stat().st_mtime_ns) for path in pack_files(tmp_path / "data")]
    with storage.batch(kind="user") as batch:
        assert batch.put_file(source) == key
    assert [(path, path.stat().st_mtime_ns) for path in pack_files(tmp_path / "data")] == before
    assert storage.get(key) == source.read_bytes()


@pytest.mark.parametrize("length", [1, 2, 7, 12, 63, 64])
def test_blobs_are_found_by_however_much_of_their_key(tmp_path: Path, length: int) -> None:
    storage = storage_in(tmp_path)
    keys = [storage.put(b"%d" % number) for number in range(40)]
    for key in keys[:5]:
        found = {info.key for info in storage.find(Wanted(prefix=key[:length].upper()))}
        assert found == {each for each in keys if each.startswith(key[:length])}
    assert storage.find(Wanted(prefix="no key")) == []
