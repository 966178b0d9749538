"""Content-addressed, encrypted blobs on disk."""

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import blake3
from msgspec import UNSET, UnsetType

from audobon.clock import utc_now
from audobon.errors import AudobonError
from audobon.keys.service import PERSONAL, Keys
from audobon.processes import FileLock
from audobon.sqlite import connect_to_look
from audobon.storage import looking
from audobon.storage.adopting import ClearBlobs
from audobon.storage.annotating import Annotating, changed
from audobon.storage.collecting import Collected, Collector, remove_broken_off
from audobon.storage.embedded import FolderObjectStore, tier_folders
from audobon.storage.erasing import erase_subject, held_blobs
from audobon.storage.facts import BlobInfo, Kind, PackInfo, Usage
from audobon.storage.index import Found, Index, empty
from audobon.storage.looking import Wanted
from audobon.storage.open_packs import OpenPacks
from audobon.storage.orphans import Orphans
from audobon.storage.pack_care import PackCare
from audobon.storage.pack_reading import Ciphers
from audobon.storage.pack_writer import BlobWriter
from audobon.storage.port import Tier
from audobon.storage.putting import Batch, Putting
from audobon.storage.reading import Reader, key_bytes, not_found
from audobon.storage.rebuild import Rebuilding, Rebuilt
from audobon.storage.scrubbing import Scrubber
from audobon.storage.tiering import Done, LifecyclePlan, Tiering, demand_free

_BATCH_BYTES = 4 << 20


class Storage:
    """Blobs of a data folder, each named by the keyed BLAKE3 of its bytes, encrypted in packs.

    A key is returned only once the bytes would survive a power cut. Writing the same bytes of a subject twice
    keeps one copy. Safe for many threads and processes at once.
    tiers  folders of the other tiers; see `FolderObjectStore`
    keep_removed_days  for how long what was removed can be brought back
    keep_days  by kind: what is younger is not removed
    scrub_days  within so many days every byte is proved; see `scrubber`
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
        scrub_days: float = 30.0,
        tell: Callable[[str], None] = lambda words: None,
    ) -> None:
        self._folder = folder / "blobs"
        self._keys = keys
        self._hear = tell
        self._news: list[str] = []
        self._lock = folder / "locks" / "blobs.lock"
        self.store = FolderObjectStore(tier_folders(self._folder, tiers or {}))
        self._index = Index(folder)
        self._ciphers = Ciphers(keys)
        creation = FileLock(folder / "locks" / "open-packs.lock", purpose="beginning a pack", wait=True)
        self._care = PackCare(self._index, self.store, self._ciphers)
        self._open_packs = OpenPacks(self._index, self.store, self._ciphers, keys, self._care, creation)
        writing_notes = FileLock(folder / "locks" / "notes.lock", purpose="noting", wait=True)
        self._annotating = Annotating(self._index, self._open_packs, writing_notes)
        self._reader = Reader(
            self._index,
            self.store,
            self._ciphers,
            self._id_key,
            lambda key: self._annotating.change([key], lambda note: note),
        )
        self._putting = Putting(
            self._index, self.store, self._ciphers, self._open_packs, self._reader, keys, self._id_key
        )
        self._rebuilding = Rebuilding(self.store, self._ciphers)
        orphans = Orphans(self._index, self.store, self._ciphers, self._rebuilding)
        self._collector = Collector(
            self._index,
            self.store,
            self._ciphers,
            self._open_packs,
            self._care,
            self._annotating,
            orphans,
            keep_removed_days=keep_removed_days,
        )
        self._scrubber = Scrubber(
            self._index,
            self.store,
            self._ciphers,
            self._care,
            self._collector,
            self._annotating,
            orphans,
            self._id_key,
            self.adopt_pack,
            self.rebuild,
            self._news,
            days=scrub_days,
        )
        self._keep_days = dict(keep_days or {})
        self._tiering = Tiering(folder, self._index, self.store, self._care, keep_days=self._keep_days)
        self._id_keys: dict[str, bytes] = {}
        self._opening = threading.RLock()
        self._adopting = FileLock(folder / "locks" / "adopting.lock", purpose="adopting blobs", wait=True)
        self._is_ready = False

    @contextmanager
    def writing(self, *, subject: str = PERSONAL, kind: Kind = "other") -> Iterator[BlobWriter]:
        """Write a blob in pieces; it exists, under `writer.key`, when the block ends well.

        raises  DiskFull, Denied, SubjectErased
        """
        self._make_ready()
        with self._putting.writing(subject, kind) as writer:
            yield writer

    def put(self, data: bytes, *, subject: str = PERSONAL, kind: Kind = "other") -> str:
        """Keep some bytes; return their key."""
        self._make_ready()
        return self._putting.put(data, subject, kind)

    @contextmanager
    def batch(self, *, subject: str = PERSONAL, kind: Kind = "other") -> Iterator[Batch]:
        """Put many small blobs that become durable together; their keys hold when the block ends well."""
        self._make_ready()
        with self._putting.batch(subject, kind) as batch:
            yield batch

    def key_of(self, data: bytes, *, subject: str = PERSONAL) -> str:
        """Return the key that these bytes of a subject have, or would have, in storage; writes nothing."""
        plain = blake3.blake3(data)
        if not self._keys.exists:
            # Nothing was ever stored, so no blob has this key.
            return plain.hexdigest()
        if self._index.exists and self._is_known(plain.digest()):
            return plain.hexdigest()
        return blake3.blake3(data, key=self._id_key(subject)).hexdigest()

    def _is_known(self, key: bytes) -> bool:
        try:
            with closing(connect_to_look(self._index.path)) as connection:
                found = connection.execute("SELECT dead_at FROM blob WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error:
            return False
        return found is not None and found[0] is None

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
        except AudobonError:
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

    def sweep(
        self, needed: Callable[[], Collection[str]], *, broken_before: float, is_dry: bool = False
    ) -> int:
        """Remove blobs nobody needs, and writes broken off long ago; return how many bytes they held.

        Blobs in a pack with living ones take their room until `collect`. What a person put, and what a hold
        or a term keeps, stays.
        needed         asked for the keys still needed once nobody can add one
        broken_before  UTC instant; unfinished writes older than it have no writer any more
        is_dry         only tell
        raises         AlreadyRunning when somebody is putting blobs on record right now
        """
        with FileLock(self._lock, purpose="work with blobs"):
            self._make_ready()
            freed = self._collector.mark(needed(), keep_days=self._keep_days, is_dry=is_dry)
        if is_dry:
            return freed
        freed += remove_broken_off(self._putting.incoming, before=broken_before)
        self._collector.remove_dead_packs()
        return freed

    def held(self, subject: str) -> list[str]:
        """Return the keys of a subject's blobs that a hold or a term forbids to remove."""
        return held_blobs(self.index, subject, now=utc_now())

    def erase_subject(self, subject: str) -> int:
        """Remove all that is stored of a subject whose key is gone, held or not; return how many packs."""
        self._make_ready()
        return erase_subject(self._index, self.store, self._ciphers, subject)

    @property
    def tiering(self) -> Tiering:
        """What applies lifecycle rules; see `let_go` for what they delete."""
        self._make_ready()
        return self._tiering

    @property
    def exists(self) -> bool:
        """Whether anything was ever stored."""
        return self._index.exists

    @property
    def scrubber(self) -> Scrubber:
        """What proves every pack in its turn, and mends what is damaged."""
        self._make_ready()
        return self._scrubber

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

    def stat(self, key: str) -> BlobInfo:
        """Return what is known of a blob, also of one that was removed and can be brought back.

        raises  BlobNotFound
        """
        found = looking.blob(self.index, key_bytes(key))
        if found is None:
            raise not_found(key)
        return found

    def find(self, wanted: Wanted, *, newest: int | None = None) -> list[BlobInfo]:
        """Return the blobs that are looked for, oldest first; of more than `newest` the newest."""
        return looking.blobs(self.index, wanted, newest=newest)

    def usage(self) -> list[Usage]:
        """Return what blobs take, by subject, kind and tier."""
        return looking.usage(self.index)

    def packs(self, *, sealed_only: bool = True) -> Iterator[PackInfo]:
        """Yield the packs, oldest first; see `seal_open_packs` for those that are not sealed yet."""
        return looking.packs(self.index, sealed_only=sealed_only)

    def seal_open_packs(self) -> int:
        """Seal every open pack, so that all there is lies in files that never change; return how many."""
        self._make_ready()
        return self._care.seal_all()

    def annotate(
        self,
        keys: Iterable[str],
        *,
        custom_time: float | UnsetType | None = UNSET,
        event_hold: bool | UnsetType = UNSET,
        temporary_hold: bool | UnsetType = UNSET,
        kept_until: float | UnsetType | None = UNSET,
    ) -> None:
        """Note something of blobs; it is durable, and survives the loss of the index. What is not said stays.

        custom_time     an instant of the user's own, for rules
        event_hold, temporary_hold, kept_until   as long as one of them says so, a blob is not removed
        """
        said = {
            "custom_time": custom_time,
            "event_hold": event_hold,
            "temporary_hold": temporary_hold,
            "kept_until": kept_until,
        }
        changes = {name: value for name, value in said.items() if value is not UNSET}
        self._make_ready()
        self._annotating.change([key_bytes(key) for key in keys], changed(**changes))

    def remove(self, keys: Iterable[str]) -> None:
        """Remove blobs by name, durably; they can be brought back as long as `keep_removed_days` says.

        raises  BlobNotFound, OnHold; then none is removed
        """
        now = utc_now()
        wanted = list(keys)
        for key in wanted:
            info = self.stat(key)
            if info.dead_at is not None:
                raise not_found(key)
            demand_free(info, now, keep_days=self._keep_days.get(info.kind, 0.0))
        self._annotating.change([key_bytes(key) for key in wanted], changed(dead_at=now))
        self._collector.remove_dead_packs()

    def undelete(self, key: str) -> BlobInfo:
        """Bring back a blob that was removed, while its bytes are still there. raises BlobNotFound."""
        info = self.stat(key)
        self._annotating.change([key_bytes(key)], changed(dead_at=None))
        if not self.has(key):
            raise not_found(info.key)
        return self.stat(key)

    def adopt_pack(self, name: str) -> None:
        """Note a sealed pack that was put into `store`, as a restore does. raises ObjectNotFound, Corrupt."""
        self._make_ready()
        self._care.seal(self._rebuilding.adopt(self._index, name))

    def rebuild(self, *, on_step: Callable[[int, int], None] | None = None) -> Rebuilt:
        """Make the index anew from the packs alone; what only it knew is lost: reads, cursors, proofs.

        on_step  called as on_step(done, total) after every pack
        """
        self._make_ready()
        with self._index.changing() as connection:
            empty(connection)
            told = self._rebuilding.fill(connection, on_step)
        self._care.seal_all_but_open()
        return told

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

    def _make_ready(self) -> None:
        if self._is_ready and self._index.is_current:
            return
        with self._opening:
            if not (self._is_ready and self._index.is_current):
                self._is_ready = False
                self._index.close()
                self._open_packs.close()
                self._open()
                self._is_ready = True

    def _open(self) -> None:
        had_index = self._index.exists
        told: list[Rebuilt] = []
        is_new = self._index.open(lambda connection: told.append(self._rebuilding.fill(connection)))
        if is_new and (had_index or told[-1].packs):
            self._tell(
                f"the index of storage was made anew from {told[-1].packs} packs"
                f" with {told[-1].blobs} blobs: it was {'damaged' if had_index else 'gone'}"
            )
            for words in told[-1].faults:
                self._tell(words)
            self._care.seal_all_but_open()
        for words in self._care.heal():
            self._tell(words)
        if (before := ClearBlobs(self._folder)).exist:
            self._adopt(before)
        self._putting.has_legacy = bool(self._index.rows("SELECT 1 FROM blob WHERE flags & 2 LIMIT 1"))

    def _tell(self, words: str) -> None:
        self._news.append(words)
        self._hear(words)

    def _adopt(self, before: ClearBlobs) -> None:
        with self._adopting:
            count = self._putting.adopt(before, self._tell)
        if count:
            self._tell(f"{count} blobs of before, which lay in clear, were encrypted")

    def _id_key(self, subject: str) -> bytes:
        if (key := self._id_keys.get(subject)) is None:
            key = self._id_keys[subject] = self._keys.blob_id_key(subject)
        return key

    def _found(self, key: str) -> Found:
        found = self.index.find(key_bytes(key))
        if found is None:
            raise not_found(key)
        return found
