"""What is noted of blobs in the packs, so that it survives the loss of the index.

A note tells the whole state of one blob, and lies encrypted among the records of a pack of its subject and
kind. The last one counts: they are numbered.
"""

import sqlite3
import time
from collections.abc import Iterable

import msgspec


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is noted of one blob.

    key      in hexadecimal
    dead_at  when it was removed by name. What is only swept is not noted: nobody will need it again either
    damaged  packs, and offsets in them, at which it was found damaged
    """

    number: int
    key: str
    custom_time: float | None = None
    event_hold: bool = False
    temporary_hold: bool = False
    kept_until: float | None = None
    dead_at: float | None = None
    damaged: tuple[tuple[str, int], ...] = ()


def encode(notes: list[Note]) -> bytes:
    """Return notes as one record holds them."""
    return msgspec.json.encode(notes)


def decode(data: bytes | memoryview) -> list[Note]:
    """Return what `encode` was given."""
    return msgspec.json.decode(data, type=list[Note])


def next_number(connection: sqlite3.Connection) -> int:
    """Return the number of a new note: above all others, even those that a power cut took back."""
    last = connection.execute("SELECT max(number) FROM note").fetchone()[0]
    return max((last or 0) + 1, time.time_ns() // 1000)


def apply(connection: sqlite3.Connection, pack_row: int, notes: Iterable[Note]) -> None:
    """Bring what the index knows of blobs up to notes that lie in a pack; older ones change nothing."""
    take_effect(connection, enter(connection, pack_row, notes))


def enter(connection: sqlite3.Connection, pack_row: int, notes: Iterable[Note]) -> list[Note]:
    """Note what notes that lie in a pack say, without effect on blobs; return those newer than all known."""
    entered = []
    last = {note.key: note for note in sorted(notes, key=lambda note: note.number)}
    for note in last.values():
        state = (note.custom_time, note.event_hold, note.temporary_hold, note.kept_until)
        changed = connection.execute(
            "INSERT INTO note VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET pack = excluded.pack, number = excluded.number,"
            " custom_time = excluded.custom_time, event_hold = excluded.event_hold,"
            " temporary_hold = excluded.temporary_hold, kept_until = excluded.kept_until,"
            " removed_at = excluded.removed_at WHERE excluded.number > note.number",
            (bytes.fromhex(note.key), pack_row, note.number, *state, note.dead_at),
        )
        if changed.rowcount:
            entered.append(note)
    return entered


def take_effect(connection: sqlite3.Connection, notes: Iterable[Note]) -> None:
    """Have blobs be as notes say that were entered; those that newer ones have overtaken change nothing."""
    for note in notes:
        key = bytes.fromhex(note.key)
        is_last = connection.execute("SELECT 1 FROM note WHERE key = ? AND number = ?", (key, note.number))
        if is_last.fetchone() is None:
            continue
        inherit(connection, [key])
        connection.execute(
            "UPDATE blob SET dead_at = CASE WHEN created_at <= ? THEN ? END WHERE key = ?",
            (note.dead_at, note.dead_at, key),
        )
        for pack_id, offset in note.damaged:
            connection.execute(
                "INSERT OR IGNORE INTO damaged SELECT ?, id, ?, ? FROM pack WHERE pack_id = ?",
                (key, offset, note.number / 1e6, pack_id),
            )
            connection.execute(
                "DELETE FROM blob WHERE key = ? AND offset = ?"
                " AND pack = (SELECT id FROM pack WHERE pack_id = ?)",
                (key, offset, pack_id),
            )


def inherit(connection: sqlite3.Connection, keys: Iterable[bytes]) -> None:
    """Give blobs that came into the index what was noted of their keys before."""
    if connection.execute("SELECT 1 FROM note LIMIT 1").fetchone() is None:
        return
    connection.executemany(
        "UPDATE blob SET (custom_time, event_hold, temporary_hold, kept_until) ="
        " (SELECT custom_time, event_hold, temporary_hold, kept_until FROM note WHERE note.key = blob.key)"
        " WHERE key = ? AND EXISTS (SELECT 1 FROM note WHERE note.key = blob.key)",
        [(key,) for key in keys],
    )


def note_of(connection: sqlite3.Connection, key: bytes, number: int) -> Note:
    """Return the state of a blob, as the index has it, as a new note."""
    row = connection.execute(
        "SELECT custom_time, event_hold, temporary_hold, kept_until, removed_at FROM note WHERE key = ?",
        (key,),
    ).fetchone() or (None, 0, 0, None, None)
    damaged = connection.execute(
        "SELECT pack.pack_id, offset FROM damaged JOIN pack ON pack.id = damaged.pack WHERE key = ?", (key,)
    ).fetchall()
    return Note(
        number=number,
        key=key.hex(),
        custom_time=row[0],
        event_hold=bool(row[1]),
        temporary_hold=bool(row[2]),
        kept_until=row[3],
        dead_at=row[4],
        damaged=tuple((each[0], each[1]) for each in damaged),
    )
