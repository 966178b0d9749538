"""Every revision, those to come included: killed before each of its statements, and out of room in each."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from old_databases import REVISIONS, before, contents, make_file, make_postgres
from sqlalchemy import Engine, event

from audobon.database import migrate
from audobon.database.postgres import Address

pytest_plugins = ("postgres_fixture",)

PROGRAM = Path(__file__).with_name("die_in_revision.py")
LEAST_STATEMENTS = 4

HALF_IN_ONE_HALF_IN_ANOTHER = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on, oldest_code = "0900", {head!r}, None, None, "0002"

def upgrade():
    op.execute("CREATE TABLE one (id INTEGER)")
    {leak}
    op.execute("CREATE TABLE two (id INTEGER)")
"""


def die(revision: str, engine: str, place: object, home: Path | None = None) -> str:
    code = [sys.executable, str(PROGRAM)]
    if home is not None:
        start = (
            f"import runpy, pathlib; from audobon.database import migrate;"
            f"migrate._HOME = pathlib.Path({str(home)!r});"
            f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
        )
        code = [sys.executable, "-c", start]
    done = subprocess.run([*code, revision, engine, str(place)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def deaths(printed: str) -> int:
    match = re.fullmatch(r"came through after (\d+) deaths\n", printed)
    assert match is not None, printed
    return int(match[1])


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_kill_before_any_statement_leaves_the_file_whole_and_the_next_try_finishes(
    tmp_path: Path, revision: str
) -> None:
    path = tmp_path / "audobon.db"
    make_file(path, before(revision))
    assert deaths(die(revision, "sqlite", path)) >= LEAST_STATEMENTS
    make_file(tmp_path / "undisturbed.db", before(revision))
    migrate.upgrade(tmp_path / "undisturbed.db", revision)
    assert contents(path) == contents(tmp_path / "undisturbed.db")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_kill_before_any_statement_leaves_postgres_whole_and_the_next_try_finishes(
    postgres_url: str, revision: str
) -> None:
    address = Address(postgres_url)
    make_postgres(address.connect, before(revision))
    assert deaths(die(revision, "postgres", postgres_url)) >= LEAST_STATEMENTS
    connection = address.connect()
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]
    connection.close()


@pytest.fixture
def most_pages() -> Iterator[list[int]]:
    """How many pages a file may have that is migrated: a disk that is full, as SQLite sees it."""
    most = [0]

    def limit(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {most[0]}")

    event.listen(Engine, "connect", limit)
    yield most
    event.remove(Engine, "connect", limit)


def code_of(path: Path, revision: str) -> int | None:
    """Bring a file to a revision; return SQLite's code when it refuses."""
    try:
        migrate.upgrade(path, revision)
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode
    return None


@pytest.mark.parametrize("revision", REVISIONS)
def test_want_of_room_at_any_page_leaves_the_file_whole(
    tmp_path: Path, revision: str, most_pages: list[int]
) -> None:
    path = tmp_path / "audobon.db"
    most_pages[0] = 1 << 20
    make_file(path, before(revision))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    held = contents(path)
    most_pages[0] = max(1, pages)
    refused = 0
    while (code := code_of(path, revision)) is not None:
        assert code == sqlite3.SQLITE_FULL
        assert contents(path) == held
        refused += 1
        most_pages[0] += 1
    with closing(sqlite3.connect(path)) as connection:
        grown = connection.execute("PRAGMA page_count").fetchone()[0] - pages
        assert (refused > 0) == (grown > 0)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_revision_that_commits_halfway_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = planted(tmp_path, 'op.execute("COMMIT"); op.execute("BEGIN IMMEDIATE")')
    path = tmp_path / "audobon.db"
    make_file(path, REVISIONS[-1])
    assert die("0900", "sqlite", path, home).startswith("changed by the one that died before statement ")


def test_the_same_revision_without_it_passes(tmp_path: Path) -> None:
    path = tmp_path / "audobon.db"
    make_file(path, REVISIONS[-1])
    assert deaths(die("0900", "sqlite", path, planted(tmp_path, "pass"))) >= LEAST_STATEMENTS


def planted(tmp_path: Path, leak: str) -> Path:
    import shutil

    home = tmp_path / "migrations"
    shutil.copytree(migrate._HOME, home, ignore=shutil.ignore_patterns("__pycache__"))
    code = HALF_IN_ONE_HALF_IN_ANOTHER.format(head=REVISIONS[-1], leak=leak)
    (home / "versions" / "0900_planted.py").write_text(code)
    return home
