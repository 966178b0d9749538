"""The rows of the result cache: found, added, and evicted when they are worth least.

Values are packed and then sealed for their subject; the seal also proves that nothing of them changed.
"""

import sqlite3
import zlib
from collections.abc import Collection, Mapping
from typing import NamedTuple

from audobon.errors import CorruptKeyring, SubjectErased, SubjectNotFound
from audobon.keys.service import Keys
from audobon.sqlite import transaction

# What models make shrinks to a third or less, in two thirds of the time of level 3 (docs/decisions/0010).
_LEVEL = 1
_WORTH_PACKING = 0.9
# What an entry takes beside its value: its rows in tables and indexes, and the last page half full.
_OVERHEAD_BYTES = 2560
_EVICT_AT_ONCE = 32
# Free space goes back to the system when it is more than this share of the file, and more than a few tiles.
_FREE_SHARE = 8
_FREE_PAGES = 2048

_RANK = """
UPDATE entry SET rank = (SELECT floor FROM state) + uses * seconds / size_bytes WHERE id = ?
"""
_FIND = """
SELECT entry.id, blob, seconds, is_packed, value FROM entry JOIN content USING (id) WHERE key = ?
"""
_ADD = """
INSERT INTO entry (key, subject, kind, blob, size_bytes, seconds, uses, rank) VALUES (?, ?, ?, ?, ?, ?, ?, 0)
"""


class Kept(NamedTuple):
    """A result from before.

    blob     the key of bytes that lie in storage
    seconds  that making it took
    """

    value: bytes
    blob: str | None
    seconds: float


class New(NamedTuple):
    """A result to be kept; see `ResultCache.put`."""

    subject: str
    key: bytes
    value: bytes
    kind: str
    seconds: float
    blob: str | None
    blob_bytes: int


def find(connection: sqlite3.Connection, keys: Keys, subject: str, key: bytes) -> tuple[int, Kept] | None:
    """Return an entry and its id; one that is damaged, or whose subject was erased, is removed: None."""
    row = connection.execute(_FIND, (key,)).fetchone()
    if row is None:
        return None
    entry_id, blob, seconds, is_packed, sealed = row
    try:
        packed = keys.unseal(subject, sealed, context=_context(key, blob, is_packed=bool(is_packed)))
    except (CorruptKeyring, SubjectErased, SubjectNotFound):
        connection.execute("DELETE FROM entry WHERE id = ?", (entry_id,))
        return None
    return entry_id, Kept(zlib.decompress(packed) if is_packed else packed, blob, seconds)


def add(connection: sqlite3.Connection, keys: Keys, new: New, *, limit_bytes: int) -> None:
    """Put an entry in the place of an older one of its key; what is worth least goes until all fit.

    raises  SubjectErased
    """
    packed, is_packed = _pack(new.value)
    sealed = keys.seal(new.subject, packed, context=_context(new.key, new.blob, is_packed=is_packed))
    size_bytes = len(sealed) + new.blob_bytes + _OVERHEAD_BYTES
    with transaction(connection):
        before = connection.execute("SELECT uses FROM entry WHERE key = ?", (new.key,)).fetchone()
        connection.execute("DELETE FROM entry WHERE key = ?", (new.key,))
        uses = 1 if before is None else before[0]
        entry = (new.key, new.subject, new.kind, new.blob, size_bytes, new.seconds, uses)
        entry_id = connection.execute(_ADD, entry).lastrowid
        connection.execute("INSERT INTO content VALUES (?, ?, ?)", (entry_id, is_packed, sealed))
        connection.execute(_RANK, (entry_id,))
        _evict(connection, limit_bytes)
    free, total = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count")
    )
    if free > _FREE_PAGES and free * _FREE_SHARE > total:
        # As after its budget was lowered.
        _shrink(connection)


def note_uses(connection: sqlite3.Connection, uses: Mapping[int, int]) -> None:
    """Count that entries were used."""
    with transaction(connection):
        for entry_id, count in uses.items():
            connection.execute("UPDATE entry SET uses = uses + ? WHERE id = ?", (count, entry_id))
            connection.execute(_RANK, (entry_id,))


def remove(connection: sqlite3.Connection, keys: Collection[bytes]) -> None:
    """Remove the entries of some keys."""
    with transaction(connection):
        connection.executemany("DELETE FROM entry WHERE key = ?", [(key,) for key in keys])


def remove_of_subject(connection: sqlite3.Connection, subject: str) -> None:
    """Remove the entries of a subject, and give the space back to the system."""
    with transaction(connection):
        connection.execute("DELETE FROM entry WHERE subject = ?", (subject,))
    _shrink(connection)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def remove_all(connection: sqlite3.Connection) -> None:
    """Remove every entry, and give the space back to the system."""
    with transaction(connection):
        connection.execute("DELETE FROM entry")
        connection.execute("DELETE FROM content")
        connection.execute("UPDATE state SET size_bytes = 0, floor = 0")
    _shrink(connection)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def blobs(connection: sqlite3.Connection) -> set[str]:
    """Return the blobs that belong to entries."""
    return {str(row[0]) for row in connection.execute("SELECT blob FROM entry WHERE blob IS NOT NULL")}


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many entries there are of each kind."""
    return dict(connection.execute("SELECT kind, count(*) FROM entry GROUP BY kind").fetchall())


def total_bytes(connection: sqlite3.Connection) -> int:
    """Return the size of all entries, their blobs included."""
    return int(connection.execute("SELECT size_bytes FROM state").fetchone()[0])


def _evict(connection: sqlite3.Connection, limit_bytes: int) -> None:
    while (excess := total_bytes(connection) - limit_bytes) > 0:
        for entry_id, rank, size_bytes in connection.execute(
            "SELECT id, rank, size_bytes FROM entry ORDER BY rank LIMIT ?", (_EVICT_AT_ONCE,)
        ).fetchall():
            connection.execute("DELETE FROM entry WHERE id = ?", (entry_id,))
            connection.execute("UPDATE state SET floor = max(floor, ?)", (rank,))
            excess -= size_bytes
            if excess <= 0:
                break


def _shrink(connection: sqlite3.Connection) -> None:
    # It moves one page a step, and `execute` takes a single step of what returns no rows.
    connection.executescript("PRAGMA incremental_vacuum")


def _pack(value: bytes) -> tuple[bytes, bool]:
    packed = zlib.compress(value, _LEVEL)
    return (packed, True) if len(packed) < len(value) * _WORTH_PACKING else (value, False)


def _context(key: bytes, blob: str | None, *, is_packed: bool) -> bytes:
    return b"cache\0" + bytes([is_packed]) + key + (blob or "").encode()
