"""Makes the index anew from the packs alone."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress

import msgspec

from audobon.errors import AudobonError, ObjectNotFound, SubjectErased
from audobon.storage import notes
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.facts import KINDS, PackState
from audobon.storage.index import Index, add_pack
from audobon.storage.notes import Note
from audobon.storage.open_packs import SEAL_BYTES
from audobon.storage.pack_format import MOST_HEADER_BYTES, Head, Header, parse_header
from audobon.storage.pack_reading import Ciphers, Scan, read_footer, scan
from audobon.storage.port import ObjectInfo

# The newest record of a key counts; of two of one age, that in the newer pack: it was moved there.
_ADD = """
INSERT INTO blob (key, pack, offset, stored_bytes, size_bytes, flags, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    pack = excluded.pack, offset = excluded.offset, stored_bytes = excluded.stored_bytes,
    size_bytes = excluded.size_bytes, flags = excluded.flags, created_at = excluded.created_at
WHERE excluded.created_at >= blob.created_at
"""


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the packs.

    erased  packs whose subject was erased: nobody can read them
    faults  what could not be read, in words
    """

    packs: int = 0
    blobs: int = 0
    erased: int = 0
    faults: list[str] = []


class _Pack(msgspec.Struct, frozen=True):
    info: ObjectInfo
    header: Header
    found: Scan
    state: PackState
    notes: list[Note]


class Rebuilding:
    """Reads packs and tells an index of them."""

    def __init__(self, store: FolderObjectStore, ciphers: Ciphers) -> None:
        self._store = store
        self._ciphers = ciphers

    def names(self) -> Iterator[ObjectInfo]:
        """Yield all packs in the store, by name."""
        for kind in sorted(KINDS):
            for info in self._store.list(f"{kind}/"):
                if info.name.endswith(".pack"):
                    yield info

    def fill(
        self, connection: sqlite3.Connection, on_step: Callable[[int, int], None] | None = None
    ) -> Rebuilt:
        """Put all packs into empty tables, within a transaction.

        Packs that are being written to are taken as far as they are whole; nothing is changed in them.
        on_step  called as on_step(done, total) after every pack
        """
        faults: list[str] = []
        noted: list[ObjectInfo] = []
        count = erased = 0
        infos = self._oldest_first()
        # One pack is in memory at a time, however many there are.
        for done, info in enumerate(infos, start=1):
            try:
                pack = self.read(info)
                row = _add(connection, pack)
                count += 1
                erased += pack.found is _UNREADABLE
                if notes.enter(connection, row, pack.notes):
                    noted.append(info)
                if pack.found.is_damaged:
                    faults.append(f"the pack {info.name} is damaged in part")
            except ObjectNotFound:
                continue
            except AudobonError as error:
                faults.append(f"the pack {info.name}: {error.message}")
            if on_step is not None:
                on_step(done, len(infos))
        # Once all packs are known: notes name some that are newer than the one they lie in, and only the last
        # note of each blob counts, since an older one may tell of damage since mended.
        for info in noted:
            with suppress(AudobonError):
                notes.take_effect(connection, self.read(info).notes)
        blobs = connection.execute("SELECT count(*) FROM blob").fetchone()[0]
        return Rebuilt(packs=count, blobs=blobs, erased=erased, faults=faults)

    def _oldest_first(self) -> list[ObjectInfo]:
        """Return all packs by the age that their headers tell; those without a sound one are the first."""
        found: list[tuple[float, ObjectInfo]] = []
        for info in self.names():
            created_at = 0.0
            with suppress(AudobonError), self._store.open(info.name) as file:
                created_at = parse_header(file.read(MOST_HEADER_BYTES)).created_at
            found.append((created_at, info))
        return [info for _, info in sorted(found, key=lambda each: (each[0], each[1].name))]

    def read(self, info: ObjectInfo) -> _Pack:
        """Return what a pack holds. raises ObjectNotFound, Corrupt, NewerFormat, CorruptKeyring."""
        with self._store.open(info.name) as file:
            descriptor = file.fileno()
            try:
                cipher = self._ciphers.of(info.name, descriptor)
            except SubjectErased:
                header = parse_header(file.read(MOST_HEADER_BYTES))
                return _Pack(info, header, _UNREADABLE, "sealed", [])
            header = cipher.header
            footer = read_footer(descriptor, cipher)
            if footer is not None:
                found = Scan(footer[0], footer[2], is_sealed=True, is_damaged=False)
            else:
                found = scan(descriptor, cipher, len(header.data))
            # With anything behind its last record it may be a large blob that was cut off: nobody writes on.
            is_whole = found.end == info.size_bytes and not found.is_damaged
            is_open = is_whole and not found.is_sealed and info.size_bytes < SEAL_BYTES
            state: PackState = "open" if is_open else "sealed"
            return _Pack(info, header, found, state, found.notes(descriptor, cipher))

    def adopt(self, index: Index, name: str) -> int:
        """Note a pack that lies in the store; return its id in the index. raises ObjectNotFound, Corrupt."""
        pack = self.read(self._store.stat(name))
        with index.changing() as connection:
            row = _add(connection, pack)
            notes.apply(connection, row, pack.notes)
            # What was removed by name stays so.
            connection.execute(
                "UPDATE blob SET dead_at = (SELECT removed_at FROM note WHERE note.key = blob.key)"
                " WHERE pack = ? AND dead_at IS NULL AND EXISTS"
                " (SELECT 1 FROM note WHERE note.key = blob.key AND removed_at >= blob.created_at)",
                (row,),
            )
        return row


def empty(connection: sqlite3.Connection) -> None:
    """Forget all packs and blobs, within `changing`."""
    connection.execute("DELETE FROM note")
    connection.execute("DELETE FROM damaged")
    connection.execute("DELETE FROM blob")
    connection.execute("DELETE FROM pack")


_UNREADABLE = Scan([], 0, is_sealed=True, is_damaged=False)


def _add(connection: sqlite3.Connection, pack: _Pack) -> int:
    is_open = pack.state == "open"
    row = add_pack(
        connection,
        pack.header,
        tier=pack.info.tier,
        tier_since=pack.header.created_at,
        state=pack.state,
        size_bytes=pack.found.end if is_open else pack.info.size_bytes,
    )
    connection.executemany(_ADD, [_values(row, *record) for record in pack.found.blobs])
    return row


def _values(row: int, offset: int, head: Head) -> tuple[object, ...]:
    return (
        head.blob_id,
        row,
        offset,
        head.stored_bytes,
        head.size_bytes,
        head.flags,
        head.created_at,
    )
