"""Backups of a data folder in its places: made, looked at, proved and restored."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from audobon.atomic import disk_errors, make_private_folder, write_bytes
from audobon.backup.drill import Drill, DrillReport, report_name
from audobon.backup.locations import Location
from audobon.backup.making import BackupMaker, Made
from audobon.backup.memory import Memory
from audobon.backup.places import Place, Places
from audobon.backup.pruning import Pruned, Pruner
from audobon.backup.repairing import Repaired, Repairer, copy_out, mend_card, pack_digests
from audobon.backup.repository import PACKS, Repository, Stored, initialise, open_repository
from audobon.backup.restoring import find_backup
from audobon.backup.rules import KeepRules
from audobon.backup.signed import signed
from audobon.backup.sources import Sources, Tell, tell_nobody
from audobon.backup.standing import Limits, Standing, standing
from audobon.backup.verifying import Verified, Verifier, gravest
from audobon.errors import (
    AudobonError,
    BackupNotFound,
    BelowThreshold,
    Conflict,
    NotFound,
    PartlyFailed,
)
from audobon.ids import new_id
from audobon.storage.port import ObjectStore, Rights
from audobon.telemetry.logs import Log

_Result = TypeVar("_Result")


class Failure(msgspec.Struct, frozen=True):
    """A place where a command failed."""

    place: str
    code: str
    message: str
    hint: str | None


class Backups:
    """The backups of one data folder.

    Each command does every place, whatever happens in another; `failures` says where the last one failed.
    """

    def __init__(
        self, sources: Sources, places: Places, log: Log, *, limits: Limits, rules: KeepRules
    ) -> None:
        self.sources = sources
        self.places = places
        self.rules = rules
        self.memory = Memory(sources.folder)
        self.failures: list[Failure] = []
        self.log = log
        self._limits = limits

    def add(self, path: Location) -> bool:
        """Begin backups in a place, and note it for good; tell whether it held none before.

        raises  Conflict when other files lie there, it is another place by another name, or lies in the
                data folder; ForeignRepository, Denied
        """
        path = path.absolute()
        if isinstance(path, Path) and path.resolve().is_relative_to(self.sources.folder.resolve()):
            raise Conflict(
                f"{path} lies in the data folder, and would be lost with it",
                hint="name a folder on another disk",
            )
        repository, is_new = initialise(path, self.sources.keys, at=self.sources.clock())
        if (twin := self._twin(path, repository)) is not None:
            raise Conflict(f"{path} is {twin} by another name", hint="two places are two folders, or buckets")
        self.places.add(path)
        return is_new

    def make(
        self, *, place: Location | None = None, is_dry: bool = False, tell: Tell = tell_nobody
    ) -> list[Made]:
        """Make a backup in every place, or in one; return what came of it where it went well.

        raises  NotFound when there is no place
        """

        def make(each: Place) -> Made:
            maker = BackupMaker(self.sources, self._open(each, "create"), self.memory, tell)
            made = maker.plan() if is_dry else maker.make()
            if not is_dry:
                self.log.write(
                    "backup",
                    "backup made",
                    level="warning" if made.lacking or made.keystore_fault else "info",
                    place=made.place,
                    id=made.id,
                    added_bytes=made.added_bytes,
                    lacking=len(made.lacking),
                    keystore_fault=made.keystore_fault,
                )
            return made

        return self._everywhere(place, "backup failed", make)

    def verify(
        self, *, place: Location | None = None, is_fast: bool = False, tell: Tell = tell_nobody
    ) -> list[Verified]:
        """Look at every place, or at one, and return what was found; `refuse` raises when it is bad."""

        def verify(each: Place) -> Verified:
            repository = self._open(each, "read")
            verified = Verifier(repository, self.sources.keys, self.memory, tell, is_fast=is_fast).run()
            if verified.faults:
                worst = gravest(verified.faults)
                found = "unreadable objects found" if worst.is_unreadable else "damage found"
                self.log.write(
                    "backup",
                    found,
                    level="error",
                    place=verified.place,
                    faults=len(verified.faults),
                    first=worst.object,
                )
                found = "what it cannot read" if worst.is_unreadable else "damage"
                self.memory.note_complaint(
                    repository.card.id, f"verify found {found}: {worst.object}: {worst.what}"
                )
            elif not is_fast:
                self.memory.note(repository.card.id, verified_at=self.sources.clock())
            return verified

        return self._everywhere(place, "verifying failed", verify)

    def repair(self, *, place: Location | None = None, tell: Tell = tell_nobody) -> list[Repaired]:
        """Mend every place, or one, from the data folder and the other places, and back up anew.

        What has no second copy is let go, and told. Needs the right to delete in the place.
        """

        def repair(each: Place) -> Repaired:
            if mend_card(each.path, self.sources.keys):
                self.log.write("backup", "the card of a place was written anew", place=str(each.path))
            repository = self._open(each, "full")
            others = [self._open(other, "read") for other in self._reachable() if other.path != each.path]
            verified = Verifier(repository, self.sources.keys, self.memory, tell, is_fast=False).run()
            repaired = Repairer(self.sources, repository, others, tell).repair(verified.faults)
            if verified.faults:
                maker = BackupMaker(self.sources, self._open(each, "create"), self.memory, tell)
                maker.make()
                level = "warning" if repaired.given_up else "info"
                self.log.write(
                    "backup",
                    "place mended",
                    level=level,
                    place=repaired.place,
                    mended=len(repaired.mended),
                    given_up=len(repaired.given_up),
                )
            return repaired

        return self._everywhere(place, "repair failed", repair)

    def forgotten(self) -> Iterator[str]:
        """Yield places that hold backups of which backups.json knows nothing, in words."""
        for place in self.places.list():
            with suppress(AudobonError):
                repository = self._open(place, "read")
                if repository.numbers() and not self.memory.of(repository.card.id).number:
                    yield f"backups.json is gone, or does not know the backups in {place.path}"

    def _reachable(self) -> list[Place]:
        found = []
        for place in self.places.list():
            with suppress(AudobonError):
                self._open(place, "read")
                found.append(place)
        return found

    def prune(
        self,
        *,
        place: Location | None = None,
        rules: KeepRules | None = None,
        is_dry: bool = True,
        tell: Tell = tell_nobody,
    ) -> list[Pruned]:
        """Remove from every place, or from one, what the rules do not keep; with full rights."""

        def prune(each: Place) -> Pruned:
            repository = self._open(each, "full")
            pruner = Pruner(repository, self.sources.keys, rules or self.rules, tell, self.sources.clock)
            pruned = pruner.run(is_dry=is_dry)
            if not is_dry:
                self.log.write(
                    "backup",
                    "backups pruned",
                    place=pruned.place,
                    removed=len(pruned.removed),
                    freed_bytes=pruned.freed_bytes,
                )
            return pruned

        return self._everywhere(place, "pruning failed", prune)

    def standings(self) -> list[Standing]:
        """Return how every place stands; one that cannot be looked at is an alarm too."""
        found = []
        for place in self.places.list():
            try:
                repository = self._open(place, "read")
                found.append(
                    standing(
                        repository,
                        self.memory,
                        self._limits,
                        origin=place.origin,
                        now=self.sources.clock(),
                        twin=self._twin(place.path, repository),
                    )
                )
            except AudobonError as error:
                found.append(
                    Standing(
                        place=str(place.path),
                        origin=place.origin,
                        backup_count=None,
                        newest_id=None,
                        backup_at=None,
                        drilled_at=None,
                        verified_at=None,
                        alarms=[error.message],
                        hint=error.hint,
                    )
                )
        return found

    def check(self) -> list[Standing]:
        """Return how every place stands, and note in the log what is late or missing."""
        found = self.standings()
        for each in found:
            for alarm in each.alarms:
                self.log.write("backup", "alarm", level="error", place=each.place, reason=alarm)
        return found

    def history(self, place: Place) -> list[Stored]:
        """Return the sound backups of a place, oldest first. raises Unavailable, ForeignRepository."""
        return self._open(place, "read").readable()[0]

    @contextmanager
    def holding(self, place: Location | None, name: str) -> Iterator[tuple[Repository, Stored]]:
        """Find a backup and keep it from being pruned meanwhile.

        place   where to look; None: wherever it is found first
        name    its id, or "latest"
        raises  BackupNotFound, Unavailable when no place is there
        """
        refusals = []
        best: tuple[Repository, Stored] | None = None
        for each in self._chosen(place):
            try:
                repository = self._open(each, "read")
                found = find_backup(repository, name)
            except AudobonError as error:
                refusals.append(error)
                continue
            if best is None or found.manifest.at > best[1].manifest.at:
                best = repository, found
        if best is None:
            raise next((each for each in refusals if not isinstance(each, BackupNotFound)), refusals[0])
        with best[0].using():
            yield best

    def drill(self, *, place: Location | None = None, tell: Tell = tell_nobody) -> list[DrillReport]:
        """Restore from every place, or from one, for trial; return the reports, kept here and there."""

        def drill(each: Place) -> DrillReport:
            repository = self._open(each, "create")
            with repository.using():
                report = Drill(self.sources, repository, tell).run(new_id())
                data = signed(report, self.sources.keys)
                repository.write(report_name(report.id), data)
            target = self.sources.folder / report_name(report.id)
            with disk_errors(target):
                make_private_folder(target.parent)
            write_bytes(target, data)
            if report.is_well:
                self.memory.note(repository.card.id, drilled_at=report.at)
            else:
                failed = next(step for step in report.steps if not step.is_well)
                self.memory.note_complaint(
                    repository.card.id, f"the last drill failed: {failed.name}: {failed.told}"
                )
            self.log.write(
                "backup",
                "drill went well" if report.is_well else "drill failed",
                level="info" if report.is_well else "error",
                place=report.place,
                id=report.id,
                rpo_seconds=report.rpo_seconds,
                rto_seconds=report.rto_seconds,
                failed=[step.name for step in report.steps if not step.is_well],
            )
            return report

        return self._everywhere(place, "drill failed", drill)

    def ledgers(self) -> list[ObjectStore]:
        """Return the stores of all places that can be reached."""
        return [repository.store for repository in self.repositories()]

    def repositories(self) -> list[Repository]:
        """Return all places that can be reached, to read."""
        found: list[Repository] = []
        for place in self.places.list():
            with suppress(AudobonError):
                found.append(self._open(place, "read"))
        return found

    def fetch(self, name: str, make: Callable[[], AbstractContextManager[IO[bytes]]]) -> bool:
        """Write a pack into a file that is made for it, from the first place that holds it whole.

        make    called for each try; what it made is thrown away when its block raises
        return  False when no place has it whole
        """
        for each in self.places.list():
            with suppress(AudobonError):
                repository = self._open(each, "read")
                with repository.using():
                    copy_out(repository, PACKS + name, pack_digests(repository).get(name), make)
                return True
        return False

    def raise_failures(self) -> None:
        """Raise PartlyFailed when the last command failed at some places; had all failed, it had raised."""
        if not self.failures:
            return
        first = self.failures[0]
        more = f", and {len(self.failures) - 1} more" if len(self.failures) > 1 else ""
        raise PartlyFailed(f"{first.place}: {first.message}{more}", hint=first.hint)

    def _twin(self, path: Location, repository: Repository) -> Location | None:
        """Return another place that is the same repository, or a copy of it; None: there is none."""
        for each in self.places.list():
            with suppress(AudobonError):
                if each.path != path and self._open(each, "read").card.id == repository.card.id:
                    return each.path
        return None

    def _everywhere(
        self, place: Location | None, event: str, act: Callable[[Place], _Result]
    ) -> list[_Result]:
        self.failures = []
        results, errors = [], []
        for each in self._chosen(place):
            try:
                results.append(act(each))
            except AudobonError as error:
                self.log.write("backup", event, level="error", place=str(each.path), reason=error.message)
                self.failures.append(Failure(str(each.path), error.code, error.message, error.hint))
                errors.append(error)
        if errors and not results:
            raise errors[0]
        return results

    def _chosen(self, place: Location | None) -> list[Place]:
        known = self.places.list()
        if not known:
            raise NotFound("there is no place for backups yet", hint="audobon backup add FOLDER")
        if place is None:
            return known
        path = place.absolute()
        chosen = [each for each in known if each.path == path]
        if not chosen:
            raise NotFound(f"{path} is no place for backups", hint="audobon backup list")
        return chosen

    def _open(self, place: Place, rights: Rights) -> Repository:
        return open_repository(place.path, self.sources.keys, rights=rights)


def refuse_late(standings: list[Standing]) -> None:
    """Raise BelowThreshold when anything is late or missing, naming the first of it."""
    alarms = [(each.place, alarm, each.hint) for each in standings for alarm in each.alarms]
    if alarms:
        more = f", and {len(alarms) - 1} more" if len(alarms) > 1 else ""
        raise BelowThreshold(f"{alarms[0][0]}: {alarms[0][1]}{more}", hint=alarms[0][2])
