"""The jobs of a data folder: run, listed, discarded."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from audobon.clock import utc_now
from audobon.compute.engine import engine_lock
from audobon.compute.work import check_settings
from audobon.database.service import Database
from audobon.errors import AlreadyRunning, InvalidInput, JobNotFound, PartlyFailed, Unavailable, by_code
from audobon.jobs.default_schedules import put_default_schedules
from audobon.jobs.job_keys import job_key, place_key
from audobon.jobs.page_names import PageNames
from audobon.jobs.plan import Plan, Planning
from audobon.jobs.records import UNFINISHED, JobRecords, JobSummary
from audobon.jobs.report import NEW_SUBJECT, JobOutcome, JobReport, JobRequest, Watcher
from audobon.jobs.rooms import Rooms
from audobon.jobs.run import Run
from audobon.jobs.sealing_rows import are_rows_sealed, seal_rows
from audobon.jobs.target import Target, check_names_fit, check_target, findings_target, picture_target
from audobon.keys.service import Keys
from audobon.pages.documents import DocumentKind, open_document
from audobon.pages.operations import PanelsSettings, settings_identity
from audobon.processes import FileLock
from audobon.queue.embedded import SqliteQueue
from audobon.queue.port import Queue
from audobon.storage.result_cache import CacheFigures
from audobon.telemetry.logs import seal_old_lines

_BROKEN_AFTER_SECONDS = 86_400.0
_MOST_NAMES = 10


class Jobs:
    """The jobs of a data folder."""

    def __init__(self, database: Database, rooms: Rooms) -> None:
        self._database = database
        self._rooms = rooms
        self._folder = rooms.folder
        self._storage = rooms.storage

    def run(self, request: JobRequest, watcher: Watcher) -> JobOutcome:
        """Do a job from document to published output, or go on where an earlier run of it ended.

        Interrupted at any instant, by Ctrl-C or by the death of any process, it loses no finished page.
        raises  an AudobonError when nothing could be done; a page that fails is told in the report
        """
        started = time.monotonic()
        _check_names(request)
        check_settings(request.settings)
        with open_document(request.source, self._rooms.limits.archives) as document:
            target = _target(request, document.kind)
            if target is not None:
                check_target(target, request.source, overwrite=request.overwrite)
                check_names_fit(target, document.entries)
            connection = self._database.open()
            with closing(connection), self._database.errors(), ExitStack() as locks:
                self._seal_what_is_clear(connection, on_stage=watcher.stage)
                self._schedule_upkeep(connection)
                key = _job_key(self._rooms.keys, request, target)
                locks.enter_context(self._lock(key, purpose="this very job"))
                if target is not None:
                    place = self._lock(_place_key(self._rooms.keys, target), purpose=f"writing {target.path}")
                    locks.enter_context(place)
                run = Run(self._rooms, connection, request, target, watcher, key, started)
                outcome = run.go(document, hold_orphans=lambda queue: self._hold_orphans(connection, queue))
                locks.close()
                self._sweep(JobRecords(connection, self._rooms.keys))
                self._storage.close()
                self._rooms.cache.close()
                return outcome

    def schedule_upkeep(self) -> None:
        """Schedule the upkeep that was never scheduled here before; at once when there is nothing to add."""
        with closing(self._database.open()) as connection, self._database.errors():
            self._schedule_upkeep(connection)

    def _schedule_upkeep(self, connection: sqlite3.Connection) -> None:
        with SqliteQueue(connection, keys=self._rooms.keys) as queue:
            put_default_schedules(connection, queue)

    def seal_what_is_clear(self) -> None:
        """Seal what an earlier Audobon left in clear in the data folder; at once when there is nothing."""
        with closing(self._database.open()) as connection, self._database.errors():
            self._seal_what_is_clear(connection, on_stage=lambda _: None)

    def _seal_what_is_clear(self, connection: sqlite3.Connection, *, on_stage: Callable[[str], None]) -> None:
        if are_rows_sealed(connection):
            return
        if connection.execute("SELECT 1 FROM job LIMIT 1").fetchone() is not None:
            on_stage("sealing what an earlier version left readable (once)")
        try:
            seal_old_lines(self._folder, self._rooms.keys.seal_text)
            # A file of an earlier version is thrown away when it is opened.
            self._rooms.cache.figures()
            seal_rows(connection, self._rooms.keys, self._folder)
        except AlreadyRunning:
            # Another process is at it, and what is still clear is read as well.
            return

    def plan(self, request: JobRequest, *, on_stage: Callable[[str], None]) -> Plan:
        """Tell what `run` would do with a request; changes nothing on disk and starts no engine.

        on_stage  told what begins, in words
        raises    what `run` would raise before it begins; a page that would fail is told in the plan
        """
        _check_names(request)
        check_settings(request.settings)
        with ExitStack() as held:
            document = held.enter_context(open_document(request.source, self._rooms.limits.archives))
            target = _target(request, document.kind)
            if target is not None:
                check_target(target, request.source, overwrite=request.overwrite)
                check_names_fit(target, document.entries)
            connection = self._database.look()
            queue = None
            records = None
            earlier = None
            if connection is not None:
                held.enter_context(closing(connection))
                held.enter_context(self._database.errors())
                queue = held.enter_context(SqliteQueue(connection, keys=self._rooms.keys))
                if self._rooms.keys.exists and request.subject != NEW_SUBJECT:
                    # Else there is nothing on record that could be found again.
                    records = JobRecords(connection, self._rooms.keys)
                    earlier = records.unfinished(_job_key(self._rooms.keys, request, target))
            engine_pid = engine_lock(self._folder).living_holder()
            pages = sum(entry.is_page for entry in document.entries)
            if pages > 1:
                on_stage(f"reading {pages} pages")
            planning = Planning(self._rooms, queue, records, request, engine_pid=engine_pid, earlier=earlier)
            return planning.plan(
                document,
                output=None if target is None else str(target.path),
                target_format=None if target is None else target.picture_format,
            )

    def _hold_orphans(self, connection: sqlite3.Connection, queue: Queue) -> None:
        """Put aside the tasks of jobs whose runs were killed; the same command goes on with them."""
        records = JobRecords(connection, self._rooms.keys)
        for job_id, key in records.running():
            if self._state_now(job_id, key, "running") == "interrupted":
                with queue.transaction():
                    queue.cancel(job_id=job_id, reason="its run was killed")
                    records.set_state(job_id, "interrupted")

    def list(self, *, only_unfinished: bool = False) -> list[JobSummary]:
        """Return jobs, newest first; one whose processes were killed counts as interrupted."""
        with self._records() as records:
            found = [
                msgspec.structs.replace(job, state=self._state_now(job.id, job.key, job.state))
                for job in records.list()
            ]
        return [job for job in found if not only_unfinished or job.state in UNFINISHED]

    def _state_now(self, job_id: str, key: str, noted: str) -> str:
        if noted != "running":
            return noted
        try:
            with FileLock(self._lock_path(key), purpose=f"job {job_id}", shared=True):
                return "interrupted"
        except AlreadyRunning:
            return noted

    def show(self, job_id: str) -> dict[str, Any]:
        """Return what is known of a job; JobNotFound when there is none."""
        with self._records() as records:
            row = records.find(job_id)
        if row is None:
            raise JobNotFound(f"there is no job {job_id}", hint="audobon jobs list")
        with self._records() as records:
            row["pages"] = records.page_states(job_id)
        row["state"] = self._state_now(job_id, row["key"], row["state"])
        del row["subject"]
        row["settings"] = msgspec.json.decode(row["settings"])
        row["report"] = None if row["report"] is None else msgspec.json.decode(row["report"])
        return row

    def over(self, job_ids: Iterable[str]) -> set[str]:
        """Return those of some jobs that ended so that their pages are kept no longer."""
        with self._records() as records:
            return {job_id for job_id in job_ids if records.is_over(job_id)}

    def page_names(self) -> PageNames:
        """Return what knows the names of pages, for those who follow tasks."""
        return PageNames(self._database, self._rooms.keys)

    def discard(self, job_id: str) -> int:
        """Forget a job that is not running, with its finished pages, also those in the result cache.

        Tiles of its pages stay in the cache: they are of no job. Returns how many bytes came free.

        raises  JobNotFound, AlreadyRunning
        """
        row = self.show(job_id)
        with self._lock(row["key"], purpose=f"job {job_id}"), self._records() as records:
            self._rooms.results.forget(records.work_keys(job_id), subject=records.subject_of(job_id))
            records.remove(job_id)
            return self._sweep(records)

    def discard_finished(self) -> int:
        """Forget all jobs that ended with every page done or none; return how many."""
        with self._records() as records:
            return records.remove_finished()

    def clear_cache(self) -> CacheFigures:
        """Remove all results kept from before; return what was there.

        raises  Unavailable when another process is writing
        """
        kept = self._rooms.cache.figures()
        if not self._rooms.cache.clear():
            raise Unavailable("the result cache is being written to", hint="run the same command again")
        with self._records() as records:
            self._sweep(records)
        return kept

    def lock_of(self, key: str) -> FileLock:
        """Return the lock that a run of a job holds, by the job's key."""
        return self._lock(key, purpose="this job")

    def sweep(self, connection: sqlite3.Connection) -> int:
        """Remove what no job needs any more; return how many bytes came free."""
        return self._sweep(JobRecords(connection, self._rooms.keys))

    def _lock(self, key: str, *, purpose: str) -> FileLock:
        return FileLock(self._lock_path(key), purpose=purpose)

    def _lock_path(self, key: str) -> Path:
        return self._folder / "locks" / f"run-{key[:32]}.lock"

    def sweep(self, *, is_dry: bool = False) -> int:
        """Remove blobs that no job and no result kept from before needs; return how many bytes they held.

        is_dry  only tell
        """
        with self._records() as records:
            return self._sweep(records, is_dry=is_dry)

    def _sweep(self, records: JobRecords, *, is_dry: bool = False) -> int:
        try:
            return self._storage.sweep(
                lambda: records.needed_blobs() | self._rooms.cache.blobs(),
                broken_before=utc_now() - _BROKEN_AFTER_SECONDS,
                is_dry=is_dry,
            )
        except AlreadyRunning:
            # Another run is taking pages in. What is left behind goes with the next sweep.
            return 0

    @contextmanager
    def _records(self) -> Iterator[JobRecords]:
        with closing(self._database.open()) as connection, self._database.errors():
            yield JobRecords(connection, self._rooms.keys)


def _target(request: JobRequest, kind: DocumentKind) -> Target | None:
    if request.target is None:
        return None
    if request.operation.makes == "pictures":
        return picture_target(request.source, request.target, kind)
    with_pictures = isinstance(request.settings, PanelsSettings) and request.settings.pictures
    return findings_target(request.target, with_pictures=with_pictures)


def _job_key(keys: Keys, request: JobRequest, target: Target | None) -> str:
    return job_key(
        keys,
        request.subject,
        operation=request.operation.name,
        settings_identity=settings_identity(request.settings),
        source=str(request.source.resolve()),
        target=None if target is None else str(target.path.resolve()),
    )


def _place_key(keys: Keys, target: Target) -> str:
    return place_key(keys, str(target.path.resolve()))


def _check_names(request: JobRequest) -> None:
    for path in (request.source, request.target):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            shown = str(path).encode("utf-8", "backslashreplace").decode()
            raise InvalidInput(
                f"the name {shown} is not readable text", hint="rename it; old archives leave such names"
            ) from None


def raise_for(report: JobReport) -> None:
    """Raise what a command should end with: PartlyFailed, or the error of the only page."""
    if report.pages_failed == 0:
        return
    if len(report.pages) == 1:
        page = report.pages[0]
        hint = "run the same command again to do it" if page.is_called_off else None
        raise by_code(page.code)(f"{report.source}: {page.message}", hint=hint)
    failed = [page.name for page in report.pages if page.state == "failed" and not page.is_called_off]
    called_off = [page.name for page in report.pages if page.is_called_off]
    again = "run the same command again" + (" with --overwrite" if report.output is not None else "")
    told = []
    if failed:
        told.append(f"{len(failed)} of {len(report.pages)} pages could not be done: {_names(failed)}")
    if called_off:
        count = f"{len(called_off)}" if failed else f"{len(called_off)} of {len(report.pages)} pages"
        verb = "was" if len(called_off) == 1 else "were"
        told.append(f"{count} {verb} called off: {_names(called_off)}")
    hint = f"mend or replace them and {again}" if failed else f"{again} to do them"
    raise PartlyFailed("; ".join(told), hint=f"{hint}; what is done is kept till then")


def _names(pages: list[str]) -> str:
    return ", ".join(pages[:_MOST_NAMES]) + (" and others" if len(pages) > _MOST_NAMES else "")
