"""A file that looks as it did when it was read is not read again; one that may have changed is."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from stored_blobs import storage_in

from audobon.storage import seen_files
from audobon.storage.facts import Kind
from audobon.storage.index_proof import faults_in_packs
from audobon.storage.putting import Batch
from audobon.storage.seen_files import TRUSTED_SECONDS
from audobon.storage.service import Storage


class Turned:
    """A clock that stands so far ahead of the file system's."""

    ahead_seconds = 60.0

    def __call__(self) -> float:
        return time.time() + self.ahead_seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Turned:
    turned = Turned()
    monkeypatch.setattr(seen_files, "utc_now", turned)
    return turned


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with closing(storage_in(tmp_path / "data")) as storage:
        yield storage


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Which files were read."""
    found: list[Path] = []
    put_file = Batch.put_file

    def noted(batch: Batch, path: Path) -> str:
        found.append(path)
        return put_file(batch, path)

    monkeypatch.setattr(Batch, "put_file", noted)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Bonn's secret.txt"
    path.write_bytes(b"one")
    return path


def put(
    storage: Storage, *paths: Path, subject: str = "personal", kind: Kind = "user", rereads: bool = False
) -> list[str]:
    with storage.batch(subject=subject, kind=kind) as batch:
        return batch.put_files(paths, rereads=rereads)


def test_what_did_not_change_is_read_once(
    storage: Storage, tmp_path: Path, clock: Turned, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"small")
    large.write_bytes(os.urandom(1_500_000))
    keys = put(storage, small, large, small)
    assert read == [small, large, small]
    assert put(storage, small, large, small) == keys
    monkeypatch.chdir(tmp_path)
    assert put(storage, Path("large")) == keys[1:2]
    assert read == [small, large, small]
    assert put(storage, small, large, rereads=True) == keys[:2]
    assert read[3:] == [small, large]


def test_a_change_of_the_same_size_with_its_time_set_back_is_seen(
    storage: Storage, file: Path, clock: Turned
) -> None:
    before = file.stat()
    [key] = put(storage, file)
    with file.open("r+b") as target:
        target.write(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (3, before.st_mtime_ns, before.st_ino)
    [other] = put(storage, file)
    assert (storage.get(key), storage.get(other)) == (b"one", b"two")


def test_another_file_in_its_place_is_seen(storage: Storage, file: Path, clock: Turned) -> None:
    put(storage, file)
    twin = file.with_name("twin")
    twin.write_bytes(b"two")
    twin.replace(file)
    assert storage.get(*put(storage, file)) == b"two"


def test_a_file_that_changed_a_moment_ago_is_read_again(
    storage: Storage, file: Path, clock: Turned, read: list[Path]
) -> None:
    # Another change in the same tick of the file system would look like this one.
    clock.ahead_seconds = 1.0
    put(storage, file)
    put(storage, file)
    assert read == [file, file]
    clock.ahead_seconds = 60.0
    put(storage, file)
    put(storage, file)
    assert read == [file, file, file]


def test_a_file_that_changes_while_it_is_read_is_read_again(
    storage: Storage, file: Path, clock: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_file = Batch.put_file

    def slow(batch: Batch, path: Path) -> str:
        file.write_bytes(b"mid")
        key = put_file(batch, path)
        file.write_bytes(b"two")
        return key

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "put_file", slow)
        assert storage.get(*put(storage, file)) == b"mid"
    assert storage.get(*put(storage, file)) == b"two"


@pytest.mark.parametrize("ahead_seconds", [60.0 + TRUSTED_SECONDS + 1.0, 0.0])
def test_what_was_read_long_ago_or_in_the_future_is_read_again(
    storage: Storage, file: Path, clock: Turned, read: list[Path], ahead_seconds: float
) -> None:
    put(storage, file)
    clock.ahead_seconds = ahead_seconds
    put(storage, file)
    assert read == [file, file]


def test_what_was_removed_is_stored_again(storage: Storage, file: Path, clock: Turned) -> None:
    [key] = put(storage, file)
    storage.remove([key])
    assert not storage.has(key)
    assert put(storage, file) == [key]
    assert storage.get(key) == b"one"


def test_what_lay_in_a_pack_that_is_gone_is_stored_again(storage: Storage, file: Path, clock: Turned) -> None:
    [key] = put(storage, file)
    storage.seal_open_packs()
    storage.store.path(storage.stat(key).pack).unlink()
    assert put(storage, file) == [key]
    assert storage.get(key) == b"one"


def test_what_a_job_read_is_stored_for_the_person_too(storage: Storage, file: Path, clock: Turned) -> None:
    [key] = put(storage, file, kind="page")
    assert put(storage, file) == [key]
    assert storage.stat(key).kind == "user"


def test_what_is_not_stored_in_the_end_is_not_remembered(storage: Storage, file: Path, clock: Turned) -> None:
    def stopped() -> None:
        with storage.batch(kind="user") as batch:
            batch.put_files([file])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stopped()
    assert storage.index.rows("SELECT 1 FROM seen_file") == []
    [key] = put(storage, file)
    assert storage.get(key) == b"one"


def test_each_subject_has_a_blob_of_its_own_and_erased_none_is_remembered(
    tmp_path: Path, storage: Storage, file: Path, clock: Turned
) -> None:
    keys = storage._keys
    heron, crane = keys.subject("heron"), keys.subject("crane")
    of_heron, of_crane = put(storage, file, subject=heron) + put(storage, file, subject=crane)
    assert of_heron != of_crane
    keys.erase(heron)
    storage.erase_subject(heron)
    rows = storage.index.rows("SELECT hex(key) FROM seen_file")
    # Both were read at one path: each subject has a name of its own for it.
    assert [row[0].lower() for row in rows] == [of_crane]
    again = keys.subject("heron")
    [anew] = put(storage, file, subject=again)
    assert (anew != of_heron, storage.get(anew), storage.subject_of(anew)) == (True, b"one", again)


def test_what_has_no_blob_any_more_is_forgotten(storage: Storage, file: Path, clock: Turned) -> None:
    other = file.with_name("other")
    other.write_bytes(b"other")
    # In a pack of its own, which goes with it.
    file.write_bytes(os.urandom(1_500_000))
    [key, kept] = put(storage, file, other)
    storage.remove([key])
    storage.collect()
    assert [row[0].lower() for row in storage.index.rows("SELECT hex(key) FROM seen_file")] == [kept]
    clock.ahead_seconds += TRUSTED_SECONDS + 1.0
    storage.collect()
    assert storage.index.rows("SELECT 1 FROM seen_file") == []


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE seen_file SET key = (SELECT key FROM blob WHERE key != seen_file.key)",
        "UPDATE seen_file SET read_at = 'soon'",
        "UPDATE seen_file SET read_at = read_at + 1",
        "UPDATE seen_file SET proof = 7",
        "UPDATE seen_file SET proof = zeroblob(16)",
    ],
)
def test_a_row_that_is_not_as_it_was_written_is_not_believed(
    storage: Storage, file: Path, clock: Turned, read: list[Path], harm: str
) -> None:
    other = file.with_name("other")
    other.write_bytes(b"other")
    keys = put(storage, file, other)
    with storage.index.changing() as connection:
        connection.execute(harm)
    assert put(storage, file, other) == keys
    assert read == [file, other] * 2
    assert list(faults_in_packs(storage.index, storage.store)) == []


def test_no_name_of_a_file_lies_in_the_index(
    storage: Storage, tmp_path: Path, file: Path, clock: Turned
) -> None:
    put(storage, file)
    storage.close()
    data = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("storage.db*"))
    assert b"Bonn" not in data
    assert os.fsencode(tmp_path) not in data
