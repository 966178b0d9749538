"""Blobs: one copy of the same bytes, whole or absent, and never wrong without a word."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import blake3
import pytest

from audobon.errors import AlreadyRunning, BlobNotFound, CorruptBlob, NotFound
from audobon.storage.service import Storage

StartPython = Callable[..., "Popen[str]"]

BROKEN_OFF = """
import sys
from pathlib import Path
from audobon.storage.service import Storage

with Storage(Path(sys.argv[1])).writing() as writer:
    writer.write(b"page" * 100_000)
    writer.flush()
    print("half")
    sys.stdin.read()
"""

PUT_MANY = """
import sys
from pathlib import Path
from audobon.storage.service import Storage

storage = Storage(Path(sys.argv[1]))
sys.stdin.readline()
print(*[storage.put(str(number % 5).encode() * 50_000) for number in range(40)])
"""

SHARE = """
import sys
from pathlib import Path
from audobon.storage.service import Storage

storage = Storage(Path(sys.argv[1]))
print("waiting")
with storage.sharing():
    print(storage.put(b"page"))
    sys.stdin.read()
"""


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def read_line(process: "Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def say(process: "Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go on\n")
    process.stdin.flush()


def flip_a_byte(folder: Path, key: str) -> None:
    path = folder / "blobs" / key[:2] / key[2:]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_the_key_is_the_blake3_of_the_bytes(storage: Storage, tmp_path: Path) -> None:
    key = storage.put(b"page")
    assert key == blake3.blake3(b"page").hexdigest()
    assert storage.get(key) == b"page"
    assert storage.has(key)
    assert files(tmp_path) == [f"blobs/{key[:2]}/{key[2:]}"]


def test_the_same_bytes_are_kept_once(storage: Storage, tmp_path: Path) -> None:
    keys = {storage.put(b"page") for _ in range(3)}
    with storage.writing() as writer:
        for piece in (b"p", b"", b"age"):
            writer.write(piece)
    assert keys == {writer.key}
    assert writer.size_bytes == 4
    assert len(files(tmp_path)) == 1
    assert list(storage.keys()) == [writer.key]


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


def test_a_flipped_byte_is_noticed_on_reading(storage: Storage, tmp_path: Path) -> None:
    key = storage.put(os.urandom(3_000_000))
    flip_a_byte(tmp_path, key)
    damaged = (tmp_path / "blobs" / key[:2] / key[2:]).read_bytes()
    with pytest.raises(CorruptBlob) as caught:
        storage.get(key)
    folder = tmp_path / "blobs" / "damaged"
    assert caught.value.message == f"blob {key[:12]}… is not what was stored; it was moved to {folder}"
    assert not storage.has(key)
    assert (folder / key).read_bytes() == damaged
    assert list(storage.keys()) == []


def test_a_flipped_byte_is_noticed_on_copying_and_the_same_bytes_can_be_stored_anew(
    storage: Storage, tmp_path: Path
) -> None:
    data = os.urandom(3_000_000)
    key = storage.put(data)
    flip_a_byte(tmp_path, key)
    with pytest.raises(CorruptBlob):
        storage.copy_to(key, io.BytesIO())
    assert storage.put(data) == key
    assert storage.get(key) == data


def test_a_block_that_fails_stores_nothing(storage: Storage, tmp_path: Path) -> None:
    def stopped() -> None:
        with storage.writing() as writer:
            writer.write(b"page")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert files(tmp_path) == []


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "blobs").touch()
    with pytest.raises(NotFound):
        Storage(tmp_path).put(b"page")


def test_a_kill_during_writing_leaves_nothing_readable_and_is_swept(
    storage: Storage, tmp_path: Path, start_python: StartPython
) -> None:
    process = start_python(BROKEN_OFF, tmp_path)
    assert read_line(process) == "half\n"
    process.kill()
    process.wait()
    (left,) = (tmp_path / "blobs" / "incoming").iterdir()
    assert list(storage.keys()) == []
    assert not storage.has(blake3.blake3(b"page" * 100_000).hexdigest())
    # Not yet: another process may still be writing it.
    assert storage.sweep(set, broken_before=left.stat().st_mtime - 1) == 0
    assert storage.sweep(set, broken_before=time.time() + 60) == 400_000
    assert list((tmp_path / "blobs" / "incoming").iterdir()) == []


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
    assert len(files(tmp_path)) == 5
    for key in expected:
        storage.get(key)
