"""Seals open packs, and notes what they know and the index does not, as after a power cut."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

import blake3

from audobon.atomic import disk_errors
from audobon.clock import utc_now
from audobon.errors import AudobonError, Corrupt, ObjectNotFound, SubjectErased
from audobon.storage import notes
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.index import Index, add_blobs, advance, set_aside
from audobon.storage.pack_format import HEAD_BYTES, PackCipher
from audobon.storage.pack_reading import Ciphers, Scan, read_footer, scan

if sys.platform != "win32":
    import fcntl

_PIECE_BYTES = 1 << 20


class Locked(NamedTuple):
    """An open pack that nobody else appends to now."""

    name: str
    descriptor: int

    @property
    def size_bytes(self) -> int:
        """How long the file is."""
        return os.fstat(self.descriptor).st_size


class PackCare:
    """Looks after open packs, whoever writes to them."""

    def __init__(self, index: Index, store: FolderObjectStore, ciphers: Ciphers) -> None:
        self._index = index
        self._store = store
        self._ciphers = ciphers

    def seal_all(self) -> int:
        """Seal every pack that is open, or was given up; return how many."""
        rows = self._index.rows("SELECT id FROM pack WHERE digest IS NULL")
        count = 0
        for row in rows:
            # What cannot be read, as that of one who was erased, stays as it is.
            with suppress(SubjectErased, Corrupt):
                count += self.seal(row[0])
        return count

    def seal_all_but_open(self) -> None:
        """Note the digests of sealed packs that the index does not know, as when it was made anew."""
        for row in self._index.rows("SELECT id FROM pack WHERE digest IS NULL AND state = 'sealed'"):
            with suppress(SubjectErased, Corrupt):
                self.seal(row[0])

    def seal(self, row: int) -> bool:
        """Seal a pack, so that it never changes again; False when somebody did, or it is gone."""
        with ExitStack() as held:
            try:
                pack = held.enter_context(self.locked(row))
            except ObjectNotFound:
                return False
            if not self._index.rows("SELECT 1 FROM pack WHERE id = ? AND digest IS NULL", row):
                return False
            cipher = self._ciphers.of(pack.name, pack.descriptor)
            whole = scan(pack.descriptor, cipher, len(cipher.header.data))
            with disk_errors(self._store.folder):
                if not whole.is_sealed:
                    _write_footer(pack.descriptor, cipher, whole)
                return self.note_sealed(row, pack.descriptor, cipher, whole)

    def note_sealed(self, row: int, descriptor: int, cipher: PackCipher, whole: Scan) -> bool:
        """Note that a pack has its footer; the file is locked. False when it is not as it was sealed."""
        os.fsync(descriptor)
        footer = read_footer(descriptor, cipher)
        digest = None
        if footer is not None:
            body_digest, found = _digests(descriptor, footer[2])
            # Without a digest nobody takes it for whole; what can be read of it is read.
            digest = found if body_digest == footer[1] else None
        noted = whole.notes(descriptor, cipher)
        with self._index.changing() as connection:
            add_blobs(connection, row, whole.blobs)
            connection.execute(
                "UPDATE pack SET state = 'sealed', size_bytes = ?, digest = ? WHERE id = ?",
                (os.fstat(descriptor).st_size, digest, row),
            )
            notes.apply(connection, row, noted)
        return digest is not None

    def heal(self) -> list[str]:
        """Note what open packs know and the index does not; return what was found amiss.

        Packs whose length is as the index knows it, all but those that are being written to, cost one look.
        """
        told: list[str] = []
        for row in self._index.rows("SELECT id, name, size_bytes FROM pack WHERE state = 'open'"):
            try:
                size = self._store.path(row["name"]).stat().st_size
            except (ObjectNotFound, FileNotFoundError):
                told.append(f"the pack {row['name']} is missing")
                self.lose(row["id"], 0)
                continue
            if size != row["size_bytes"]:
                try:
                    told += self._heal(row["id"])
                except AudobonError as error:
                    told.append(f"the pack {row['name']}: {error.message}")
        return told

    def _heal(self, row: int) -> list[str]:
        with ExitStack() as held:
            try:
                pack = held.enter_context(self.locked(row))
            except ObjectNotFound:
                return []
            found = self._index.rows("SELECT size_bytes FROM pack WHERE id = ? AND state = 'open'", row)
            if not found or pack.size_bytes == found[0][0]:
                return []
            known = int(found[0][0])
            if pack.size_bytes < known:
                self.lose(row, pack.size_bytes)
                return [f"the pack {pack.name} is shorter than what was written to it"]
            with disk_errors(self._store.folder):
                self.catch_up(row, pack, known)
            return []

    def catch_up(self, row: int, pack: Locked, known: int) -> None:
        """Note what lies in a pack beyond what the index knows, and cut what a dead writer left half done."""
        cipher = self._ciphers.of(pack.name, pack.descriptor)
        start = len(cipher.header.data)
        beyond = scan(pack.descriptor, cipher, known)
        if beyond.is_sealed:
            self.note_sealed(row, pack.descriptor, cipher, scan(pack.descriptor, cipher, start))
            return
        if beyond.end < pack.size_bytes:
            os.ftruncate(pack.descriptor, beyond.end)
        # Nobody may find in the index what a power cut could take.
        os.fsync(pack.descriptor)
        found = beyond.notes(pack.descriptor, cipher)
        with self._index.changing() as connection:
            add_blobs(connection, row, beyond.blobs)
            notes.apply(connection, row, found)
            advance(connection, row, known, beyond.end)

    def lose(self, row: int, size: int) -> None:
        """Note that nobody is to write to an open pack, and that what lay beyond its size is lost."""
        with self._index.changing() as connection:
            lost = connection.execute(
                "SELECT key, offset FROM blob WHERE pack = ? AND offset + ? + stored_bytes > ?",
                (row, HEAD_BYTES, size),
            ).fetchall()
            for key, offset in lost:
                set_aside(connection, key, row, offset, utc_now())
            connection.execute("UPDATE pack SET state = 'sealed' WHERE id = ?", (row,))

    @contextmanager
    def locked(self, row: int) -> Iterator[Locked]:
        """Hold an open pack so that nobody appends to it. raises ObjectNotFound."""
        found = self._index.rows("SELECT name FROM pack WHERE id = ?", row)
        if not found:
            raise ObjectNotFound("the pack is gone")
        name = str(found[0][0])
        with disk_errors(self._store.folder):
            path = self._store.path(name)
            try:
                descriptor = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                raise _gone(name) from None
        try:
            with locked(descriptor):
                if os.fstat(descriptor).st_nlink == 0:
                    raise _gone(name)
                yield Locked(name, descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def locked(descriptor: int) -> Iterator[None]:
    """Hold an open file so that no other who asks so has it."""
    if sys.platform == "win32":
        yield
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _gone(name: str) -> ObjectNotFound:
    return ObjectNotFound(f"there is no object {name}")


def _write_footer(descriptor: int, cipher: PackCipher, whole: Scan) -> None:
    os.ftruncate(descriptor, whole.end)
    footer = cipher.seal_footer(whole.records, _digests(descriptor, whole.end)[0])
    os.pwrite(descriptor, footer, whole.end)


def _digests(descriptor: int, end: int) -> tuple[bytes, str]:
    """Return the hash of what lies before a place, and that of the whole file in hexadecimal."""
    found = blake3.blake3()
    at = 0
    while at < end and (piece := os.pread(descriptor, min(_PIECE_BYTES, end - at), at)):
        found.update(piece)
        at += len(piece)
    before = found.digest()
    while piece := os.pread(descriptor, _PIECE_BYTES, at):
        found.update(piece)
        at += len(piece)
    return before, found.hexdigest()
