"""Packs that small blobs are appended to, by many threads and processes at once."""

import os
import secrets
import sqlite3
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, NamedTuple

import blake3

from audobon.atomic import disk_errors
from audobon.clock import utc_now
from audobon.errors import AudobonError, ObjectNotFound
from audobon.keys.service import Keys
from audobon.keys.streaming import HEADER_BYTES as STREAM_HEADER_BYTES
from audobon.keys.streaming import encrypt
from audobon.processes import FileLock
from audobon.storage import zstd_frames
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.facts import Kind
from audobon.storage.index import Index, add_blobs, add_pack, advance, move_blobs, set_aside
from audobon.storage.pack_format import BLOB, ZSTD, Head, Header, PackCipher, make_header
from audobon.storage.pack_reading import Ciphers, Scan, scan

if sys.platform != "win32":
    import fcntl

SEAL_BYTES = 32 << 20
_PIECE_BYTES = 1 << 20


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

    def __init__(self, row: int, file: IO[bytes], cipher: PackCipher, end: int) -> None:
        self.row = row
        self.file = file
        self.cipher = cipher
        self.end = end


class Written(NamedTuple):
    """Records that were appended, but are not durable yet; see `OpenPacks.settle`."""

    pack: _Open
    start: int
    end: int
    records: list[tuple[int, Head]]


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
    """The open packs of a store; what `append` returned from outlasts a power cut."""

    def __init__(
        self, index: Index, store: FolderObjectStore, ciphers: Ciphers, keys: Keys, creation: FileLock
    ) -> None:
        self._index = index
        self._store = store
        self._ciphers = ciphers
        self._keys = keys
        self._creation = creation
        self._groups: dict[tuple[str, Kind], _Group] = {}
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
                    self.settle([self.write(subject, kind, together)])
                except BaseException as error:
                    for each in taken:
                        each.error = error
                    raise
                finally:
                    for each in taken:
                        each.is_done = True
        if request.error is not None:
            raise request.error

    def write(self, subject: str, kind: Kind, records: Sequence[NewRecord]) -> Written:
        """Append records without waiting for the disk."""
        group = self._group(subject, kind)
        with group.leading:
            while True:
                pack = self._current(group, subject, kind)
                with disk_errors(self._store.folder), _locked(pack.file):
                    if self._is_fit(pack):
                        written = _append(pack, records)
                        if written.end >= SEAL_BYTES:
                            # Full: it is sealed, and its file closed, when what was written is settled.
                            group.pack = None
                        return written
                self._let_go(group)

    def settle(
        self, written: Sequence[Written], *, moved_from: tuple[int, list[tuple[bytes, int]]] | None = None
    ) -> None:
        """Wait until what was appended is on the disk, and note it in the index; full packs are sealed.

        moved_from  the pack it was copied from, as the index knows it, with key and offset of each record
        """
        for descriptor in {each.pack.file.fileno() for each in written}:
            try:
                with disk_errors(self._store.folder):
                    _sync(descriptor)
            except AudobonError:
                # The system tells only once that it lost what was written: nobody may write on after it.
                self._give_up([each.pack for each in written])
                raise
        with self._index.changing(is_hasty=True) as connection:
            for each in written:
                blobs = [record for record in each.records if record[1].type == BLOB]
                if moved_from is None:
                    add_blobs(connection, each.pack.row, blobs)
                else:
                    move_blobs(connection, each.pack.row, blobs, *moved_from)
                advance(connection, each.pack.row, each.start, each.end)
        for pack in {id(each.pack): each.pack for each in written if each.end >= SEAL_BYTES}.values():
            self.seal(pack.row)
            pack.file.close()

    def seal_all(self) -> int:
        """Seal every pack that is open; return how many."""
        rows = self._index.rows("SELECT id FROM pack WHERE state = 'open' OR digest IS NULL")
        return sum(self.seal(row[0]) for row in rows)

    def seal(self, row: int) -> bool:
        """Seal a pack, so that it never changes again; False when somebody did, or it is gone."""
        with ExitStack() as held:
            try:
                name, file = held.enter_context(self.locked(row))
            except ObjectNotFound:
                return False
            found = self._index.rows("SELECT state, digest, size_bytes FROM pack WHERE id = ?", row)
            if not found or (found[0]["state"] == "sealed" and found[0]["digest"] is not None):
                return False
            cipher = self._ciphers.of(name, file)
            whole = scan(file, cipher, len(cipher.header.data))
            with disk_errors(self._store.folder):
                if not whole.is_sealed:
                    _write_footer(file, cipher, whole)
                size, digest = _digest(file)
            with self._index.changing() as connection:
                _note_sealed(connection, row, whole, size, digest)
            return True

    def heal(self) -> list[str]:
        """Note what the packs know and the index does not, as after a power cut; return what was found amiss.

        Packs whose length is as the index knows it, all but those that are being written to, cost one look.
        """
        told: list[str] = []
        for row in self._index.rows("SELECT id, name, size_bytes FROM pack WHERE state = 'open'"):
            try:
                size = self._store.path(row["name"]).stat().st_size
            except (ObjectNotFound, FileNotFoundError):
                told.append(f"the pack {row['name']} is missing")
                self._lose(row["id"], 0)
                continue
            if size != row["size_bytes"]:
                try:
                    told += self._heal(row["id"])
                except AudobonError as error:
                    told.append(f"the pack {row['name']}: {error.message}")
        return told

    @contextmanager
    def locked(self, row: int) -> Iterator[tuple[str, IO[bytes]]]:
        """Hold an open pack so that nobody appends to it; yields its name and file. raises ObjectNotFound."""
        found = self._index.rows("SELECT name FROM pack WHERE id = ?", row)
        if not found:
            raise ObjectNotFound("the pack is gone")
        name = str(found[0][0])
        with disk_errors(self._store.folder):
            path = self._store.path(name)
            try:
                file = path.open("r+b")
            except FileNotFoundError:
                raise ObjectNotFound(f"there is no object {name}") from None
            with file, _locked(file):
                if os.fstat(file.fileno()).st_nlink == 0:
                    raise ObjectNotFound(f"there is no object {name}")
                yield name, file

    def close(self) -> None:
        """Let go of the files."""
        with self._mutex:
            groups = list(self._groups.values())
        for group in groups:
            with group.leading:
                self._let_go(group)

    def _group(self, subject: str, kind: Kind) -> _Group:
        with self._mutex:
            return self._groups.setdefault((subject, kind), _Group())

    def _current(self, group: _Group, subject: str, kind: Kind) -> _Open:
        if group.pack is None:
            with self._creation:
                group.pack = self._find_open(subject, kind) or self._create(subject, kind)
        return group.pack

    def _find_open(self, subject: str, kind: Kind) -> _Open | None:
        for row in self._index.rows(
            "SELECT id, name, size_bytes FROM pack WHERE state = 'open' AND subject = ? AND kind = ?"
            " ORDER BY id DESC",
            subject,
            kind,
        ):
            try:
                file = self._store.path(row["name"]).open("r+b", buffering=0)
            except (ObjectNotFound, FileNotFoundError):
                self._lose(row["id"], 0)
                continue
            if os.fstat(file.fileno()).st_size >= SEAL_BYTES:
                # About to be sealed, or its writer died before it could.
                file.close()
                continue
            try:
                return _Open(row["id"], file, self._ciphers.of(row["name"], file), row["size_bytes"])
            except AudobonError:
                # Nobody shall write on in it; what can be read of it is read.
                file.close()
                self._lose(row["id"], row["size_bytes"])
        return None

    def _create(self, subject: str, kind: Kind) -> _Open:
        header, cipher = new_pack(self._keys, self._ciphers, subject, kind)
        with self._store.create(header.name) as made:
            made.write(header.data)
        file = self._store.path(header.name).open("r+b", buffering=0)
        with self._index.changing() as connection:
            row = add_pack(
                connection,
                header,
                tier="standard",
                tier_since=header.created_at,
                state="open",
                size_bytes=len(header.data),
            )
        return _Open(row, file, cipher, len(header.data))

    def _is_fit(self, pack: _Open) -> bool:
        """Tell whether records can be appended, having cut what a dead writer left; the file is locked."""
        status = os.fstat(pack.file.fileno())
        if status.st_nlink == 0:
            return False
        if status.st_size == pack.end:
            return True
        if status.st_size < pack.end:
            self._lose(pack.row, status.st_size)
            return False
        found = scan(pack.file, pack.cipher, pack.end)
        if found.is_sealed:
            # By one who died before it noted so, if the index says it is open.
            if self._index.rows("SELECT 1 FROM pack WHERE id = ? AND state = 'open'", pack.row):
                self._note_whole(pack.row, pack.file, pack.cipher)
            return False
        if found.end < status.st_size:
            os.ftruncate(pack.file.fileno(), found.end)
        pack.end = found.end
        return True

    def _note_whole(self, row: int, file: IO[bytes], cipher: PackCipher) -> None:
        whole = scan(file, cipher, len(cipher.header.data))
        size, digest = _digest(file)
        os.fsync(file.fileno())
        with self._index.changing() as connection:
            _note_sealed(connection, row, whole, size, digest)

    def _heal(self, row: int) -> list[str]:
        try:
            with self.locked(row) as (name, file):
                found = self._index.rows("SELECT size_bytes FROM pack WHERE id = ? AND state = 'open'", row)
                size = os.fstat(file.fileno()).st_size
                if not found or size == found[0][0]:
                    return []
                known = int(found[0][0])
                if size < known:
                    self._lose(row, size)
                    return [f"the pack {name} is shorter than what was written to it"]
                cipher = self._ciphers.of(name, file)
                beyond = scan(file, cipher, known)
                if beyond.is_sealed:
                    self._note_whole(row, file, cipher)
                    return []
                if beyond.end < size:
                    os.ftruncate(file.fileno(), beyond.end)
                os.fsync(file.fileno())
                with self._index.changing() as connection:
                    blobs = [record for record in beyond.records if record[1].type == BLOB]
                    add_blobs(connection, row, blobs)
                    advance(connection, row, known, beyond.end)
                return []
        except ObjectNotFound:
            return []

    def _lose(self, row: int, size: int) -> None:
        """Note that an open pack is not to be written to, and that what lay beyond its size is lost."""
        with self._index.changing() as connection:
            lost = connection.execute(
                "SELECT key, offset FROM blob WHERE pack = ? AND offset + stored_bytes > ?", (row, size)
            ).fetchall()
            for key, offset in lost:
                set_aside(connection, key, row, offset, utc_now())
            connection.execute("UPDATE pack SET state = 'sealed' WHERE id = ?", (row,))

    def _give_up(self, packs: Sequence[_Open]) -> None:
        with self._index.changing() as connection:
            for pack in packs:
                connection.execute("UPDATE pack SET state = 'sealed' WHERE id = ?", (pack.row,))
        for group in self._groups.values():
            if group.pack in packs:
                self._let_go(group)

    def _let_go(self, group: _Group) -> None:
        pack, group.pack = group.pack, None
        if pack is not None:
            pack.file.close()


def new_pack(keys: Keys, ciphers: Ciphers, subject: str, kind: Kind) -> tuple[Header, PackCipher]:
    """Return the header of a new pack, and what seals its records. raises SubjectErased, SubjectNotFound."""
    data_key = keys.new_data_key(subject)
    header = make_header(
        pack_id=secrets.token_hex(16),
        kind=kind,
        created_at=utc_now(),
        key_id=data_key.id,
        subject_version=data_key.subject_version,
        subject=subject,
        wrapped=data_key.wrapped,
    )
    return header, ciphers.hold(header, data_key.key)


@contextmanager
def _locked(file: IO[bytes]) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if not file.closed:
            fcntl.flock(file, fcntl.LOCK_UN)


def _sync(descriptor: int) -> None:
    if sys.platform == "linux":
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def _append(pack: _Open, records: Sequence[NewRecord]) -> Written:
    parts: list[bytes] = []
    placed: list[tuple[int, Head]] = []
    start = at = pack.end
    for record in records:
        sealed_head, head, stream = _sealed(pack.cipher, record)
        parts += (sealed_head, stream)
        placed.append((at, head))
        at += head.record_bytes
    data = b"".join(parts)
    descriptor = pack.file.fileno()
    done = 0
    try:
        while done < len(data):
            done += os.pwrite(descriptor, memoryview(data)[done:], start + done)
    except BaseException:
        # Without room not even half a record shall stay.
        os.ftruncate(descriptor, start)
        raise
    pack.end = at
    return Written(pack, start, at, placed)


def _sealed(cipher: PackCipher, record: NewRecord) -> tuple[bytes, Head, bytes]:
    plain: bytes | memoryview = record.data
    flags = record.flags
    if zstd_frames.helps(plain):
        packed = zstd_frames.compress(plain)
        if len(packed) < len(plain):
            plain, flags = packed, flags | ZSTD
    stream = encrypt(cipher.key, plain, context=cipher.context)
    head = Head(record.type, flags, record.blob_id, len(record.data), len(stream), record.created_at)
    return cipher.seal_head(head, stream[:STREAM_HEADER_BYTES]), head, stream


def _write_footer(file: IO[bytes], cipher: PackCipher, whole: Scan) -> None:
    os.ftruncate(file.fileno(), whole.end)
    os.fsync(file.fileno())
    _, digest = _digest(file)
    footer = cipher.seal_footer(whole.records, bytes.fromhex(digest))
    os.pwrite(file.fileno(), footer, whole.end)
    os.fsync(file.fileno())


def _digest(file: IO[bytes]) -> tuple[int, str]:
    found = blake3.blake3()
    at = 0
    while piece := os.pread(file.fileno(), _PIECE_BYTES, at):
        found.update(piece)
        at += len(piece)
    return at, found.hexdigest()


def _note_sealed(connection: sqlite3.Connection, row: int, whole: Scan, size: int, digest: str) -> None:
    add_blobs(connection, row, [record for record in whole.records if record[1].type == BLOB])
    connection.execute(
        "UPDATE pack SET state = 'sealed', size_bytes = ?, digest = ? WHERE id = ?", (size, digest, row)
    )
