"""`audobon database migrate`: what a person sees."""

import json
import sqlite3
from contextlib import closing

import pytest
from queue_desk import Desk

from audobon.database import migrate
from audobon.errors import AlreadyRunning, InvalidInput

REVISIONS = [script.revision for script in migrate.revisions()]


@pytest.fixture
def old_desk(desk: Desk) -> Desk:
    """A desk whose database is of the second schema, with a job."""
    desk.folder.mkdir()
    migrate.upgrade(desk.folder / "audobon.db", "0002")
    with closing(sqlite3.connect(desk.folder / "audobon.db")) as connection:
        connection.execute(
            "INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
            " VALUES ('job', 'key', 'upscale', '{}', 'book.cbz', 'book', 'done', 0)"
        )
        connection.commit()
    return desk


def type_in(desk: Desk, *arguments: str) -> tuple[int, str, str]:
    return desk._run(arguments)


def revision(desk: Desk) -> str:
    with closing(sqlite3.connect(desk.folder / "audobon.db")) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_a_dry_run_tells_what_is_to_come_and_does_nothing(old_desk: Desk) -> None:
    status, out, err = type_in(old_desk, "database", "migrate", "--dry-run")
    path = old_desk.folder / "audobon.db"
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == REVISIONS[2:]
    assert err == (
        f"would bring {path} (0.2 MB) from 0002 to {REVISIONS[-1]} in about 2 s;"
        f" a copy of 0.2 MB would be kept in {old_desk.folder / 'before-migration'}\n"
    )
    assert revision(old_desk) == "0002"


def test_migrating_tells_what_was_done_and_again_that_nothing_is_left(old_desk: Desk) -> None:
    status, out, err = type_in(old_desk, "database", "migrate")
    path, copies = old_desk.folder / "audobon.db", old_desk.folder / "before-migration"
    assert (status, [line.split()[0] for line in out.splitlines()]) == (0, REVISIONS[2:])
    assert err == f"{path} was brought up to date; the copy from before is in {copies}\n"
    assert revision(old_desk) == REVISIONS[-1]
    assert type_in(old_desk, "database", "migrate") == (0, "", f"{path} is up to date\n")


def test_without_a_database_nothing_is_made(desk: Desk) -> None:
    assert type_in(desk, "database", "migrate") == (0, "", "there is no database yet\n")
    assert not (desk.folder / "audobon.db").exists()


def test_undoing_goes_back_and_says_what_to_use(old_desk: Desk) -> None:
    type_in(old_desk, "database", "migrate")
    status, out, err = type_in(old_desk, "database", "migrate", "--undo", "--yes")
    assert (status, out) == (0, "")
    first, second = err.splitlines()
    assert first.startswith(f"put back {old_desk.folder / 'before-migration' / 'audobon-0002-'}")
    assert f", of schema 0002; what was there is kept as {old_desk.folder / 'before-migration'}" in first
    assert second.startswith("use the Audobon from before now")
    assert revision(old_desk) == "0002"


def test_undoing_asks_first(old_desk: Desk) -> None:
    type_in(old_desk, "database", "migrate")
    status, _, err = type_in(old_desk, "database", "migrate", "--undo")
    assert status == InvalidInput.exit
    assert "hint: say --yes" in err
    assert revision(old_desk) == REVISIONS[-1]


def test_undoing_while_the_engine_runs_is_refused(old_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(old_desk, "database", "migrate")
    monkeypatch.setattr("audobon.app.App.engine_pid", lambda _: 77)
    status, _, err = type_in(old_desk, "database", "migrate", "--undo", "--yes")
    assert status == AlreadyRunning.exit
    assert "runs in process 77" in err
    assert revision(old_desk) == REVISIONS[-1]


def test_programs_get_the_plan(old_desk: Desk) -> None:
    _, out, _ = type_in(old_desk, "database", "migrate", "--dry-run", "--json")
    told = json.loads(out)
    assert told["is_dry_run"] is True
    assert [number for number, _ in told["plan"]["revisions"]] == REVISIONS[2:]
    assert told["plan"]["copies"] == str(old_desk.folder / "before-migration")
    assert type_in(old_desk, "database", "migrate", "--undo", "--dry-run")[0] == InvalidInput.exit
