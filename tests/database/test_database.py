"""The database: one schema, brought up to date once, safe against kills, crowds and strange files."""

import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import Popen

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, create_engine

from audobon.database import migrate
from audobon.database.revisions import SCHEMA_REVISION
from audobon.database.schema import metadata
from audobon.database.service import Database
from audobon.errors import Corrupt, NewerFormat, Unavailable
from audobon.sqlite import connect

StartPython = Callable[..., "Popen[str]"]

OPEN = """
import sys
from pathlib import Path
from audobon.database.service import Database

print("here")
sys.stdin.readline()
connection = Database(Path(sys.argv[1])).open()
print(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
"""

OPEN_AND_TELL_WHAT_WAS_IMPORTED = """
import sys
from pathlib import Path
from audobon.database.service import Database

Database(Path(sys.argv[1])).open()
print({"alembic", "sqlalchemy"} & set(sys.modules))
"""

APART = "Database(Path(sys.argv[1]), migrates_apart=True)"

STOP_INSIDE_THE_MIGRATION = """
import sqlite3, sys
from pathlib import Path
import alembic.op
from audobon.database.service import Database

create_index = alembic.op.create_index

def stop(name, *arguments, **options):
    create_index(name, *arguments, **options)
    if name == "task_ready":
        print("halfway")
        sys.stdin.read()

alembic.op.create_index = stop
Database(Path(sys.argv[1])).open()
"""

NO_PERMISSION = """
import os, sys
from pathlib import Path
from audobon.database.service import Database
from audobon.errors import AudobonError

if os.getuid() == 0:
    os.setuid(65534)
try:
    Database(Path(sys.argv[1])).open()
except AudobonError as error:
    print(type(error).__name__)
"""


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder that all may enter and none may write to; pytest's own could not even be entered."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        yield Path(name)
        Path(name).chmod(0o755)


def tables(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "audobon.db")) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def read_line(process: "Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_the_migrations_make_exactly_the_schema(tmp_path: Path) -> None:
    Database(tmp_path).open().close()
    engine = create_engine(URL.create("sqlite", database=str(tmp_path / "audobon.db")))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    assert tables(tmp_path) == set(metadata.tables) | {"alembic_version", "sqlite_sequence"}


def test_checks_and_partial_indexes_are_those_of_the_schema(tmp_path: Path) -> None:
    # Alembic does not compare these on SQLite.
    Database(tmp_path / "migrated").open().close()
    made = tmp_path / "made.db"
    engine = create_engine(URL.create("sqlite", database=str(made)))
    metadata.create_all(engine)
    engine.dispose()

    def conditions(path: Path) -> set[str]:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        lines = [line.strip().rstrip(",") for (sql,) in rows for line in sql.splitlines()]
        return {line for line in lines if "CHECK" in line or "WHERE" in line or "ON DELETE" in line}

    assert conditions(tmp_path / "migrated" / "audobon.db") == conditions(made)
    assert len(conditions(made)) > 5


def test_the_revision_worked_with_is_the_newest_migration() -> None:
    assert migrate.revisions()[-1].revision == SCHEMA_REVISION
    assert migrate.is_known(SCHEMA_REVISION)
    assert not migrate.is_known("9999")


def test_opening_again_changes_nothing_and_imports_no_migration_tools(
    tmp_path: Path, start_python: StartPython
) -> None:
    Database(tmp_path).open().close()
    with closing(sqlite3.connect(tmp_path / "audobon.db")) as connection:
        # What the file holds shall not hang on who copies the log into it.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before = (tmp_path / "audobon.db").read_bytes()
    printed, _ = start_python(OPEN_AND_TELL_WHAT_WAS_IMPORTED, tmp_path).communicate()
    assert printed == "set()\n"
    assert (tmp_path / "audobon.db").read_bytes() == before


@pytest.mark.parametrize("name", ["a folder", "100% what?", "a#b", "ünïcödé", "new/deep"])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    Database(tmp_path / name).open().close()
    assert tables(tmp_path / name) == set(metadata.tables) | {"alembic_version", "sqlite_sequence"}
    assert {path.name for path in (tmp_path / name).iterdir()} == {"audobon.db", "locks"}


def test_a_schema_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    with closing(Database(tmp_path).open()) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE schema_floor SET revision = '9999'")
    before = (tmp_path / "audobon.db").read_bytes()
    with pytest.raises(NewerFormat) as caught:
        Database(tmp_path).open()
    path = tmp_path / "audobon.db"
    assert caught.value.message == f"{path} was written by a newer Audobon (schema 9999)"
    assert caught.value.hint == "upgrade Audobon"
    assert path.read_bytes() == before


@pytest.mark.parametrize("garbage", [b"these are no tables " * 1000, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_file_that_is_no_database_is_refused_untouched(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "audobon.db"
    path.write_bytes(garbage)
    with pytest.raises(Corrupt) as caught:
        Database(tmp_path).open()
    assert caught.value.message.startswith(f"{path} cannot be used as a database: ")
    assert caught.value.hint == "audobon recovery mend"
    assert path.read_bytes() == garbage


def test_a_database_of_others_is_refused_rather_than_mixed_with_ours(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "audobon.db")) as connection:
        connection.execute("CREATE TABLE job (colour TEXT)")
    with pytest.raises(Corrupt):
        Database(tmp_path).open()
    assert tables(tmp_path) == {"job"}


def test_a_database_kept_locked_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audobon.sqlite.BUSY_SECONDS", 0.0)
    with closing(connect(tmp_path / "audobon.db")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as caught:
            Database(tmp_path).open()
    assert caught.value.message == f"{tmp_path / 'audobon.db'} is kept locked by another process"


def test_a_folder_that_may_not_be_written_to_is_named(closed_folder: Path, start_python: StartPython) -> None:
    printed, _ = start_python(NO_PERMISSION, closed_folder).communicate()
    assert printed == "Denied\n"


def test_a_kill_inside_the_migration_leaves_a_file_that_opens(
    tmp_path: Path, start_python: StartPython
) -> None:
    process = start_python(STOP_INSIDE_THE_MIGRATION, tmp_path)
    assert read_line(process) == "halfway\n"
    process.kill()
    process.wait()
    assert tables(tmp_path) <= {"alembic_version"}
    Database(tmp_path).open().close()
    assert tables(tmp_path) == set(metadata.tables) | {"alembic_version", "sqlite_sequence"}


def test_a_crowd_may_open_a_fresh_folder_at_once(tmp_path: Path, start_python: StartPython) -> None:
    processes = [start_python(OPEN, tmp_path) for _ in range(6)]
    assert [read_line(process) for process in processes] == ["here\n"] * 6
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("now\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in processes] == [f"{SCHEMA_REVISION}\n"] * 6


def test_foreign_keys_hold(tmp_path: Path) -> None:
    with closing(Database(tmp_path).open()) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(
            "INSERT INTO entry (job_id, ordinal, name, is_page, size_bytes) VALUES ('gone', 0, 'x', 1, 1)"
        )


def test_who_migrates_apart_keeps_nothing_of_what_that_takes(
    tmp_path: Path, start_python: StartPython
) -> None:
    code = OPEN_AND_TELL_WHAT_WAS_IMPORTED.replace("Database(Path(sys.argv[1]))", APART)

    process = start_python(code, tmp_path / "data")

    assert (process.communicate()[0], process.returncode) == ("set()\n", 0)
    with closing(sqlite3.connect(tmp_path / "data" / "audobon.db")) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    assert found == [(SCHEMA_REVISION,)]


@pytest.mark.parametrize("is_apart", [False, True])
def test_a_database_of_a_newer_audobon_is_refused_wherever_it_is_migrated(
    tmp_path: Path, is_apart: bool
) -> None:
    database = Database(tmp_path, migrates_apart=is_apart)
    with closing(database.open()) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE schema_floor SET revision = '9999'")

    with pytest.raises(NewerFormat) as caught:
        database.open()

    assert caught.value.message == f"{database.path} was written by a newer Audobon (schema 9999)"
    assert caught.value.hint == "upgrade Audobon"


def test_a_process_that_dies_while_it_migrates_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(Unavailable, match="up to date ended with 1: no message"):
        Database(tmp_path, migrates_apart=True).open()
