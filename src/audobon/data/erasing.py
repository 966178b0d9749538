"""Erases a person or a project: its key is destroyed here and at every place.

In an order that can be gone on with, whatever ends it: the erasure is in the ledger here and at every place
before a key is touched, so that a restore at any instant erases again.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec

from audobon import __version__
from audobon.clock import Clock
from audobon.data.certificate import Certificate, KeepTimes, Remains, write_certificate
from audobon.data.copy_proof import attempt_copies, last_copied
from audobon.data.erasure_notes import ErasureNotes, NoteBook
from audobon.data.erasure_places import ErasurePlaces, PlaceLook
from audobon.data.holdings import Holdings
from audobon.data.log_lines import blank_lines_of, lines_of
from audobon.data.policies import Policies
from audobon.data.proof import attempt, packs_of, sample_packs, sample_rows
from audobon.database.copies import own_copy
from audobon.errors import AlreadyRunning, Conflict, Corrupt, InvalidInput, OnHold, SubjectErased, Unavailable
from audobon.keys.ledger import hash_of
from audobon.keys.service import SYSTEM, Keys, Subject
from audobon.processes import FileLock
from audobon.queue.port import Queue
from audobon.sqlite import transaction
from audobon.storage.result_cache import ResultCache
from audobon.storage.service import Storage

HERE = "this machine"
_MOST_HOLDS = 5
_MOST_RESTS = 600


class ErasurePreview(msgspec.Struct, frozen=True):
    """What an erasure would take; nothing is changed.

    holds    in words, what forbids it
    running  its jobs that are at work
    """

    subject: str
    name: str
    jobs: int
    tasks: int
    events: int
    log_lines: int
    blobs: int
    packs: int
    size_bytes: int
    places: list[PlaceLook]
    holds: list[str]
    running: list[str]


class Erased(msgspec.Struct, frozen=True):
    """What an erasure came to.

    pending  places where it is not over, each with the reason
    """

    subject: str
    certificate: str
    seconds: float
    removed: dict[str, int]
    pending: dict[str, str]


class Eraser:
    """Erases subjects of one data folder.

    job_lock  gives the lock that a run of a job holds, by the job's key
    rest      called between two looks whether work that was called off has ended
    """

    def __init__(
        self,
        folder: Path,
        connection: sqlite3.Connection,
        queue: Queue,
        holdings: Callable[[str], Holdings],
        storage: Storage,
        cache: ResultCache,
        keys: Keys,
        places: ErasurePlaces,
        keep_times: KeepTimes,
        *,
        job_lock: Callable[[str], FileLock],
        rest: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._connection = connection
        self._queue = queue
        self._holdings = holdings
        self._storage = storage
        self._cache = cache
        self._keys = keys
        self._places = places
        self._keep_times = keep_times
        self._job_lock = job_lock
        self._rest = rest
        self._clock = clock
        self._notes = NoteBook(folder)

    def preview(self, subject: Subject) -> ErasurePreview:
        """Return what an erasure would take, and what forbids it now."""
        holdings = self._holdings(subject.id)
        counts = holdings.counts()
        packs = list(packs_of(self._storage.store, subject.id))
        return ErasurePreview(
            subject.id,
            subject.name,
            counts.jobs,
            counts.tasks,
            counts.events,
            sum(1 for _ in lines_of(self._folder, frozenset(holdings.job_ids()))),
            len(holdings.blobs()),
            len(packs),
            sum(info.size_bytes for info in packs),
            self._places.look(subject.id),
            self._holds(subject.id),
            self._running(holdings),
        )

    def erase(self, subject: Subject, *, cancels_running: bool = False) -> Erased:
        """Erase a subject; what a place did not allow is told, and finished by `resume`.

        cancels_running  call its work off, instead of refusing while there is any
        raises           SubjectErased, OnHold, Conflict while its jobs run, InvalidInput for Audobon's own
        """
        if subject.id == SYSTEM:
            raise InvalidInput("what is Audobon's own cannot be erased", hint="remove the data folder")
        with self._lock():
            notes = self._notes.find(subject.id)
            if notes is not None and notes.is_over and subject.erased_at is not None:
                raise SubjectErased(f"{subject.id} was erased", hint=f"audobon data certificate {subject.id}")
            if subject.erased_at is None:
                self._demand_no_holds(subject)
                self._end_work(subject, cancels_running=cancels_running)
            return self._go_on(self._notes.begin(subject.id, at=self._clock()))

    def resume(self) -> list[Erased]:
        """Finish all erasures that are not over, as far as places allow it now."""
        with self._lock():
            return [self._go_on(notes) for notes in self._notes.unfinished()]

    def _go_on(self, notes: ErasureNotes) -> Erased:
        begun = self._clock()
        subject = notes.subject
        if notes.erased_at is None:
            notes.samples = [
                *sample_packs(self._storage.store, subject, self._keys, where=HERE),
                *sample_rows(self._connection, subject, self._keys),
                *self._places.sample(subject),
            ]
            notes.copied_commit = last_copied(self._folder, self._keys)
            self._notes.keep(notes)
            notes.ledger = hash_of(self._keys.ledger.append(subject, "asked"))
            self._places.note_in_ledgers(notes)
            self._notes.keep(notes)
            # By its id: once it is erased, "personal" means another.
            self._keys.replay(self._keys.ledger.entries())
            notes.erased_at = self._clock()
            self._notes.keep(notes)
        if not notes.is_cleared:
            for kind, count in self._clear(subject).items():
                notes.removed[kind] = notes.removed.get(kind, 0) + count
            notes.is_cleared = True
            self._notes.keep(notes)
        self._places.renew_keystores(notes)
        self._notes.keep(notes)
        if not notes.attempts or any(not place.pending for place in notes.places):
            notes.attempts = [attempt(sample, subject, self._keys) for sample in notes.samples]
            notes.attempts += attempt_copies(self._folder, subject, notes.copied_commit, self._keys)
        opened = [each for each in notes.attempts if each.opened_by]
        pending = {place.place: place.pending for place in notes.places if place.pending}
        if not pending and not opened:
            notes.finished_at = self._clock()
        certificate = self._certify(notes)
        self._notes.keep(notes)
        if opened:
            raise Corrupt(
                f"{opened[0].what} can still be read, by {opened[0].opened_by[0]}",
                hint="please report this; the certificate tells what was tried",
            )
        return Erased(subject, str(certificate), self._clock() - begun, notes.removed, pending)

    def settle(self) -> list[str]:
        """Clear away what a restore brought back of erased subjects; return their ids."""
        erased = [subject.id for subject in self._keys.subjects() if subject.erased_at is not None]
        again = [subject for subject in erased if self._has_any(subject)]
        for subject in again:
            self._clear(subject)
        return again

    def _has_any(self, subject: str) -> bool:
        counts = self._holdings(subject).counts()
        return bool(counts.jobs or counts.tasks) or any(packs_of(self._storage.store, subject))

    def _clear(self, subject: str) -> dict[str, int]:
        """Remove what this machine still has of a subject whose key is gone; again is no error."""
        holdings = self._holdings(subject)
        counts, jobs, blobs = holdings.counts(), frozenset(holdings.job_ids()), holdings.blobs()
        removed = {
            "jobs": counts.jobs,
            "tasks": counts.tasks,
            "events": counts.events,
            "log lines": blank_lines_of(self._folder, jobs),
        }
        with transaction(self._connection):
            self._connection.execute("DELETE FROM job WHERE subject = ?", (subject,))
            self._connection.execute("DELETE FROM task WHERE subject = ?", (subject,))
        self._cache.forget_subject(subject)
        # First the rows that name them are gone; a run that stores for nobody now fails for want of a key.
        removed["packs"] = self._storage.erase_subject(subject, known=blobs)
        return removed

    def _certify(self, notes: ErasureNotes) -> Path:
        assert notes.erased_at is not None
        here = list(packs_of(self._storage.store, notes.subject))
        now = self._clock()
        times = self._keep_times
        remains = self._places.remains(notes.subject, until=times.until(times.place_days, now=now))
        if notes.copied_commit is not None:
            sizes = [info.size_bytes for info in own_copy(self._folder).list("wal/")]
            until = times.until(times.copy_days, now=now)
            remains.insert(0, Remains("the copy of the database", len(sizes), sum(sizes), until))
        if here:
            size_bytes = sum(info.size_bytes for info in here)
            remains.insert(0, Remains(HERE, len(here), size_bytes, "until the next data erase --resume"))
        return write_certificate(
            self._folder,
            Certificate(
                subject=notes.subject,
                asked_at=notes.asked_at,
                erased_at=notes.erased_at,
                finished_at=notes.finished_at,
                ledger=notes.ledger,
                removed=notes.removed,
                places=notes.places,
                attempts=notes.attempts,
                remains=remains,
                made_by=f"audobon {__version__}",
            ),
            self._keys,
        )

    def _demand_no_holds(self, subject: Subject) -> None:
        holds = self._holds(subject.id)
        if holds:
            more = f", and {len(holds) - _MOST_HOLDS} more" if len(holds) > _MOST_HOLDS else ""
            raise OnHold(
                f"{subject.name} cannot be erased: held are {', '.join(holds[:_MOST_HOLDS])}{more}",
                hint="let the holds go first: audobon storage release, audobon data retention set",
            )

    def _holds(self, subject: str) -> list[str]:
        held = [f"blob {key[:12]}…" for key in self._storage.held(subject)]
        return [*Policies(self._folder).holds(), *held]

    def _running(self, holdings: Holdings) -> list[str]:
        running = []
        for job_id, key in holdings.job_keys():
            try:
                with self._job_lock(key):
                    continue
            except AlreadyRunning:
                running.append(job_id)
        return running

    def _end_work(self, subject: Subject, *, cancels_running: bool) -> None:
        """Have none of its jobs at work."""
        holdings = self._holdings(subject.id)
        running = self._running(holdings)
        if running and not cancels_running:
            raise Conflict(
                f"jobs of {subject.name} are at work: {', '.join(running[:_MOST_HOLDS])}",
                hint="wait for them, or call them off with --cancel-running",
            )
        for job_id, _ in holdings.job_keys():
            self._queue.cancel(job_id=job_id, reason="whom it belongs to is being erased")
        for task in holdings.lone_tasks():
            self._queue.cancel(task_ids=[task.id], reason="whom it belongs to is being erased")
        for _ in range(_MOST_RESTS):
            if not self._running(holdings) and not holdings.leased():
                return
            self._rest()
        raise Unavailable(
            f"work for {subject.name} was called off, and has not ended yet",
            hint="run the same command again",
        )

    def _lock(self) -> FileLock:
        return FileLock(self._folder / "locks" / "erasure.lock", purpose="erasing")
