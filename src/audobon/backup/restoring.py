"""Restores a whole data folder from a place, beside the present one or instead of it."""

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

import msgspec

from audobon.atomic import clear_leftovers, disk_errors, leftovers, sync_folder, temporary_beside, writing
from audobon.backup.copying import at_once, copy_object
from audobon.backup.keyrings import BringKeyring
from audobon.backup.ledger_copies import learn_erasures, read_ledgers
from audobon.backup.manifest import FileEntry, Manifest, PackEntry
from audobon.backup.memory import Memory
from audobon.backup.places import Places
from audobon.backup.repository import LEDGER, PACKS, Repository, Stored
from audobon.backup.sealed_files import path_of, plain_path, restore_file
from audobon.backup.sources import Progress, Tell
from audobon.backup.swapping import finish_swap, swap_in
from audobon.database.copies import own_copy
from audobon.database.generations import Position
from audobon.database.pruning import copy_shipped
from audobon.database.restoring import restore_database
from audobon.errors import (
    AudobonError,
    BackupNotFound,
    Corrupt,
    CorruptBackup,
    Denied,
    InvalidInput,
    ObjectNotFound,
    OutputExists,
)
from audobon.keys.ledger import FIRST, hash_of
from audobon.keys.service import Keys
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.port import ObjectStore
from audobon.storage.service import Storage

OpenKeys = Callable[[Path], Keys]
"""Opens the keyring of a data folder."""

PROPOSED = "audobon.toml"
_LENIENT = "restore from another place; or all the rest with --as-far-as-possible"


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored.

    into      the data folder
    id, at    of the backup; `at` is UTC seconds
    position  of the database
    erased    ids of subjects that were erased again, since a ledger says that they were
    lacking   packs and files that no place holds whole, each with the reason; only when that was allowed
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
    lacking: dict[str, str] = {}
    kept_aside: str | None = None


class Point(msgspec.Struct, frozen=True):
    """What to go back to.

    backups  whose packs are needed, the one that counts first
    to       instant, commit or position of the database; None: that of the backup
    """

    backups: Sequence[Stored]
    to: datetime | int | Position | None = None

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
    stores         of all places that can be reached: whom any knows to be erased stays so, and a pack that
                   is not whole here is taken from there
    is_lenient     restore what can be, and tell what cannot
    """

    def __init__(
        self,
        repository: Repository,
        bring_keyring: BringKeyring,
        open_keys: OpenKeys,
        stores: Iterable[ObjectStore],
        tell: Tell,
        *,
        is_lenient: bool = False,
    ) -> None:
        self._repository = repository
        self._bring_keyring = bring_keyring
        self._open_keys = open_keys
        self._stores = list(stores)
        self._is_lenient = is_lenient
        self._lacking: dict[str, str] = {}
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
            self._throw_away(scratch)
        return restored

    def replace(self, point: Point, folder: Path) -> Restored:
        """Build a data folder and put it in the place of the present one, which is kept beside it.

        The caller sees to it that nobody works there.
        """
        finish_swap(folder)
        scratch = self._scratch(folder)
        try:
            restored = self.build(point, scratch, into=folder)
            with suppress(Corrupt):
                for place in Places(folder, []).list():
                    Places(scratch, []).add(place.path)
            if (folder / "backups.json").is_file():
                shutil.copy2(folder / "backups.json", scratch / "backups.json")
            kept = swap_in(scratch, folder)
        except BaseException:
            self._throw_away(scratch)
            raise
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
            # On a fresh machine the card was believed so far, and with it the manifest.
            self._repository.demand_owner(keys)
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
        # So that backups which vanish from there are missed.
        if (newest := self._repository.newest_sound()) is not None:
            Memory(folder).note_manifest(self._repository.card.id, number=newest.number, digest=newest.digest)
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
            lacking=dict(self._lacking),
        )

    def database(self, keys: Keys, path: Path, point: Point) -> Position:
        """Restore the database alone, checked. raises CorruptBackup, BackupNotFound."""
        to = position_of(point.manifest) if point.to is None else point.to
        return restore_database(self._repository.store, keys, path, to=to).position

    def _learn_erasures(self, keys: Keys) -> list[str]:
        erased = [subject for store in self._stores for subject in learn_erasures(store, keys)]
        newest = self._repository.newest_sound()
        known = {FIRST} | {hash_of(entry) for entry in keys.ledger.entries()}
        for store in (self._repository.store, *self._stores):
            known |= {hash_of(entry) for entries in read_ledgers(store, keys) for entry in entries}
        if newest is not None and newest.manifest.ledger_head not in known:
            raise CorruptBackup(
                f"{self._repository.path / LEDGER} lacks erasures that backup {newest.manifest.id} knew:"
                " somebody who was erased might come back",
                hint="restore from another place",
            )
        return erased

    def _copy_packs(self, packs: list[PackEntry], folder: Path) -> None:
        target = FolderObjectStore({"standard": folder / "blobs"})

        def copy(pack: PackEntry) -> CorruptBackup | None:
            try:
                self._copy_pack(pack, target)
            except CorruptBackup as error:
                if not self._is_lenient:
                    raise
                return error
            return None

        total, done = sum(pack.size_bytes for pack in packs), 0
        with closing(at_once(copy, packs)) as outcomes:
            for pack, failure in zip(packs, outcomes, strict=True):
                if failure is not None:
                    self._lacking[pack.name] = failure.message
                done += pack.size_bytes
                self._tell(Progress(self._place, "packs", done, total))

    def _copy_pack(self, pack: PackEntry, target: ObjectStore) -> None:
        """Copy a pack from here, or from another place that holds it whole."""
        failure: CorruptBackup | None = None
        for store in (self._repository.store, *self._stores):
            try:
                copy_object(
                    store,
                    PACKS + pack.name,
                    target,
                    pack.name,
                    digest=pack.digest,
                    size_bytes=pack.size_bytes,
                )
            except ObjectNotFound:
                where = self._repository.path / PACKS / pack.name
                failure = failure or CorruptBackup(f"{where} is missing", hint=_LENIENT)
            except (CorruptBackup, Denied) as error:
                where = self._repository.path / PACKS / pack.name
                failure = failure or CorruptBackup(f"{where} cannot be used: {error.message}", hint=_LENIENT)
            else:
                return
        assert failure is not None
        raise failure

    def _restore_files(self, keys: Keys, entries: list[FileEntry], folder: Path) -> bool:
        has_settings = False
        for entry in entries:
            target = plain_path(folder, path_of(keys, entry))
            with disk_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with writing(target) as file:
                    restore_file(self._repository.store, keys, entry, file)
            except (Corrupt, ObjectNotFound) as error:
                if not self._is_lenient:
                    raise CorruptBackup(
                        f"{self._repository.path / entry.object} cannot be used: {error.message}",
                        hint=_LENIENT,
                    ) from error
                self._lacking[target.relative_to(folder).as_posix()] = error.message
                continue
            has_settings = has_settings or entry.role == "settings"
        return has_settings

    def _throw_away(self, scratch: Path) -> None:
        if scratch.exists():
            try:
                self._abandon(scratch)
            except AudobonError:
                # On a disk that is full or fails; the next restore tries again, by the keystore.
                for path in scratch.iterdir():
                    if path.name not in ("keys", "keyring.id"):
                        shutil.rmtree(path, ignore_errors=True)
                        with suppress(OSError):
                            path.unlink(missing_ok=True)
                return
            shutil.rmtree(scratch, ignore_errors=True)

    def _abandon(self, scratch: Path) -> None:
        with closing(self._open_keys(scratch)) as keys:
            keys.abandon()

    def _scratch(self, into: Path) -> Path:
        with disk_errors(into):
            into.parent.mkdir(parents=True, exist_ok=True)
            for leftover in leftovers(into):
                # What is damaged there names no key that could be destroyed.
                with suppress(AudobonError):
                    self._abandon(leftover)
            clear_leftovers(into)
            scratch = temporary_beside(into)
            scratch.mkdir(mode=0o700)
        return scratch


def position_of(manifest: Manifest) -> Position:
    """Return where the database of a backup stands, in its own history."""
    return Position(manifest.database.generation, manifest.database.commit, manifest.database.at)


def choose_point(repository: Repository, name: str, at: str | None) -> Point:
    """Return what a person asked to go back to.

    name    the id of a backup, or "latest"
    at      an instant as ISO text, of this place when it names no zone; with it the name must be "latest"
    raises  BackupNotFound, InvalidInput, CorruptBackup
    """
    if at is None:
        return Point([find_backup(repository, name)])
    if name != "latest":
        raise InvalidInput("a backup and an instant are two answers to one question", hint="say one of them")
    try:
        instant = datetime.fromisoformat(at).astimezone()
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{at!r} is not an instant", hint="write it like 2026-01-31T18:00") from error
    stored, _ = repository.readable()
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
        try:
            newest = repository.newest()
        except CorruptBackup as error:
            # To take an older one in silence would hide that somebody was here.
            raise CorruptBackup(
                error.message, hint=f"name an older backup; see: audobon backup list --from {repository.path}"
            ) from error
        if newest is None:
            raise BackupNotFound(f"{repository.path} holds no backup yet", hint="audobon backup now")
        return newest
    for stored in reversed(repository.readable()[0]):
        if stored.manifest.id == name:
            return stored
    raise BackupNotFound(f"{repository.path} holds no backup {name}", hint="audobon backup list")
