"""What the storage of a data folder is made of, put together, and opened when it is first used."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from audobon.errors import SubjectErased
from audobon.keys.service import Keys
from audobon.processes import FileLock
from audobon.storage.adopting import ClearBlobs
from audobon.storage.annotating import Annotating
from audobon.storage.collecting import Collector
from audobon.storage.embedded import FolderObjectStore, tier_folders
from audobon.storage.erasing import ErasedBlobs
from audobon.storage.foretelling import Foretelling
from audobon.storage.index import Index
from audobon.storage.open_packs import OpenPacks
from audobon.storage.orphans import Orphans
from audobon.storage.pack_care import PackCare
from audobon.storage.pack_reading import Ciphers
from audobon.storage.port import Tier
from audobon.storage.putting import Putting
from audobon.storage.reading import Reader
from audobon.storage.rebuild import Rebuilding, Rebuilt, empty
from audobon.storage.scrubbing import Scrubber
from audobon.storage.seen_files import SeenFiles
from audobon.storage.tiering import Tiering


class Parts:
    """The parts of a storage; those that need the index do so only once `make_ready` was called.

    See `Storage` for the arguments.
    """

    def __init__(
        self,
        folder: Path,
        keys: Keys,
        *,
        tiers: Mapping[Tier, Path],
        keep_removed_days: float,
        keep_days: Mapping[str, float],
        scrub_days: float,
        follows_links: bool,
        tell: Callable[[str], None],
    ) -> None:
        self._folder = folder / "blobs"
        self._hear = tell
        self._news: list[str] = []
        # What was found when opening made the index anew: nobody need do it again.
        self._made: list[Rebuilt] = []
        self._opening = threading.RLock()
        self._is_ready = False
        self.store = FolderObjectStore(tier_folders(self._folder, tiers), follows_links=follows_links)
        self.index = Index(folder)
        self.ciphers = Ciphers(keys)
        self.care = PackCare(self.index, self.store, self.ciphers)
        creation = FileLock(folder / "locks" / "open-packs.lock", purpose="beginning a pack", wait=True)
        self.packs = OpenPacks(self.index, self.store, self.ciphers, keys, self.care, creation)
        writing_notes = FileLock(folder / "locks" / "notes.lock", purpose="noting", wait=True)
        self.annotating = Annotating(self.index, self.packs, writing_notes)
        self.erased = ErasedBlobs(self.index, keys)
        self.reader = Reader(
            self.index,
            self.store,
            self.ciphers,
            keys.blob_id_key,
            lambda key: self.annotating.change([key], lambda note: note),
            self.erased.missing,
        )
        seen = SeenFiles(self.index, keys)
        self.putting = Putting(self.index, self.store, self.ciphers, self.packs, self.reader, keys, seen)
        self.foretelling = Foretelling(self.index, keys, seen, self.putting.serves)
        self.rebuilding = Rebuilding(self.store, self.ciphers)
        orphans = Orphans(self.index, self.store, self.ciphers, self.rebuilding)
        self.collector = Collector(
            self.index,
            self.store,
            self.ciphers,
            self.packs,
            self.care,
            self.annotating,
            orphans,
            keep_removed_days=keep_removed_days,
        )
        self.scrubber = Scrubber(
            self.index,
            self.store,
            self.ciphers,
            self.care,
            self.collector,
            self.annotating,
            orphans,
            keys.blob_id_key,
            self.adopt_pack,
            self.rebuild,
            self._news,
            days=scrub_days,
        )
        self.tiering = Tiering(folder, self.index, self.store, self.care, keep_days=keep_days)
        self._adopting = FileLock(folder / "locks" / "adopting.lock", purpose="adopting blobs", wait=True)

    def make_ready(self) -> None:
        """Open the index, unless it is; what a crash or an older Audobon left is put right first."""
        if self._is_ready and self.index.is_current:
            return
        with self._opening:
            if not (self._is_ready and self.index.is_current):
                self._is_ready = False
                self.packs.close()
                self._open()
                self._is_ready = True

    def adopt_pack(self, name: str) -> None:
        """Note a sealed pack that was put into the store; see `Storage`."""
        self.make_ready()
        row = self.rebuilding.adopt(self.index, name)
        with suppress(SubjectErased):
            self.care.seal(row)

    def rebuild(self, on_step: Callable[[int, int], None] | None = None) -> Rebuilt:
        """Make the index anew from the packs alone; see `Storage`."""
        with self._opening:
            self._made.clear()
            self.make_ready()
            if self._made:
                return self._made[0]
        with self.index.changing() as connection:
            empty(connection)
            told = self.rebuilding.fill(connection, on_step)
        self.care.seal_all_but_open()
        return told

    def close(self) -> None:
        """Put on record what was read, and let go of the files."""
        if self._is_ready:
            self._is_ready = False
            self.reader.note_reads()
            self.packs.close()
            self.index.close()

    def _open(self) -> None:
        had_index = self.index.exists
        told: list[Rebuilt] = []
        is_new = self.index.open(lambda connection: told.append(self.rebuilding.fill(connection)))
        if is_new and (had_index or told[-1].packs):
            self._tell(
                f"the index of storage was made anew from {told[-1].packs} packs"
                f" with {told[-1].blobs} blobs: it was {'damaged' if had_index else 'gone'}"
            )
            for words in told[-1].faults:
                self._tell(words)
            self.care.seal_all_but_open()
        self._made = told[-1:] if is_new else []
        for words in self.care.heal():
            self._tell(words)
        if (before := ClearBlobs(self._folder)).exist:
            self._made = []
            self._adopt(before)
        self.putting.has_legacy = bool(self.index.rows("SELECT 1 FROM blob WHERE flags & 2 LIMIT 1"))

    def _tell(self, words: str) -> None:
        self._news.append(words)
        self._hear(words)

    def _adopt(self, before: ClearBlobs) -> None:
        with self._adopting:
            count = self.putting.adopt(before, self._tell)
        if count:
            self._tell(f"{count} blobs of before, which lay in clear, were encrypted")
