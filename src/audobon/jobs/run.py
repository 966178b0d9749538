"""One run of one job, from the document to the published output."""

import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from audobon.clock import utc_now
from audobon.compute.codec import Codec
from audobon.compute.supervisor import Supervisor
from audobon.compute.work import Work, least_budget, model_names, page_load, place, units, work_key
from audobon.compute.worker_messages import Hello
from audobon.errors import AudobonError
from audobon.ids import new_id
from audobon.jobs.assemble import Page, page_report
from audobon.jobs.following import Following
from audobon.jobs.ingest import Ingest, TakenEntry
from audobon.jobs.publishing import publish
from audobon.jobs.records import JobRecords
from audobon.jobs.report import JobOutcome, JobReport, JobRequest, PageReport, Watcher
from audobon.jobs.target import NOTHING_STALE, Stale, Target
from audobon.models.card import built_in_card
from audobon.models.preparing import prepare_apart
from audobon.models.store import is_prepared
from audobon.pages.documents import ArchiveLimits, Document, DocumentKind
from audobon.pages.picture_formats import is_unread_picture
from audobon.pages.picture_limits import PictureLimits
from audobon.queue.service import NewTask, Queue
from audobon.sqlite import transaction
from audobon.storage.service import Storage
from audobon.telemetry.logs import Log


class JobLimits(msgspec.Struct, frozen=True):
    """What documents and pictures may cost, and how many processors models may use."""

    archives: ArchiveLimits
    pictures: PictureLimits
    max_seconds: float
    threads: int


class Rooms(msgspec.Struct, frozen=True):
    """What a run works with."""

    folder: Path
    storage: Storage
    log: Log
    limits: JobLimits


class Run:
    """One run of one job; hold the job's lock around it."""

    def __init__(
        self,
        rooms: Rooms,
        connection: sqlite3.Connection,
        request: JobRequest,
        target: Target | None,
        watcher: Watcher,
        key: str,
        started: float,
    ) -> None:
        self._rooms = rooms
        self._connection = connection
        self._records = JobRecords(connection)
        self._queue = Queue(connection)
        self._request = request
        self._target = target
        self._watcher = watcher
        self._key = key
        self._started = started
        self._peak_bytes = 0

    def go(self, document: Document) -> JobOutcome:
        """Do the job; see `Jobs.run`."""
        self._prepare_models()
        with Supervisor(self._hello()) as supervisor:
            job_id, entries = self._take_in(document, supervisor)
            single = self._only_fault(entries)
            if single is not None:
                self._records.remove(job_id)
                raise single
            following = Following(self._queue, job_id)
            resumed = following.resumed
            self._watcher.started(job_id, sum(taken.entry.is_page for taken in entries), len(resumed))
            self._rooms.log.write(
                "job",
                "job started",
                job=job_id,
                operation=self._request.operation.name,
                source=str(self._request.source),
                pages=following.tasks,
                resumed=len(resumed),
                budget_bytes=self._request.budget_bytes,
            )
            self._tell_faults(job_id, entries)
            try:
                if len(resumed) < following.tasks:
                    supervisor.run(
                        self._queue,
                        job_id,
                        budget_bytes=self._request.budget_bytes,
                        on_tick=lambda: self._tick(following, job_id, entries),
                    )
                supervisor.sample()
                self._peak_bytes = supervisor.peak_bytes
                return self._finish(job_id, document, entries, resumed)
            except BaseException:
                # First the worker, so that nobody holds what is given back.
                supervisor.stop()
                # The next run does the same; failing here must not hide what brought us here.
                with suppress(sqlite3.Error):
                    self._queue.give_back(job_id, owner=None, reason="interrupted", is_blameless=True)
                    self._records.set_state(job_id, "interrupted")
                self._rooms.log.write("job", "job interrupted", level="warning", job=job_id)
                raise

    def _prepare_models(self) -> None:
        for name in model_names(self._request.settings):
            card = built_in_card(name)
            if not is_prepared(card, self._rooms.folder / "models"):
                self._watcher.stage(f"preparing {name} for this machine (first use only)")
                prepare_apart(card, self._rooms.folder / "models")

    def _hello(self) -> Hello:
        limits = self._rooms.limits
        return Hello(str(self._rooms.folder), limits.threads, limits.pictures, limits.max_seconds)

    def _take_in(self, document: Document, supervisor: Supervisor) -> tuple[str, list[TakenEntry]]:
        """Store the document and put it on record, or find it on record from before."""
        limits = self._rooms.limits
        codec = Codec(limits.pictures, max_seconds=limits.max_seconds)
        ingest = Ingest(
            self._rooms.storage,
            codec,
            self._request.settings,
            target_format=self._format(),
            budget_bytes=self._request.budget_bytes,
        )
        # Findings carry nothing over, so other files are left alone.
        is_carrying = self._request.operation.makes == "pictures"
        entries = [entry for entry in document.entries if entry.is_page or is_carrying]
        if len(entries) > 1:
            self._watcher.stage(f"reading {len(entries)} files")
        try:
            with self._rooms.storage.sharing():
                taken = []
                for entry in entries:
                    taken.append(ingest.take(document, entry))
                    supervisor.sample()
                with transaction(self._connection):
                    return self._record(document, taken), taken
        finally:
            codec.close()

    def _record(self, document: Document, taken: list[TakenEntry]) -> str:
        earlier = self._records.unfinished(self._key)
        if earlier is not None and self._can_resume(earlier, taken):
            self._queue.give_back(earlier, owner=None, reason="its run ended", is_blameless=True)
            self._queue.retry_failed(earlier)
            self._queue.make_due(earlier)
            self._records.set_state(earlier, "running")
            return earlier
        job_id = new_id()
        values = {
            "id": job_id,
            "key": self._key,
            "operation": self._request.operation.name,
            "settings": msgspec.json.encode(self._request.settings).decode(),
            "source": str(self._request.source.resolve()),
            "target": None if self._target is None else str(self._target.path.resolve()),
            "document_kind": document.kind,
            "created_at": utc_now(),
        }
        self._records.add(values, taken)
        self._enqueue(job_id, document.kind, taken)
        if earlier is not None:
            # The document changed: pages that did not were adopted above.
            self._records.replace(earlier, by=job_id)
        return job_id

    def _can_resume(self, job_id: str, taken: list[TakenEntry]) -> bool:
        """Tell whether a job's document is unchanged and its finished pages are still there."""
        results = [task.result_blob for task in self._queue.tasks(job_id) if task.result_blob is not None]
        return _what_was_taken(self._records.entries(job_id)) == _what_was_taken(taken) and all(
            self._rooms.storage.has(blob) for blob in results
        )

    def _enqueue(self, job_id: str, kind: DocumentKind, taken: list[TakenEntry]) -> None:
        settings = self._request.settings
        names = model_names(settings)
        new: list[NewTask] = []
        for ordinal, item in enumerate(taken):
            if not item.entry.is_page or item.fault is not None or item.info is None or item.blob is None:
                continue
            work = Work(
                self._request.operation.name,
                msgspec.json.encode(settings).decode(),
                item.blob,
                self._format(),
            )
            load = page_load(item.info, item.size_bytes, self._format())
            placement = place(load, settings, self._request.budget_bytes)
            new.append(
                NewTask(
                    ordinal=ordinal,
                    work_key=work_key(work, self._request.operation),
                    model=names[0] if names else "none",
                    # The least, not what this run would take: the next run may have less.
                    ram_bytes=least_budget(load, settings),
                    payload=msgspec.json.encode(work).decode(),
                    total_units=units(item.info, settings, placement),
                )
            )
        ids = self._queue.enqueue(job_id, new, category="interactive" if kind == "picture" else "batch")
        for task_id, task in zip(ids, new, strict=True):
            done = self._queue.find_done(task.work_key)
            if done is not None and (done[0] is None or self._rooms.storage.has(done[0])):
                self._queue.adopt(task_id, *done)

    def _format(self) -> str | None:
        return None if self._target is None else self._target.picture_format

    def _only_fault(self, entries: list[TakenEntry]) -> AudobonError | None:
        """Return the error of a document that is one faulty page."""
        if len(entries) == 1 and entries[0].fault is not None:
            error = entries[0].fault.error()
            return type(error)(f"{self._request.source}: {error.message}", hint=error.hint)
        return None

    def _tell_faults(self, job_id: str, entries: list[TakenEntry]) -> None:
        """Tell of the pages that cannot be worked on; they have no task that could fail."""
        for taken in entries:
            if taken.fault is not None and taken.entry.is_page:
                told = page_report(Page(taken, None), is_resumed=False)
                self._watcher.page(told)
                self._log_page(job_id, told, 0)

    def _tick(self, following: Following, job_id: str, entries: list[TakenEntry]) -> None:
        news, counts = following.look()
        for task in news:
            told = page_report(Page(entries[task.ordinal], task), is_resumed=False)
            self._watcher.page(told)
            self._log_page(job_id, told, task.attempt)
        self._watcher.tick(counts)

    def _finish(
        self, job_id: str, document: Document, entries: list[TakenEntry], resumed: frozenset[int]
    ) -> JobOutcome:
        tasks = {task.ordinal: task for task in self._queue.tasks(job_id)}
        pages = [Page(taken, tasks.get(ordinal)) for ordinal, taken in enumerate(entries)]
        reports = [
            page_report(page, is_resumed=ordinal in resumed)
            for ordinal, page in enumerate(pages)
            if page.taken.entry.is_page
        ]
        failed = [report for report in reports if report.state == "failed"]
        published = publish(
            self._request, self._target, pages, self._rooms.storage, stale=self._earlier_files()
        )
        state = "done" if not failed else "failed" if len(failed) == len(reports) else "partial"
        report = self._report(job_id, state, document, entries, reports, published.files)
        self._records.set_state(job_id, state, at=utc_now(), report=msgspec.json.encode(report).decode())
        self._watcher.finished()
        self._rooms.log.write(
            "job",
            "job ended",
            job=job_id,
            state=state,
            pages_done=report.pages_done,
            pages_failed=report.pages_failed,
            seconds=report.seconds,
            peak_memory_bytes=report.peak_memory_bytes,
        )
        return JobOutcome(report, published.findings)

    def _earlier_files(self) -> Stale:
        """Return what the last run of this very job put into its folder."""
        if self._target is None or self._target.kind != "folder":
            return NOTHING_STALE
        return Stale(*self._records.files_written(self._key))

    def _report(
        self,
        job_id: str,
        state: str,
        document: Document,
        entries: list[TakenEntry],
        pages: list[PageReport],
        files: list[str],
    ) -> JobReport:
        others = [taken for taken in entries if not taken.entry.is_page]
        failed = sum(page.state == "failed" for page in pages)
        return JobReport(
            job=job_id,
            operation=self._request.operation.name,
            settings=msgspec.to_builtins(self._request.settings),
            models=model_names(self._request.settings),
            state=state,
            place="here",
            source=str(self._request.source),
            output=None if self._target is None or state == "failed" else str(self._target.path),
            seconds=round(time.monotonic() - self._started, 3),
            peak_memory_bytes=self._peak_bytes,
            cost_micros=0,
            pages_done=len(pages) - failed,
            pages_failed=failed,
            pages_resumed=sum(page.is_resumed for page in pages),
            pages=pages,
            files=files,
            unread_pictures=[taken.entry.name for taken in others if is_unread_picture(taken.entry.name)],
            left_out=document.left_out + [taken.entry.name for taken in others if taken.fault is not None],
        )

    def _log_page(self, job_id: str, page: PageReport, attempt: int) -> None:
        facts: dict[str, Any] = {"job": job_id, "page": page.name, "attempt": attempt}
        if page.state == "done":
            self._rooms.log.write("page", "page done", seconds=page.seconds, tile_px=page.tile_px, **facts)
        else:
            self._rooms.log.write("page", "page failed", level="error", code=page.code, **facts)


def _what_was_taken(entries: list[TakenEntry]) -> list[tuple[str, str | None, bool]]:
    # The same bytes may be usable now and not before, when a limit was raised.
    return [(taken.entry.name, taken.blob, taken.fault is None) for taken in entries]
