"""Compares the index of storage with the packs themselves."""

import sqlite3
from collections.abc import Iterator

import msgspec

from audobon.clock import utc_now
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.index import Index
from audobon.storage.pack_format import BLOB
from audobon.storage.proving import Proof


class LostPack(msgspec.Struct, frozen=True):
    """What the index knows of a pack that cannot be read, so that the loss is not forgotten."""

    values: tuple[object, ...]
    blobs: list[tuple[bytes, int]]


_COLUMNS = "pack_id, name, subject, kind, tier, tier_since, state, size_bytes, digest, created_at"


def pack_name(kind: str, subject: str, pack_id: str) -> str:
    """Return the name that a pack has in its store."""
    return f"{kind}/{subject}/{pack_id[:2]}/{pack_id}.pack"


def faults_in_packs(index: Index, store: FolderObjectStore) -> Iterator[str]:
    """Yield what is wrong with the file of the index, and with what it says of packs, in words."""
    told = [str(row[0]) for row in index.rows("PRAGMA integrity_check(5)")]
    if told != ["ok"]:
        yield from (f"{index.path.name}: {words}" for words in told)
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
    if wrong:
        yield f"{index.path.name} has {wrong} blobs in packs that it does not know"


def faults_in_rows(index: Index, pack_row: int, proof: Proof) -> Iterator[str]:
    """Yield where the index differs from a pack that is as it was written, in words."""
    rows = index.rows(
        "SELECT key, offset, stored_bytes, size_bytes, flags, created_at FROM blob WHERE pack = ?", pack_row
    )
    records = {offset: head for offset, head in proof.records if head.type == BLOB}
    for row in rows:
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
    if found and found[0]["state"] == "sealed" and proof.is_sealed:
        size_bytes, digest = found[0]["size_bytes"], found[0]["digest"]
        if (digest, size_bytes) != (proof.digest, proof.size_bytes):
            yield f"{index.path.name} has another size or digest for a pack that is whole"


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


def _hex(key: object) -> str:
    return key.hex() if isinstance(key, bytes) else str(key)
