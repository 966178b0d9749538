"""The mark that each backup leaves in the database, and the counts that a restore must show again."""

import secrets
import sqlite3

from audobon.backup.manifest import Counts
from audobon.sqlite import transaction

_KEPT_MARKS = 1000


def leave_mark(connection: sqlite3.Connection, *, at: float) -> str:
    """Write a row that was never there before; return what it says.

    at  UTC seconds
    """
    sentinel = secrets.token_hex(16)
    with transaction(connection):
        connection.execute("INSERT INTO backup_mark (sentinel, at) VALUES (?, ?)", (sentinel, at))
        connection.execute(
            "DELETE FROM backup_mark WHERE id <= (SELECT max(id) FROM backup_mark) - ?", (_KEPT_MARKS,)
        )
    return sentinel


def has_mark(connection: sqlite3.Connection, sentinel: str) -> bool:
    """Tell whether a mark is there."""
    row = connection.execute("SELECT 1 FROM backup_mark WHERE sentinel = ?", (sentinel,)).fetchone()
    return row is not None


def count(connection: sqlite3.Connection, *, sentinel: str) -> Counts:
    """Return what the database holds now."""
    jobs = connection.execute("SELECT count(*) FROM job").fetchone()[0]
    entries = connection.execute("SELECT count(*) FROM entry").fetchone()[0]
    rows = connection.execute("SELECT state, count(*) FROM task GROUP BY state ORDER BY state")
    return Counts(int(jobs), int(entries), {str(row[0]): int(row[1]) for row in rows}, sentinel)
