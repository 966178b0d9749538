"""A database that another process keeps locked for long: every command says so, with a status and advice."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from queue_desk import Desk

from audobon.config import keyrings_folder
from audobon.errors import Unavailable
from audobon.keys.unlocking import open_keys
from audobon.sqlite import connect


@pytest.fixture
def locked_desk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Its database is being written to by another process, which does not end."""
    assert desk.queue("pause", "batch").status == 0
    with closing(open_keys(desk.folder, unlock_folder=keyrings_folder())) as keys:
        keys.subject("Gotham")
    assert desk.queue("resume", "batch").status == 0
    monkeypatch.setattr("audobon.sqlite.BUSY_SECONDS", 0.0)
    with closing(connect(desk.folder / "audobon.db", keeps_log=True)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield desk
        connection.execute("ROLLBACK")


@pytest.mark.parametrize(
    "arguments",
    [
        ("queue", "pause", "batch"),
        ("queue", "configure", "batch", "--attempts", "4"),
        ("queue", "schedule", "add", "nightly", "--cron", "0 3 * * *", "--kind", "sweep-blobs"),
        ("up",),
        ("data", "erase", "Gotham", "--yes"),
    ],
)
def test_who_has_to_write_says_that_it_cannot_and_what_to_do(
    locked_desk: Desk, arguments: tuple[str, ...]
) -> None:
    outcome = locked_desk.audobon(*arguments)
    assert (outcome.status, outcome.err.splitlines()[-2:]) == (
        Unavailable.exit,
        [
            f"error: {locked_desk.folder / 'audobon.db'} is kept locked by another process",
            "hint: try again later",
        ],
    )


@pytest.mark.parametrize("arguments", [("queue", "list"), ("jobs", "list"), ("database", "status")])
def test_who_only_looks_does_so(locked_desk: Desk, arguments: tuple[str, ...]) -> None:
    assert locked_desk.audobon(*arguments).status == 0


def test_locks_that_are_fought_over_are_no_damage(desk: Desk) -> None:
    """SQLite gives up after a hundred looks at an index that changes under it; the next may find it still."""
    from audobon.database.service import named

    error = sqlite3.OperationalError("locking protocol")
    error.sqlite_errorcode = sqlite3.SQLITE_PROTOCOL
    assert isinstance(named(error, desk.folder / "audobon.db"), Unavailable)
