"""Transactions: whole or not at all, one inside another, and lasting when asked."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from audobon.sqlite import connect, connect_plainly, connect_to_look, kept_open, transaction


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "test.db")) as connection:
        connection.execute("CREATE TABLE page (name TEXT UNIQUE)")
        yield connection


def add(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("INSERT INTO page VALUES (?)", (name,))


def names(path: Path) -> list[str]:
    """Return what another connection sees."""
    with closing(connect(path / "test.db")) as other:
        return [row["name"] for row in other.execute("SELECT name FROM page ORDER BY name")]


def test_a_block_that_ends_well_is_kept(connection: sqlite3.Connection, tmp_path: Path) -> None:
    with transaction(connection):
        add(connection, "1.png")
        assert names(tmp_path) == []
    assert names(tmp_path) == ["1.png"]


def test_a_block_that_fails_leaves_nothing(connection: sqlite3.Connection, tmp_path: Path) -> None:
    def stopped() -> None:
        with transaction(connection):
            add(connection, "1.png")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert names(tmp_path) == []
    assert not connection.in_transaction


def test_an_inner_block_belongs_to_the_outer_one(connection: sqlite3.Connection, tmp_path: Path) -> None:
    def stopped() -> None:
        with transaction(connection):
            with transaction(connection):
                add(connection, "1.png")
            assert names(tmp_path) == []
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert names(tmp_path) == []


def test_outer_and_inner_are_kept_together(connection: sqlite3.Connection, tmp_path: Path) -> None:
    with transaction(connection):
        add(connection, "1.png")
        with transaction(connection):
            add(connection, "2.png")
    assert names(tmp_path) == ["1.png", "2.png"]


def test_an_inner_block_that_fails_leaves_nothing_and_the_outer_goes_on(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    def contradictory() -> None:
        with transaction(connection):
            add(connection, "2.png")
            with transaction(connection):
                add(connection, "3.png")
            add(connection, "1.png")

    with transaction(connection):
        add(connection, "1.png")
        with pytest.raises(sqlite3.IntegrityError):
            contradictory()
        with transaction(connection):
            add(connection, "4.png")
    assert names(tmp_path) == ["1.png", "4.png"]
    assert not connection.in_transaction


def test_after_a_failure_the_next_block_works(connection: sqlite3.Connection, tmp_path: Path) -> None:
    def contradictory() -> None:
        with transaction(connection):
            add(connection, "1.png")
            add(connection, "1.png")

    with pytest.raises(sqlite3.IntegrityError):
        contradictory()
    with transaction(connection):
        add(connection, "2.png")
    assert names(tmp_path) == ["2.png"]


def test_a_full_disk_is_what_is_reported_and_nothing_stays_open(connection: sqlite3.Connection) -> None:
    # SQLite rolls back by itself then; a second rollback would hide the reason.
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="database or disk is full"), transaction(connection):
        add(connection, "x" * 1_000_000)
    assert not connection.in_transaction
    connection.execute(f"PRAGMA max_page_count = {pages + 10}")
    with transaction(connection):
        add(connection, "1.png")
    assert connection.execute("SELECT count(*) FROM page").fetchone()[0] == 1


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_only_durable_connections_wait_for_the_disk(tmp_path: Path, durable: bool, level: int) -> None:
    with closing(connect(tmp_path / "test.db", durable=durable)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == level
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1


@pytest.mark.parametrize("grouped", [False, True])
def test_what_is_removed_cannot_be_read_in_the_file_any_more(tmp_path: Path, grouped: bool) -> None:
    path = tmp_path / "test.db"
    with closing(connect(path, grouped=grouped)) as connection:
        # Wherever SQLite comes from: some are made to do so by themselves.
        assert connection.execute("PRAGMA secure_delete").fetchone()[0] == 1
        connection.execute("CREATE TABLE page (name TEXT UNIQUE)")
        add(connection, "what the bird said")
        connection.execute("DELETE FROM page")

    assert b"what the bird said" not in path.read_bytes()


@pytest.mark.parametrize("opening", [connect, connect_plainly, connect_to_look])
def test_a_connection_being_opened_keeps_its_locks_when_the_last_other_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opening: Any
) -> None:
    path = tmp_path / "test.db"
    first = connect(path)
    first.execute("CREATE TABLE page (name TEXT)")
    kept_open(str(path), database=str(path))
    real, is_begun = sqlite3.connect, []

    def slow(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = real(*arguments, **options)
        if not is_begun:
            is_begun.append(True)
            connection.execute("SELECT * FROM sqlite_master").fetchall()
            # As another thread would, just now.
            first.close()
        return connection

    monkeypatch.setattr("audobon.sqlite.sqlite3.connect", slow)
    with closing(opening(path)):
        # Another process would take the log away if it were the last.
        write = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('DELETE FROM page'); c.close()"
        )
        subprocess.run([sys.executable, "-c", write, path], check=True)
        assert Path(f"{path}-wal").exists()
