"""Makes a backup in one place: what it lacks is copied, and the manifest comes last."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing

import msgspec

from audobon import __version__
from audobon.backup.copying import at_once, copy_object
from audobon.backup.files import small_files
from audobon.backup.keyrings import export_keyring
from audobon.backup.ledger_copies import bring_ledger
from audobon.backup.manifest import (
    Counts,
    DatabasePoint,
    FileEntry,
    Manifest,
    PackEntry,
    Previous,
)
from audobon.backup.marking import count, leave_mark
from audobon.backup.memory import Memory
from audobon.backup.repository import FILES, PACKS, Repository, Stored
from audobon.backup.sealed_files import keep_file
from audobon.backup.sources import Progress, Sources, Tell
from audobon.database.copies import own_copy
from audobon.database.generations import Position
from audobon.database.pruning import copy_shipped
from audobon.database.revisions import SCHEMA_REVISION
from audobon.database.shipping import Shipper
from audobon.errors import (
    AlreadyRunning,
    ClockBehind,
    Corrupt,
    CorruptKeyring,
    NotFound,
    ObjectExists,
    ObjectNotFound,
    PartlyFailed,
    Unavailable,
)
from audobon.ids import new_id
from audobon.storage.facts import PackInfo

_MOST_PLANS = 10
_CLOCK_TOLERANCE_SECONDS = 1.0


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What making a backup came to.

    id, at          None for a dry run; `at` is UTC seconds
    packs           it needs, new_packs of them were not there yet
    lacking         packs that could not be read here, each with the reason
    keystore_fault  why the keys as they are now are not in it, but those of an earlier export
    """

    place: str
    id: str | None
    at: float | None
    packs: int
    new_packs: int
    added_bytes: int
    size_bytes: int
    lacking: dict[str, str]
    keystore_fault: str | None


class _Copied:
    def __init__(self) -> None:
        self.packs: list[PackEntry] = []
        self.new_packs = 0
        self.added_bytes = 0
        self.lacking: dict[str, str] = {}


class BackupMaker:
    """Makes backups of one data folder in one repository, beside whatever else is at work in either."""

    def __init__(self, sources: Sources, repository: Repository, memory: Memory, tell: Tell) -> None:
        self._sources = sources
        self._repository = repository
        self._memory = memory
        self._tell = tell
        self._place = str(repository.path)

    def plan(self) -> Made:
        """Return what a backup would copy; nothing is written."""
        self._check_clock(self._repository.newest())
        present = self._present()
        packs = [pack for pack in self._sources.storage.packs() if pack.blobs]
        missing = [pack for pack in packs if pack.digest is None or PACKS + pack.name not in present]
        return Made(
            place=self._place,
            id=None,
            at=None,
            packs=len(packs),
            new_packs=len(missing),
            added_bytes=sum(pack.size_bytes for pack in missing),
            size_bytes=sum(pack.size_bytes for pack in packs),
            lacking={},
            keystore_fault=None,
        )

    def make(self) -> Made:
        """Make a backup; it exists when its manifest does, and all that the manifest names lasts by then.

        raises  ClockBehind, DiskFull, Denied, Unavailable, CorruptKeyring as `export_keyring` does
        """
        sources = self._sources
        # Blobs that the database names at the commit that is shipped must still be there when it is done.
        with self._repository.using(), sources.storage.sharing():
            self._repository.store.clear_abandoned()
            newest = self._repository.newest()
            self._check_clock(newest)
            self._tell(Progress(self._place, "database"))
            point, counts, added_bytes = self._ship()
            sources.storage.seal_open_packs()
            copied = _Copied()
            self._copy_packs(copied)
            files, file_bytes = self._keep_files(newest)
            # The ledger first: who is erased in it has no key in the export that follows.
            ledger_head = bring_ledger(self._repository.store, sources.keys)
            keystore, keystore_fault = export_keyring(self._repository, sources.keys)
            added_bytes += copied.added_bytes + file_bytes
            added_bytes += keystore.size_bytes if keystore_fault is None else 0
            draft = Manifest(
                number=0,
                id=new_id(),
                repository=self._repository.card.id,
                at=0.0,
                previous=None,
                database=point,
                counts=counts,
                packs=copied.packs,
                files=files,
                lacking=copied.lacking,
                ledger_head=ledger_head,
                keystore=keystore,
                added_bytes=added_bytes,
                app_version=__version__,
                schema=SCHEMA_REVISION,
                keystore_fault=keystore_fault,
            )
            stored = self._conclude(newest, draft)
        return Made(
            place=self._place,
            id=stored.manifest.id,
            at=stored.manifest.at,
            packs=len(copied.packs),
            new_packs=copied.new_packs,
            added_bytes=added_bytes,
            size_bytes=stored.manifest.size_bytes,
            lacking=copied.lacking,
            keystore_fault=keystore_fault,
        )

    def _check_clock(self, newest: Stored | None) -> None:
        now = self._sources.clock()
        if newest is not None and now < newest.manifest.at - _CLOCK_TOLERANCE_SECONDS:
            behind = newest.manifest.at - now
            raise ClockBehind(
                f"the clock is {behind:.0f} seconds behind the newest backup in {self._place}",
                hint="set the clock of this machine; nothing was written",
            )

    def _ship(self) -> tuple[DatabasePoint, Counts, int]:
        """Bring the database into the place up to a commit with a mark; tell how many bytes were added."""
        sources = self._sources
        with sources.database.errors(), closing(sources.database.open()) as connection:
            sentinel = leave_mark(connection, at=sources.clock())
            own = own_copy(sources.folder)
            with closing(Shipper(sources.database.path, own, sources.keys)) as shipper:
                position, counts = _counted(connection, shipper, sentinel)
            copied = copy_shipped(own, self._repository.store, sources.keys)
        point = DatabasePoint(position.generation, position.commit, position.at)
        return point, counts, copied.size_bytes

    def _present(self) -> dict[str, int]:
        return {info.name: info.size_bytes for info in self._repository.store.list(PACKS)}

    def _copy_packs(self, copied: _Copied) -> None:
        """Copy what the place lacks; when a pack went away meanwhile, look again what took its place."""
        present = self._present()
        done: dict[str, PackEntry] = {}
        for _ in range(_MOST_PLANS):
            packs = [pack for pack in self._sources.storage.packs() if pack.digest is not None and pack.blobs]
            total = sum(pack.size_bytes for pack in packs if PACKS + pack.name not in present)
            is_settled = True
            todo = [pack for pack in packs if pack.name not in done and pack.name not in copied.lacking]
            for entry, outcome in self._bring_all(todo, present):
                self._tell(Progress(self._place, "packs", copied.added_bytes, total))
                if isinstance(outcome, ObjectNotFound):
                    # Either its blobs moved into another pack, which the next look finds, or it is lost.
                    is_settled = False
                    if self._is_still_listed(entry.name):
                        copied.lacking[entry.name] = outcome.message
                elif isinstance(outcome, Corrupt):
                    copied.lacking[entry.name] = outcome.message
                else:
                    done[entry.name] = entry
                    if outcome:
                        copied.new_packs += 1
                        copied.added_bytes += entry.size_bytes
                        present[PACKS + entry.name] = entry.size_bytes
            if is_settled:
                copied.packs = [done[pack.name] for pack in packs if pack.name in done]
                return
        copied.packs = list(done.values())

    def _bring_all(
        self, packs: list[PackInfo], present: Mapping[str, int]
    ) -> Iterator[tuple[PackEntry, bool | ObjectNotFound | Corrupt]]:
        """Have packs in the place; yield of each whether it had to be copied, or why it could not be."""

        def bring(entry: PackEntry) -> bool | ObjectNotFound | Corrupt:
            try:
                return self._bring(entry, present)
            except (ObjectNotFound, Corrupt) as error:
                return error

        entries = [PackEntry(pack.name, pack.size_bytes, pack.digest or "") for pack in packs]
        with closing(at_once(bring, entries)) as outcomes:
            yield from zip(entries, outcomes, strict=True)

    def _is_still_listed(self, name: str) -> bool:
        return any(pack.name == name for pack in self._sources.storage.packs())

    def _bring(self, entry: PackEntry, present: Mapping[str, int]) -> bool:
        """Have a pack in the place; tell whether it had to be copied."""
        name = PACKS + entry.name
        if (size_bytes := present.get(name)) is not None:
            if size_bytes != entry.size_bytes:
                raise Corrupt(
                    f"{self._place}/{name} has {size_bytes} bytes, and {entry.size_bytes} were written"
                )
            return False
        source = self._sources.storage.store
        try:
            copy_object(
                source,
                entry.name,
                self._repository.store,
                name,
                digest=entry.digest,
                size_bytes=entry.size_bytes,
            )
        except ObjectExists:
            # A backup beside this one was quicker.
            return False
        return True

    def _keep_files(self, newest: Stored | None) -> tuple[list[FileEntry], int]:
        present = {info.name: info.size_bytes for info in self._repository.store.list(FILES)}
        known = {
            file.object.partition("-")[0]: file
            for file in (newest.manifest.files if newest is not None else [])
            if present.get(file.object) == file.size_bytes
        }
        kept, added_bytes = [], 0
        for file in small_files(self._sources.folder, self._sources.settings_file):
            try:
                entry, count = keep_file(self._repository.store, self._sources.keys, file, known)
            except NotFound:
                # Removed or turned since it was listed: the next backup finds what took its place.
                continue
            kept.append(entry)
            added_bytes += count
        return kept, added_bytes

    def _conclude(self, newest: Stored | None, draft: Manifest) -> Stored:
        """Write the manifest, as the next after whichever is the newest by then."""
        repository_id = self._repository.card.id
        while True:
            remembered = self._memory.of(repository_id)
            number = max(newest.number if newest else 0, remembered.number) + 1
            manifest = msgspec.structs.replace(
                draft,
                number=number,
                at=max(self._sources.clock(), newest.manifest.at if newest else 0.0),
                previous=None if newest is None else Previous(newest.number, newest.digest),
            )
            try:
                stored = self._repository.add_manifest(manifest, self._sources.keys)
            except ObjectExists:
                # Another backup ended in this moment; this one comes after it.
                newest = self._repository.newest()
                continue
            self._memory.note_manifest(repository_id, number=number, digest=stored.digest)
            return stored


def _counted(connection: sqlite3.Connection, shipper: Shipper, sentinel: str) -> tuple[Position, Counts]:
    """Ship the database up to a commit, and count what it holds at that very commit."""
    for _ in range(_MOST_PLANS):
        shipper.ship()
        if shipper.is_without_snapshot:
            # Another takes it just now; without it nothing of this commit could be restored.
            shipper.snapshot(waits=True)
        # Nobody writes for the moment that the rest takes.
        connection.execute("BEGIN IMMEDIATE")
        try:
            counts = count(connection, sentinel=sentinel)
            # Who ships just now may wait for our lock: so we do not wait for theirs.
            position = shipper.ship(waits=False, takes_snapshots=False)
            if not shipper.is_without_snapshot:
                return position, counts
        except AlreadyRunning:
            continue
        finally:
            connection.execute("ROLLBACK")
    raise Unavailable("the database is shipped without a break", hint="run the same command again")


def refuse_partial(made: Iterable[Made]) -> None:
    """Raise when a backup was made that lacks something: CorruptKeyring, PartlyFailed."""
    made = list(made)
    for each in made:
        if each.keystore_fault is not None:
            raise CorruptKeyring(
                f"{each.place}: the backup has the keys of an earlier export: {each.keystore_fault}",
                hint="audobon keys import-recovery, then: audobon backup now",
            )
    if lacking := sum(len(each.lacking) for each in made):
        raise PartlyFailed(f"packs that could not be read here: {lacking}", hint="audobon storage scrub")
