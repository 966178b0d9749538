"""Content-addressed, encrypted blobs on disk."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import blake3

from audobon.atomic import disk_errors
from audobon.clock import utc_now
from audobon.errors import AudobonError, Corrupt
from audobon.keys.service import PERSONAL, Keys
from audobon.processes import FileLock
from audobon.storage.collecting import Collected, Collector, remove_broken_off
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.facts import Kind
from audobon.storage.index import Found, Index, add_blobs, add_pack
from audobon.storage.open_packs import NewRecord, OpenPacks, Written, new_pack
from audobon.storage.pack_care import PackCare
from audobon.storage.pack_format import BLOB
from audobon.storage.pack_reading import Ciphers
from audobon.storage.pack_writer import LONE_BYTES, BlobWriter, LonePack
from audobon.storage.port import Tier
from audobon.storage.reading import Reader, key_bytes, not_found
from audobon.storage.tiering import Done, LifecyclePlan, Tiering

_BATCH_BYTES = 4 << 20


class Batch:
    """Many small blobs that become durable together, when the block that puts them ends well."""

    def __init__(self, storage: "Storage", subject: str, kind: Kind) -> None:
        self._storage = storage
        self._subject = subject
        self._kind: Kind = kind
        self._waiting: list[NewRecord] = []
        self._waiting_bytes = 0
        self._known: set[bytes] = set()
        self.written: list[Written] = []

    def put(self, data: bytes) -> str:
        """Keep some bytes; return the key that they will have."""
        if len(data) >= LONE_BYTES:
            return self._storage.put(data, subject=self._subject, kind=self._kind)
        key, created_at = self._storage.place_of(data, self._subject, self._kind)
        if created_at is not None and key not in self._known:
            self._known.add(key)
            self._waiting.append(NewRecord(BLOB, key, data, 0, created_at))
            self._waiting_bytes += len(data)
            if self._waiting_bytes >= _BATCH_BYTES:
                self.write()
        return key.hex()

    def write(self) -> None:
        """Append what waits to the open pack, without waiting for the disk."""
        if self._waiting:
            self.written.append(self._storage.open_packs.write(self._subject, self._kind, self._waiting))
            self._waiting, self._waiting_bytes = [], 0


class Storage:
    """Blobs of a data folder, each named by the keyed BLAKE3 of its bytes, encrypted in packs.

    A key is returned only once the bytes would survive a power cut. Writing the same bytes of a subject twice
    keeps one copy. Safe for many threads and processes at once.
    tiers  folders of the other tiers; see `FolderObjectStore`
    keep_removed_days  for how long what was removed can be brought back
    keep_days  by kind: what is younger is not removed
    tell   told, in words, what was found amiss and mended when the folder is opened
    """

    def __init__(
        self,
        folder: Path,
        keys: Keys,
        *,
        tiers: Mapping[Tier, Path] | None = None,
        keep_removed_days: float = 0.0,
        keep_days: Mapping[str, float] | None = None,
        tell: Callable[[str], None] = lambda words: None,
    ) -> None:
        self._folder = folder / "blobs"
        self._keys = keys
        self._tell = tell
        self._lock = folder / "locks" / "blobs.lock"
        self.store = FolderObjectStore(
            {
                "nearline": folder / "blobs-nearline",
                "archive": folder / "blobs-archive",
                **(tiers or {}),
                "standard": self._folder,
            }
        )
        self._index = Index(folder)
        self._ciphers = Ciphers(keys)
        creation = FileLock(folder / "locks" / "open-packs.lock", purpose="beginning a pack", wait=True)
        self._care = PackCare(self._index, self.store, self._ciphers)
        self._open_packs = OpenPacks(self._index, self.store, self._ciphers, keys, self._care, creation)
        self._reader = Reader(self._index, self.store, self._ciphers, self._id_key)
        self._collector = Collector(
            self._index,
            self.store,
            self._ciphers,
            self._open_packs,
            self._care,
            keep_removed_days=keep_removed_days,
        )
        self._keep_days = dict(keep_days or {})
        self._tiering = Tiering(folder, self._index, self.store, self._care, keep_days=self._keep_days)
        self._id_keys: dict[str, bytes] = {}
        self._opening = threading.Lock()
        self._is_ready = False
        self._has_legacy = False

    @contextmanager
    def writing(self, *, subject: str = PERSONAL, kind: Kind = "other") -> Iterator[BlobWriter]:
        """Write a blob in pieces; it exists, under `writer.key`, when the block ends well.

        raises  DiskFull, Denied, SubjectErased
        """
        self._make_ready()
        hashes = [blake3.blake3(key=self._id_key(subject))]
        if self._has_legacy:
            hashes.append(blake3.blake3())

        def begin(is_packed: bool) -> LonePack:
            header, cipher = new_pack(self._keys, self._ciphers, subject, kind)
            return LonePack(self._incoming, header, cipher, is_packed=is_packed)

        with disk_errors(self._folder):
            writer = BlobWriter(tuple(hashes), begin)
            try:
                yield writer
                writer.key = self._finish(writer, subject, kind)
            except BaseException:
                writer.abandon()
                raise

    def _finish(self, writer: BlobWriter, subject: str, kind: Kind) -> str:
        digests = writer.digests()
        key, created_at = self._place(digests, kind)
        if created_at is None:
            writer.abandon()
        elif writer.lone is None:
            record = NewRecord(BLOB, key, bytes(writer.start), 0, created_at)
            self._open_packs.append(subject, kind, [record])
        else:
            self._take_in(writer.lone, key, created_at)
        return key.hex()

    def _take_in(self, lone: LonePack, key: bytes, created_at: float) -> None:
        head, size_bytes, digest = lone.finish(key, 0, created_at)
        header = lone.header
        self.store.take_in(lone.path, header.name)
        with self.index.changing() as connection:
            row = add_pack(
                connection,
                header,
                tier="standard",
                tier_since=header.created_at,
                state="sealed",
                size_bytes=size_bytes,
                digest=digest,
            )
            add_blobs(connection, row, [(len(header.data), head)])
            is_first = connection.execute("SELECT pack = ? FROM blob WHERE key = ?", (row, key)).fetchone()[0]
            if not is_first:
                # Another process stored the same bytes meanwhile.
                connection.execute("DELETE FROM pack WHERE id = ?", (row,))
        if not is_first:
            self.store.delete(header.name)

    def put(self, data: bytes, *, subject: str = PERSONAL, kind: Kind = "other") -> str:
        """Keep some bytes; return their key."""
        key, created_at = self.place_of(data, subject, kind)
        if created_at is None:
            return key.hex()
        if len(data) < LONE_BYTES:
            with disk_errors(self._folder):
                self._open_packs.append(subject, kind, [NewRecord(BLOB, key, data, 0, created_at)])
            return key.hex()
        with self.writing(subject=subject, kind=kind) as writer:
            writer.write(data)
        return writer.key

    @contextmanager
    def batch(self, *, subject: str = PERSONAL, kind: Kind = "other") -> Iterator[Batch]:
        """Put many small blobs that become durable together; their keys hold when the block ends well."""
        batch = Batch(self, subject, kind)
        with disk_errors(self._folder):
            yield batch
            batch.write()
            if batch.written:
                self._open_packs.settle(batch.written)

    def place_of(self, data: bytes, subject: str, kind: Kind) -> tuple[bytes, float | None]:
        """Return the key of some bytes, and when they are stored; None: they are there already."""
        self._make_ready()
        digests = [blake3.blake3(data, key=self._id_key(subject)).digest()]
        if self._has_legacy:
            digests.append(blake3.blake3(data).digest())
        return self._place(digests, kind)

    def _place(self, digests: list[bytes], kind: Kind) -> tuple[bytes, float | None]:
        now = utc_now()
        for digest in reversed(digests):
            found = self.index.find(digest)
            if self._reader.is_there(found):
                return digest, None
            if found is not None and found.dead_at is None:
                self._reader.set_aside(digest.hex(), found)
            elif found is not None and found.dead_at is not None:
                # It must count as newer than its end, whatever the clock says.
                now = max(now, found.dead_at + 0.001)
        return digests[0], now

    def key_of(self, data: bytes, *, subject: str = PERSONAL) -> str:
        """Return the key that these bytes of a subject have, or would have, in storage; writes nothing."""
        digests = [blake3.blake3(data, key=self._id_key(subject)).digest()]
        return digests[0].hex()

    def get(self, key: str) -> bytes:
        """Return a blob whole, checked against its key.

        raises  BlobNotFound, CorruptBlob, SubjectErased
        """
        self._make_ready()
        return self._reader.get(key)

    @contextmanager
    def open(self, key: str) -> Iterator[IO[bytes]]:
        """Open a blob for reading at any place; BlobNotFound when there is none."""
        self._make_ready()
        with self._reader.open(key) as file:
            yield file

    def copy_to(self, key: str, target: IO[bytes]) -> None:
        """Write a blob to a stream piece by piece, checked against its key.

        raises  BlobNotFound, CorruptBlob after the last piece
        """
        self._make_ready()
        self._reader.copy_to(key, target)

    def has(self, key: str) -> bool:
        """Tell whether a blob is there."""
        try:
            return self._reader.is_there(self.index.find(key_bytes(key)))
        except AudobonError:
            return False

    def is_intact(self, key: str) -> bool:
        """Tell whether a blob is there with every byte as it was stored; a damaged one is set aside."""
        self._make_ready()
        try:
            self._reader.prove(key)
        except (Corrupt, AudobonError):
            return False
        return True

    def subject_of(self, key: str) -> str:
        """Return the subject that a blob belongs to. raises BlobNotFound."""
        return self._found(key).subject

    def keys(self) -> Iterator[str]:
        """Yield the key of every blob, in no order."""
        for row in self.index.rows("SELECT key FROM blob WHERE dead_at IS NULL"):
            yield row[0].hex()

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Keep blobs from being removed until what needs them is on record.

        Hold it from before a blob gets its key until the row that names the key is committed.
        """
        with FileLock(self._lock, purpose="removing blobs", wait=True, shared=True):
            yield

    def sweep(self, needed: Callable[[], Collection[str]], *, broken_before: float) -> int:
        """Remove blobs nobody needs, and writes broken off long ago; return how many bytes they held.

        Blobs in a pack with living ones take their room until `collect`. What a person put, and what a hold
        or a term keeps, stays.
        needed         asked for the keys still needed once nobody can add one
        broken_before  UTC instant; unfinished writes older than it have no writer any more
        raises         AlreadyRunning when somebody is putting blobs on record right now
        """
        with FileLock(self._lock, purpose="work with blobs"):
            self._make_ready()
            freed = self._collector.mark(needed(), keep_days=self._keep_days)
        freed += remove_broken_off(self._incoming, before=broken_before)
        self._collector.remove_dead_packs()
        return freed

    @property
    def tiering(self) -> Tiering:
        """What applies lifecycle rules; see `let_go` for what they delete."""
        self._make_ready()
        return self._tiering

    def let_go(self, plan: LifecyclePlan, needed: Callable[[], Collection[str]]) -> Done:
        """Remove the packs that a plan of lifecycle rules deletes, but for what is held or needed by now.

        needed  asked for the keys that jobs need once nobody can add one
        raises  AlreadyRunning when somebody is putting blobs on record right now
        """
        with FileLock(self._lock, purpose="work with blobs"):
            self._make_ready()
            done = self._tiering.let_go(plan, needed())
        self._collector.remove_dead_packs()
        return done

    def collect(
        self, *, is_dry: bool = False, on_step: Callable[[int, int], None] | None = None
    ) -> Collected:
        """Give room back: remove dead packs, and move what lives out of packs less than half alive.

        on_step  called as on_step(done, total) after every pack that is moved out of
        """
        self._make_ready()
        return self._collector.collect(is_dry=is_dry, on_step=on_step)

    def close(self) -> None:
        """Put on record what was read, and let go of the files."""
        if self._is_ready:
            self._is_ready = False
            self._reader.note_reads()
            self._open_packs.close()
            self._index.close()

    @property
    def index(self) -> Index:
        """The index, opened when it is first needed."""
        self._make_ready()
        return self._index

    @property
    def open_packs(self) -> OpenPacks:
        """What appends to open packs."""
        self._make_ready()
        return self._open_packs

    def _make_ready(self) -> None:
        if not self._is_ready:
            with self._opening:
                if not self._is_ready:
                    self._open()
                    self._is_ready = True

    def _open(self) -> None:
        self._index.open()
        for words in self._care.heal():
            self._tell(words)
        self._has_legacy = bool(self._index.rows("SELECT 1 FROM blob WHERE flags & 2 LIMIT 1"))

    @property
    def _incoming(self) -> Path:
        return self._folder / ".incoming"

    def _id_key(self, subject: str) -> bytes:
        if (key := self._id_keys.get(subject)) is None:
            key = self._id_keys[subject] = self._keys.blob_id_key(subject)
        return key

    def _found(self, key: str) -> Found:
        found = self.index.find(key_bytes(key))
        if found is None:
            raise not_found(key)
        return found
