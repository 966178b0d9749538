"""A place that holds backups, known by a signed card at its root."""

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

import blake3
import msgspec

from audobon.atomic import disk_errors
from audobon.backup import bucket_turns
from audobon.backup.locations import Location, lock_file, open_store
from audobon.backup.manifest import FOLDER, Manifest, PackEntry, Pruning, object_name
from audobon.backup.signed import Document, Signer, opened, signed, unproved
from audobon.errors import (
    AudobonError,
    Conflict,
    CorruptBackup,
    ForeignRepository,
    ObjectExists,
    ObjectNotFound,
    Unavailable,
)
from audobon.ids import new_id
from audobon.keys.service import Keys
from audobon.processes import FileLock
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.port import ObjectStore, Rights

CARD = "repository.json"
PACKS = "packs/"
FILES = "files/"
KEYSTORES = "keystores/"
PRUNINGS = "prunings/"
DRILLS = "drills/"
WAL = "wal/"
LEDGER = "ledger/"


class RepositoryCard(Document, frozen=True, kw_only=True):
    """What a repository is: `id` is random, `keystore_id` and `public_key` are its keyring's."""

    id: str
    keystore_id: str
    public_key: bytes
    created_at: float


class Stored(msgspec.Struct, frozen=True):
    """A manifest and the BLAKE3 of its file."""

    manifest: Manifest
    digest: str

    @property
    def number(self) -> int:
        """Its number."""
        return self.manifest.number


class Repository:
    """The objects of a place, with the rights that were asked for.

    path    where it is
    card    who it is; `demand_owner` proves whose, and so does `open_repository` when it has keys
    """

    def __init__(self, path: Location, card: RepositoryCard, store: ObjectStore, rights: Rights) -> None:
        self.path = path
        self.card = card
        self.store = store
        self._rights = rights

    @contextmanager
    def using(self, *, alone: bool = False) -> Iterator[None]:
        """Keep objects from being removed meanwhile; alone: keep everybody else from adding any.

        raises  AlreadyRunning when it cannot be had alone now; of a bucket, also while another machine has it
                alone
        """
        purpose = "work with the backups of this place" if alone else "removing old backups"
        lock = FileLock(lock_file(self.path), purpose=purpose, wait=not alone, shared=not alone)
        with lock, self._turn(alone=alone):
            yield

    def _turn(self, *, alone: bool) -> AbstractContextManager[None]:
        """Return what keeps other machines away: of a folder the lock does."""
        if isinstance(self.path, Path):
            return nullcontext()
        if alone:
            return bucket_turns.alone(open_store(self.path, rights="full"))
        if self._rights == "read":
            bucket_turns.refuse_while_alone(self.store)
            return nullcontext()
        return bucket_turns.adding(self.store)

    def demand_owner(self, keys: Keys) -> None:
        """Refuse a repository of other keys. raises ForeignRepository."""
        if self.card.keystore_id != keys.id or self.card.public_key != keys.public_signing_key:
            # The names of both tell which disk is which.
            raise ForeignRepository(
                f"{self.path} belongs to the keyring {self.card.keystore_id}, and this one is {keys.id}"
                if self.card.keystore_id != keys.id
                else f"{self.path} bears a signature that is not of its keyring {keys.id}",
                hint="take another place, or restore its keyring: audobon backup restore --from",
            )

    def read(self, name: str) -> bytes:
        """Return a small object whole. raises ObjectNotFound, Denied."""
        with self.store.open(name) as file:
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        """Write a small object. raises ObjectExists, Denied, DiskFull."""
        with self.store.create(name) as file:
            file.write(data)

    def numbers(self) -> list[int]:
        """Return the numbers of the manifests that lie here, in order."""
        names = (
            info.name.removeprefix(f"{FOLDER}/").partition(".") for info in self.store.list(f"{FOLDER}/")
        )
        return sorted(int(stem) for stem, _, kind in names if kind == "json" and stem.isdecimal())

    def manifest(self, number: int) -> Stored:
        """Return a manifest, proved. raises CorruptBackup, NewerFormat, ObjectNotFound."""
        name = object_name(number)
        data = self.read(name)
        manifest = opened(data, Manifest, public_key=self.card.public_key, name=f"{self.path / name}")
        if manifest.number != number or manifest.repository != self.card.id:
            raise CorruptBackup(f"{self.path / name} is the manifest of another backup")
        return Stored(manifest, blake3.blake3(data).hexdigest())

    def newest(self) -> Stored | None:
        """Return the newest manifest; None while there is none."""
        numbers = self.numbers()
        return self.manifest(numbers[-1]) if numbers else None

    def newest_sound(self) -> Stored | None:
        """Return the newest manifest that is as it was written; None while there is none."""
        for number in reversed(self.numbers()):
            with suppress(CorruptBackup, ObjectNotFound):
                return self.manifest(number)
        return None

    def manifests(self) -> list[Stored]:
        """Return all manifests, oldest first. raises CorruptBackup for the first that is damaged."""
        found = []
        # Most backups name the same packs: one of each is kept in memory.
        shared: dict[PackEntry, PackEntry] = {}
        for number in self.numbers():
            try:
                stored = self.manifest(number)
            except ObjectNotFound:
                # Pruned between being listed and being read.
                continue
            packs = stored.manifest.packs
            packs[:] = [shared.setdefault(pack, pack) for pack in packs]
            found.append(stored)
        return found

    def readable(self) -> tuple[list[Stored], list[AudobonError]]:
        """Return the manifests that are sound, oldest first, and why each other one is not."""
        found: list[Stored] = []
        damaged: list[AudobonError] = []
        for number in self.numbers():
            try:
                found.append(self.manifest(number))
            except ObjectNotFound:
                continue
            except AudobonError as error:
                damaged.append(error)
        return found, damaged

    def prunings(self) -> list[Pruning]:
        """Return what was removed on purpose. raises CorruptBackup."""
        found = []
        for info in self.store.list(PRUNINGS):
            name, data = f"{self.path / info.name}", self.read(info.name)
            pruning = opened(data, Pruning, public_key=self.card.public_key, name=name)
            if pruning.repository != self.card.id:
                raise CorruptBackup(f"{name} tells what was removed in another place")
            found.append(pruning)
            if info.name != pruning_name(info.name.removeprefix(PRUNINGS).rpartition("-")[0], data):
                raise CorruptBackup(f"{name} is another record than was written there")
        return found

    def add_manifest(self, manifest: Manifest, signer: Signer) -> Stored:
        """Write a manifest under its number. raises ObjectExists when another backup took the number."""
        data = signed(manifest, signer)
        self.write(object_name(manifest.number), data)
        return Stored(manifest, blake3.blake3(data).hexdigest())

    def file_of(self, name: str) -> Path | None:
        """Return the file that an object is; None where it is none of this machine. raises ObjectNotFound."""
        return self.store.path(name) if isinstance(self.store, FolderObjectStore) else None

    def newest_keystore(self) -> str | None:
        """Return the name of the newest export of the keystore; None when there is none."""
        return max((info.name for info in self.store.list(KEYSTORES)), default=None)


def export_name(data: bytes) -> str:
    """Return a name for an export of the keystore, which tells when it was made, and its bytes."""
    return f"{KEYSTORES}{new_id()}-{blake3.blake3(data).hexdigest(8)}.age"


def is_named_by(name: str, data: bytes) -> bool:
    """Tell whether an export is the one of its name; one from before names told the bytes always is."""
    digest = name.removesuffix(".age").split("-")[3:]
    return not digest or digest == [blake3.blake3(data).hexdigest(8)]


def pruning_name(pruning_id: str, data: bytes) -> str:
    """Return the name of a record of pruning, which tells its bytes."""
    return f"{PRUNINGS}{pruning_id}-{blake3.blake3(data).hexdigest(8)}.json"


def open_repository(path: Location, keys: Keys | None, *, rights: Rights) -> Repository:
    """Return the repository of a place.

    keys    whose it must be; None: nobody's yet, its card is taken as it is
    raises  Unavailable when the place is not there, ForeignRepository, NewerFormat, CorruptBackup
    """
    store = open_store(path, rights=rights)
    name, data = path / CARD, _read_card(path, store)
    card = unproved(data, RepositoryCard, name=f"{name}")
    repository = Repository(path, card, store, rights)
    if keys is not None:
        repository.demand_owner(keys)
    # Where the keys are not known yet: whoever changed a bit of it did not sign it anew.
    opened(data, RepositoryCard, public_key=card.public_key, name=f"{name}")
    return repository


def _read_card(path: Location, store: ObjectStore) -> bytes:
    if isinstance(path, Path):
        with disk_errors(path):
            if not path.is_dir():
                raise Unavailable(f"the place {path} is not there", hint="is its disk connected and mounted?")
    try:
        with store.open(CARD) as file:
            return file.read()
    except ObjectNotFound:
        raise Unavailable(
            f"{path} holds no backups: it has no {CARD}",
            hint=f"is its disk mounted? To begin backups there: audobon backup add {path}",
        ) from None


def initialise(path: Location, keys: Keys, *, at: float) -> tuple[Repository, bool]:
    """Make a place a repository of these keys; return it, and whether it was none before.

    at      UTC seconds
    raises  Conflict when something else lies there, ForeignRepository, Denied, DiskFull
    """
    store = open_store(path, rights="create")
    if _has_card(path, store):
        return open_repository(path, keys, rights="create"), False
    if isinstance(path, Path):
        with disk_errors(path):
            if path.exists() and not path.is_dir():
                raise Conflict(f"{path} is a file", hint="name a folder")
            if path.is_dir() and any(
                not each.name.startswith((".", "lost+found")) for each in path.iterdir()
            ):
                raise Conflict(f"{path} holds other files", hint="name an empty folder, or a new one")
            path.mkdir(parents=True, exist_ok=True)
    elif next(iter(store.list()), None) is not None:
        raise Conflict(f"{path} holds other objects", hint="name another prefix")
    card = RepositoryCard(
        id=secrets.token_hex(8), keystore_id=keys.id, public_key=keys.public_signing_key, created_at=at
    )
    try:
        with store.create(CARD) as file:
            file.write(signed(card, keys))
    except ObjectExists:
        # Another command was quicker; its card is as good.
        return open_repository(path, keys, rights="create"), False
    return Repository(path, card, store, "create"), True


def _has_card(path: Location, store: ObjectStore) -> bool:
    if isinstance(path, Path):
        with disk_errors(path):
            return (path / CARD).exists()
    return any(info.name == CARD for info in store.list(CARD))
