"""Reads blobs, wherever they lie, and proves them; what is damaged is set aside."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

import blake3

from audobon.atomic import disk_errors
from audobon.clock import utc_now
from audobon.errors import AudobonError, BlobNotFound, Corrupt, CorruptBlob, CorruptKeyring, ObjectNotFound
from audobon.keys.streaming import DecryptingReader, encrypted_bytes
from audobon.storage import zstd_frames
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.index import Found, Index, set_aside
from audobon.storage.pack_format import HEAD_BYTES, PROBE_BYTES, PackCipher
from audobon.storage.pack_reading import Ciphers, read_plain
from audobon.storage.pack_writer import LONE_BYTES

_PIECE_BYTES = 1 << 20
_READS_TO_NOTE = 64
_TRIES = 5


class Reader:
    """Reads the blobs of a store. A pack may move or be collected meanwhile: then it is looked up anew."""

    def __init__(
        self,
        index: Index,
        store: FolderObjectStore,
        ciphers: Ciphers,
        id_key: Callable[[str], bytes],
        note_damage: Callable[[bytes], None],
        missing: Callable[[str], AudobonError],
    ) -> None:
        self._index = index
        self._store = store
        self._ciphers = ciphers
        self._id_key = id_key
        self._note_damage = note_damage
        self._missing = missing
        self._reads: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes:
        """Return a blob whole, proved. raises BlobNotFound, CorruptBlob, SubjectErased."""
        with self._located(key) as (found, file, cipher):
            if _is_small(found):
                return self._whole(key, found, file, cipher)
            target = io.BytesIO()
            self._copy(key, found, file, cipher, target)
            return target.getvalue()

    def copy_to(self, key: str, target: IO[bytes]) -> None:
        """Write a blob to a stream, a large one piece by piece; then CorruptBlob may come after the last."""
        with self._located(key) as (found, file, cipher):
            if _is_small(found):
                target.write(self._whole(key, found, file, cipher))
            else:
                self._copy(key, found, file, cipher, target)

    @contextmanager
    def open(self, key: str) -> Iterator[IO[bytes]]:
        """Open a blob for reading at any place; a read may raise CorruptBlob."""
        with self._located(key) as (found, file, cipher):
            yield io.BufferedReader(self._plain(found, file, cipher), _PIECE_BYTES)

    def prove(self, key: str) -> None:
        """Read every byte of a blob. raises BlobNotFound, CorruptBlob, SubjectErased."""
        with self._located(key, counts=False) as (found, file, cipher):
            if _is_small(found):
                self._whole(key, found, file, cipher)
            else:
                self._copy(key, found, file, cipher, None)

    def is_there(self, found: Found | None, sizes: dict[str, int] | None = None) -> bool:
        """Tell whether a blob is alive, and its pack there and long enough.

        sizes  of packs that were looked at a moment ago; what is found is added
        """
        if found is None or found.dead_at is not None:
            return False
        size = None if sizes is None else sizes.get(found.name)
        # One that is open may have grown.
        if size is None or found.state != "sealed":
            try:
                size = self._store.path(found.name).stat().st_size
            except (ObjectNotFound, OSError):
                return False
            if sizes is not None:
                sizes[found.name] = size
        return size >= found.offset + HEAD_BYTES + found.stored_bytes

    def set_aside(self, key: str, found: Found) -> CorruptBlob:
        """Note that a blob is damaged, so that the same bytes can be stored anew; return what to raise."""
        with self._index.changing() as connection:
            set_aside(connection, bytes.fromhex(key), found.pack_row, found.offset, utc_now())
        # Noted in the packs too, when they can be written to: then it is not met again after a loss.
        with suppress(AudobonError):
            self._note_damage(bytes.fromhex(key))
        return CorruptBlob(
            f"blob {key[:12]}… is not what was stored; it was set aside",
            hint="run the same command again: what it held is made anew; and check the disk",
        )

    def note_reads(self) -> None:
        """Put on record what was read since the last time."""
        with self._lock:
            reads, self._reads = self._reads, {}
        if reads:
            now = utc_now()
            with self._index.changing(is_hasty=True) as connection:
                connection.executemany(
                    "UPDATE blob SET reads = reads + ?, last_read_at = ? WHERE key = ?",
                    [(count, now, key) for key, count in reads.items()],
                )

    @contextmanager
    def _located(self, key: str, *, counts: bool = True) -> Iterator[tuple[Found, IO[bytes], PackCipher]]:
        raw = key_bytes(key)
        found = file = None
        for _ in range(_TRIES):
            found = self._index.find(raw)
            if found is None:
                raise self._missing(key)
            if found.dead_at is not None:
                raise not_found(key)
            with disk_errors(self._store.folder):
                try:
                    file = self._store.path(found.name).open("rb", buffering=0)
                    break
                except (ObjectNotFound, FileNotFoundError):
                    continue
        assert found is not None
        if file is None:
            self.set_aside(key, found)
            raise not_found(key)
        with file:
            try:
                cipher = self._ciphers.of(found.name, file.fileno())
                yield found, file, cipher
            except CorruptKeyring:
                raise
            except CorruptBlob:
                raise
            except Corrupt as error:
                raise self.set_aside(key, found) from error
        if counts:
            self._count(raw)

    def _plain(self, found: Found, file: IO[bytes], cipher: PackCipher) -> io.RawIOBase:
        file.seek(found.offset)
        head = cipher.open_head(file.read(PROBE_BYTES))
        # Its id as well: two records of a pack that changed places are each as they were written.
        if head is None or head.stored_bytes != found.stored_bytes or head.blob_id != found.key:
            raise Corrupt("a record is not as it was written")
        stream = DecryptingReader(
            file,
            cipher.key,
            context=cipher.context,
            start=found.offset + HEAD_BYTES,
            length=found.stored_bytes,
        )
        if not found.is_packed:
            return stream
        buffered = io.BufferedReader(stream, _PIECE_BYTES)
        return zstd_frames.PiecesReader(buffered, stream.size_bytes, head.size_bytes)

    def _whole(self, key: str, found: Found, file: IO[bytes], cipher: PackCipher) -> bytes:
        head, plain = read_plain(file.fileno(), cipher, found.offset, found.stored_bytes)
        # Its id as well: two records of a pack that changed places are each as they were written.
        if head.blob_id != found.key or self._hasher(found).update(plain).hexdigest() != key:
            raise Corrupt("its bytes have another hash")
        return plain

    def _copy(
        self, key: str, found: Found, file: IO[bytes], cipher: PackCipher, target: IO[bytes] | None
    ) -> None:
        proof = self._hasher(found)
        plain = self._plain(found, file, cipher)
        buffer = bytearray(_PIECE_BYTES)
        view = memoryview(buffer)
        while count := plain.readinto(buffer) or 0:
            piece = view[:count]
            proof.update(piece)
            if target is not None:
                target.write(piece)
        if proof.hexdigest() != key:
            raise Corrupt("its bytes have another hash")

    def _hasher(self, found: Found) -> "blake3.blake3":
        return blake3.blake3() if found.is_legacy else blake3.blake3(key=self._id_key(found.subject))

    def _count(self, key: bytes) -> None:
        with self._lock:
            self._reads[key] = self._reads.get(key, 0) + 1
            is_much = len(self._reads) >= _READS_TO_NOTE
        if is_much:
            self.note_reads()


def _is_small(found: Found) -> bool:
    # What an index says that was damaged is not to fill the memory.
    return found.size_bytes < LONE_BYTES and found.stored_bytes <= encrypted_bytes(LONE_BYTES)


def key_bytes(key: str) -> bytes:
    """Return a key as the index has it. raises BlobNotFound when it is none."""
    try:
        raw = bytes.fromhex(key)
    except ValueError:
        raise not_found(key) from None
    if len(raw) != 32:
        raise not_found(key)
    return raw


def not_found(key: str) -> BlobNotFound:
    """Return the error for a key that storage holds nothing under."""
    return BlobNotFound(
        f"no blob {key[:12]}…",
        hint="run the job again, or look in a backup: audobon backup restore --file KEY --into FOLDER",
    )
