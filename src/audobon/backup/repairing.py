"""Mends a place: from the data folder, from other places, and by a backup anew where neither has it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import IO

import blake3
import msgspec

from audobon.backup.files import small_files
from audobon.backup.locations import Location, open_store
from audobon.backup.manifest import FOLDER, Manifest, Pruning, object_name
from audobon.backup.repository import (
    CARD,
    DRILLS,
    FILES,
    KEYSTORES,
    LEDGER,
    PACKS,
    PRUNINGS,
    WAL,
    Repository,
    RepositoryCard,
    Stored,
    open_repository,
    pruning_name,
)
from audobon.backup.sealed_files import is_sound, keep_file, name_of
from audobon.backup.signed import is_signed, opened, signed
from audobon.backup.sources import Progress, Sources, Tell
from audobon.backup.verifying import Fault
from audobon.database.copies import own_copy
from audobon.database.shipped import ShippedObject
from audobon.errors import (
    AudobonError,
    CorruptBackup,
    Denied,
    ForeignRepository,
    NewerFormat,
    ObjectNotFound,
)
from audobon.ids import new_id
from audobon.keys.service import Keys
from audobon.storage.port import ObjectStore

_PIECE_BYTES = 1 << 20

Make = Callable[[], AbstractContextManager[IO[bytes]]]


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """What mending a place came to; names of objects.

    mended    as they were, or as good
    renewed   let go: the backup that was made after has them anew
    given_up  let go, and nothing has them: backups that need them are not whole
    spared    left as they are: this Audobon may not or cannot read them, and a newer one may
    """

    place: str
    mended: list[str]
    renewed: list[str]
    given_up: list[str]
    spared: list[str]


class Repairer:
    """Mends one place; the repository is opened with full rights."""

    def __init__(
        self, sources: Sources, repository: Repository, others: Iterable[Repository], tell: Tell
    ) -> None:
        self._sources = sources
        self._repository = repository
        self._stores: list[ObjectStore] = [each.store for each in others]
        self._tell = tell
        self._mended: list[str] = []
        self._renewed: list[str] = []
        self._given_up: list[str] = []
        self._spared: list[str] = []

    def repair(self, faults: Iterable[Fault]) -> Repaired:
        """Mend what was found; a backup has to be made after."""
        is_unreadable: dict[str, bool] = {}
        for fault in faults:
            is_unreadable[fault.object] = fault.is_unreadable or is_unreadable.get(fault.object, False)
        with self._repository.using(alone=True):
            digests = pack_digests(self._repository)
            for name, is_spared in is_unreadable.items():
                self._tell(Progress(str(self._repository.path), "mending"))
                self._mend(name, digests, is_spared=is_spared)
        return Repaired(
            place=str(self._repository.path),
            mended=self._mended,
            renewed=self._renewed,
            given_up=self._given_up,
            spared=self._spared,
        )

    def _mend(self, name: str, digests: dict[str, str], *, is_spared: bool) -> None:
        if name.startswith(PACKS):
            inner = name.removeprefix(PACKS)
            sources: list[tuple[ObjectStore, str]] = [(self._sources.storage.store, inner)]
            sources += [(store, name) for store in self._stores]
            is_mended = self._copy(name, sources, lambda file: _has_digest(file, digests.get(inner)))
        elif name.startswith(WAL) and name != WAL:
            sources = [(own_copy(self._sources.folder), name), *((store, name) for store in self._stores)]
            is_mended = self._copy(name, sources, lambda file: self._is_shipped(file, name))
        elif name.startswith(FILES):
            sources = [(store, name) for store in self._stores]
            is_mended = self._copy(name, sources, lambda file: is_sound(self._sources.keys, file, name))
            is_mended = is_mended or (not is_spared and self._encrypt_anew(name))
        else:
            is_mended = False
        if is_mended:
            self._mended.append(name)
        elif is_spared:
            self._spared.append(name)
        else:
            self._let_go(name)

    def _copy(
        self, name: str, sources: list[tuple[ObjectStore, str]], is_whole: Callable[[IO[bytes]], bool]
    ) -> bool:
        for store, there in sources:
            with (
                suppress(AudobonError),
                store.open(there) as file,
                self._repository.store.replacing(name) as copy,
            ):
                while piece := file.read(_PIECE_BYTES):
                    copy.write(piece)
                copy.flush()
                copy.seek(0)
                if not is_whole(copy):
                    raise CorruptBackup(f"{name} is damaged there too")
                return True
        return False

    def _is_shipped(self, file: IO[bytes], name: str) -> bool:
        for _ in ShippedObject(file, self._sources.keys, name).plain():
            pass
        return True

    def _encrypt_anew(self, name: str) -> bool:
        """Have a small file again whose bytes still lie in the data folder."""
        with suppress(ObjectNotFound):
            self._repository.store.delete(name)
        for file in small_files(self._sources.folder, self._sources.settings_file):
            with suppress(AudobonError):
                if name_of(self._sources.keys, file) == name:
                    entry, _ = keep_file(self._repository.store, self._sources.keys, file, {})
                    return entry.object == name
        return False

    def _let_go(self, name: str) -> None:
        if name.startswith(f"{FOLDER}/"):
            number = int(name.removeprefix(f"{FOLDER}/").partition(".")[0])
            self._note_removed(number)
        with suppress(AudobonError):
            self._repository.store.delete(name)
        if name.startswith(PRUNINGS):
            self._note_gaps()
        renewed = (KEYSTORES, LEDGER, DRILLS, PRUNINGS)
        (self._renewed if name.startswith(renewed) else self._given_up).append(name)

    def _note_gaps(self) -> None:
        numbers = self._repository.numbers()
        removed = {number for each in self._sound_prunings() for number in each.removed}
        for number in set(range(1, max(numbers, default=0) + 1)) - set(numbers) - removed:
            self._note_removed(number)

    def _sound_prunings(self) -> Iterator[Pruning]:
        with suppress(AudobonError):
            yield from self._repository.prunings()

    def _note_removed(self, number: int) -> None:
        """Note that a backup is gone, so that its number is not missed; as `prune` does."""
        follower = sound_manifest(self._repository, number + 1)
        digest = follower.manifest.previous.digest if follower and follower.manifest.previous else ""
        pruning = Pruning(
            repository=self._repository.card.id, at=self._sources.clock(), removed={number: digest}
        )
        data = signed(pruning, self._sources.keys)
        self._repository.write(pruning_name(new_id(), data), data)


def sound_manifest(repository: Repository, number: int) -> Stored | None:
    """Return a manifest; None when it is not there, or not as it was written."""
    try:
        return repository.manifest(number)
    except AudobonError:
        return None


def pack_digests(repository: Repository) -> dict[str, str]:
    """Return the digests of packs by name, as the manifests that can be read have them."""
    found = {}
    for number in repository.numbers():
        if (stored := sound_manifest(repository, number)) is not None:
            found.update({pack.name: pack.digest for pack in stored.manifest.packs})
    return found


def copy_out(repository: Repository, name: str, digest: str | None, make: Make) -> None:
    """Copy an object into a file that is made for it. raises ObjectNotFound, CorruptBackup."""
    with repository.store.open(name) as file, make() as target:
        found = blake3.blake3()
        while piece := file.read(_PIECE_BYTES):
            found.update(piece)
            target.write(piece)
        if digest is not None and found.hexdigest() != digest:
            raise CorruptBackup(f"{repository.path / name} is not as it was written")


def mend_card(path: Location, keys: Keys) -> bool:
    """Write the card of a place anew when it is damaged or gone; tell whether it was.

    Only where a manifest bears the signature of these keys.
    raises  ForeignRepository; NewerFormat and Denied, as the card may be sound
    """
    card = None
    known = _known_manifest(path, keys)
    try:
        card = open_repository(path, keys, rights="read").card
    except Denied:
        raise
    except NewerFormat:
        # A flipped bit in its format does not make it a newer one: that would be signed.
        with open_store(path, rights="read").open(CARD) as file:
            if known is None or is_signed(file.read(), RepositoryCard, public_key=keys.public_signing_key):
                raise
    except AudobonError as error:
        # What bears our signatures is ours, whatever its card says.
        if known is None and isinstance(error, ForeignRepository):
            raise
    # A sound card of another place is as wrong as a damaged one.
    if known is None or (card is not None and card.id == known.repository):
        return False
    card = RepositoryCard(
        id=known.repository, keystore_id=keys.id, public_key=keys.public_signing_key, created_at=known.at
    )
    with open_store(path, rights="full").replacing(CARD) as file:
        file.write(signed(card, keys))
    return True


def _known_manifest(path: Location, keys: Keys) -> Manifest | None:
    store = open_store(path, rights="read")
    for info in store.list(f"{FOLDER}/"):
        with suppress(AudobonError), store.open(info.name) as file:
            manifest = opened(file.read(), Manifest, public_key=keys.public_signing_key, name=info.name)
            if info.name == object_name(manifest.number):
                return manifest
    return None


def _has_digest(file: IO[bytes], digest: str | None) -> bool:
    found = blake3.blake3()
    while piece := file.read(_PIECE_BYTES):
        found.update(piece)
    return digest is not None and found.hexdigest() == digest
