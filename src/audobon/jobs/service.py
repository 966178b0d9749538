"""The jobs of a data folder: run, listed, discarded."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import blake3
import msgspec

from audobon.clock import utc_now
from audobon.compute.work import check_settings
from audobon.database.service import Database
from audobon.errors import AlreadyRunning, JobNotFound, PartlyFailed, by_code
from audobon.jobs.records import UNFINISHED, JobRecords, JobSummary
from audobon.jobs.report import JobOutcome, JobReport, JobRequest, Watcher
from audobon.jobs.run import JobLimits, Rooms, Run
from audobon.jobs.target import Target, check_target, findings_target, picture_target
from audobon.pages.documents import DocumentKind, open_document
from audobon.pages.operations import PanelsSettings
from audobon.processes import FileLock
from audobon.storage.service import Storage
from audobon.telemetry.logs import Log

_BROKEN_AFTER_SECONDS = 86_400.0


class Jobs:
    """The jobs of a data folder."""

    def __init__(
        self, folder: Path, database: Database, storage: Storage, log: Log, limits: JobLimits
    ) -> None:
        self._folder = folder
        self._database = database
        self._storage = storage
        self._log = log
        self._limits = limits

    def run(self, request: JobRequest, watcher: Watcher) -> JobOutcome:
        """Do a job from document to published output, or go on where an earlier run of it ended.

        Interrupted at any instant, by Ctrl-C or by the death of any process, it loses no finished page.
        raises  an AudobonError when nothing could be done; a page that fails is told in the report
        """
        started = time.monotonic()
        check_settings(request.settings)
        with open_document(request.source, self._limits.archives) as document:
            target = _target(request, document.kind)
            if target is not None:
                check_target(target, request.source, overwrite=request.overwrite)
            connection = self._database.open()
            try:
                key = _job_key(request, target)
                with self._lock(key, purpose="this very job"):
                    rooms = Rooms(self._folder, self._storage, self._log, self._limits)
                    run = Run(rooms, connection, request, target, watcher, key, started)
                    outcome = run.go(document)
                self._sweep(JobRecords(connection))
                return outcome
            finally:
                connection.close()

    def list(self, *, only_unfinished: bool = False) -> list[JobSummary]:
        """Return jobs, newest first; one whose processes were killed counts as interrupted."""
        with self._records() as records:
            found = [self._as_it_is(job) for job in records.list()]
        return [job for job in found if not only_unfinished or job.state in UNFINISHED]

    def _as_it_is(self, job: JobSummary) -> JobSummary:
        if job.state != "running":
            return job
        try:
            with self._lock(job.key, purpose=f"job {job.id}"):
                return msgspec.structs.replace(job, state="interrupted")
        except AlreadyRunning:
            return job

    def show(self, job_id: str) -> dict[str, Any]:
        """Return what is known of a job; JobNotFound when there is none."""
        with self._records() as records:
            row = records.find(job_id)
        if row is None:
            raise JobNotFound(f"there is no job {job_id}", hint="audobon jobs list")
        with self._records() as records:
            row["pages"] = records.page_states(job_id)
        row["settings"] = msgspec.json.decode(row["settings"])
        row["report"] = None if row["report"] is None else msgspec.json.decode(row["report"])
        return row

    def discard(self, job_id: str) -> int:
        """Forget a job that is not running, with its finished pages; return how many bytes came free.

        raises  JobNotFound, AlreadyRunning
        """
        row = self.show(job_id)
        with self._lock(row["key"], purpose=f"job {job_id}"), self._records() as records:
            records.remove(job_id)
            return self._sweep(records)

    def discard_finished(self) -> int:
        """Forget all jobs that ended with every page done or none; return how many."""
        with self._records() as records:
            return records.remove_finished()

    def _lock(self, key: str, *, purpose: str) -> FileLock:
        return FileLock(self._folder / "locks" / f"job-{key[:32]}.lock", purpose=purpose)

    def _sweep(self, records: JobRecords) -> int:
        try:
            return self._storage.sweep(records.needed_blobs, broken_before=utc_now() - _BROKEN_AFTER_SECONDS)
        except AlreadyRunning:
            # Another run is taking pages in. What is left behind goes with the next sweep.
            return 0

    @contextmanager
    def _records(self) -> Iterator[JobRecords]:
        connection = self._database.open()
        try:
            yield JobRecords(connection)
        finally:
            connection.close()


def _target(request: JobRequest, kind: DocumentKind) -> Target | None:
    if request.target is None:
        return None
    if request.operation.makes == "pictures":
        return picture_target(request.source, request.target, kind)
    with_pictures = isinstance(request.settings, PanelsSettings) and request.settings.pictures
    return findings_target(request.target, with_pictures=with_pictures)


def _job_key(request: JobRequest, target: Target | None) -> str:
    identity = (
        request.operation.name,
        msgspec.json.encode(request.settings, order="sorted").decode(),
        str(request.source.resolve()),
        None if target is None else str(target.path.resolve()),
    )
    return blake3.blake3(msgspec.json.encode(identity)).hexdigest()


def raise_for(report: JobReport) -> None:
    """Raise what a command should end with: PartlyFailed, or the error of the only page."""
    if report.pages_failed == 0:
        return
    if len(report.pages) == 1:
        page = report.pages[0]
        raise by_code(page.code)(f"{report.source}: {page.message}")
    names = ", ".join(page.name for page in report.pages if page.state == "failed")
    raise PartlyFailed(
        f"{report.pages_failed} of {len(report.pages)} pages could not be done: {names}",
        hint="mend or replace them and run the same command again with --overwrite",
    )
