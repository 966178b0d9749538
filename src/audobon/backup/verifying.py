"""Looks whether a place still holds every backup as it was written."""

import time
from collections.abc import Callable, Iterable

import msgspec

from audobon.backup.copying import digest_of
from audobon.backup.drill import DrillReport, report_name
from audobon.backup.manifest import PackEntry, object_name
from audobon.backup.memory import Memory, Remembered
from audobon.backup.repository import (
    DRILLS,
    FILES,
    KEYSTORES,
    LEDGER,
    PACKS,
    Repository,
    Stored,
    is_named_by,
)
from audobon.backup.sealed_files import is_sound
from audobon.backup.signed import opened
from audobon.backup.sources import Progress, Tell
from audobon.backup.verifying_database import ShippedVerifier
from audobon.errors import (
    AudobonError,
    CorruptBackup,
    Denied,
    NewerFormat,
    ObjectNotFound,
    Unavailable,
    by_code,
)
from audobon.keys.ledger import FIRST, hash_of
from audobon.keys.recovery import read_heading
from audobon.keys.service import Keys

_UNREADABLE = (Denied, NewerFormat, Unavailable)
_HINTS = {
    Denied.code: "check the permissions of the place",
    NewerFormat.code: "upgrade Audobon",
    Unavailable.code: "run the same command again",
}


class Fault(msgspec.Struct, frozen=True):
    """Something that is not as it should be, in the object of that name.

    what           in words
    code           of the error that it is
    is_unreadable  this Audobon may not or cannot read it, and it may be sound: mending leaves it there
    """

    object: str
    what: str
    code: str = CorruptBackup.code
    is_unreadable: bool = False


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What looking at a place found.

    is_fast     only presence and sizes were looked at
    read_bytes  that were read and proved
    strays      objects no backup names, such as those of one that was broken off; harmless
    """

    place: str
    backup_count: int
    objects: int
    read_bytes: int
    is_fast: bool
    strays: int
    seconds: float
    faults: list[Fault]


class Verifier:
    """Verifies one place.

    is_fast  leave out reading every byte
    """

    def __init__(
        self, repository: Repository, keys: Keys, memory: Memory, tell: Tell, *, is_fast: bool
    ) -> None:
        self._repository = repository
        self._keys = keys
        self._memory = memory
        self._tell = tell
        self._is_fast = is_fast
        self._faults: list[Fault] = []
        self._read_bytes = 0
        self._objects = 0

    def run(self) -> Verified:
        """Return what was found; the place is not changed. raises Denied, Unavailable."""
        begun = time.monotonic()
        with self._repository.using():
            stored = self._manifests()
            self._check_chain(stored)
            strays = self._check_objects(stored)
            self._check_keystores(stored)
            self._check_ledger(stored)
            self._check_reports()
            shipped = ShippedVerifier(
                self._repository.store, self._keys, self._fault, self._note_read, is_fast=self._is_fast
            )
            self._objects += shipped.run(stored.values())
        return Verified(
            place=str(self._repository.path),
            backup_count=len(stored),
            objects=self._objects,
            read_bytes=self._read_bytes,
            is_fast=self._is_fast,
            strays=strays,
            seconds=time.monotonic() - begun,
            faults=self._faults,
        )

    def _manifests(self) -> dict[int, Stored]:
        found = {}
        for number in self._repository.numbers():
            self._objects += 1
            try:
                found[number] = self._repository.manifest(number)
            except AudobonError as error:
                name = object_name(number)
                self._fault(name, error.message.removeprefix(f"{self._repository.path / name} "), error)
        return found

    def _check_chain(self, stored: dict[int, Stored]) -> None:
        """Find backups that were removed, or put in the place of others, by anybody but `prune`."""
        removed: dict[int, str] = {}
        try:
            for pruning in self._repository.prunings():
                removed |= pruning.removed
        except AudobonError as error:
            self._fault("prunings/", error.message, error)
        remembered = self._memory.of(self._repository.card.id)
        damaged = {fault.object for fault in self._faults}
        newest = max([*stored, *removed, remembered.number, 0])
        for number in range(1, newest + 1):
            name = object_name(number)
            if number not in stored and number not in removed and name not in damaged:
                self._fault(name, "the manifest of this backup is missing, and was not pruned")
        for number, each in stored.items():
            previous = each.manifest.previous
            if previous is None:
                if any(earlier not in removed for earlier in range(1, number)):
                    self._fault(object_name(number), "it names no backup before it, and is not the first")
                continue
            before = (
                stored[previous.number].digest if previous.number in stored else removed.get(previous.number)
            )
            if before and before != previous.digest:
                self._fault(
                    object_name(previous.number), f"it is not the one that backup {each.manifest.id} follows"
                )
        self._check_remembered(stored, remembered)

    def _check_remembered(self, stored: dict[int, Stored], remembered: Remembered) -> None:
        there = stored.get(remembered.number)
        if there is not None and there.digest != remembered.digest:
            self._fault(object_name(remembered.number), "it is not the one that was written from here")

    def _check_objects(self, stored: dict[int, Stored]) -> int:
        """Look at every object that any backup names; return how many objects none names."""
        present = {
            info.name: info.size_bytes
            for prefix in (PACKS, FILES)
            for info in self._repository.store.list(prefix)
        }
        wanted = needed_objects(stored.values(), self._fault)
        total = sum(entry.size_bytes for entry in wanted.values())
        for name, entry in wanted.items():
            self._objects += 1
            self._tell(Progress(str(self._repository.path), "objects", self._read_bytes, total))
            if (size_bytes := present.get(name)) is None:
                self._fault(name, "it is missing")
            elif size_bytes != entry.size_bytes:
                self._check_file(name, f"it has {size_bytes} bytes, and {entry.size_bytes} were written")
            elif not self._is_fast:
                self._check_digest(name, entry.digest)
        return len(present.keys() - wanted.keys())

    def _check_keystores(self, stored: dict[int, Stored]) -> None:
        present = {info.name for info in self._repository.store.list(KEYSTORES)}
        if stored:
            # An erasure puts a later one in its place.
            wanted = stored[max(stored)].manifest.keystore.name
            if wanted not in present and not any(_stamp(name) >= _stamp(wanted) for name in present):
                self._fault(wanted, "it is missing: the words alone would not restore this backup")
        exports = {each.manifest.keystore.name: each.manifest.keystore for each in stored.values()}
        for entry in exports.values():
            # Old ones go, so that keys that were destroyed do not live on.
            if entry.name in present:
                self._objects += 1
                self._check_digest(entry.name, entry.digest)

        # Those that no manifest names, made again after an erasure, are small: read in any case.
        for name in sorted(present - exports.keys()):
            self._objects += 1
            try:
                data = self._repository.read(name)
                read_heading(data)
            except AudobonError as error:
                self._fault(name, error.message, error)
                continue
            self._read_bytes += len(data)
            if not is_named_by(name, data):
                self._fault(name, "its bytes are not those that were written")

    def _check_ledger(self, stored: dict[int, Stored]) -> None:
        heads = set()
        for info in self._repository.store.list(LEDGER):
            self._objects += 1
            try:
                entries = self._keys.ledger.decode(self._repository.read(info.name))
            except AudobonError as error:
                self._fault(info.name, error.message, error)
                continue
            head = hash_of(entries[-1]) if entries else FIRST
            if info.name != f"{LEDGER}{len(entries):012d}-{head[:16]}.jsonl":
                self._fault(info.name, "it is not as long as it was written, or another's")
            heads |= {hash_of(entry) for entry in entries} | {FIRST}
        damaged = any(fault.object.startswith(LEDGER) for fault in self._faults)
        if stored and stored[max(stored)].manifest.ledger_head not in heads and not damaged:
            self._fault(LEDGER, "the ledger of erasures that the newest backup names is missing")

    def _check_reports(self) -> None:
        public_key = self._repository.card.public_key
        for info in self._repository.store.list(DRILLS):
            self._objects += 1
            try:
                report = opened(
                    self._repository.read(info.name), DrillReport, public_key=public_key, name=info.name
                )
            except AudobonError as error:
                self._fault(info.name, error.message, error)
                continue
            if info.name != report_name(report.id):
                self._fault(info.name, "it is the report of another drill")

    def _note_read(self, count: int) -> None:
        self._read_bytes += count

    def _check_digest(self, name: str, digest: str) -> None:
        try:
            found, count = digest_of(self._repository.store, name)
        except ObjectNotFound:
            self._fault(name, "it is missing")
            return
        except AudobonError as error:
            self._fault(name, error.message, error)
            return
        self._read_bytes += count
        if found != digest:
            self._check_file(name, "its bytes are not those that were written")

    def _check_file(self, name: str, what: str) -> None:
        """Find what is wrong, but for a small file that was encrypted anew, as mending does.

        Its name tells what it holds.
        """
        error = None
        try:
            if name.startswith(FILES):
                with self._repository.store.open(name) as file:
                    if is_sound(self._keys, file, name):
                        return
        except AudobonError as caught:
            error = caught
            if isinstance(error, _UNREADABLE):
                what = error.message
        self._fault(name, what, error)

    def _fault(self, name: str, what: str, error: AudobonError | None = None) -> None:
        # The line that tells it begins with the name.
        what = what.removeprefix(f"{name} ")
        if isinstance(error, _UNREADABLE):
            self._faults.append(Fault(name, what, error.code, is_unreadable=True))
        else:
            self._faults.append(Fault(name, what))


def _stamp(name: str) -> str:
    """Return the second in which an export was made, as its name has it."""
    return name.removeprefix(KEYSTORES)[: len("20260102-150405")]


def needed_objects(stored: Iterable[Stored], fault: Callable[[str, str], None]) -> dict[str, PackEntry]:
    """Return every object that backups name.

    fault  told when two backups name one object with different bytes
    """
    wanted: dict[str, PackEntry] = {}
    for each in stored:
        entries = [PackEntry(PACKS + pack.name, pack.size_bytes, pack.digest) for pack in each.manifest.packs]
        entries += [PackEntry(file.object, file.size_bytes, file.digest) for file in each.manifest.files]
        for entry in entries:
            if wanted.setdefault(entry.name, entry) != entry:
                fault(entry.name, "two backups disagree what it holds")
    return wanted


def gravest(faults: Iterable[Fault]) -> Fault:
    """Return the first that is damage; where nothing is, the first that could not be read."""
    return min(faults, key=lambda fault: fault.is_unreadable)


def refuse(verified: Iterable[Verified]) -> None:
    """Raise when anything is not as it should be, naming the gravest.

    raises  CorruptBackup; where nothing is damaged, but cannot be read: NewerFormat, Denied, Unavailable
    """
    found = [(each.place, fault) for each in verified for fault in each.faults]
    if not found:
        return
    place, worst = min(found, key=lambda told: told[1].is_unreadable)
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    message = f"{place}/{worst.object}: {worst.what}{more}"
    if worst.is_unreadable:
        raise by_code(worst.code)(message, hint=_HINTS.get(worst.code))
    raise CorruptBackup(
        message, hint="audobon backup verify --repair; if this disk is failing, another place"
    )
