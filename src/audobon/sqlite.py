"""SQLite the way Audobon uses it: WAL, explicit transactions, durable when asked."""

import errno
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from audobon.processes import FileLock

BUSY_SECONDS = 30.0

# What a log grows to before SQLite copies it into the database and begins it anew: 1000 pages, and a little.
_LOG_BYTES = 4_500_000

# When nobody copied and began the log anew for so long, SQLite does it by itself.
_LOG_LIMIT_BYTES = 64 << 20

_held = threading.Lock()
_connections: dict[str, int] = {}
_kept_open: dict[str, int] = {}


class CountedConnection(sqlite3.Connection):
    """A connection known to be open, so that nobody takes its locks away.

    keeps_log  leave the log where it is when it is the last to close, to be shipped
    """

    path: str | None = None
    keeps_log = False

    def close(self) -> None:
        """Close the connection."""
        path, self.path = self.path, None
        if path is None:
            super().close()
            return
        with keeping_log(path) if self.keeps_log else nullcontext():
            super().close()
        _leave(path)


class Connection(CountedConnection):
    """A connection that tells of commits.

    after_commit  called when a block of `transaction` was committed and is as durable as it promises; what
                  it raises, the block raises, though what it did is done
    before_close  called while the connection is still usable
    """

    after_commit: Callable[[], None] | None = None
    before_close: Callable[[], None] | None = None

    def close(self) -> None:
        """Close the connection."""
        try:
            if self.path is not None and self.before_close is not None:
                self.before_close()
        finally:
            self.after_commit = self.before_close = None
            super().close()


@contextmanager
def keeping_log(path: str) -> Iterator[None]:
    """Have the log outlast the connections that close in the block.

    The last connection to close removes the log, unless it may only read.
    source  sqlite.org/wal.html, "The WAL File"
    """
    keeper = None
    # Where it cannot be opened for reading, the log goes as SQLite lets it.
    with suppress(sqlite3.Error):
        keeper = sqlite3.connect(_address(path, "mode=ro"), uri=True, check_same_thread=False)
        keeper.execute("SELECT 1 FROM sqlite_master").fetchone()
    try:
        yield
    finally:
        if keeper is not None:
            keeper.close()


@contextmanager
def files_held(database: Path) -> Iterator[None]:
    """Have `kept_open` work in the block, whether or not this process has the database open besides."""
    _enter(str(database))
    try:
        yield
    finally:
        _leave(str(database))


def kept_open(path: str, *, database: str) -> int:
    """Return a descriptor to read a file that SQLite holds locks on, until the last connection is closed.

    Whoever closes any descriptor of such a file takes away all locks that the process has on it.
    source  sqlite.org/howtocorrupt.html, section 2.2
    """
    with _held:
        if _real(database) not in _connections:
            raise ValueError(f"no connection to {database} is open")
        path = _real(path)
        if (descriptor := _kept_open.get(path)) is not None:
            is_same = False
            with suppress(FileNotFoundError):
                is_same = os.path.samestat(os.fstat(descriptor), Path(path).stat())
            if is_same:
                return descriptor
        descriptor = _kept_open[path] = os.open(path, os.O_RDONLY)
        return descriptor


def read_index_head(database: Path, count: int) -> bytes:
    """Return the first bytes of the index of a log, whether or not this process has the database open."""
    with _held:
        if _real(database) not in _connections:
            return Path(f"{database}-shm").read_bytes()[:count]
    return os.pread(kept_open(f"{database}-shm", database=str(database)), count, 0)


def _real(path: str | Path) -> str:
    # However it is spelled: the locks are the file's.
    return os.path.realpath(path)


def _enter(path: str) -> None:
    path = _real(path)
    with _held:
        _connections[path] = _connections.get(path, 0) + 1


def _leave(path: str) -> None:
    path = _real(path)
    with _held:
        _connections[path] -= 1
        if not _connections[path]:
            del _connections[path]
            for name in (path, f"{path}-shm"):
                if (descriptor := _kept_open.pop(name, None)) is not None:
                    os.close(descriptor)


def _address(path: str | Path, mode: str) -> str:
    return f"{Path(path).absolute().as_uri()}?{mode}"


class GroupedConnection(Connection):
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


def connect(
    path: Path, *, durable: bool = True, grouped: bool = False, keeps_log: bool = False
) -> Connection:
    """Open a database file; rows answer to column names.

    durable    a commit outlasts a power cut; otherwise only the death of the process
    grouped    durable for `transaction` alone, but others may write while the disk is waited for
    keeps_log  the log is begun anew by who ships it (`database.shipping`); by SQLite when nobody does
    """
    is_grouped = durable and grouped and sys.platform == "linux"
    # Before there is a lock that another thread's last connection could take away.
    _enter(str(path))
    try:
        connection = sqlite3.connect(
            path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            factory=GroupedConnection if is_grouped else Connection,
        )
    except BaseException:
        _leave(str(path))
        raise
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
        if keeps_log:
            _keep_log(connection)
        if isinstance(connection, GroupedConnection):
            connection.log_path = f"{path}-wal"
        connection.path = str(path)
    except BaseException:
        connection.close()
        _leave(str(path))
        raise
    return connection


def connect_plainly(path: Path, *, uri: str | None = None, keeps_log: bool = False) -> CountedConnection:
    """Open a database file as it is, changing nothing of how it works.

    keeps_log  as for `connect`; otherwise it is copied and removed as SQLite lets it
    """
    _enter(str(path))
    try:
        connection = sqlite3.connect(
            path if uri is None else uri,
            uri=uri is not None,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            factory=CountedConnection,
        )
    except BaseException:
        _leave(str(path))
        raise
    connection.path = str(path)
    if keeps_log:
        try:
            _keep_log(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _keep_log(connection: CountedConnection) -> None:
    connection.keeps_log = True
    page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_LIMIT_BYTES // page_bytes}")


def connect_to_look(path: Path) -> sqlite3.Connection:
    """Open a database file for reading alone, writing nothing, not even the files SQLite keeps beside it."""
    # Without a log nobody has it open, and SQLite need not make one to take part.
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    connection = connect_plainly(path, uri=_address(path, mode))
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
    if not is_inner and not is_hasty and isinstance(connection, Connection) and connection.after_commit:
        connection.after_commit()
