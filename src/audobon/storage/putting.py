"""Puts blobs where they belong: small ones into an open pack, large ones into a pack of their own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import blake3

from audobon.atomic import disk_errors
from audobon.clock import utc_now
from audobon.keys.service import PERSONAL, Keys
from audobon.keys.streaming import encrypted_bytes
from audobon.storage import zstd_frames
from audobon.storage.adopting import ClearBlobs
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.facts import Kind
from audobon.storage.index import Found, Index, add_blobs, add_pack
from audobon.storage.open_packs import NewRecord, OpenPacks, Written, new_pack
from audobon.storage.pack_format import BLOB, HEAD_BYTES, LEGACY
from audobon.storage.pack_reading import Ciphers
from audobon.storage.pack_writer import LONE_BYTES, BlobWriter, LonePack
from audobon.storage.reading import Reader
from audobon.storage.seen_files import Look, SeenFiles, look_at

_BATCH_BYTES = 4 << 20
# It must count as newer than its end, whatever the clock says.
_LATER_SECONDS = 0.001


class Putting:
    """Puts blobs; a key is given only once its bytes would survive a power cut.

    has_legacy  whether blobs are known by the plain BLAKE3 of their bytes: then bytes are looked for so, too
    """

    def __init__(
        self,
        index: Index,
        store: FolderObjectStore,
        ciphers: Ciphers,
        packs: OpenPacks,
        reader: Reader,
        keys: Keys,
        seen: SeenFiles,
    ) -> None:
        self._index = index
        self._store = store
        self._ciphers = ciphers
        self._packs = packs
        self._reader = reader
        self._keys = keys
        self.seen = seen
        self.incoming = store.folder / ".incoming"
        self.has_legacy = False

    @contextmanager
    def writing(self, subject: str, kind: Kind) -> Iterator[BlobWriter]:
        """Write a blob in pieces."""
        subject = self._keys.id_of(subject)
        hashes = [blake3.blake3(key=self._keys.blob_id_key(subject))]
        if self.has_legacy:
            hashes.append(blake3.blake3())
        with disk_errors(self._store.folder):
            writer = BlobWriter(
                tuple(hashes), lambda is_packed: self._begin_pack(subject, kind, is_packed=is_packed)
            )
            try:
                yield writer
                key, created_at = self.place(writer.digests(), subject, kind)
                if created_at is None:
                    writer.abandon()
                elif writer.lone is not None:
                    self._take_in(writer.lone, key, created_at)
                else:
                    self._append(subject, kind, [NewRecord(BLOB, key, bytes(writer.start), 0, created_at)])
                writer.key = key.hex()
            except BaseException:
                writer.abandon()
                raise

    def put(self, data: bytes, subject: str, kind: Kind) -> tuple[str, int]:
        """Keep some bytes; return their key, and how many were not there already: all or none."""
        subject = self._keys.id_of(subject)
        key, created_at = self.place(self.digests(data, subject), subject, kind)
        if created_at is None:
            return key.hex(), 0
        with disk_errors(self._store.folder):
            if len(data) < LONE_BYTES:
                self._append(subject, kind, [NewRecord(BLOB, key, data, 0, created_at)])
            else:
                lone = self._begin_pack(subject, kind, is_packed=zstd_frames.helps(data))
                try:
                    lone.write(data)
                    self._take_in(lone, key, created_at)
                except BaseException:
                    lone.abandon()
                    raise
        return key.hex(), len(data)

    def put_file(self, path: Path, subject: str, kind: Kind) -> tuple[str, int]:
        """Keep a large file; return as `put`. One that is there already is only read."""
        subject = self._keys.id_of(subject)
        hashes = [blake3.blake3(key=self._keys.blob_id_key(subject))]
        if self.has_legacy:
            hashes.append(blake3.blake3())
        with disk_errors(path), path.open("rb") as source:
            while piece := source.read(LONE_BYTES):
                for each in hashes:
                    each.update(piece)
            key, created_at = self.place([each.digest() for each in hashes], subject, kind)
            if created_at is None:
                return key.hex(), 0
            source.seek(0)
            with self.writing(subject, kind) as target:
                while piece := source.read(LONE_BYTES):
                    target.write(piece)
            return target.key, source.tell()

    @contextmanager
    def batch(self, subject: str, kind: Kind) -> Iterator["Batch"]:
        """Put many small blobs that become durable together."""
        subject = self._keys.id_of(subject)
        batch = Batch(self, self._packs, subject, kind)
        with disk_errors(self._store.folder):
            yield batch
            batch.write()
            if batch.written:
                self._packs.settle(batch.written)
        self.seen.note(batch.files_read, subject)

    def digests(self, data: bytes, subject: str) -> list[bytes]:
        """Return the keys that bytes may be known by."""
        found = [blake3.blake3(data, key=self._keys.blob_id_key(subject)).digest()]
        if self.has_legacy:
            found.append(blake3.blake3(data).digest())
        return found

    def place(
        self, digests: list[bytes], subject: str, kind: Kind, sizes: dict[str, int] | None = None
    ) -> tuple[bytes, float | None]:
        """Return the key of some bytes, and when they are stored; None: they are there already.

        What is there of another subject, under the plain hash of its bytes, is not looked at.
        What a person puts is stored beside what a job has: it must stay when that one goes.
        """
        now = utc_now()
        for digest in reversed(digests):
            found = self._index.find(digest)
            if found is None or found.subject != subject:
                continue
            if self._reader.is_there(found, sizes):
                if kind != "user" or found.kind == "user":
                    return digest, None
            elif found.dead_at is None:
                self._reader.set_aside(digest.hex(), found)
            else:
                now = max(now, found.dead_at + _LATER_SECONDS)
        return digests[0], now

    def serves(self, found: Found, subject: str, kind: Kind, sizes: dict[str, int]) -> bool:
        """Tell whether a blob is there as what is put, so that nothing need be stored."""
        is_fit = found.subject == subject and (kind != "user" or found.kind == "user")
        return is_fit and self._reader.is_there(found, sizes)

    def adopt(self, before: ClearBlobs, tell: Callable[[str], None]) -> int:
        """Encrypt the blobs of before; return how many there were."""

        owner = self._keys.id_of(PERSONAL)

        def keep(bunch: list[tuple[bytes, bytes]]) -> None:
            now = utc_now()
            records = [NewRecord(BLOB, key, data, LEGACY, now) for key, data in bunch]
            self._packs.append(owner, "other", records)

        def keep_large(key: bytes, path: Path) -> None:
            self._take_in_file(path, key, owner, "other", LEGACY)

        def keep_damaged(path: Path) -> None:
            # Nothing is thrown away; a person may look at it. It is under the key of the bytes it has now.
            key = blake3.blake3(key=self._keys.blob_id_key(owner)).update_mmap(path).digest()
            self._take_in_file(path, key, owner, "user", 0)
            tell(f"the damaged blob {path.name} of before was kept as {key.hex()}")

        with disk_errors(self._store.folder):
            return before.adopt(keep, keep_large, keep_damaged, large_bytes=LONE_BYTES)

    def _take_in_file(self, path: Path, key: bytes, subject: str, kind: Kind, flags: int) -> None:
        with path.open("rb") as source:
            start = source.read(LONE_BYTES)
            if len(start) < LONE_BYTES:
                self._packs.append(subject, kind, [NewRecord(BLOB, key, start, flags, utc_now())])
                return
            lone = self._begin_pack(subject, kind, is_packed=zstd_frames.helps(start))
            try:
                lone.write(start)
                while piece := source.read(LONE_BYTES):
                    lone.write(piece)
                self._take_in(lone, key, utc_now(), flags=flags)
            except BaseException:
                lone.abandon()
                raise

    def _append(self, subject: str, kind: Kind, records: list[NewRecord]) -> None:
        self._packs.append(subject, kind, records)

    def _begin_pack(self, subject: str, kind: Kind, *, is_packed: bool) -> LonePack:
        header, cipher = new_pack(self._keys, self._ciphers, subject, kind)
        return LonePack(self.incoming, header, cipher, is_packed=is_packed)

    def _take_in(self, lone: LonePack, key: bytes, created_at: float, *, flags: int = 0) -> None:
        head, size_bytes, digest = lone.finish(key, flags, created_at)
        header = lone.header
        # Erased while it was written, it would lie there for ever, and nobody could read it.
        self._ciphers.demand(header)
        self._store.take_in(lone.path, header.name)
        with self._index.changing() as connection:
            row = add_pack(
                connection,
                header,
                tier="standard",
                tier_since=header.created_at,
                state="sealed",
                size_bytes=size_bytes,
                digest=digest,
            )
            add_blobs(connection, row, [(len(header.data), head)], is_fresh=True)
            is_first = connection.execute("SELECT pack = ? FROM blob WHERE key = ?", (row, key)).fetchone()[0]
            if not is_first:
                # Another process stored the same bytes meanwhile.
                connection.execute("DELETE FROM pack WHERE id = ?", (row,))
        if not is_first:
            self._store.delete(header.name)


class Batch:
    """Many small blobs that become durable together, when the block that puts them ends well.

    new_blobs, new_bytes  what was not there already, so far
    files_read            by `put_files`: how each looked before, and the key of what it held
    """

    def __init__(self, putting: Putting, packs: OpenPacks, subject: str, kind: Kind) -> None:
        self._putting = putting
        self._packs = packs
        self._subject = subject
        self._kind: Kind = kind
        self._waiting: list[NewRecord] = []
        self._waiting_bytes = 0
        self._known: set[bytes] = set()
        self._sizes: dict[str, int] = {}
        self.written: list[Written] = []
        self.files_read: list[tuple[Look, str]] = []
        self.new_blobs = 0
        self.new_bytes = 0

    def put(self, data: bytes) -> str:
        """Keep some bytes; return the key that they will have."""
        if len(data) >= LONE_BYTES:
            return self._count(*self._putting.put(data, self._subject, self._kind))
        digests = self._putting.digests(data, self._subject)
        if digests[0] in self._known:
            return digests[0].hex()
        key, created_at = self._putting.place(digests, self._subject, self._kind, self._sizes)
        if created_at is not None:
            self.new_blobs, self.new_bytes = self.new_blobs + 1, self.new_bytes + len(data)
            self._known.add(key)
            self._waiting.append(NewRecord(BLOB, key, data, 0, created_at))
            self._waiting_bytes += HEAD_BYTES + encrypted_bytes(len(data))
            if self._waiting_bytes >= _BATCH_BYTES:
                self.write()
        return key.hex()

    def put_files(self, paths: Sequence[Path], *, rereads: bool = False) -> list[str]:
        """Keep files; return the keys that they will have.

        rereads  read also those that look as they did when they were last read
        """
        looks = look_at(paths)
        known = {} if rereads else self._putting.seen.find(looks, self._subject)
        keys = []
        for path, look in zip(paths, looks, strict=True):
            found = known.get(look)
            if found is not None and self._putting.serves(found, self._subject, self._kind, self._sizes):
                keys.append(found.key.hex())
            else:
                keys.append(self.put_file(path))
                self.files_read.append((look, keys[-1]))
        return keys

    def put_file(self, path: Path) -> str:
        """Keep a file; return the key that it will have. A large one is durable at once."""
        with disk_errors(path):
            data = path.read_bytes() if path.stat().st_size < LONE_BYTES else None
        if data is not None:
            return self.put(data)
        return self._count(*self._putting.put_file(path, self._subject, self._kind))

    def write(self) -> None:
        """Append what waits to the open pack, without waiting for the disk."""
        if self._waiting:
            self.written.append(self._packs.write(self._subject, self._kind, self._waiting))
            self._waiting, self._waiting_bytes = [], 0

    def _count(self, key: str, new_bytes: int) -> str:
        self.new_blobs, self.new_bytes = self.new_blobs + (new_bytes > 0), self.new_bytes + new_bytes
        return key
