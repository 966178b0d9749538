"""SQLite the way Audobon uses it: WAL, explicit transactions, durable when asked."""

import errno
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audobon.processes import FileLock

BUSY_SECONDS = 30.0

# What a log grows to before SQLite copies it into the database and begins it anew: 1000 pages, and a little.
_LOG_BYTES = 4_500_000


class GroupedConnection(sqlite3.Connection):
    """A connection whose commits reach the disk after the write lock is free again.

    SQLite itself syncs the log while nobody else may write. Here a commit is written, the lock is let go,
    and then the log is synced before `transaction` returns: others write meanwhile, and one sync of the
    file system serves all who wait for it. What `transaction` acknowledged is on the disk either way: a log
    that is begun anew was copied into the database, and that synced, before. Single statements outside
    `transaction` outlast the death of the process only.

    A log that already has its size is synced in half the time: the file system need not note a new one.
    source  sqlite.org/wal.html, "Checkpointing", and sqlite.org/pragma.html#pragma_synchronous (NORMAL)
    """

    log_path: str | None = None
    _log_descriptor = -1
    _is_doubtful = False

    def widen_log(self) -> None:
        """Give the log its size, once; only while this connection alone may write.

        SQLite takes zeros after its last frame for the end of the log, as it does what an earlier round left.
        """
        if self.log_path is None or self._log_descriptor >= 0:
            return
        try:
            # The log's file stays the same one as long as any connection is open, and ours is.
            self._log_descriptor = os.open(self.log_path, os.O_RDWR)
            size = os.fstat(self._log_descriptor).st_size
            if size < _LOG_BYTES:
                os.pwrite(self._log_descriptor, bytes(_LOG_BYTES - size), size)
        except OSError:
            # Without room, or another way to open it, the log grows as SQLite lets it.
            return

    def sync_log(self) -> None:
        """Return when all that was committed is on the disk."""
        if self.log_path is None:
            return
        try:
            if self._log_descriptor < 0:
                self._log_descriptor = os.open(self.log_path, os.O_RDONLY)
            if self._is_doubtful:
                # The system tells of a write that failed only once; what was lost then is lost still.
                raise OSError(errno.EIO, "an earlier sync failed")
            os.fdatasync(self._log_descriptor)
        except OSError as error:
            self._is_doubtful = True
            # Told as SQLite tells of its own syncs.
            failure = sqlite3.OperationalError(f"disk I/O error: {error.strerror}")
            failure.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise failure from error

    def close(self) -> None:
        """Close the connection."""
        super().close()
        if self._log_descriptor >= 0:
            os.close(self._log_descriptor)
            self._log_descriptor = -1


def connect(path: Path, *, durable: bool = True, grouped: bool = False) -> sqlite3.Connection:
    """Open a database file; rows answer to column names.

    durable  a commit outlasts a power cut; otherwise only the death of the process
    grouped  durable for `transaction` alone, but others may write while the disk is waited for
    """
    is_grouped = durable and grouped and sys.platform == "linux"
    connection = sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        factory=GroupedConnection if is_grouped else sqlite3.Connection,
    )
    connection.row_factory = sqlite3.Row
    try:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            # Two that switch a fresh file at once refuse each other without waiting.
            with FileLock(path.parent / "locks" / f"{path.name}.lock", purpose="opening", wait=True):
                connection.execute("PRAGMA journal_mode = WAL")
        is_synced_by_sqlite = durable and not is_grouped
        connection.execute(f"PRAGMA synchronous = {'FULL' if is_synced_by_sqlite else 'NORMAL'}")
        connection.execute("PRAGMA foreign_keys = ON")
        # What was read on a page of a job that was discarded shall not stay in free space.
        connection.execute("PRAGMA secure_delete = ON")
        if isinstance(connection, GroupedConnection):
            connection.log_path = f"{path}-wal"
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_look(path: Path) -> sqlite3.Connection:
    """Open a database file for reading alone, writing nothing, not even the files SQLite keeps beside it."""
    # Without a log nobody has it open, and SQLite need not make one to take part.
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    address = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, *, is_hasty: bool = False) -> Iterator[sqlite3.Connection]:
    """Commit what the block does, or nothing of it; inside another block, with that one.

    is_hasty  on a grouped connection, do not wait for the disk
    """
    is_inner = connection.in_transaction
    connection.execute("SAVEPOINT inner_block" if is_inner else "BEGIN IMMEDIATE")
    if isinstance(connection, GroupedConnection):
        connection.widen_log()
    try:
        yield connection
        connection.execute("RELEASE inner_block" if is_inner else "COMMIT")
    except BaseException:
        # On a full disk SQLite has rolled back everything by itself already.
        if connection.in_transaction:
            connection.execute("ROLLBACK TO inner_block" if is_inner else "ROLLBACK")
            if is_inner:
                connection.execute("RELEASE inner_block")
        raise
    if not is_inner and not is_hasty and isinstance(connection, GroupedConnection):
        connection.sync_log()
