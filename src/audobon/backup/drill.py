"""The drill: a backup is restored for trial from the place and the recovery words alone, and proved."""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from audobon.atomic import clear_leftovers, disk_errors, temporary_beside
from audobon.backup.keyrings import from_words
from audobon.backup.marking import count, has_mark
from audobon.backup.repository import DRILLS, Repository, Stored
from audobon.backup.restoring import Point, Restorer, position_of
from audobon.backup.signed import Document
from audobon.backup.sources import Sources, Tell
from audobon.database.generations import latest_position
from audobon.errors import AudobonError, BackupNotFound, CorruptBackup, DiskFull
from audobon.jobs.records import JobRecords
from audobon.keys.passphrase import Passphrase
from audobon.keys.service import Keys
from audobon.keys.unlocking import HereProtectors, open_keys
from audobon.sqlite import connect_to_look
from audobon.storage.service import Storage

_MOST_BLOBS = 20
_BLOBS_OF = """
SELECT entry.blob FROM entry JOIN job ON job.id = entry.job_id WHERE job.subject = :subject
UNION
SELECT task.result_blob FROM task JOIN job ON job.id = task.job_id WHERE job.subject = :subject
"""
# Older marks are gone by and by.
_MOST_MARKS = 100


class Step(msgspec.Struct, frozen=True):
    """One thing that was proved, or was not; `told` says what was found."""

    name: str
    is_well: bool
    told: str
    seconds: float


class DrillReport(Document, frozen=True, kw_only=True):
    """What a drill found.

    at           UTC seconds, when it began
    rpo_seconds  what would be lost if everything here were lost at that instant
    rto_seconds  from nothing to a data folder that can be used; None when it could not be restored
    """

    id: str
    place: str
    repository: str
    backup: str
    at: float
    steps: list[Step]
    rpo_seconds: float | None
    rto_seconds: float | None

    @property
    def is_well(self) -> bool:
        """Whether everything was proved."""
        return all(step.is_well for step in self.steps)


class Drill:
    """One drill at one place.

    chance  what chooses blobs and the older point
    """

    def __init__(
        self, sources: Sources, repository: Repository, tell: Tell, *, chance: random.Random | None = None
    ) -> None:
        self._sources = sources
        self._repository = repository
        self._tell = tell
        self._chance = chance or random.SystemRandom()
        self._steps: list[Step] = []
        self._rto_seconds: float | None = None

    def run(self, drill_id: str) -> DrillReport:
        """Return what was found; the place is not changed.

        raises  BackupNotFound when there is nothing to restore, DiskFull
        """
        at = self._sources.clock()
        stored = self._repository.manifests()
        if not stored:
            raise BackupNotFound(f"{self._repository.path} holds no backup yet", hint="audobon backup now")
        newest = stored[-1]
        beside = _scratch_parent(self._sources.folder) / "drill"
        with disk_errors(beside):
            clear_leftovers(beside)
            scratch = temporary_beside(beside)
            scratch.mkdir(mode=0o700)
        rpo: list[float] = []
        try:
            unlock = scratch / "unlock"
            words = self._sources.keys.recovery_words(are_shown=False)
            protectors = HereProtectors(unlock, Passphrase(), wanted="unlock-file")
            restorer = Restorer(
                self._repository,
                from_words(self._repository, words, protectors),
                lambda folder: open_keys(folder, unlock_folder=unlock),
                [self._repository.store],
                self._tell,
            )
            restored = scratch / "restored"
            restored.mkdir(mode=0o700)
            if self._step("restore from the words alone", lambda: self._restore(restorer, newest, restored)):
                with closing(open_keys(restored, unlock_folder=unlock)) as keys:
                    self._step("counts and sentinel", lambda: _counts(restored / "audobon.db", newest))
                    self._step("nothing left out", lambda: _complete(restored, keys, newest))
                    self._step("random blobs", lambda: self._blobs(restored, keys))
                    self._step("an older point", lambda: self._older(restorer, keys, stored, scratch))
                    self._step("how far back", lambda: self._rpo(keys, newest, at, rpo))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return DrillReport(
            id=drill_id,
            place=str(self._repository.path),
            repository=self._repository.card.id,
            backup=newest.manifest.id,
            at=at,
            steps=self._steps,
            rpo_seconds=rpo[0] if rpo else None,
            rto_seconds=self._rto_seconds,
        )

    def _step(self, name: str, prove: Callable[[], str]) -> bool:
        begun = time.monotonic()
        try:
            told, is_well = prove(), True
        except DiskFull:
            # It says nothing about the backup.
            raise
        except AudobonError as error:
            told, is_well = error.message, False
        self._steps.append(Step(name, is_well, told, time.monotonic() - begun))
        return is_well

    def _restore(self, restorer: Restorer, newest: Stored, folder: Path) -> str:
        begun = time.monotonic()
        restored = restorer.build(Point([newest]), folder)
        self._rto_seconds = time.monotonic() - begun
        return f"{restored.packs} packs, {restored.size_bytes} bytes; the database is sound"

    def _blobs(self, folder: Path, keys: Keys) -> str:
        erased = {subject.id for subject in keys.subjects() if subject.erased_at is not None}
        with closing(Storage(folder, keys)) as storage:
            readable = [key for key in list(storage.keys()) if storage.subject_of(key) not in erased]
            chosen = self._chance.sample(readable, min(_MOST_BLOBS, len(readable)))
            for key in chosen:
                # Read whole, decrypted, and hashed against its key.
                storage.get(key)
        return f"{len(chosen)} of {len(readable)} read and hashed"

    def _older(self, restorer: Restorer, keys: Keys, stored: list[Stored], scratch: Path) -> str:
        older = self._chance.choice(stored)
        own = position_of(older.manifest)
        # Commits between two backups count too, but none of another history.
        following = [
            each.manifest.database.commit
            for each in stored
            if each.manifest.database.generation == own.generation
            and each.manifest.database.commit > own.commit
        ]
        commit = self._chance.randint(own.commit, min(following, default=own.commit))
        path = scratch / "older.db"
        restorer.database(keys, path, Point([older], msgspec.structs.replace(own, commit=commit)))
        with closing(connect_to_look(path)) as connection:
            for each in stored[-_MOST_MARKS:]:
                database = each.manifest.database
                if (
                    database.generation == own.generation
                    and database.commit <= commit
                    and not has_mark(connection, each.manifest.counts.sentinel)
                ):
                    raise CorruptBackup(f"commit {commit} lacks the mark of backup {each.manifest.id}")
        return f"commit {commit}, from backup {older.manifest.id} on; the database is sound"

    def _rpo(self, keys: Keys, newest: Stored, at: float, rpo: list[float]) -> str:
        position = latest_position(self._repository.store, keys)
        if position is None:
            raise CorruptBackup(f"{self._repository.path} holds nothing of the database")
        # A history that was given up for an older state may have counted further.
        position = max(position, position_of(newest.manifest), key=lambda each: each.at)
        rpo.append(max(0.0, at - position.at))
        return f"up to commit {position.commit}"


def _counts(path: Path, stored: Stored) -> str:
    expected = stored.manifest.counts
    with closing(connect_to_look(path)) as connection:
        if not has_mark(connection, expected.sentinel):
            raise CorruptBackup("the sentinel that was written for this backup is not in the database")
        found = count(connection, sentinel=expected.sentinel)
    if found != expected:
        raise CorruptBackup(f"the database holds {found}, and {expected} were counted")
    return f"{found.jobs} jobs, {found.entries} files, {sum(found.tasks.values())} tasks, as counted"


def _complete(folder: Path, keys: Keys, stored: Stored) -> str:
    """Prove that whatever the restored database needs is among what was restored."""
    if lacking := stored.manifest.lacking:
        raise CorruptBackup(f"packs that could not be read when the backup was made: {len(lacking)}")
    erased = {subject.id for subject in keys.subjects() if subject.erased_at is not None}
    with closing(connect_to_look(folder / "audobon.db")) as connection:
        needed = JobRecords(connection, keys).needed_blobs()
        for subject in erased:
            needed -= {row[0] for row in connection.execute(_BLOBS_OF, {"subject": subject})}
    with closing(Storage(folder, keys)) as storage:
        gone = [key for key in needed if not storage.has(key)]
        held = len(needed) - len(gone)
    if gone:
        raise CorruptBackup(f"the database needs {len(gone)} blobs that no pack holds, {gone[0][:12]}… first")
    return f"{held} blobs are needed, and there"


def _scratch_parent(folder: Path) -> Path:
    """Return where there is room for a trial: beside the data folder, else where temporary files go."""
    return folder.parent if os.access(folder.parent, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def report_name(drill_id: str) -> str:
    """Return the name of a report in a place, and in the data folder."""
    return f"{DRILLS}{drill_id}.json"
