"""SQLite the way Audobon uses it: WAL, explicit transactions, durable when asked."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audobon.processes import FileLock

BUSY_SECONDS = 30.0


def connect(path: Path, *, durable: bool = True) -> sqlite3.Connection:
    """Open a database file; rows answer to column names.

    durable  a commit outlasts a power cut; otherwise only the death of the process
    """
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            # Two that switch a fresh file at once refuse each other without waiting.
            with FileLock(path.parent / "locks" / f"{path.name}.lock", purpose="opening", wait=True):
                connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Commit what the block does, or nothing of it; joins a transaction already open."""
    is_joined = connection.in_transaction
    if is_joined:
        yield connection
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # On a full disk SQLite has rolled back by itself already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
