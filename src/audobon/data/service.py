"""What is kept of persons and projects: shown, handed out, erased, kept no longer than it may."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from audobon.backup.locations import Location
from audobon.clock import Clock, utc_now
from audobon.data.certificate import Certificate, KeepTimes, read_certificate
from audobon.data.erasing import Erased, Eraser, ErasurePreview
from audobon.data.erasure_notes import ErasureNotes, NoteBook
from audobon.data.erasure_places import ErasurePlaces
from audobon.data.export import Export, ExportReport
from audobon.data.holdings import Holdings
from audobon.data.policies import Policies
from audobon.data.proof import packs_of
from audobon.data.retention import Removed, Retention
from audobon.database.service import Database
from audobon.errors import SubjectErased
from audobon.jobs.records import JobRecords
from audobon.jobs.service import Jobs
from audobon.keys.service import SYSTEM, Keys, Subject
from audobon.queue.embedded import SqliteQueue
from audobon.storage.result_cache import ResultCache
from audobon.storage.service import Storage

_REST_SECONDS = 0.1


class SubjectSummary(msgspec.Struct, frozen=True):
    """A person or a project in a list; instants are UTC seconds, None until they come.

    size_bytes  of the packs that hold its blobs on this machine
    pending     places where its erasure is not over
    """

    id: str
    name: str
    created_at: float
    erased_at: float | None
    jobs: int
    tasks: int
    blobs: int
    size_bytes: int
    last_used_at: float | None
    pending: list[str]


class DataRoom:
    """What a data folder keeps of whom.

    places  folders that hold copies, as the settings and `audobon backup add` name them
    """

    def __init__(
        self,
        folder: Path,
        database: Database,
        jobs: Jobs,
        storage: Storage,
        cache: ResultCache,
        keys: Keys,
        places: Callable[[], Sequence[Location]],
        keep_times: KeepTimes,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._folder = folder
        self._database = database
        self._jobs = jobs
        self._storage = storage
        self._cache = cache
        self._keys = keys
        self._places = places
        self._keep_times = keep_times
        self._clock = clock

    @property
    def policies(self) -> Policies:
        """How long each kind of data is kept."""
        return Policies(self._folder)

    def subjects(self) -> list[SubjectSummary]:
        """Return all persons and projects, oldest first; Audobon's own is not among them."""
        book = NoteBook(self._folder)
        with self._opened() as (connection, queue):
            return [
                self._summary(subject, self._holdings(connection, queue, subject.id), book.find(subject.id))
                for subject in self._keys.subjects()
                if subject.id != SYSTEM
            ]

    def export(self, name: str, target: Path, *, on_file: Callable[[int], None]) -> ExportReport:
        """Hand out all that is kept of a person or a project; see `Export`.

        raises  SubjectNotFound, SubjectErased, OutputExists, NotFound, DiskFull, Denied
        """
        subject = self._living(name)
        with self._opened() as (connection, queue):

            @contextmanager
            def reading() -> Iterator[Holdings]:
                # One state of the database, however long it takes and whoever writes meanwhile.
                connection.execute("BEGIN")
                try:
                    yield self._holdings(connection, queue, subject.id)
                finally:
                    connection.execute("ROLLBACK")

            export = Export(
                self._folder,
                self._storage,
                self._keys,
                subject,
                on_file=on_file,
                made_at=self._clock(),
            )
            return export.write(target, reading)

    def preview(self, name: str) -> ErasurePreview:
        """Tell what erasing a person or a project would take. raises SubjectNotFound, SubjectErased."""
        subject = self._living(name)
        with self._eraser() as eraser:
            return eraser.preview(subject)

    def erase(self, name: str, *, cancels_running: bool = False) -> Erased:
        """Erase a person or a project for good; see `Eraser.erase`."""
        subject = self._keys.find_subject(name)
        # What an earlier version left readable would outlast the key, in the copies of the database.
        self._jobs.seal_what_is_clear()
        with self._eraser() as eraser:
            return eraser.erase(subject, cancels_running=cancels_running)

    def resume_erasures(self) -> list[Erased]:
        """Finish erasures that a place, or the end of a process, left unfinished."""
        with self._eraser() as eraser:
            eraser.settle()
            return eraser.resume()

    def settle_ledger(self) -> list[str]:
        """Remove what a restore brought back of whoever is erased; return their ids. Again is no error."""
        if not self._keys.exists or all(each.erased_at is None for each in self._keys.subjects()):
            return []
        with self._eraser() as eraser:
            return eraser.settle()

    def certificate(self, name: str) -> Certificate:
        """Return the certificate of an erasure, proved. raises SubjectNotFound, NotFound, Corrupt."""
        return read_certificate(self._folder, self._keys.find_subject(name).id, self._keys)

    def apply_retention(self, *, is_dry: bool) -> list[Removed]:
        """Remove what has been kept for as long as its policy says; see `Retention`."""
        with self._opened() as (connection, _):
            retention = Retention(
                self._folder,
                connection,
                self._cache,
                sweep=self._jobs.sweep,
                now=self._clock(),
            )
            return retention.apply(is_dry=is_dry)

    def _living(self, name: str) -> Subject:
        subject = self._keys.find_subject(name)
        if subject.erased_at is not None:
            raise SubjectErased(f"{subject.id} was erased", hint=f"audobon data certificate {subject.id}")
        return subject

    def _summary(self, subject: Subject, holdings: Holdings, notes: ErasureNotes | None) -> SubjectSummary:
        counts = holdings.counts()
        packs = list(packs_of(self._storage.store, subject.id))
        pending = [] if notes is None else [place.place for place in notes.places if place.pending]
        return SubjectSummary(
            subject.id,
            subject.name,
            subject.created_at,
            subject.erased_at,
            counts.jobs,
            counts.tasks,
            len(holdings.blobs()),
            sum(info.size_bytes for info in packs),
            counts.last_used_at,
            pending,
        )

    def _holdings(self, connection: sqlite3.Connection, queue: SqliteQueue, subject: str) -> Holdings:
        return Holdings(connection, queue, JobRecords(connection, self._keys), subject)

    @contextmanager
    def _opened(self) -> Iterator[tuple[sqlite3.Connection, SqliteQueue]]:
        with (
            closing(self._database.open()) as connection,
            self._database.errors(),
            SqliteQueue(connection, keys=self._keys) as queue,
        ):
            yield connection, queue

    @contextmanager
    def _eraser(self) -> Iterator[Eraser]:
        with self._opened() as (connection, queue):
            yield Eraser(
                self._folder,
                connection,
                queue,
                lambda subject: self._holdings(connection, queue, subject),
                self._storage,
                self._cache,
                self._keys,
                ErasurePlaces(self._places(), self._keys, clock=self._clock),
                self._keep_times,
                job_lock=self._jobs.lock_of,
                rest=lambda: time.sleep(_REST_SECONDS),
                clock=self._clock,
            )
