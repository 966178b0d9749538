"""Content-addressed, encrypted blobs on disk."""

import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from msgspec import UNSET, UnsetType

from audobon.clock import utc_now
from audobon.errors import AudobonError
from audobon.keys.service import PERSONAL, Keys
from audobon.processes import FileLock
from audobon.storage import looking
from audobon.storage.annotating import changed, kept, removed
from audobon.storage.collecting import Collected, remove_broken_off
from audobon.storage.erasing import erase_subject, held_blobs
from audobon.storage.facts import BlobInfo, Kind, PackInfo, Usage
from audobon.storage.index import Found, Index
from audobon.storage.looking import Wanted
from audobon.storage.pack_writer import BlobWriter
from audobon.storage.parts import Parts
from audobon.storage.port import Tier
from audobon.storage.putting import Batch
from audobon.storage.reading import key_bytes, not_found
from audobon.storage.rebuild import Rebuilt
from audobon.storage.scrubbing import Scrubber
from audobon.storage.tiering import Done, LifecyclePlan, Tiering, demand_free


class Storage:
    """Blobs of a data folder, each named by the keyed BLAKE3 of its bytes, encrypted in packs.

    A key is returned only once the bytes would survive a power cut. Writing the same bytes of a subject twice
    keeps one copy. Safe for many threads and processes at once.
    tiers  folders of the other tiers; see `FolderObjectStore`
    keep_removed_days  for how long what was removed can be brought back
    keep_days  by kind: what is younger is not removed
    scrub_days  within so many days every byte is proved; see `scrubber`
    follows_links  see `FolderObjectStore`
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
        follows_links: bool = False,
        tell: Callable[[str], None] = lambda words: None,
    ) -> None:
        self._keys = keys
        self._lock = folder / "locks" / "blobs.lock"
        self._keep_days = dict(keep_days or {})
        self._parts = Parts(
            folder,
            keys,
            tiers=tiers or {},
            keep_removed_days=keep_removed_days,
            keep_days=self._keep_days,
            scrub_days=scrub_days,
            follows_links=follows_links,
            tell=tell,
        )
        self.store = self._parts.store

    @contextmanager
    def writing(self, *, subject: str = PERSONAL, kind: Kind = "other") -> Iterator[BlobWriter]:
        """Write a blob in pieces; it exists, under `writer.key`, when the block ends well.

        raises  DiskFull, Denied, SubjectErased
        """
        with self._ready.putting.writing(subject, kind) as writer:
            yield writer

    def put(self, data: bytes, *, subject: str = PERSONAL, kind: Kind = "other") -> str:
        """Keep some bytes; return their key."""
        return self._ready.putting.put(data, subject, kind)[0]

    @contextmanager
    def batch(self, *, subject: str = PERSONAL, kind: Kind = "other") -> Iterator[Batch]:
        """Put many small blobs that become durable together; their keys hold when the block ends well."""
        with self._ready.putting.batch(subject, kind) as batch:
            yield batch

    def key_of(self, data: bytes, *, subject: str = PERSONAL) -> str:
        """Return the key that these bytes of a subject have, or would have, in storage; writes nothing."""
        return self._parts.foretelling.key_of(io.BytesIO(data), subject, "other")

    def keys_of_files(
        self, paths: Sequence[Path], *, subject: str = PERSONAL, kind: Kind = "other", rereads: bool = False
    ) -> list[str]:
        """Return the keys that files have, or would have, in storage; writes nothing.

        Those that look as they did when they were last read are not read.
        rereads  read them, too
        raises   NotFound, Denied
        """
        return self._parts.foretelling.keys_of_files(paths, subject, kind, rereads=rereads)

    def get(self, key: str) -> bytes:
        """Return a blob whole, checked against its key.

        raises  BlobNotFound, CorruptBlob, SubjectErased
        """
        return self._ready.reader.get(key)

    @contextmanager
    def open(self, key: str) -> Iterator[IO[bytes]]:
        """Open a blob for reading at any place; BlobNotFound when there is none."""
        with self._ready.reader.open(key) as file:
            yield file

    def copy_to(self, key: str, target: IO[bytes]) -> None:
        """Write a blob to a stream piece by piece, checked against its key.

        raises  BlobNotFound, CorruptBlob after the last piece
        """
        self._ready.reader.copy_to(key, target)

    def has(self, key: str) -> bool:
        """Tell whether a blob is there."""
        try:
            return self._ready.reader.is_there(self.index.find(key_bytes(key)))
        except AudobonError:
            return False

    def is_intact(self, key: str) -> bool:
        """Tell whether a blob is there with every byte as it was stored; a damaged one is set aside."""
        reader = self._ready.reader
        try:
            reader.prove(key)
        except AudobonError:
            return False
        return True

    def subject_of(self, key: str) -> str:
        """Return the subject that a blob belongs to. raises BlobNotFound."""
        return self._found(key).subject

    def keys(self) -> Iterator[str]:
        """Yield the key of every blob, in no order."""
        yield from looking.keys(self.index)

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
            collector = self._ready.collector
            freed = collector.mark(needed(), keep_days=self._keep_days, is_dry=is_dry)
        if is_dry:
            return freed
        freed += remove_broken_off(self._parts.putting.incoming, before=broken_before)
        collector.remove_dead_packs()
        return freed

    def held(self, subject: str) -> list[str]:
        """Return the keys of a subject's blobs that a hold or a term forbids to remove."""
        return held_blobs(self.index, subject, now=utc_now())

    def erase_subject(self, subject: str, *, known: Collection[str] = ()) -> int:
        """Remove all that is stored of a subject whose key is gone, held or not; return how many packs.

        known  keys of its blobs, as jobs have them: after a restore the index does not know them
        """
        parts = self._ready
        blobs = [key_bytes(key) for key in known]
        return erase_subject(
            parts.index, self.store, parts.ciphers, subject, known=blobs, mark=parts.erased.mark
        )

    @property
    def tiering(self) -> Tiering:
        """What applies lifecycle rules; see `let_go` for what they delete."""
        return self._ready.tiering

    @property
    def exists(self) -> bool:
        """Whether anything was ever stored."""
        return self._parts.index.exists

    @property
    def scrubber(self) -> Scrubber:
        """What proves every pack in its turn, and mends what is damaged."""
        return self._ready.scrubber

    def let_go(self, plan: LifecyclePlan, needed: Callable[[], Collection[str]]) -> Done:
        """Remove the packs that a plan of lifecycle rules deletes, but for what is held or needed by now.

        needed  asked for the keys that jobs need once nobody can add one
        raises  AlreadyRunning when somebody is putting blobs on record right now
        """
        with FileLock(self._lock, purpose="work with blobs"):
            done = self._ready.tiering.let_go(plan, needed())
        self._parts.collector.remove_dead_packs()
        return done

    def collect(
        self, *, is_dry: bool = False, on_step: Callable[[int, int], None] | None = None
    ) -> Collected:
        """Give room back: remove dead packs, and move what lives out of packs less than half alive.

        on_step  called as on_step(done, total) after every pack that is moved out of
        """
        return self._ready.collector.collect(is_dry=is_dry, on_step=on_step)

    def stat(self, key: str) -> BlobInfo:
        """Return what is known of a blob, also of one that was removed and can be brought back.

        raises  BlobNotFound
        """
        found = looking.blob(self.index, key_bytes(key))
        if found is None:
            raise self._parts.erased.missing(key)
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
        return self._ready.care.seal_all()

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
        self._ready.annotating.change([key_bytes(key) for key in keys], changed(**changes))

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
        # Asked once more of each: a hold may be put on it this instant.
        self._ready.annotating.change([key_bytes(key) for key in wanted], removed(now))
        self._parts.collector.remove_dead_packs()

    def keep(self, keys: Iterable[str], until: float) -> None:
        """Forbid to remove blobs before an instant; a term that is longer already stays."""
        self._ready.annotating.change([key_bytes(key) for key in keys], kept(until))

    def undelete(self, key: str) -> BlobInfo:
        """Bring back a blob that was removed, while its bytes are still there. raises BlobNotFound."""
        info = self.stat(key)
        self._ready.annotating.change([key_bytes(key)], changed(dead_at=None))
        if not self.has(key):
            raise not_found(info.key)
        return self.stat(key)

    def adopt_pack(self, name: str) -> None:
        """Note a sealed pack that was put into `store`, as a restore does. raises ObjectNotFound, Corrupt.

        That of one who was erased is noted as one that nobody can read.
        """
        self._parts.adopt_pack(name)

    def rebuild(self, *, on_step: Callable[[int, int], None] | None = None) -> Rebuilt:
        """Make the index anew from the packs alone; what only it knew is lost: reads, cursors, proofs.

        on_step  called as on_step(done, total) after every pack
        """
        return self._parts.rebuild(on_step)

    def close(self) -> None:
        """Put on record what was read, and let go of the files."""
        self._parts.close()

    @property
    def index(self) -> Index:
        """The index, opened when it is first needed."""
        return self._ready.index

    @property
    def _ready(self) -> Parts:
        self._parts.make_ready()
        return self._parts

    def _found(self, key: str) -> Found:
        found = self.index.find(key_bytes(key))
        if found is None:
            raise self._parts.erased.missing(key)
        return found
