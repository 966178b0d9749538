"""Restores a whole data folder from a place, beside the present one or instead of it."""

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from audobon.atomic import clear_leftovers, disk_errors, sync_folder, temporary_beside, writing
from audobon.backup.copying import copy_object
from audobon.backup.keyrings import BringKeyring
from audobon.backup.ledger_copies import learn_erasures
from audobon.backup.manifest import FileEntry, Manifest, PackEntry
from audobon.backup.places import Places
from audobon.backup.repository import PACKS, Repository, Stored
from audobon.backup.sealed_files import path_of, plain_path, restore_file
from audobon.backup.sources import Progress, Tell
from audobon.database.copies import own_copy
from audobon.database.generations import Position
from audobon.database.pruning import copy_shipped
from audobon.database.restoring import restore_database
from audobon.errors import BackupNotFound, CorruptBackup, InvalidInput, ObjectNotFound, OutputExists
from audobon.keys.service import Keys
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.port import ObjectStore
from audobon.storage.service import Storage

OpenKeys = Callable[[Path], Keys]
"""Opens the keyring of a data folder."""

PROPOSED = "audobon.toml"


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored.

    into      the data folder
    id, at    of the backup; `at` is UTC seconds
    position  of the database
    erased    ids of subjects that were erased again, since a ledger says that they were
    settings  where the settings of the backup lie as a proposal; None when it had none
    """

    into: str
    place: str
    id: str
    at: float
    position: Position
    packs: int
    size_bytes: int
    blobs: int
    erased: list[str]
    settings: str | None
    seconds: float
    kept_aside: str | None = None


class Point(msgspec.Struct, frozen=True):
    """What to go back to.

    backups  whose packs are needed, the one that counts first
    to       instant or commit of the database; None: that of the backup
    """

    backups: Sequence[Stored]
    to: datetime | int | None = None

    @property
    def manifest(self) -> Manifest:
        """The backup that counts."""
        return self.backups[0].manifest

    @property
    def packs(self) -> list[PackEntry]:
        """All packs that are needed."""
        return list({pack.name: pack for each in self.backups for pack in each.manifest.packs}.values())


class Restorer:
    """Builds data folders from one repository.

    bring_keyring  gives a folder its keyring
    ledgers        the stores of all places that can be reached: whom any knows to be erased stays so
    """

    def __init__(
        self,
        repository: Repository,
        bring_keyring: BringKeyring,
        open_keys: OpenKeys,
        ledgers: Iterable[ObjectStore],
        tell: Tell,
    ) -> None:
        self._repository = repository
        self._bring_keyring = bring_keyring
        self._open_keys = open_keys
        self._ledgers = list(ledgers)
        self._tell = tell
        self._place = str(repository.path)

    def restore(self, point: Point, into: Path) -> Restored:
        """Build the data folder `into`; it appears whole, or not at all.

        raises  OutputExists when something lies there, CorruptBackup, WrongPassphrase, DiskFull
        """
        if into.exists() and (not into.is_dir() or any(into.iterdir())):
            raise OutputExists(f"{into} exists and is not empty", hint="name a new folder")
        scratch = self._scratch(into)
        try:
            restored = self.build(point, scratch, into=into)
            with disk_errors(into):
                if into.exists():
                    into.rmdir()
                scratch.rename(into)
                sync_folder(into.parent)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return restored

    def replace(self, point: Point, folder: Path) -> Restored:
        """Build a data folder and put it in the place of the present one, which is kept beside it.

        The caller sees to it that nobody works there.
        """
        scratch = self._scratch(folder)
        try:
            restored = self.build(point, scratch, into=folder)
            for name in ("places.json", "backups.json"):
                if (folder / name).is_file() and not (scratch / name).exists():
                    shutil.copy2(folder / name, scratch / name)
            with disk_errors(folder):
                kept = swap_in(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return msgspec.structs.replace(restored, kept_aside=None if kept is None else str(kept))

    def build(
        self, point: Point, folder: Path, *, into: Path | None = None, packs: list[PackEntry] | None = None
    ) -> Restored:
        """Build everything in an empty folder.

        into   where it will lie in the end
        packs  copy only these
        """
        begun = time.monotonic()
        manifest, final = point.manifest, into or folder
        self._tell(Progress(self._place, "keyring"))
        self._bring_keyring(folder)
        with closing(self._open_keys(folder)) as keys:
            erased = self._learn_erasures(keys)
            self._tell(Progress(self._place, "database"))
            position = self.database(keys, folder / "audobon.db", point)
            wanted = point.packs if packs is None else packs
            self._copy_packs(wanted, folder)
            with closing(Storage(folder, keys)) as storage:
                rebuilt = storage.rebuild()
            if rebuilt.faults:
                raise CorruptBackup(f"{self._place}: {rebuilt.faults[0]}")
            settings = self._restore_files(keys, manifest.files, folder)
            # So the counting of commits goes on where it was.
            copy_shipped(self._repository.store, own_copy(folder), keys)
        Places(folder, []).add(self._repository.path)
        return Restored(
            into=str(final),
            place=self._place,
            id=manifest.id,
            at=manifest.at,
            position=position,
            packs=len(wanted),
            size_bytes=sum(pack.size_bytes for pack in wanted),
            blobs=rebuilt.blobs,
            erased=erased,
            settings=str(final / PROPOSED) if settings else None,
            seconds=time.monotonic() - begun,
        )

    def database(self, keys: Keys, path: Path, point: Point) -> Position:
        """Restore the database alone, checked. raises CorruptBackup, BackupNotFound."""
        to = point.manifest.database.commit if point.to is None else point.to
        return restore_database(self._repository.store, keys, path, to=to).position

    def _learn_erasures(self, keys: Keys) -> list[str]:
        return [subject for store in self._ledgers for subject in learn_erasures(store, keys)]

    def _copy_packs(self, packs: list[PackEntry], folder: Path) -> None:
        target = FolderObjectStore({"standard": folder / "blobs"})
        total, done = sum(pack.size_bytes for pack in packs), 0
        for pack in packs:
            self._tell(Progress(self._place, "packs", done, total))
            try:
                copy_object(
                    self._repository.store,
                    PACKS + pack.name,
                    target,
                    pack.name,
                    digest=pack.digest,
                    size_bytes=pack.size_bytes,
                )
            except ObjectNotFound:
                raise CorruptBackup(
                    f"{self._repository.path / PACKS / pack.name} is missing",
                    hint="restore from another place: --place",
                ) from None
            done += pack.size_bytes

    def _restore_files(self, keys: Keys, entries: list[FileEntry], folder: Path) -> bool:
        has_settings = False
        for entry in entries:
            target = plain_path(folder, path_of(keys, entry))
            with disk_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            with writing(target) as file:
                restore_file(self._repository.store, keys, entry, file)
            has_settings = has_settings or entry.role == "settings"
        return has_settings

    def _scratch(self, into: Path) -> Path:
        with disk_errors(into):
            into.parent.mkdir(parents=True, exist_ok=True)
            clear_leftovers(into)
            scratch = temporary_beside(into)
            scratch.mkdir(mode=0o700)
        return scratch


def swap_in(new: Path, folder: Path) -> Path | None:
    """Put a folder in the place of another, and return where that lies now; None when there was none.

    Killed between the two renames, the old one lies aside, and the new one under its temporary name.
    """
    kept = None
    if folder.exists():
        kept = folder.with_name(f"{folder.name}.before-{datetime.now(UTC):%Y%m%d-%H%M%S}")
        folder.rename(kept)
    try:
        new.rename(folder)
    except OSError:
        if kept is not None:
            kept.rename(folder)
        raise
    sync_folder(folder.parent)
    return kept


def choose_point(repository: Repository, name: str, at: str | None) -> Point:
    """Return what a person asked to go back to.

    name    the id of a backup, or "latest"
    at      an instant as ISO text; UTC when it names no zone; with it the name must be "latest"
    raises  BackupNotFound, InvalidInput, CorruptBackup
    """
    if at is None:
        return Point([find_backup(repository, name)])
    if name != "latest":
        raise InvalidInput("a backup and an instant are two answers to one question", hint="say one of them")
    try:
        instant = datetime.fromisoformat(at)
    except ValueError as error:
        raise InvalidInput(f"{at!r} is not an instant", hint="write it like 2026-01-31T18:00") from error
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    stored = repository.manifests()
    before = [each for each in stored if each.manifest.at <= instant.timestamp()]
    after = [each for each in stored if each.manifest.at > instant.timestamp()]
    # What was needed then is in the backup after it, but for what was swept away in between.
    around = after[:1] + before[-1:]
    if not around:
        raise BackupNotFound(f"{repository.path} holds no backup yet", hint="audobon backup now")
    return Point(around, instant)


def find_backup(repository: Repository, name: str) -> Stored:
    """Return a backup by its id, or the "latest". raises BackupNotFound, CorruptBackup."""
    if name == "latest":
        newest = repository.newest()
        if newest is None:
            raise BackupNotFound(f"{repository.path} holds no backup yet", hint="audobon backup now")
        return newest
    for stored in reversed(repository.manifests()):
        if stored.manifest.id == name:
            return stored
    raise BackupNotFound(f"{repository.path} holds no backup {name}", hint="audobon backup list")
