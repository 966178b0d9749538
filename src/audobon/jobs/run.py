"""One run of one job, from the document to the published output."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from audobon.clock import utc_now
from audobon.compute.engine import Engine
from audobon.compute.work import loss_db, model_names
from audobon.errors import AudobonError
from audobon.jobs.assemble import Page, page_report
from audobon.jobs.engine_access import EngineAccess
from audobon.jobs.following import Following
from audobon.jobs.ingest import TakenEntry
from audobon.jobs.publishing import publish
from audobon.jobs.recording import Recorded, Recording
from audobon.jobs.records import JobRecords
from audobon.jobs.report import JobOutcome, JobReport, JobRequest, PageReport, Watcher
from audobon.jobs.room_for_pages import RoomForPages, room_for
from audobon.jobs.rooms import Rooms
from audobon.jobs.target import NOTHING_STALE, Stale, Target
from audobon.jobs.waits import Waits
from audobon.models.catalogue import card_named
from audobon.models.preparing import prepare_apart
from audobon.models.store import is_prepared
from audobon.pages.documents import Document
from audobon.pages.picture_formats import is_unread_picture
from audobon.queue.embedded import SqliteQueue
from audobon.queue.port import Queue

_TICK_SECONDS = 0.1


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
        self._records = JobRecords(connection, rooms.keys)
        self._queue = SqliteQueue(connection, keys=rooms.keys)
        self._request = request
        self._target = target
        self._watcher = watcher
        self._key = key
        self._started = started
        self._recording = Recording(rooms, self._queue, self._records, request, target, key)

    def go(self, document: Document, *, hold_orphans: Callable[[Queue], None]) -> JobOutcome:
        """Do the job; see `Jobs.run`.

        hold_orphans  called at the start, and when this process takes the engine's place: puts aside the
                      tasks of jobs whose runs were killed, which would otherwise go before this one's
        """
        self._prepare_models()
        with (
            self._queue,
            EngineAccess(
                self._rooms.folder,
                self._engine,
                on_own=lambda: hold_orphans(self._queue),
                on_turn=lambda: self._watcher.stage("the engine ended; this run goes on as the engine"),
            ) as engine,
        ):
            pid = engine.joined_pid
            room = room_for(self._request, self._queue, engine_pid=pid)
            if pid is not None:
                hold_orphans(self._queue)
                self._watcher.stage(_joining(pid, room))
            recorded = self._recording.take_in(
                document, room, on_stage=self._watcher.stage, on_step=engine.tick
            )
            single = self._only_fault(recorded.entries)
            if single is not None:
                self._records.remove(recorded.job_id)
                raise single
            return self._have_it_done(document, recorded, engine)

    def _have_it_done(self, document: Document, recorded: Recorded, engine: EngineAccess) -> JobOutcome:
        job_id, resumed = recorded.job_id, recorded.resumed
        following = Following(self._queue, job_id, resumed=resumed)
        self._watcher.started(job_id, sum(taken.entry.is_page for taken in recorded.entries), len(resumed))
        self._rooms.log.write(
            "job",
            "job started",
            subject=self._request.subject,
            job=job_id,
            operation=self._request.operation.name,
            source=str(self._request.source),
            pages=following.tasks,
            resumed=len(resumed),
            budget_bytes=self._request.budget_bytes,
        )
        self._tell_faults(job_id, recorded.entries)
        try:
            self._follow(following, recorded, engine)
            engine.sample()
            # A run that joined this engine takes its place at once; nobody would look after it meanwhile.
            engine.stop()
            return self._finish(job_id, document, recorded.entries, resumed, engine)
        except BaseException:
            # First our own workers, so that nobody holds what is called off.
            engine.stop()
            # The next run does the same; failing here must not hide what brought us here.
            with suppress(AudobonError, sqlite3.Error):
                self._queue.cancel(job_id=job_id, reason="its run was stopped")
                self._records.set_state(job_id, "interrupted")
            self._rooms.log.write("job", "job interrupted", level="warning", job=job_id)
            raise

    def _follow(self, following: Following, recorded: Recorded, engine: EngineAccess) -> None:
        waits = Waits(self._queue, self._records, self._watcher, recorded.job_id, category=recorded.queue)
        while True:
            self._tick(following, recorded.job_id, recorded.entries)
            if following.is_complete:
                return
            engine.tick()
            waits.tell(is_quiet=following.is_quiet)
            engine.wait(_TICK_SECONDS)

    def _engine(self) -> Engine:
        asked = self._request.budget_bytes
        return Engine(
            self._rooms.engine,
            self._queue,
            self._rooms.log,
            budget_bytes=(lambda: asked) if self._request.is_budget_asked else self._rooms.budget_bytes,
        )

    def _prepare_models(self) -> None:
        for name in model_names(self._request.settings):
            card = card_named(name)
            if not is_prepared(card, self._rooms.folder / "models"):
                self._watcher.stage(f"preparing {name} for this machine (first use only)")
                prepare_apart(card, self._rooms.folder / "models")

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
        self,
        job_id: str,
        document: Document,
        entries: list[TakenEntry],
        resumed: frozenset[int],
        engine: EngineAccess,
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
        report = self._report(job_id, state, document, entries, reports, published.files, engine)
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
        engine: EngineAccess,
    ) -> JobReport:
        others = [taken for taken in entries if not taken.entry.is_page]
        failed = sum(page.state == "failed" for page in pages)
        made_now = [page for page in pages if not page.is_resumed]
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
            peak_memory_bytes=engine.peak_bytes,
            cost_micros=0,
            pages_done=len(pages) - failed,
            pages_failed=failed,
            pages_resumed=sum(page.is_resumed for page in pages),
            pages=pages,
            files=files,
            unread_pictures=[taken.entry.name for taken in others if is_unread_picture(taken.entry.name)],
            left_out=document.left_out + [taken.entry.name for taken in others if taken.fault is not None],
            loss_db=loss_db(self._request.settings),
            pages_cached=sum(page.is_cached for page in pages),
            tiles=sum(page.tiles for page in made_now),
            tiles_cached=sum(page.cached_tiles for page in made_now),
            is_engine_joined=engine.was_joined,
        )

    def _log_page(self, job_id: str, page: PageReport, attempt: int) -> None:
        facts: dict[str, Any] = {"job": job_id, "page": page.name, "attempt": attempt}
        facts["subject"] = self._request.subject
        if page.state == "done":
            self._rooms.log.write("page", "page done", seconds=page.seconds, tile_px=page.tile_px, **facts)
        else:
            self._rooms.log.write("page", "page failed", level="error", code=page.code, **facts)


def _joining(pid: int, room: RoomForPages) -> str:
    words = f"joining the engine in process {pid}"
    if room.engine_bytes is not None:
        words += f", with {room.engine_bytes >> 20} MB for its work"
    if room.is_asked_in_vain:
        words += f"; the {room.asked_bytes >> 20} MB asked for have no effect beyond that"
    return words
