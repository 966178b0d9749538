"""Notes of blobs what must survive the loss of the index: holds, terms, removals, damage."""

import sqlite3
from collections.abc import Callable, Iterable

import msgspec

from audobon.clock import utc_now
from audobon.errors import OnHold
from audobon.processes import FileLock
from audobon.storage import notes
from audobon.storage.facts import Kind
from audobon.storage.index import Index
from audobon.storage.notes import Note
from audobon.storage.open_packs import NewRecord, OpenPacks
from audobon.storage.pack_format import NOTE

_NO_ID = bytes(32)
_MOST_TOGETHER = 1000

NOTED_ELSEWHERE = """
FROM note WHERE note.pack = ?1 AND (
    EXISTS (SELECT 1 FROM blob WHERE blob.key = note.key AND blob.pack != ?1
            AND (blob.dead_at IS NULL OR removed_at NOT NULL))
    OR EXISTS (SELECT 1 FROM damaged WHERE damaged.key = note.key AND damaged.pack != ?1))
"""
"""The notes in a pack that are of blobs in others, or of what was found damaged there and may be mended."""

Change = Callable[[Note], Note]


class Annotating:
    """Writes notes; one at a time, so that no change takes back another."""

    def __init__(self, index: Index, packs: OpenPacks, lock: FileLock) -> None:
        self._index = index
        self._packs = packs
        self._lock = lock

    def change(self, keys: Iterable[bytes], change: Change) -> None:
        """Change what is noted of blobs; returns when that outlasts a power cut. Others are left out."""
        wanted = list(dict.fromkeys(keys))
        with self._lock:
            for at in range(0, len(wanted), _MOST_TOGETHER):
                self._change(wanted[at : at + _MOST_TOGETHER], change)

    def carry_over(self, pack_row: int) -> None:
        """Write the notes that lie in a pack anew, for those blobs that are still known, before it goes."""
        with self._lock:
            rows = self._index.rows(f"SELECT note.key {NOTED_ELSEWHERE}", pack_row)
            self._change([row[0] for row in rows], lambda note: note)

    def _change(self, keys: list[bytes], change: Change) -> None:
        groups: dict[tuple[str, Kind], list[Note]] = {}
        with self._index.lock, self._index.errors():
            connection = self._index.connection
            for number, key in enumerate(keys, start=notes.next_number(connection)):
                place = _place(connection, key)
                if place is not None:
                    note = change(notes.note_of(connection, key, number))
                    groups.setdefault(place, []).append(note)
        for (subject, kind), made in groups.items():
            record = NewRecord(NOTE, _NO_ID, notes.encode(made), 0, utc_now())
            self._packs.append(subject, kind, [record])


def _place(connection: sqlite3.Connection, key: bytes) -> tuple[str, Kind] | None:
    found = connection.execute(
        "SELECT subject, kind FROM pack JOIN (SELECT pack FROM blob WHERE key = ? UNION ALL"
        " SELECT pack FROM damaged WHERE key = ?) AS held ON held.pack = pack.id LIMIT 1",
        (key, key),
    ).fetchone()
    return None if found is None else (found[0], found[1])


def removed(now: float) -> Change:
    """Return what notes that a blob was removed by name; it raises OnHold when something keeps it."""

    def remove(note: Note) -> Note:
        is_held = note.event_hold or note.temporary_hold
        demand_unheld(note.key, is_held=is_held, kept_until=note.kept_until, now=now)
        return msgspec.structs.replace(note, dead_at=now)

    return remove


def kept(until: float) -> Change:
    """Return what makes the term of a blob last until an instant, or longer as it was."""
    return lambda note: msgspec.structs.replace(note, kept_until=max(until, note.kept_until or 0.0))


def demand_unheld(key: str, *, is_held: bool, kept_until: float | None, now: float) -> None:
    """Refuse to remove a blob that a hold, or a term that is not over, keeps. raises OnHold."""
    if is_held or (kept_until or 0.0) > now:
        raise OnHold(f"blob {key[:12]}… is on hold", hint=f"audobon storage stat {key[:12]}")


def changed(**changes: object) -> Change:
    """Return what sets some fields of a note."""
    return lambda note: msgspec.structs.replace(note, **changes)
