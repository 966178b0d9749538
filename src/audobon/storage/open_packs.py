"""Packs that small blobs are appended to, by many threads and processes at once."""

import os
import secrets
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from audobon.atomic import disk_errors
from audobon.clock import utc_now
from audobon.errors import AudobonError, CorruptKeyring, NewerFormat, ObjectNotFound, SubjectErased
from audobon.keys.service import Keys
from audobon.keys.streaming import HEADER_BYTES as STREAM_HEADER_BYTES
from audobon.keys.streaming import encrypt
from audobon.processes import FileLock
from audobon.storage import zstd_frames
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.facts import Kind
from audobon.storage.index import Index, add_blobs, add_pack, advance, move_blobs, row_of
from audobon.storage.notes import Note, apply, decode
from audobon.storage.pack_care import Locked, PackCare, locked
from audobon.storage.pack_format import BLOB, NOTE, ZSTD, Head, Header, PackCipher, make_header
from audobon.storage.pack_reading import Ciphers, scan

SEAL_BYTES = 32 << 20
_MOST_OPEN = 32


class NewRecord(NamedTuple):
    """What is to be appended.

    data  of a blob or a note, as it is to be read again
    """

    type: int
    blob_id: bytes
    data: bytes | memoryview
    flags: int
    created_at: float


class _Open:
    """A pack that this process appends to; `end`: where its next record goes, if no other was quicker."""

    def __init__(self, row: int, name: str, path: Path, end: int) -> None:
        self.row = row
        self.name = name
        self.path = path
        self.end = end
        self.descriptor = os.open(path, os.O_RDWR)

    def __del__(self) -> None:
        # With the last of what was written to it, so that the descriptor is never one of another file.
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class Written(NamedTuple):
    """Records that were appended, but are not durable yet; see `OpenPacks.settle`."""

    pack: _Open
    start: int
    end: int
    records: list[tuple[int, Head]]
    notes: list[Note]


class _Request:
    def __init__(self, records: Sequence[NewRecord]) -> None:
        self.records = records
        self.is_done = False
        self.error: BaseException | None = None


class _Group:
    """What is appended for one subject and kind in this process."""

    def __init__(self) -> None:
        self.leading = threading.RLock()
        self.mutex = threading.Lock()
        self.waiting: list[_Request] = []
        self.pack: _Open | None = None


class OpenPacks:
    """The open packs of a store; what `append` returned from outlasts a power cut.

    creation  held while one looks for an open pack or begins one, so that all find the same
    """

    def __init__(
        self,
        index: Index,
        store: FolderObjectStore,
        ciphers: Ciphers,
        keys: Keys,
        care: PackCare,
        creation: FileLock,
    ) -> None:
        self._index = index
        self._store = store
        self._ciphers = ciphers
        self._keys = keys
        self._care = care
        self._creation = creation
        self._groups: dict[tuple[str, Kind], _Group] = {}
        self._opened: list[_Group] = []
        self._mutex = threading.Lock()

    def append(self, subject: str, kind: Kind, records: Sequence[NewRecord]) -> None:
        """Append records; return when they are durable and stand in the index.

        Threads that come while one waits for the disk are served together by its next round.
        """
        group = self._group(subject, kind)
        request = _Request(records)
        with group.mutex:
            group.waiting.append(request)
        with group.leading:
            if not request.is_done:
                with group.mutex:
                    taken, group.waiting = group.waiting, []
                try:
                    together = [record for each in taken for record in each.records]
                    self._append(group, subject, kind, together)
                except BaseException as error:
                    for each in taken:
                        each.error = error
                    raise
                finally:
                    for each in taken:
                        each.is_done = True
        if request.error is not None:
            raise request.error

    def _append(self, group: _Group, subject: str, kind: Kind, records: Sequence[NewRecord]) -> None:
        try:
            self.settle([self.write(subject, kind, records)])
        except ObjectNotFound:
            # Collected or erased this instant, or not found again by who made the index anew.
            group.pack = None
            self.settle([self.write(subject, kind, records)])

    def write(self, subject: str, kind: Kind, records: Sequence[NewRecord]) -> Written:
        """Append records without waiting for the disk."""
        group = self._group(subject, kind)
        with group.leading:
            while True:
                pack = self._current(group, subject, kind)
                # Asked each time: the subject may have been erased meanwhile.
                cipher = self._ciphers.of(pack.name, pack.descriptor)
                with disk_errors(self._store.folder), locked(pack.descriptor):
                    if self._is_fit(pack, cipher):
                        written = _append(pack, cipher, records)
                        if written.end >= SEAL_BYTES:
                            group.pack = None
                        return written
                group.pack = None

    def settle(
        self, written: Sequence[Written], *, moved_from: tuple[int, list[tuple[bytes, int]]] | None = None
    ) -> None:
        """Wait until what was appended is on the disk, and note it in the index; full packs are sealed.

        moved_from  the pack it was copied from, as the index knows it, with key and offset of each record
        """
        for pack in {each.pack.row: each.pack for each in written}.values():
            try:
                with disk_errors(self._store.folder):
                    _sync(pack.descriptor)
            except AudobonError:
                # The system tells only once that it lost what was written: nobody may write on after it.
                self._give_up(pack)
                raise
        with self._index.changing(is_hasty=True) as connection:
            for each in written:
                each.pack.row = row_of(connection, each.pack.name)
                blobs = [record for record in each.records if record[1].type == BLOB]
                if moved_from is None:
                    add_blobs(connection, each.pack.row, blobs, is_fresh=True)
                else:
                    move_blobs(connection, each.pack.row, blobs, *moved_from)
                apply(connection, each.pack.row, each.notes)
                advance(connection, each.pack.row, each.start, each.end)
        for row in {each.pack.row for each in written if each.end >= SEAL_BYTES}:
            self._care.seal(row)

    def close(self) -> None:
        """Let go of the files."""
        with self._mutex:
            self._groups.clear()
            self._opened.clear()

    def _group(self, subject: str, kind: Kind) -> _Group:
        with self._mutex:
            return self._groups.setdefault((subject, kind), _Group())

    def _current(self, group: _Group, subject: str, kind: Kind) -> _Open:
        pack = group.pack
        if pack is None:
            with self._creation:
                pack = group.pack = self._find_open(subject, kind) or self._create(subject, kind)
            self._let_go_of_most(group)
        return pack

    def _let_go_of_most(self, latest: _Group) -> None:
        """Close the packs opened longest ago when they are many: a process may have few files open."""
        with self._mutex:
            if latest in self._opened:
                self._opened.remove(latest)
            self._opened.append(latest)
            while len(self._opened) > _MOST_OPEN:
                # Whoever writes to it this instant holds it still.
                self._opened.pop(0).pack = None

    def _find_open(self, subject: str, kind: Kind) -> _Open | None:
        for row in self._index.rows(
            "SELECT id, name, size_bytes FROM pack WHERE state = 'open' AND subject = ? AND kind = ?"
            " ORDER BY id DESC",
            subject,
            kind,
        ):
            try:
                pack = _Open(row["id"], row["name"], self._store.path(row["name"]), row["size_bytes"])
            except (ObjectNotFound, FileNotFoundError):
                self._care.lose(row["id"], 0)
                continue
            if os.fstat(pack.descriptor).st_size >= SEAL_BYTES:
                # About to be sealed, or its writer died before it could.
                continue
            try:
                self._ciphers.of(pack.name, pack.descriptor)
            except (SubjectErased, CorruptKeyring, NewerFormat):
                raise
            except AudobonError:
                # Nobody shall write on in it; what can be read of it is read.
                self._care.lose(pack.row, pack.end)
                continue
            return pack
        return None

    def _create(self, subject: str, kind: Kind) -> _Open:
        header, _ = new_pack(self._keys, self._ciphers, subject, kind)
        with self._store.create(header.name) as made:
            made.write(header.data)
        size = len(header.data)
        with self._index.changing() as connection:
            row = add_pack(
                connection,
                header,
                tier="standard",
                tier_since=header.created_at,
                state="open",
                size_bytes=size,
            )
        return _Open(row, header.name, self._store.path(header.name), size)

    def _is_fit(self, pack: _Open, cipher: PackCipher) -> bool:
        """Tell whether records can be appended, having cut what a dead writer left; the file is locked."""
        status = os.fstat(pack.descriptor)
        try:
            if not os.path.samestat(status, pack.path.lstat()):
                return False
        except FileNotFoundError:
            return False
        if status.st_size == pack.end:
            return True
        if status.st_size < pack.end:
            self._care.lose(pack.row, status.st_size)
            return False
        found = scan(pack.descriptor, cipher, pack.end)
        if found.is_sealed:
            # By one who may have died before it noted so.
            if self._index.rows("SELECT 1 FROM pack WHERE id = ? AND state = 'open'", pack.row):
                self._care.catch_up(pack.row, Locked(pack.name, pack.descriptor), pack.end)
            return False
        if found.end < status.st_size:
            os.ftruncate(pack.descriptor, found.end)
        pack.end = found.end
        return True

    def _give_up(self, pack: _Open) -> None:
        with self._index.changing() as connection:
            connection.execute("UPDATE pack SET state = 'sealed' WHERE id = ?", (pack.row,))
        with self._mutex:
            for group in self._groups.values():
                if group.pack is not None and group.pack.row == pack.row:
                    group.pack = None


def new_pack(keys: Keys, ciphers: Ciphers, subject: str, kind: Kind) -> tuple[Header, PackCipher]:
    """Return the header of a new pack, and what seals its records. raises SubjectErased, SubjectNotFound."""
    data_key = keys.new_data_key(subject)
    header = make_header(
        pack_id=secrets.token_hex(16),
        kind=kind,
        created_at=utc_now(),
        key_id=data_key.id,
        subject_version=data_key.subject_version,
        subject=data_key.subject,
        wrapped=data_key.wrapped,
    )
    return header, ciphers.hold(header, data_key.key)


def _sync(descriptor: int) -> None:
    if sys.platform == "linux":
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def _append(pack: _Open, cipher: PackCipher, records: Sequence[NewRecord]) -> Written:
    parts: list[bytes] = []
    placed: list[tuple[int, Head]] = []
    start = at = pack.end
    for record in records:
        sealed_head, head, stream = _sealed(cipher, record)
        parts += (sealed_head, stream)
        placed.append((at, head))
        at += head.record_bytes
    data = b"".join(parts)
    done = 0
    try:
        while done < len(data):
            done += os.pwrite(pack.descriptor, memoryview(data)[done:], start + done)
    except BaseException:
        # Without room not even half a record shall stay.
        os.ftruncate(pack.descriptor, start)
        raise
    pack.end = at
    notes = [note for record in records if record.type == NOTE for note in decode(record.data)]
    return Written(pack, start, at, placed, notes)


def _sealed(cipher: PackCipher, record: NewRecord) -> tuple[bytes, Head, bytes]:
    plain: bytes | memoryview = record.data
    flags = record.flags
    packed = zstd_frames.compressed_if_it_helps(plain)
    if packed is not None:
        plain, flags = packed, flags | ZSTD
    stream = encrypt(cipher.key, plain, context=cipher.context)
    head = Head(record.type, flags, record.blob_id, len(record.data), len(stream), record.created_at)
    return cipher.seal_head(head, stream[:STREAM_HEADER_BYTES]), head, stream
