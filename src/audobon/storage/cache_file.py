"""The file of the result cache: opened, and begun anew when it is damaged or of another make."""

import sqlite3
from contextlib import suppress
from pathlib import Path

from audobon.atomic import make_private_folder
from audobon.processes import FileLock

# Raise when the tables change: a file of another version is thrown away.
_VERSION = 2
# Work must not wait for what only saves work.
_BUSY_MS = 250
_CACHE_KIB = 512
_LOG_BYTES = 8 << 20

_SCHEMA = """
CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    kind TEXT NOT NULL,
    blob TEXT,
    size_bytes INTEGER NOT NULL,
    seconds REAL NOT NULL,
    uses INTEGER NOT NULL DEFAULT 1,
    rank REAL NOT NULL
);
CREATE INDEX entry_rank ON entry (rank, size_bytes);
CREATE INDEX entry_blob ON entry (blob) WHERE blob IS NOT NULL;
CREATE TABLE content (
    id INTEGER PRIMARY KEY,
    is_packed INTEGER NOT NULL,
    value BLOB NOT NULL
);
CREATE TABLE state (size_bytes INTEGER NOT NULL, floor REAL NOT NULL);
INSERT INTO state VALUES (0, 0);
CREATE TRIGGER entry_added AFTER INSERT ON entry BEGIN
    UPDATE state SET size_bytes = size_bytes + new.size_bytes;
END;
CREATE TRIGGER entry_removed AFTER DELETE ON entry BEGIN
    DELETE FROM content WHERE id = old.id;
    UPDATE state SET size_bytes = size_bytes - old.size_bytes;
END;
"""


class CacheFile:
    """The SQLite file of the cache, for many processes at once.

    Opening and throwing away exclude each other by a lock, so that nobody opens half of a file. Who has it
    open while another throws it away goes on with what nobody else sees, until it opens anew.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "cache.db"
        self._lock = FileLock(folder / "locks" / "cache.lock", purpose="opening the cache", wait=True)
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    @property
    def exists(self) -> bool:
        """Whether there is one."""
        return self.path.is_file()

    def open(self) -> sqlite3.Connection:
        """Return the connection, opening the file first, or one in its place when it is no good.

        raises  sqlite3.Error, OSError, AudobonError
        """
        if self._identity != self._identity_now():
            # It was deleted, or another process began it anew.
            self.close()
        if self._connection is None:
            with self._lock:
                try:
                    self._connection = self._open()
                except sqlite3.Error as error:
                    if not is_damage(error):
                        raise
                    self._remove()
                    self._connection = self._open()
        return self._connection

    def throw_away(self) -> None:
        """Remove a damaged file, unless another process did so already."""
        with self._lock:
            # First the file: so SQLite sees that it has moved, and leaves the names beside it alone.
            if self._identity == self._identity_now():
                self._remove()
            self.close()

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _open(self) -> sqlite3.Connection:
        make_private_folder(self.path.parent)
        if not self.exists:
            # What a file that somebody deleted left beside it.
            self._remove()
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            # Before the first page is written; later it would be ignored.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            # A page of a comic that was cleared away shall not stay readable in free space.
            connection.execute("PRAGMA secure_delete = ON")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
            elif version != _VERSION:
                raise _of_another_make()
            connection.execute("SELECT size_bytes FROM state").fetchone()
        except BaseException:
            connection.close()
            raise
        self._identity = self._identity_now()
        return connection

    def _remove(self) -> None:
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def _identity_now(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether a file is no good, rather than the disk full or another process in the way."""
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    # A plain error means that a statement does not fit the tables.
    return primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether another process was writing for longer than is worth waiting for."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF == sqlite3.SQLITE_BUSY


def _of_another_make() -> sqlite3.DatabaseError:
    return sqlite3.DatabaseError("the cache was made by another version")
