"""The file of wrapped keys: tenant keys, the subjects and their keys, data keys wrapped anew."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from audobon.atomic import disk_errors
from audobon.errors import CorruptKeyring, NewerFormat, Unavailable
from audobon.processes import FileLock
from audobon.sqlite import BUSY_SECONDS, transaction

FORMAT = 1

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE tenant_key (version INTEGER PRIMARY KEY, wrapped BLOB NOT NULL, created_at REAL NOT NULL);
-- Secrets that never change: what names blobs, what signs, what recovers.
CREATE TABLE secret (name TEXT PRIMARY KEY, tenant_version INTEGER NOT NULL, wrapped BLOB NOT NULL);
CREATE TABLE subject (
    id TEXT PRIMARY KEY, sealed_name BLOB NOT NULL, created_at REAL NOT NULL, erased_at REAL
);
CREATE TABLE subject_key (
    subject_id TEXT NOT NULL, version INTEGER NOT NULL, tenant_version INTEGER NOT NULL,
    wrapped BLOB NOT NULL, created_at REAL NOT NULL, PRIMARY KEY (subject_id, version)
);
-- Data keys are wrapped where their data lies; those that were wrapped anew since then stand here.
CREATE TABLE data_key (
    id BLOB PRIMARY KEY, subject_id TEXT NOT NULL, subject_version INTEGER NOT NULL, wrapped BLOB NOT NULL
);
CREATE INDEX data_key_by_subject ON data_key (subject_id, subject_version);
"""


class SubjectRow(msgspec.Struct, frozen=True):
    """A subject as the keystore has it."""

    id: str
    sealed_name: bytes
    created_at: float
    erased_at: float | None


class Keystore:
    """The keystore of a data folder: one SQLite file, durable at every commit, for many processes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys" / "keystore.db"
        self._lock = FileLock(folder / "locks" / "keystore.lock", purpose="opening the keystore", wait=True)
        self._connection: sqlite3.Connection | None = None

    @property
    def exists(self) -> bool:
        """Whether there is one."""
        return self.path.is_file()

    def connection(self) -> sqlite3.Connection:
        """Return the open file, made when there is none; raises CorruptKeyring, NewerFormat, Denied."""
        if self._connection is None:
            with disk_errors(self.path), self._lock:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with self.errors():
                    self._connection = self._open()
        return self._connection

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block does, or nothing of it."""
        with self.errors(), transaction(self.connection()) as connection:
            yield connection

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn SQLite's complaints in the block into ours."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise CorruptKeyring(
                    f"{self.path} is not as it was written", hint="audobon keys import-recovery"
                ) from error
            raise Unavailable(f"{self.path} cannot be used: {error}", hint="check the disk") from error

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            # No log beside it: a key that is destroyed shall be gone from the one file there is.
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("PRAGMA secure_delete = ON")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
                self.path.chmod(0o600)
            elif version > FORMAT:
                raise NewerFormat(f"{self.path} was written by a newer Audobon", hint="upgrade Audobon")
        except BaseException:
            connection.close()
            raise
        return connection
