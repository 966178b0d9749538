"""The index of storage: which pack holds which blob.

One SQLite file, made anew from the packs when it is lost.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from audobon.atomic import disk_errors, make_private_folder
from audobon.errors import (
    AudobonError,
    Corrupt,
    Denied,
    DiskFull,
    NewerFormat,
    ObjectNotFound,
    Unavailable,
)
from audobon.processes import FileLock
from audobon.sqlite import connect, transaction
from audobon.storage import notes
from audobon.storage.facts import Kind, PackState
from audobon.storage.index_schema import ERASED, FORMAT, INDEXES, SCHEMA, SEEN_FILES
from audobon.storage.pack_format import LEGACY, ZSTD, Head, Header
from audobon.storage.port import Tier

FOUND_COLUMNS = """
blob.key, blob.pack, pack.name, pack.subject, pack.kind, pack.state, pack.size_bytes, blob.offset,
blob.stored_bytes, blob.size_bytes, blob.flags, blob.created_at, blob.dead_at
"""
"""What `Found` is made of, of a blob and its pack."""

_BLOB = f"SELECT {FOUND_COLUMNS} FROM blob JOIN pack ON pack.id = blob.pack WHERE blob.key = ?"  # noqa: S608

# A blob that is alive stays where it is: then the new record is one too many, and collected some day.
# What a person puts is never swept, so it takes the place of what a job put.
_ADD = """
INSERT INTO blob (key, pack, offset, stored_bytes, size_bytes, flags, created_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (key) DO UPDATE SET
    pack = excluded.pack, offset = excluded.offset, stored_bytes = excluded.stored_bytes,
    size_bytes = excluded.size_bytes, flags = excluded.flags, created_at = excluded.created_at,
    custom_time = NULL, dead_at = NULL
WHERE (blob.dead_at IS NOT NULL AND (excluded.created_at > blob.dead_at OR ?8))
OR ((SELECT kind FROM pack WHERE id = excluded.pack) = 'user'
    AND (SELECT kind FROM pack WHERE id = blob.pack) != 'user')
"""


class Found(NamedTuple):
    """Where a blob lies.

    pack_row    its pack's id in the index
    pack_bytes  the pack's size, as the index knows it
    """

    key: bytes
    pack_row: int
    name: str
    subject: str
    kind: Kind
    state: PackState
    pack_bytes: int
    offset: int
    stored_bytes: int
    size_bytes: int
    flags: int
    created_at: float
    dead_at: float | None

    @property
    def is_packed(self) -> bool:
        """Whether it was compressed."""
        return bool(self.flags & ZSTD)

    @property
    def is_legacy(self) -> bool:
        """Whether it is named by the plain BLAKE3 of its bytes."""
        return bool(self.flags & LEGACY)


class IndexDamaged(Corrupt):
    """The file of the index is no good; it is made anew when the storage is next opened."""


class Index:
    """The file of the index, for many threads and processes.

    What is changed in haste may be forgotten by a power cut, never by the death of a process; the open packs
    tell it again. What else is changed outlasts both.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "storage.db"
        self.lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._is_damaged = False
        self._mark = folder / "storage.db.damaged"
        self._creation = FileLock(folder / "locks" / "storage.lock", purpose="opening the index", wait=True)

    @property
    def is_open(self) -> bool:
        """Whether it was opened."""
        return self._connection is not None

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return self.path.is_file()

    def open(self, fill: Callable[[sqlite3.Connection], None]) -> bool:
        """Open the file, made anew when there is none or it is no good; tell whether it was.

        fill    puts in what the packs know
        raises  NewerFormat, Denied, DiskFull
        """
        with self.lock, disk_errors(self.path):
            # One that is no good any more; nobody may meet it closed.
            self.close()
            make_private_folder(self.path.parent)
            if self.exists and not self._mark.exists():
                # Nothing is to be made, so nobody is to be waited for, and no file is touched.
                with suppress(IndexDamaged):
                    return self._open(None)
            with self._creation:
                if self._mark.exists():
                    self._remove()
                try:
                    return self._open(fill)
                except IndexDamaged:
                    self._remove()
                    return self._open(fill)

    def _open(self, fill: Callable[[sqlite3.Connection], None] | None) -> bool:
        if not self.exists:
            # What a file that somebody deleted left beside it.
            self._remove()
        connection = None
        try:
            with self.errors():
                connection = connect(self.path, durable=False, keeps_log=False)
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version > FORMAT:
                    raise NewerFormat(f"{self.path} was written by a newer Audobon", hint="upgrade Audobon")
                is_new = bool(version == 0)
                if is_new and fill is None:
                    raise IndexDamaged(f"{self.path} is empty")
                if is_new and fill is not None:
                    with transaction(connection):
                        for statement in (*SCHEMA.split(";"), *INDEXES):
                            connection.execute(statement)
                        fill(connection)
                        connection.execute(f"PRAGMA user_version = {FORMAT}")
                connection.execute("SELECT value FROM cursor LIMIT 1").fetchone()
                connection.execute(ERASED)
                connection.execute(SEEN_FILES)
            self._add_indexes(connection)
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        self._connection = connection
        self._is_damaged = False
        self._identity = self._identity_now()
        return is_new

    def _add_indexes(self, connection: sqlite3.Connection) -> None:
        """Give a file of before the indexes that it lacks; where that cannot be now it is only slower."""
        with suppress(DiskFull, Unavailable), self.errors():
            for statement in INDEXES:
                connection.execute(statement)

    def _remove(self) -> None:
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)

    def _identity_now(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    @property
    def is_current(self) -> bool:
        """Whether it is open, and nobody has put another file in its place or found it damaged."""
        return (
            self._connection is not None and self._identity == self._identity_now() and not self._is_damaged
        )

    def give_up(self) -> None:
        """Have the file made anew by whoever uses it next: it contradicts itself."""
        self._is_damaged = True
        with suppress(OSError):
            self._mark.touch()

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(sqlite3.Error):
                    # It is never shipped: the whole index lies in its file, unless another has it open.
                    connection.execute("PRAGMA busy_timeout = 0")
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                with suppress(sqlite3.Error):
                    connection.close()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn SQLite's complaints in the block into ours."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # The other: SQLite names what is wrong, and the name itself is damaged.
            raise self._named(error) from error

    def _named(self, error: sqlite3.Error | UnicodeDecodeError) -> Exception:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        made: AudobonError
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            # Noted beside it: what is wrong deep inside is not seen when it is opened.
            self.give_up()
            return IndexDamaged(
                f"{self.path} is not as it was written: {error}", hint="run the same command again"
            )
        if code == sqlite3.SQLITE_FULL:
            made = DiskFull(f"no room left for {self.path}", hint="free some space and run it again")
        elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            made = Unavailable(f"{self.path} is kept locked by another process", hint="try again")
        elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            made = Denied(
                f"not allowed: {self.path}", hint="check the permissions of the file and its folder"
            )
        else:
            made = Unavailable(f"{self.path} cannot be used: {error}", hint="check the disk")
        return made

    @contextmanager
    def changing(self, *, is_hasty: bool = False) -> Iterator[sqlite3.Connection]:
        """Commit what the block does, or nothing of it.

        is_hasty  a power cut may take it back, together with all that was changed in haste after it
        """
        with self.lock, self.errors():
            is_inner = self.connection.in_transaction
            if not is_inner:
                # The log is synced with all that was committed in haste before.
                self.connection.execute(f"PRAGMA synchronous = {'NORMAL' if is_hasty else 'FULL'}")
            with transaction(self.connection) as connection:
                yield connection

    @property
    def connection(self) -> sqlite3.Connection:
        """The open file; hold `lock` and `errors` while using it."""
        assert self._connection is not None, "the index is not open"
        return self._connection

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """Return the answer to a query."""
        with self.lock, self.errors():
            return self.connection.execute(query, values).fetchall()

    def find(self, key: bytes) -> Found | None:
        """Return where a blob lies, alive or dead; None when it is not known."""
        with self.lock, self.errors():
            row = self.connection.execute(_BLOB, (key,)).fetchone()
        return None if row is None else Found._make(row)

    def cursor(self, name: str) -> str | None:
        """Return where long work stands."""
        found = self.rows("SELECT value FROM cursor WHERE name = ?", name)
        return str(found[0][0]) if found else None

    def set_cursor(self, name: str, value: str | None) -> None:
        """Note where long work stands; None forgets it."""
        with self.changing(is_hasty=True) as connection:
            if value is None:
                connection.execute("DELETE FROM cursor WHERE name = ?", (name,))
            else:
                connection.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?)", (name, value))


def add_pack(
    connection: sqlite3.Connection,
    header: Header,
    *,
    tier: Tier,
    tier_since: float,
    state: PackState,
    size_bytes: int,
    digest: str | None = None,
) -> int:
    """Note a pack, within `changing`; return its id in the index. One that is known is noted anew."""
    row = connection.execute(
        "INSERT INTO pack (pack_id, name, subject, kind, tier, tier_since, state, size_bytes, digest,"
        " created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (pack_id) DO UPDATE SET tier = excluded.tier, state = excluded.state,"
        " size_bytes = excluded.size_bytes, digest = excluded.digest RETURNING id",
        (
            header.pack_id,
            header.name,
            header.subject,
            header.kind,
            tier,
            tier_since,
            state,
            size_bytes,
            digest,
            header.created_at,
        ),
    ).fetchone()
    return int(row[0])


def row_of(connection: sqlite3.Connection, name: str) -> int:
    """Return the id of a pack in the index, which another process may have made anew.

    raises  ObjectNotFound when it is not there any more
    """
    row = connection.execute("SELECT id FROM pack WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ObjectNotFound(f"the pack {name} is gone", hint="run the same command again")
    return int(row[0])


def add_blobs(
    connection: sqlite3.Connection,
    pack_row: int,
    records: Iterable[tuple[int, Head]],
    *,
    is_fresh: bool = False,
) -> None:
    """Note the blobs of a pack, within `changing`; those that are alive elsewhere stay there.

    is_fresh  they were put this instant: what was removed meanwhile lives again
    """
    bad = connection.execute("SELECT offset FROM damaged WHERE pack = ?", (pack_row,)).fetchall()
    if bad:
        records = [record for record in records if record[0] not in {row[0] for row in bad}]
    values = [
        (
            head.blob_id,
            pack_row,
            offset,
            head.stored_bytes,
            head.size_bytes,
            head.flags,
            head.created_at,
            is_fresh,
        )
        for offset, head in records
    ]
    connection.executemany(_ADD, values)
    notes.inherit(connection, [value[0] for value in values])


def move_blobs(
    connection: sqlite3.Connection,
    pack_row: int,
    records: Iterable[tuple[int, Head]],
    old_row: int,
    places: Sequence[tuple[bytes, int]],
) -> None:
    """Note that blobs lie in another pack now, within `changing`; others that moved stay.

    places  key and offset in the old pack, of each record
    """
    connection.executemany(
        "UPDATE blob SET pack = ?, offset = ?, stored_bytes = ?, flags = ?"
        " WHERE key = ? AND pack = ? AND offset = ?",
        [
            (pack_row, offset, head.stored_bytes, head.flags, key, old_row, old_offset)
            for (offset, head), (key, old_offset) in zip(records, places, strict=True)
        ],
    )


def advance(connection: sqlite3.Connection, pack_row: int, start: int, end: int) -> None:
    """Note how far the records of an open pack stand in the index, within `changing`.

    Others may have appended before `start` what they have not noted yet: then it stays as it is.
    """
    connection.execute(
        "UPDATE pack SET size_bytes = ? WHERE id = ? AND size_bytes = ?", (end, pack_row, start)
    )


def set_aside(connection: sqlite3.Connection, key: bytes, pack_row: int, offset: int, at: float) -> None:
    """Note that a blob is damaged, within `changing`, so that its bytes can be stored anew."""
    where = (key, pack_row, offset)
    connection.execute("INSERT OR IGNORE INTO damaged VALUES (?, ?, ?, ?)", (*where, at))
    connection.execute("DELETE FROM blob WHERE key = ? AND pack = ? AND offset = ?", where)
