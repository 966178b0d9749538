"""Compares the index of storage with the packs themselves."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache

import msgspec

from audobon.clock import utc_now
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.index import Index, IndexDamaged
from audobon.storage.index_schema import ERASED, FORMAT, INDEXES, SCHEMA, SEEN_FILES
from audobon.storage.notes import Note
from audobon.storage.pack_format import BLOB, Header
from audobon.storage.proving import Proof


class LostPack(msgspec.Struct, frozen=True):
    """What the index knows of a pack that cannot be read, so that the loss is not forgotten."""

    values: tuple[object, ...]
    blobs: list[tuple[bytes, int]]


_OF_ANOTHER_KIND = (
    "SELECT count(*) FROM pack WHERE (typeof(pack_id), typeof(name), typeof(subject), typeof(kind),"
    " typeof(tier), typeof(state)) != ('text', 'text', 'text', 'text', 'text', 'text')"
    " OR (typeof(size_bytes), typeof(created_at)) != ('integer', 'real')"
    " OR typeof(digest) NOT IN ('text', 'null') OR typeof(verified_at) NOT IN ('real', 'null')",
    "SELECT count(*) FROM blob WHERE (typeof(key), typeof(pack), typeof(offset), typeof(stored_bytes),"
    " typeof(size_bytes), typeof(flags), typeof(created_at))"
    " != ('blob', 'integer', 'integer', 'integer', 'integer', 'integer', 'real')",
)
_COLUMNS = "pack_id, name, subject, kind, tier, tier_since, state, size_bytes, digest, created_at"


def pack_name(kind: str, subject: str, pack_id: str) -> str:
    """Return the name that a pack has in its store."""
    return f"{kind}/{subject}/{pack_id[:2]}/{pack_id}.pack"


def faults_in_packs(index: Index, store: FolderObjectStore) -> Iterator[str]:
    """Yield what is wrong with the file of the index, and with what it says of packs, in words.

    raises  IndexDamaged when nothing in it can be relied on; it is made anew by whoever uses it next
    """
    told = [str(row[0]) for row in index.rows("PRAGMA integrity_check(5)")]
    if told != ["ok"]:
        yield from (f"{index.path.name}: {words}" for words in told)
    if sum(index.rows(query)[0][0] for query in _OF_ANOTHER_KIND):
        # A bit in the head of a row makes a number of a text, or nothing of both.
        index.give_up()
        raise IndexDamaged(
            f"{index.path.name} has cells that cannot be what was written",
            hint="run the same command again",
        )
    if _schema(index.rows) != _wanted_schema():
        yield f"{index.path.name} has other tables than it was made with"
    infos = {info.name: info for info in store.list() if info.name.endswith(".pack")}
    for row in index.rows("SELECT name, subject, kind, pack_id, tier, state, size_bytes, digest FROM pack"):
        name = pack_name(row["kind"], row["subject"], row["pack_id"])
        info = infos.get(name)
        if row["name"] != name:
            yield f"{index.path.name} has another name for the pack {name}"
        elif row["state"] not in ("open", "sealed") or (row["state"] == "open" and row["digest"]):
            yield f"{index.path.name} does not know whether {name} is sealed"
        elif info is not None and info.tier != row["tier"]:
            yield f"{index.path.name} has another tier for {name}"
    wrong = index.rows("SELECT count(*) FROM blob WHERE pack NOT IN (SELECT id FROM pack)")[0][0]
    if wrong == 0:
        # A bit in the head of a row turns NULL into nought.
        dead = "SELECT count(*) FROM blob WHERE dead_at < created_at - 86400 OR reads < 0"
        if index.rows(dead)[0][0]:
            yield f"{index.path.name} says that blobs died before they were stored"
    else:
        yield f"{index.path.name} has {wrong} blobs in packs that it does not know"


def faults_in_rows(index: Index, pack_row: int, proof: Proof, header: Header) -> Iterator[str]:
    """Yield where the index differs from a pack that is as it was written, in words."""
    rows = index.rows(
        "SELECT key, offset, stored_bytes, size_bytes, flags, created_at FROM blob WHERE pack = ?", pack_row
    )
    records = {offset: head for offset, head in proof.records if head.type == BLOB}
    for row in rows:
        if not proof.is_sealed and row["offset"] >= proof.size_bytes and _is_appended(index, pack_row, row):
            continue
        head = records.get(row["offset"])
        if head is None or (
            head.blob_id,
            head.stored_bytes,
            head.size_bytes,
            head.flags,
            head.created_at,
        ) != (
            row["key"],
            row["stored_bytes"],
            row["size_bytes"],
            row["flags"],
            row["created_at"],
        ):
            yield f"{index.path.name} is wrong about the blob {_hex(row['key'])[:12]}…"
    known = {row["key"] for row in rows}
    for key in proof.blobs.keys() - known:
        if not index.rows(
            "SELECT 1 FROM blob WHERE key = ? UNION ALL SELECT 1 FROM damaged WHERE key = ?", key, key
        ):
            yield f"{index.path.name} lacks the blob {key.hex()[:12]}…"
    found = index.rows("SELECT state, size_bytes, digest, created_at FROM pack WHERE id = ?", pack_row)
    if found and found[0]["created_at"] != header.created_at:
        yield f"{index.path.name} has another birth for the pack {header.name}"
    if found and found[0]["state"] == "sealed" and proof.is_sealed:
        size_bytes, digest = found[0]["size_bytes"], found[0]["digest"]
        if (digest, size_bytes) != (proof.digest, proof.size_bytes):
            yield f"{index.path.name} has another size or digest for a pack that is whole"


def _is_appended(index: Index, pack_row: int, row: sqlite3.Row) -> bool:
    """Tell whether a record came into an open pack after that was looked at."""
    now = index.rows("SELECT size_bytes FROM pack WHERE id = ?", pack_row)
    return bool(now) and row["offset"] + row["stored_bytes"] <= now[0][0]


def faults_in_notes(index: Index, pack_row: int, noted: list[Note]) -> Iterator[str]:
    """Yield where the index differs from the notes in a pack that is as it was written, in words."""
    known = {(note.key, note.number): note for note in noted}
    for row in index.rows(
        "SELECT hex(note.key) AS key, number, note.custom_time, note.event_hold, note.temporary_hold,"
        " note.kept_until, removed_at, blob.key AS there, blob.custom_time, blob.event_hold,"
        " blob.temporary_hold, blob.kept_until FROM note LEFT JOIN blob ON blob.key = note.key"
        " WHERE note.pack = ?",
        pack_row,
    ):
        note = known.get((row["key"].lower(), row["number"]))
        said = None
        if note is not None:
            said = (note.custom_time, note.event_hold, note.temporary_hold, note.kept_until)
        if (
            note is None
            or tuple(row)[2:6] != said
            or row["removed_at"] != note.dead_at
            or (row["there"] is not None and tuple(row)[8:12] != said)
        ):
            yield f"{index.path.name} is wrong about what is noted of the blob {row['key'][:12].lower()}…"


def lost_packs(index: Index, store: FolderObjectStore, unreadable: set[str]) -> list[LostPack]:
    """Return what is known of packs whose files are gone or cannot be read."""
    present = {info.name for info in store.list() if info.name.endswith(".pack")} - unreadable
    found = []
    for row in index.rows(f"SELECT id, {_COLUMNS} FROM pack"):  # noqa: S608
        name = pack_name(row["kind"], row["subject"], row["pack_id"])
        if row["name"] != name or name in present:
            continue
        blobs = index.rows(
            "SELECT key, offset FROM blob WHERE pack = ? AND dead_at IS NULL"
            " UNION SELECT key, offset FROM damaged WHERE pack = ?",
            row["id"],
            row["id"],
        )
        found.append(LostPack(tuple(row)[1:], [(each[0], each[1]) for each in blobs]))
    return found


def take_back(connection: sqlite3.Connection, lost: list[LostPack]) -> None:
    """Note lost packs in an index that was made anew, within `changing`, with what was lost in them."""
    for pack in lost:
        connection.execute(
            f"INSERT OR IGNORE INTO pack ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            pack.values,
        )
        row = connection.execute("SELECT id FROM pack WHERE pack_id = ?", (pack.values[0],)).fetchone()[0]
        connection.execute("UPDATE pack SET state = 'sealed' WHERE id = ?", (row,))
        connection.executemany(
            "INSERT OR IGNORE INTO damaged SELECT ?, ?, ?, ? WHERE NOT EXISTS"
            " (SELECT 1 FROM blob WHERE key = ?)",
            [(key, row, offset, utc_now(), key) for key, offset in pack.blobs],
        )


def _schema(rows: Callable[[str], list[sqlite3.Row]]) -> list[tuple[object, ...]]:
    tables = rows("SELECT type, name, sql FROM sqlite_master WHERE sql NOT NULL ORDER BY name")
    return [tuple(row) for row in [*tables, *rows("PRAGMA user_version")]]


@cache
def _wanted_schema() -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in (*SCHEMA.split(";"), *INDEXES, ERASED, SEEN_FILES):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        return _schema(lambda query: connection.execute(query).fetchall())


def _hex(key: object) -> str:
    return key.hex() if isinstance(key, bytes) else str(key)
