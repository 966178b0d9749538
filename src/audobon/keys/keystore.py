"""The file of wrapped keys: of tenants, of subjects, and data keys that were wrapped anew."""

import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from audobon.atomic import disk_errors, make_private_folder, sync_folder
from audobon.errors import CorruptKeyring, DiskFull, KeyringLost, NewerFormat, Unavailable
from audobon.keys.seal import COPIED, SEAL, Change, watch
from audobon.keys.unlock_file import read_private, remove_private, write_private
from audobon.processes import FileLock
from audobon.sqlite import BUSY_SECONDS, transaction

# The first has no seal yet: one that was just made, or by an Audobon that made none.
FORMAT, _UNSEALED = 2, 1
HINT = "audobon keys import-recovery"

# The name of the key-encryption key, the file it was made for, and the name for that of a copy.
_LOCK, _HOME, _NEXT = "lock", "home", "next lock"

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE tenant_key (version INTEGER PRIMARY KEY, wrapped BLOB NOT NULL, created_at REAL NOT NULL);
-- Secrets that never change: what signs, and what recovers.
CREATE TABLE secret (name TEXT PRIMARY KEY, tenant_version INTEGER NOT NULL, wrapped BLOB NOT NULL);
CREATE TABLE subject (
    id TEXT PRIMARY KEY, sealed_name BLOB NOT NULL, created_at REAL NOT NULL, erased_at REAL
);
-- Version 0 names the subject's blobs and never changes. The others encrypt, the newest what is new.
CREATE TABLE subject_key (
    subject_id TEXT NOT NULL, version INTEGER NOT NULL, tenant_version INTEGER NOT NULL,
    wrapped BLOB NOT NULL, created_at REAL NOT NULL, PRIMARY KEY (subject_id, version)
);
-- Data keys are wrapped where their data lies. Those that were wrapped anew since then stand here.
CREATE TABLE data_key (
    id BLOB PRIMARY KEY, subject_id TEXT NOT NULL, subject_version INTEGER NOT NULL, wrapped BLOB NOT NULL
) WITHOUT ROWID;
"""


class Keystore:
    """The keystore of a data folder: one SQLite file, durable at every commit, for many processes.

    Its connection is used by one thread at a time; whoever holds it sees to that.
    new_id  the name of a keyring that is made anew
    """

    def __init__(self, folder: Path, *, new_id: str | None = None) -> None:
        self.folder = folder
        self._new_id = new_id
        self.path = keystore_path(folder)
        self._lock = FileLock(folder / "locks" / "keystore.lock", purpose="opening the keystore", wait=True)
        self._connection: sqlite3.Connection | None = None
        self._seen: tuple[int, int, int] | None = None
        self._watched: sqlite3.Connection | None = None
        self.changes: list[Change] = []

    @property
    def exists(self) -> bool:
        """Whether there is one."""
        return self.path.is_file()

    def connection(self) -> sqlite3.Connection:
        """Return the open file, made when there never was one.

        raises  KeyringLost when there was one, CorruptKeyring, NewerFormat, Denied
        """
        if self._connection is None:
            # One that was made before needs nobody kept out, and looking at it shall leave no trace.
            lock = nullcontext() if self.exists and read_marker(self.folder) is not None else self._lock
            with disk_errors(self.path), lock, self.errors():
                self._connection = self._open()
                self._seen = self._now()
            if Path(f"{self.path}-journal").exists():
                # Whoever was to overwrite it was killed, or is about to.
                with self.leaving_nothing():
                    pass
        return self._connection

    @property
    def is_in_transaction(self) -> bool:
        """Whether a change is under way."""
        return self._connection is not None and self._connection.in_transaction

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block does, or nothing of it."""
        with self.errors():
            connection = self.connection()
            if self._watched is not connection:
                # The old one's triggers note into the old list.
                self.changes = []
                watch(connection, self.changes)
                self._watched = connection
            if not connection.in_transaction:
                self.changes.clear()
            before = len(self.changes)
            try:
                with transaction(connection):
                    yield connection
            except BaseException:
                del self.changes[before:]
                raise

    def row(self, query: str, *values: object) -> tuple[Any, ...] | None:
        """Return the first row of a query; None when there is none."""
        with self.errors():
            found: tuple[Any, ...] | None = self.connection().execute(query, values).fetchone()
            return found

    def meta(self, name: str) -> bytes | None:
        """Return a value by its name."""
        row = self.row("SELECT value FROM meta WHERE name = ?", name)
        return None if row is None else as_bytes(row[0])

    def set_meta(self, name: str, value: bytes | None) -> None:
        """Set a value, or remove it."""
        with self.changing() as connection:
            if value is None:
                connection.execute("DELETE FROM meta WHERE name = ?", (name,))
            else:
                connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    @property
    def id(self) -> str:
        """What names this keyring, here and in backups."""
        found = self.meta("id")
        if found is None:
            raise CorruptKeyring(f"{self.path} lacks its name", hint=HINT)
        return found.decode("ascii", "replace")

    def has_own_schema(self) -> bool:
        """Tell whether its tables are, word for word, those that were made."""
        query = "SELECT type, name, tbl_name, sql FROM main.sqlite_master ORDER BY name"
        with closing(sqlite3.connect(":memory:")) as fresh, self.errors():
            fresh.executescript(_SCHEMA)
            return fresh.execute(query).fetchall() == self.connection().execute(query).fetchall()

    @property
    def is_sealed(self) -> bool:
        """Whether a seal proves every row."""
        row = self.row("PRAGMA user_version")
        return row is not None and row[0] != _UNSEALED

    def set_seal(self, seal: bytes) -> None:
        """Put a seal; within `changing`."""
        self.set_meta(SEAL, seal)
        if not self.is_sealed:
            self.connection().execute(f"PRAGMA user_version = {FORMAT}")

    @property
    def lock_name(self) -> str:
        """What names the key-encryption key of this keystore, which no copy of it shares for long."""
        found = self.meta(_LOCK)
        return self.id if found is None else found.decode("ascii", "replace")

    def is_copy(self) -> bool:
        """Tell whether this file is another than the one that its key-encryption key was made for."""
        return self.meta(COPIED) is not None or self.meta(_HOME) != self._home()

    def next_lock(self) -> str:
        """Return the name for the key-encryption key of a copy, noted so that trying again takes the same."""
        name = self.noted_lock()
        if name is None:
            name = new_lock_name(self.id)
            self.set_meta(_NEXT, self._home() + b" " + name.encode())
        return name

    def noted_lock(self) -> str | None:
        """Return the name that `next_lock` noted for this very copy."""
        home, _, name = (self.meta(_NEXT) or b"").partition(b" ")
        return name.decode("ascii", "replace") if name and home == self._home() else None

    def take_lock(self, name: str) -> None:
        """Be no copy any more, but a keystore with a key-encryption key of this name."""
        self.set_meta(_LOCK, name.encode())
        self.set_meta(_HOME, self._home())
        self.set_meta(_NEXT, None)
        self.set_meta(COPIED, None)

    def has_changed(self) -> bool:
        """Tell whether another process changed it since this was last asked, or put another in its place."""
        if self._connection is None:
            return True
        with self.errors():
            now = self._now()
        if now[:2] != (self._seen or now)[:2] and not self.is_in_transaction:
            self.close()
            return True
        is_changed, self._seen = now != self._seen, now
        return is_changed

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn SQLite's complaints in the block into ours."""
        try:
            yield
        except UnicodeDecodeError as error:
            # SQLite names what is wrong, and the name itself is damaged.
            raise CorruptKeyring(f"{self.path} is not as it was written", hint=HINT) from error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            # Its schema is ours and was there: a table that is missing now was damaged.
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
                raise CorruptKeyring(f"{self.path} is not as it was written", hint=HINT) from error
            if code == sqlite3.SQLITE_FULL:
                raise DiskFull(
                    f"no room left for {self.path}", hint="free some space and try again"
                ) from error
            raise Unavailable(f"{self.path} cannot be used: {error}", hint="check the disk") from error

    @contextmanager
    def leaving_nothing(self) -> Iterator[None]:
        """Overwrite, after the block's change, what the journal kept of the pages before it."""
        connection, journal = self.connection(), Path(f"{self.path}-journal")
        with self.errors():
            connection.execute("PRAGMA journal_mode = PERSIST")
        try:
            yield
        finally:
            # While this has the right to write nobody else touches the journal, and we write none.
            with self.changing(), disk_errors(journal):
                if journal.exists():
                    with journal.open("r+b") as file:
                        file.write(bytes(journal.stat().st_size))
                        file.flush()
                        os.fsync(file.fileno())
            with self.errors():
                connection.execute("PRAGMA journal_mode = DELETE")

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _home(self) -> bytes:
        with disk_errors(self.path):
            return home_of(self.path)

    def _now(self) -> tuple[int, int, int]:
        assert self._connection is not None
        with disk_errors(self.path):
            try:
                state = self.path.stat()
            except FileNotFoundError:
                return 0, 0, 0
        return state.st_dev, state.st_ino, self._connection.execute("PRAGMA data_version").fetchone()[0]

    def _open(self) -> sqlite3.Connection:
        make_private_folder(self.path.parent)
        known = read_marker(self.folder)
        if not self.path.exists():
            if known is not None:
                raise KeyringLost(f"{self.path}, with all keys of this data folder, is gone", hint=HINT)
            os.close(os.open(self.path, os.O_CREAT, 0o600))
        connection = connect_keystore(self.path)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > FORMAT:
                raise NewerFormat(f"{self.path} was written by a newer Audobon", hint="upgrade Audobon")
            if version == 0:
                if known is not None:
                    raise CorruptKeyring(f"{self.path} is empty or cut off", hint=HINT)
                make_schema(connection, keyring_id=self._new_id or secrets.token_hex(8), home=self._home())
            found = connection.execute("SELECT value FROM meta WHERE name = 'id'").fetchone()
            if found is not None and known is None:
                write_marker(self.folder, as_bytes(found[0]).decode("ascii", "replace"))
        except BaseException:
            connection.close()
            raise
        return connection


def keystore_path(folder: Path) -> Path:
    """Return where the keystore of a data folder lies."""
    return folder / "keys" / "keystore.db"


def connect_keystore(path: Path) -> sqlite3.Connection:
    """Open a keystore's file as it is always opened."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        # No log beside it: a key that is destroyed shall be gone from the one file there is.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("PRAGMA secure_delete = ON")
        # Room for all that one batch of rewrapping changes: else readers are shut out long before its end.
        connection.execute("PRAGMA cache_size = -16384")
    except BaseException:
        connection.close()
        raise
    return connection


def destroy_in_replaced(path: Path, subjects: Sequence[str]) -> None:
    """Destroy the keys of subjects in the keystores that an import put aside.

    What unlocks the keyring now may open those too. One that cannot be written to any more, as when it is
    damaged, is overwritten and removed.
    """
    if not subjects:
        return
    for journal in path.parent.glob(f"{path.name}-journal.replaced-*"):
        remove_private(journal)
    for copy in path.parent.glob(f"{path.name}.replaced-*"):
        try:
            with closing(connect_keystore(copy)) as connection:
                # Nothing of what was there goes into another file.
                connection.execute("PRAGMA journal_mode = MEMORY")
                with transaction(connection):
                    for subject in subjects:
                        connection.execute("DELETE FROM subject_key WHERE subject_id = ?", (subject,))
                        connection.execute("DELETE FROM data_key WHERE subject_id = ?", (subject,))
                        connection.execute("UPDATE subject SET sealed_name = x'' WHERE id = ?", (subject,))
                    # No key is at hand to seal it anew: the first who changes it does.
                    connection.execute("DELETE FROM meta WHERE name = ?", (SEAL,))
                    connection.execute(f"PRAGMA user_version = {_UNSEALED}")
        except sqlite3.Error:
            remove_private(copy)


def as_bytes(cell: object) -> bytes:
    """Return a cell that has to hold bytes. raises CorruptKeyring."""
    if not isinstance(cell, bytes):
        raise CorruptKeyring("a cell of the keyring is not as it was written", hint=HINT)
    return cell


def as_number(cell: object) -> int:
    """Return a cell that has to hold a whole number. raises CorruptKeyring."""
    if not isinstance(cell, int):
        raise CorruptKeyring("a cell of the keyring is not as it was written", hint=HINT)
    return cell


def make_schema(connection: sqlite3.Connection, *, keyring_id: str, home: bytes) -> None:
    """Make the tables of a keystore that has none, all or nothing."""
    noted = [("id", keyring_id.encode()), (_LOCK, new_lock_name(keyring_id).encode()), (_HOME, home)]
    with transaction(connection):
        for statement in _SCHEMA.split(";")[:-1]:
            connection.execute(statement)
        connection.executemany("INSERT INTO meta VALUES (?, ?)", noted)
        connection.execute(f"PRAGMA user_version = {_UNSEALED}")


def new_lock_name(keyring_id: str) -> str:
    """Return a fresh name for a key-encryption key, which tells whose it is."""
    return f"{keyring_id}-{secrets.token_hex(4)}"


def home_of(path: Path) -> bytes:
    """Return what tells a keystore's file from every copy of it, wherever either is moved on its disk."""
    state = path.stat()
    return f"{state.st_dev}:{state.st_ino}".encode()


def forget_home(connection: sqlite3.Connection) -> None:
    """Have a keystore's file count as a copy, whatever file it is."""
    with transaction(connection):
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, x'')", (COPIED,))


def marker_path(folder: Path) -> Path:
    """Return where a data folder notes which keyring it has, so that a lost one is not silently replaced."""
    return folder / "keyring.id"


def read_marker(folder: Path) -> str | None:
    """Return the id of the keyring that a data folder has or had; None when it never had one."""
    data = read_private(marker_path(folder))
    return None if data is None else data.decode("ascii", "replace").strip()


def write_marker(folder: Path, keyring_id: str) -> None:
    """Note which keyring a data folder has. raises DiskFull, Denied."""
    path = marker_path(folder)
    write_private(path, f"{keyring_id}\n".encode())
    with disk_errors(path):
        sync_folder(folder)
