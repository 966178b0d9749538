"""Tells what a store holds: single blobs, blobs by what is known of them, packs, and what they take."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec

from audobon.sqlite import connect_to_look
from audobon.storage.facts import BlobInfo, Kind, PackInfo, Usage
from audobon.storage.index import Index
from audobon.storage.pack_format import LEGACY, ZSTD
from audobon.storage.port import Tier

_BLOBS = """
SELECT blob.key, pack.subject, pack.kind, pack.tier, pack.name AS pack, blob.offset, blob.stored_bytes,
       blob.size_bytes, blob.flags, blob.created_at, blob.reads, blob.last_read_at, blob.custom_time,
       blob.event_hold, blob.temporary_hold, blob.kept_until, blob.dead_at
FROM blob JOIN pack ON pack.id = blob.pack
"""

_PACKS = """
SELECT pack.pack_id AS id, pack.name, pack.subject, pack.kind, pack.tier, pack.tier_since, pack.state,
       pack.size_bytes, pack.digest, pack.created_at, pack.noncurrent_at, pack.verified_at,
       count(blob.key) AS blobs, coalesce(sum(blob.stored_bytes), 0) AS live_bytes
FROM pack LEFT JOIN blob ON blob.pack = pack.id AND blob.dead_at IS NULL
"""

_KEY_CHARS = 64
_KEYS_AT_ONCE = 10_000

_USAGE = """
SELECT pack.subject, pack.kind, pack.tier, sum(live.blobs) AS blobs, count(*) AS packs,
       sum(live.size_bytes) AS size_bytes, sum(pack.size_bytes) AS stored_bytes,
       sum(CASE WHEN live.blobs = 0 THEN pack.size_bytes ELSE live.dead_bytes END) AS dead_bytes
FROM pack JOIN (
    SELECT pack.id, count(blob.key) FILTER (WHERE blob.dead_at IS NULL) AS blobs,
           coalesce(sum(blob.size_bytes) FILTER (WHERE blob.dead_at IS NULL), 0) AS size_bytes,
           coalesce(sum(blob.stored_bytes) FILTER (WHERE blob.dead_at IS NOT NULL), 0) AS dead_bytes
    FROM pack LEFT JOIN blob ON blob.pack = pack.id GROUP BY pack.id
) AS live ON live.id = pack.id
GROUP BY pack.subject, pack.kind, pack.tier ORDER BY pack.subject, pack.kind, pack.tier
"""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which blobs are looked for; None: all.

    prefix                     of the key, in hexadecimal
    created_before, created_after   UTC seconds
    is_dead                    those removed, that can still be brought back, instead of the living
    """

    prefix: str = ""
    subject: str | None = None
    kind: Kind | None = None
    tier: Tier | None = None
    least_bytes: int | None = None
    most_bytes: int | None = None
    created_before: float | None = None
    created_after: float | None = None
    is_dead: bool = False


def look(index: Index, query: str, *values: Any) -> list[sqlite3.Row]:
    """Return the answer to a query; an index that is not open is not made, mended or written to for it.

    None at all where there is none, or it cannot be read.
    """
    if index.is_current:
        return index.rows(query, *values)
    if not index.exists:
        return []
    try:
        with closing(connect_to_look(index.path)) as connection:
            return connection.execute(query, values).fetchall()
    except (sqlite3.Error, UnicodeDecodeError):
        return []


def blob(index: Index, key: bytes) -> BlobInfo | None:
    """Return what is known of a blob, alive or dead; None when it is not known."""
    found = index.rows(_BLOBS + "WHERE blob.key = ?", key)
    return _info(found[0]) if found else None


def blobs(index: Index, wanted: Wanted, *, newest: int | None = None) -> list[BlobInfo]:
    """Return the blobs that are looked for, oldest first.

    newest  at most so many, the newest of them
    """
    where = ["blob.dead_at IS NOT NULL" if wanted.is_dead else "blob.dead_at IS NULL"]
    values: list[Any] = []
    if wanted.prefix:
        # As a range, so that not every key is looked at.
        try:
            first, last = (bytes.fromhex(wanted.prefix.ljust(_KEY_CHARS, end)) for end in "0f")
        except ValueError:
            return []
        where.append("blob.key BETWEEN ? AND ?")
        values += [first, last]
    for condition, value in (
        ("pack.subject = ?", wanted.subject),
        ("pack.kind = ?", wanted.kind),
        ("pack.tier = ?", wanted.tier),
        ("blob.size_bytes >= ?", wanted.least_bytes),
        ("blob.size_bytes <= ?", wanted.most_bytes),
        ("blob.created_at < ?", wanted.created_before),
        ("blob.created_at > ?", wanted.created_after),
    ):
        if value is not None:
            where.append(condition)
            values.append(value)
    query = f"{_BLOBS} WHERE {' AND '.join(where)} ORDER BY blob.created_at DESC, blob.key DESC LIMIT ?"
    found = index.rows(query, *values, -1 if newest is None else newest)
    return [_info(row) for row in reversed(found)]


def keys(index: Index) -> Iterator[str]:
    """Yield the keys of all living blobs, some at a time."""
    last = b""
    while rows := index.rows(
        "SELECT key FROM blob WHERE dead_at IS NULL AND key > ? ORDER BY key LIMIT ?", last, _KEYS_AT_ONCE
    ):
        yield from (row[0].hex() for row in rows)
        last = rows[-1][0]


def packs(index: Index, *, sealed_only: bool = True) -> Iterator[PackInfo]:
    """Yield what is known of the packs, oldest first; without `sealed_only` open ones too."""
    where = "WHERE pack.digest IS NOT NULL" if sealed_only else ""
    for row in index.rows(f"{_PACKS} {where} GROUP BY pack.id ORDER BY pack.created_at, pack.name"):
        yield PackInfo(**dict(row))


def usage(index: Index) -> list[Usage]:
    """Return what blobs take, by subject, kind and tier."""
    return [Usage(**dict(row)) for row in index.rows(_USAGE)]


def _info(row: sqlite3.Row) -> BlobInfo:
    facts = dict(row)
    flags = facts.pop("flags")
    return BlobInfo(
        **facts
        | {
            "key": row["key"].hex(),
            "is_packed": bool(flags & ZSTD),
            "is_legacy": bool(flags & LEGACY),
            "event_hold": bool(row["event_hold"]),
            "temporary_hold": bool(row["temporary_hold"]),
        }
    )
