"""Takes a document in and puts its job on record, or finds it on record from before."""

from collections.abc import Callable

import msgspec

from audobon.clock import utc_now
from audobon.compute.codec import Codec
from audobon.compute.foresight import observed_peaks
from audobon.compute.work import (
    PAGE_KIND,
    Work,
    format_to_write,
    least_budget,
    model_identities,
    model_names,
    page_load,
    place,
    units,
    work_key,
)
from audobon.ids import new_id
from audobon.jobs.ingest import Ingest, TakenEntry
from audobon.jobs.records import JobRecords
from audobon.jobs.report import JobRequest
from audobon.jobs.room_for_pages import RoomForPages
from audobon.jobs.rooms import Rooms
from audobon.jobs.target import Target
from audobon.pages.documents import Document, DocumentKind
from audobon.queue.port import Queue
from audobon.queue.tasks import Category, Needs, NewTask, TaskState

# Classes of need are rounded up to eighths of a power of two, so that pages of all sizes make few of them.
_STEPS_PER_DOUBLING = 8
_UNFINISHED: tuple[TaskState, ...] = ("waiting", "ready", "failed", "cancelled")
_ALL = 1_000_000

Made = tuple[str | None, str | None]
"""The blob and result of work that was done, as the queue has them."""


class Recorded(msgspec.Struct, frozen=True):
    """A job on record.

    queue    the queue its pages wait in
    resumed  places in the document that are done already
    """

    job_id: str
    queue: Category
    entries: list[TakenEntry]
    resumed: frozenset[int]


class Recording:
    """Takes in the document of a request."""

    def __init__(
        self,
        rooms: Rooms,
        queue: Queue,
        records: JobRecords,
        request: JobRequest,
        target: Target | None,
        key: str,
    ) -> None:
        self._rooms = rooms
        self._queue = queue
        self._records = records
        self._request = request
        self._target = target
        self._key = key
        self._peaks = observed_peaks(rooms.folder, threads=rooms.engine.threads)

    def take_in(
        self,
        document: Document,
        room: RoomForPages,
        *,
        on_stage: Callable[[str], None],
        on_step: Callable[[], None],
    ) -> Recorded:
        """Store a document's files and enqueue its pages; equal work done before is adopted.

        room      what the pages must fit
        on_stage  told what begins, in words
        on_step   called after every file
        """
        limits = self._rooms.limits
        codec = Codec(limits.pictures, max_seconds=limits.max_seconds)
        ingest = Ingest(
            self._rooms.storage,
            codec,
            self._request.settings,
            target_format=self._format(),
            budget_bytes=room.page_bytes,
            remedy=room.remedy,
            peaks=self._peaks,
            subject=self._request.subject,
        )
        # Findings carry nothing over, so other files are left alone.
        is_carrying = self._request.operation.makes == "pictures"
        entries = [entry for entry in document.entries if entry.is_page or is_carrying]
        if len(entries) > 1:
            on_stage(f"reading {len(entries)} files")
        try:
            with self._rooms.storage.sharing():
                taken = []
                for entry in entries:
                    taken.append(ingest.take(document, entry))
                    on_step()
                # Proving blobs takes a moment, and nobody else may write within a transaction.
                cached = self._find_cached(taken)
                with self._queue.transaction():
                    job_id = self._record(document, taken, cached, room.page_bytes)
                    tasks = self._queue.tasks(job_id)
        finally:
            codec.close()
        self._queue.wake()
        return Recorded(
            job_id,
            queue_for(document.kind),
            taken,
            frozenset(task.ordinal for task in tasks if task.state == "done"),
        )

    def _record(
        self, document: Document, taken: list[TakenEntry], cached: dict[str, Made], page_bytes: int
    ) -> str:
        earlier = self._records.unfinished(self._key)
        if earlier is not None and self._can_resume(earlier, taken):
            self._resume(earlier)
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
            "subject": self._request.subject,
        }
        self._records.add(values, taken)
        self._enqueue(job_id, document.kind, taken, cached, earlier, page_bytes)
        if earlier is not None:
            # The document changed: pages that did not were adopted above.
            self._records.replace(earlier, by=job_id)
        return job_id

    def _resume(self, job_id: str) -> None:
        for task in self._queue.select(job_id=job_id, states=_UNFINISHED, limit=_ALL):
            work = msgspec.json.decode(task.payload, type=Work)
            asked = msgspec.structs.replace(
                work, memory_bytes=self._memory_bytes(), use_cache=self._request.use_cache
            )
            if work != asked:
                self._queue.amend(task.id, msgspec.json.encode(asked).decode())
        self._queue.replay(job_id=job_id)
        self._queue.make_due(job_id)
        self._queue.set_deadline(job_id, self._request.deadline_at)
        self._records.set_state(job_id, "running")

    def _can_resume(self, job_id: str, taken: list[TakenEntry]) -> bool:
        """Tell whether a job's document and models are unchanged and its finished pages are still there."""
        results = [task.result_blob for task in self._queue.tasks(job_id) if task.result_blob is not None]
        for task in self._queue.select(job_id=job_id, limit=1):
            planned_with = msgspec.json.decode(task.payload, type=Work).models
            if planned_with not in ((), model_identities(self._request.settings)):
                return False
        return _what_was_taken(self._records.entries(job_id)) == _what_was_taken(taken) and all(
            self._rooms.storage.has(blob) for blob in results
        )

    def _enqueue(
        self,
        job_id: str,
        kind: DocumentKind,
        taken: list[TakenEntry],
        cached: dict[str, Made],
        earlier: str | None,
        page_bytes: int,
    ) -> None:
        settings = self._request.settings
        names = model_names(settings)
        new: list[NewTask] = []
        for ordinal, item in enumerate(taken):
            if not _is_usable(item) or item.info is None:
                continue
            work = self._work(item)
            load = page_load(item.info, item.size_bytes, self._format())
            placement = place(load, settings, page_bytes, peaks=self._peaks)
            # The least, not what this run would take: the engine may have less, now or later.
            needs = Needs(
                kind=PAGE_KIND,
                model=names[0] if names else "",
                ram_bytes=_rounded_up(least_budget(load, settings, peaks=self._peaks)),
            )
            new.append(
                NewTask(
                    needs=needs,
                    payload=msgspec.json.encode(work).decode(),
                    job_id=job_id,
                    ordinal=ordinal,
                    work_key=work_key(work, self._request.operation),
                    total_units=units(item.info, settings, placement),
                    deadline_at=self._request.deadline_at,
                    subject=self._request.subject,
                )
            )
        ids = self._queue.enqueue(queue_for(kind), new)
        for task_id, task in zip(ids, new, strict=True):
            assert task.work_key is not None
            done = cached.get(task.work_key)
            if done is None:
                done = find_done(self._rooms, self._records, self._request, task.work_key, earlier=earlier)
            if done is not None:
                self._queue.adopt(task_id, *done)

    def _find_cached(self, taken: list[TakenEntry]) -> dict[str, Made]:
        """Return what the result cache has of a document's pages, by the key of their work."""
        if not (self._request.use_cache and self._rooms.cache.is_on):
            return {}
        found: dict[str, Made] = {}
        for item in taken:
            if _is_usable(item):
                key = work_key(self._work(item), self._request.operation)
                if (made := self._rooms.results.find(key, subject=self._request.subject)) is not None:
                    found[key] = made
        return found

    def _work(self, item: TakenEntry) -> Work:
        assert item.info is not None
        assert item.blob is not None
        return Work(
            self._request.operation.name,
            msgspec.json.encode(self._request.settings).decode(),
            item.blob,
            format_to_write(item.info, self._format()),
            self._memory_bytes(),
            model_identities(self._request.settings),
            self._request.use_cache,
        )

    def _format(self) -> str | None:
        return None if self._target is None else self._target.picture_format

    def _memory_bytes(self) -> int | None:
        return self._request.budget_bytes if self._request.is_budget_asked else None


def queue_for(kind: DocumentKind) -> Category:
    """Return the queue in which the pages of a document wait."""
    return "interactive" if kind == "picture" else "batch"


def find_done(
    rooms: Rooms, records: JobRecords, request: JobRequest, key: str, *, earlier: str | None
) -> Made | None:
    """Return what came of equal work in a job that has not ended; the rest is the result cache's to know.

    earlier  the job that this request goes on with: without the cache, the only one whose work counts
    """
    if not request.use_cache and earlier is None:
        return None
    found = records.done_work(key, job_id=None if request.use_cache else earlier)
    return next((made for made in found if made[0] is None or rooms.storage.has(made[0])), None)


def _is_usable(item: TakenEntry) -> bool:
    return item.entry.is_page and item.fault is None and item.info is not None and item.blob is not None


def _what_was_taken(entries: list[TakenEntry]) -> list[tuple[str, str | None, bool]]:
    # The same bytes may be usable now and not before, when a limit was raised.
    return [(taken.entry.name, taken.blob, taken.fault is None) for taken in entries]


def _rounded_up(count_bytes: int) -> int:
    step = max(1, 1 << max(0, count_bytes.bit_length() - 1)) // _STEPS_PER_DOUBLING or 1
    return -(-count_bytes // step) * step
