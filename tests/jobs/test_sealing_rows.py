"""What an earlier Audobon wrote in clear is sealed once, wherever it is broken off, and read as before."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from audobon.config import keyrings_folder
from audobon.database.copies import own_copy
from audobon.database.generations import generations
from audobon.database.looking import faults_in_copy
from audobon.database.precautions import keep_copy
from audobon.database.restoring import restore_database
from audobon.database.service import Database
from audobon.database.shipping import Shipper
from audobon.errors import CorruptKeyring
from audobon.jobs import sealing_rows
from audobon.jobs.job_keys import job_key
from audobon.jobs.records import JobRecords
from audobon.jobs.sealing_rows import are_rows_sealed, seal_rows
from audobon.keys.service import Keys
from audobon.keys.unlocking import open_keys
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Claimant, Needs, NewTask

# Names as they may be; the third looks sealed and is not.
NAMES = ("fox-1.png", "s1.png", "s1.personal." + "A" * 60, "füchse/ü.png")
SETTINGS = '{"order":"ltr","pictures":false}'
FAULT = '{"code":"corrupt","message":"fox-9.png is broken"}'


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    with closing(open_keys(tmp_path, unlock_folder=keyrings_folder())) as keys:
        yield keys


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(Database(tmp_path).open()) as connection:
        write_as_before(connection)
        yield connection


def write_as_before(connection: sqlite3.Connection) -> None:
    """Put rows on record as version 0002 did."""
    connection.execute(
        "INSERT INTO job"
        " (id, key, operation, settings, source, target, document_kind, state, created_at, report)"
        " VALUES ('job', 'plain hash', 'panels', ?, '/books/fox.cbz', NULL, 'book', 'partial', 0, '{}')",
        (SETTINGS,),
    )
    for ordinal, name in enumerate(NAMES):
        connection.execute(
            "INSERT INTO entry (job_id, ordinal, name, is_page, size_bytes, fault)"
            " VALUES ('job', ?, ?, 1, 9, ?)",
            (ordinal, name, FAULT if ordinal == 3 else None),
        )
    with SqliteQueue(connection) as queue:
        needs = Needs(kind="page")
        tasks = [NewTask(needs=needs, payload='"the fox"', job_id="job", ordinal=n) for n in range(3)]
        queue.enqueue("batch", [*tasks, NewTask(needs=needs)])
        done, failed = queue.claim(Claimant(owner="worker"), limit=2)
        queue.finish(done, result='{"text":"the fox says"}')
        queue.fail(failed, code="corrupt", message="fox-2.png is broken", retry=False)


def told(connection: sqlite3.Connection, keys: Keys) -> list[Any]:
    """Return all that the owner is told."""
    records = JobRecords(connection, keys)
    with SqliteQueue(connection, keys=keys) as queue:
        job = records.find("job")
        assert job is not None
        del job["key"]
        return [
            job, records.list()[0].source, records.entries("job"), records.page_states("job"),
            records.page_at("job", 0), queue.select(), queue.events(), queue.tasks("job"),
        ]  # fmt: skip


def seen(tmp_path: Path) -> bytes:
    return b"".join(path.read_bytes() for path in tmp_path.glob("audobon.db*"))


def is_clear(data: bytes) -> bool:
    """Tell whether a word of ours can be read; "fox" alone stands by chance in one of 300 sealed files."""
    return re.search(rb"fox-\d\.png|fox-9|/fox\.cbz|the fox", data) is not None


def test_rows_are_told_alike_before_and_after_and_nothing_stays_readable(
    tmp_path: Path, connection: sqlite3.Connection, keys: Keys
) -> None:
    (tmp_path / "locks" / "job-0123.lock").write_text("1")
    # The name that looks sealed can only be told from one that is when all others are sealed.
    connection.execute("UPDATE entry SET name = 'fox-3.png' WHERE ordinal = 2")
    before = told(connection, keys)
    assert (are_rows_sealed(connection), is_clear(seen(tmp_path))) == (False, True)

    assert seal_rows(connection, keys, tmp_path) == 10

    assert told(connection, keys) == before
    assert (are_rows_sealed(connection), is_clear(seen(tmp_path))) == (True, False)
    assert list((tmp_path / "locks").glob("job-*")) == []
    # Again there is nothing to do.
    assert seal_rows(connection, keys, tmp_path) == 0


def test_a_name_that_looks_sealed_and_is_not_is_sealed_as_it_stands(
    tmp_path: Path, connection: sqlite3.Connection, keys: Keys
) -> None:
    seal_rows(connection, keys, tmp_path)
    assert [taken.entry.name for taken in JobRecords(connection, keys).entries("job")] == list(NAMES)


def test_the_same_command_goes_on_with_a_job_from_before(
    tmp_path: Path, connection: sqlite3.Connection, keys: Keys
) -> None:
    seal_rows(connection, keys, tmp_path)
    key = job_key(
        keys, "personal", operation="panels", settings_identity=SETTINGS, source="/books/fox.cbz", target=None
    )
    assert JobRecords(connection, keys).unfinished(key) == "job"


@pytest.mark.parametrize("batches", [0, 1, 2, 4, 6])
def test_broken_off_anywhere_it_goes_on(
    tmp_path: Path,
    connection: sqlite3.Connection,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
) -> None:
    connection.execute("UPDATE entry SET name = 'fox-3.png' WHERE ordinal = 2")
    before = told(connection, keys)
    monkeypatch.setattr(sealing_rows, "_BATCH", 2)
    left = iter(range(batches))

    class Broken(Exception):
        pass

    real = sealing_rows._sealed_texts

    def counted(keys: Keys, table: Any, row: sqlite3.Row) -> Any:
        if next(left, None) is None:
            raise Broken
        return real(keys, table, row)

    monkeypatch.setattr(sealing_rows, "_sealed_texts", counted)
    with pytest.raises(Broken):
        seal_rows(connection, keys, tmp_path)
    monkeypatch.setattr(sealing_rows, "_sealed_texts", real)
    assert (told(connection, keys), are_rows_sealed(connection)) == (before, False)

    seal_rows(connection, keys, tmp_path)
    assert (told(connection, keys), is_clear(seen(tmp_path))) == (before, False)


@pytest.mark.parametrize(
    ("statement", "look"),
    [
        ("UPDATE entry SET name = (SELECT name FROM entry WHERE ordinal = 0)", "entries"),
        ("UPDATE job SET source = settings", "list"),
    ],
)
def test_a_sealed_cell_that_was_moved_is_noticed(
    tmp_path: Path, connection: sqlite3.Connection, keys: Keys, statement: str, look: str
) -> None:
    seal_rows(connection, keys, tmp_path)
    connection.execute(statement)
    records = JobRecords(connection, keys)
    with pytest.raises(CorruptKeyring):
        records.entries("job") if look == "entries" else records.list()


def test_no_copy_from_before_stays_readable(
    tmp_path: Path, connection: sqlite3.Connection, keys: Keys
) -> None:
    store = own_copy(tmp_path)
    with closing(Shipper(tmp_path / "audobon.db", store, keys)) as shipper:
        shipper.ship()
    keep_copy(tmp_path / "audobon.db", "0002")

    seal_rows(connection, keys, tmp_path)

    assert list((tmp_path / "before-migration").iterdir()) == []
    assert len(generations(store)) == 1
    restore_database(store, keys, tmp_path / "restored.db")
    assert not is_clear((tmp_path / "restored.db").read_bytes())
    assert list(faults_in_copy(store, keys)) == []


@pytest.mark.parametrize(
    "point", ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)", "INSERT OR REPLACE INTO once"]
)
def test_killed_after_the_last_row_nothing_stays_readable(
    tmp_path: Path, connection: sqlite3.Connection, keys: Keys, point: str
) -> None:
    class Killed(Exception):
        pass

    class Dying:
        in_transaction = False

        def __getattr__(self, name: str) -> Any:
            return getattr(connection, name)

        def execute(self, statement: str, *values: Any) -> Any:
            if statement.startswith(point):
                raise Killed
            return connection.execute(statement, *values)

    connection.execute("UPDATE entry SET name = 'fox-3.png' WHERE ordinal = 2")
    with pytest.raises(Killed):
        seal_rows(Dying(), keys, tmp_path)  # type: ignore[arg-type]
    seal_rows(connection, keys, tmp_path)
    assert (are_rows_sealed(connection), is_clear(seen(tmp_path))) == (True, False)


def test_copies_of_a_database_that_never_had_a_clear_row_stay(
    tmp_path: Path, connection: sqlite3.Connection, keys: Keys
) -> None:
    seal_rows(connection, keys, tmp_path)
    # As where the first that was written was sealed, before anybody asked.
    connection.execute("DELETE FROM once")
    store = own_copy(tmp_path)
    with closing(Shipper(tmp_path / "audobon.db", store, keys)) as shipper:
        shipper.ship()
    keep_copy(tmp_path / "audobon.db", "0002")
    before = [(each.name, sorted(each.snapshots)) for each in generations(store)]

    assert seal_rows(connection, keys, tmp_path) == 0

    assert are_rows_sealed(connection)
    assert len(list((tmp_path / "before-migration").iterdir())) == 1
    assert [(each.name, sorted(each.snapshots)) for each in generations(store)] == before
