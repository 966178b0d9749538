"""What a run would do, told without doing anything: nothing is stored, no job is made."""

from typing import Any, Literal, get_args

import msgspec

from audobon.compute.codec import Codec
from audobon.compute.foresight import Foresight
from audobon.compute.pace import total
from audobon.compute.placement import STAYS_HERE, Placement, Seconds, refused
from audobon.compute.work import (
    Work,
    format_to_write,
    least_budget,
    loss_db,
    model_names,
    page_load,
    work_key,
)
from audobon.errors import MemoryTooSmall, PartlyFailed, by_code
from audobon.jobs.ingest import Fault, Ingest, TakenEntry
from audobon.jobs.recording import find_done, queue_for
from audobon.jobs.records import JobRecords
from audobon.jobs.report import JobRequest
from audobon.jobs.room_for_pages import room_for
from audobon.jobs.rooms import Rooms
from audobon.models.catalogue import card_named
from audobon.models.sources import is_installed, not_installed
from audobon.models.store import is_prepared
from audobon.pages.documents import Document
from audobon.pages.picture_formats import is_unread_picture
from audobon.queue.port import Queue
from audobon.queue.rules import drained
from audobon.queue.tasks import Category, QueueState

_MOST_NAMES = 10

PageState = Literal["runs", "adopted", "refused", "faulty"]
"""runs: it would be worked on; adopted: equal work was done before; refused: there is no room; faulty."""


class PagePlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """What would become of one page.

    placement  where and how it would run, or why it is refused; None when it is faulty or done already
    code       of the error, when it would fail, with the error's words and advice
    """

    name: str
    state: PageState
    width: int = 0
    height: int = 0
    placement: Placement | None = None
    code: str = ""
    message: str = ""
    hint: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do.

    to_prepare    models that are prepared first, once for this machine
    engine_pid    the process of the engine that would do the work; None: the run's own
    budget_bytes  memory for all processes together
    seconds       of the pages that would run; None when the device is unknown
    peak_bytes    of the page that takes most
    price_micros  lowest and highest price in millionths of a US dollar
    loss_db       see `JobReport`
    queue         in which its pages would wait
    queue_state   of that queue: when it drains, it takes no job that is new
    is_new        no job of before is gone on with
    is_at_most    some of the work may be in the result cache: `seconds` may be less
    """

    operation: str
    settings: dict[str, Any]
    models: tuple[str, ...]
    to_prepare: tuple[str, ...]
    source: str
    document: str
    output: str | None
    engine_pid: int | None
    device: str
    device_reason: str | None
    budget_bytes: int
    pages_to_run: int
    pages_adopted: int
    pages_refused: int
    pages_faulty: int
    seconds: Seconds | None
    peak_bytes: int
    price_micros: tuple[int, int]
    privacy: str
    pages: list[PagePlan]
    unread_pictures: list[str]
    left_out: list[str]
    loss_db: float | None
    queue: Category
    queue_state: QueueState
    is_new: bool
    is_at_most: bool


class Planning:
    """Plans one request.

    queue       as it stands, for reading; None when there is none yet
    engine_pid  the engine that has the data folder, if one has
    records     of the jobs beside it; None when there are none yet
    earlier     the job that a run would go on with
    """

    def __init__(
        self,
        rooms: Rooms,
        queue: Queue | None,
        records: JobRecords | None,
        request: JobRequest,
        *,
        engine_pid: int | None,
        earlier: str | None,
    ) -> None:
        self._rooms = rooms
        self._records = records
        self._earlier = earlier
        self._queue = queue
        self._request = request
        self._engine_pid = engine_pid
        engine = rooms.engine
        self._foresight = Foresight(rooms.folder, queue, threads=engine.threads, device=engine.device)
        self._room = room_for(request, queue, engine_pid=engine_pid)
        self._budget_bytes = self._room.page_bytes

    def plan(self, document: Document, *, output: str | None, target_format: str | None) -> Plan:
        """Read every page's header and tell what would become of it.

        output         where the result would go
        target_format  to write pages in; None keeps their own
        raises         ModelNotFound when a model is not installed
        """
        request, limits = self._request, self._rooms.limits
        to_prepare = self._unprepared()
        codec = Codec(limits.pictures, max_seconds=limits.max_seconds)
        ingest = Ingest(
            self._rooms.storage,
            codec,
            request.settings,
            target_format=target_format,
            budget_bytes=self._budget_bytes,
            remedy=self._room.remedy,
            peaks=self._foresight.peaks,
            is_trial=True,
            is_compared=self._records is not None,
            subject=request.subject,
        )
        others = [entry.name for entry in document.entries if not entry.is_page]
        try:
            pages = [
                self._page(ingest, ingest.take(document, entry), target_format)
                for entry in document.entries
                if entry.is_page
            ]
        finally:
            codec.close()
        placed = [page.placement for page in pages if page.state == "runs" and page.placement is not None]
        count = {state: sum(page.state == state for page in pages) for state in get_args(PageState)}
        queue = queue_for(document.kind)
        makes_pictures = request.operation.makes == "pictures"
        return Plan(
            operation=request.operation.name,
            settings=msgspec.to_builtins(request.settings),
            models=model_names(request.settings),
            to_prepare=to_prepare if placed else (),
            source=str(request.source),
            document=document.kind,
            output=output,
            engine_pid=self._engine_pid,
            device=self._foresight.choice.device.name,
            device_reason=self._foresight.choice.reason,
            budget_bytes=self._budget_bytes,
            pages_to_run=count["runs"],
            pages_adopted=count["adopted"],
            pages_refused=count["refused"],
            pages_faulty=count["faulty"],
            seconds=total((way.seconds for way in placed), workers=self._rooms.engine.workers),
            peak_bytes=max((way.peak_bytes for way in placed), default=0),
            price_micros=(
                sum(way.price_micros[0] for way in placed),
                sum(way.price_micros[1] for way in placed),
            ),
            privacy=_privacy(placed),
            pages=pages,
            unread_pictures=[name for name in others if makes_pictures and is_unread_picture(name)],
            left_out=document.left_out,
            loss_db=loss_db(request.settings),
            queue=queue,
            queue_state=self._state_of(queue),
            is_new=self._earlier is None,
            is_at_most=makes_pictures
            and bool(placed)
            and request.use_cache
            and self._rooms.cache.has_tiles(),
        )

    def _state_of(self, queue: Category) -> QueueState:
        rules = [] if self._queue is None else self._queue.rules()
        return next((each.state for each in rules if each.name == queue), "run")

    def _page(self, ingest: Ingest, taken: TakenEntry, target_format: str | None) -> PagePlan:
        name, info, settings = taken.entry.name, taken.info, self._request.settings
        if taken.fault is not None:
            return _faulty(name, taken.fault)
        assert info is not None
        assert taken.blob is not None
        work = Work(
            self._request.operation.name,
            msgspec.json.encode(settings).decode(),
            taken.blob,
            format_to_write(info, target_format),
        )
        load = page_load(info, taken.size_bytes, target_format)
        try:
            ingest.check_memory(info, taken.size_bytes)
            placement = self._foresight.place(load, settings, self._budget_bytes)
        except MemoryTooSmall as error:
            models = model_names(settings)
            placement = refused(
                error,
                model=models[0] if models else "",
                budget_bytes=self._budget_bytes,
                least_bytes=least_budget(load, settings, peaks=self._foresight.peaks),
            )
            return PagePlan(
                name,
                "refused",
                info.width,
                info.height,
                placement,
                error.code,
                error.message,
                error.hint or "",
            )
        if self._is_done(work):
            return PagePlan(name, "adopted", info.width, info.height)
        return PagePlan(name, "runs", info.width, info.height, placement)

    def _is_done(self, work: Work) -> bool:
        if self._records is None:
            return False
        key = work_key(work, self._request.operation)
        if self._request.use_cache and self._rooms.results.has(key, subject=self._request.subject):
            return True
        found = find_done(self._rooms, self._records, self._request, key, earlier=self._earlier)
        return found is not None

    def _unprepared(self) -> tuple[str, ...]:
        cards = [card_named(name) for name in model_names(self._request.settings)]
        unprepared = [card for card in cards if not is_prepared(card, self._rooms.folder / "models")]
        for card in unprepared:
            if not is_installed(card):
                raise not_installed(card)
        return tuple(card.name for card in unprepared)


def raise_for_plan(plan: Plan) -> None:
    """Raise what a command should end with.

    raises  QueueDrained, MemoryTooSmall, PartlyFailed, or the fault of the only page
    """
    would_wait = (plan.pages_to_run or plan.pages_adopted) and not plan.pages_refused
    if plan.queue_state == "drain" and plan.is_new and would_wait:
        raise drained(plan.queue)
    bad = [page for page in plan.pages if page.state in ("refused", "faulty")]
    if not bad:
        return
    if len(plan.pages) == 1:
        page = bad[0]
        raise by_code(page.code)(f"{plan.source}: {page.message}", hint=page.hint or None)
    least_bytes = max((page.placement.peak_bytes for page in bad if page.placement is not None), default=0)
    enough = f"{_most_demanding(bad)} is enough for all"
    if plan.pages_refused == len(plan.pages):
        raise MemoryTooSmall(
            f"no page fits the budget of {plan.budget_bytes >> 20} MB", hint=enough if least_bytes else None
        )
    names = ", ".join(page.name for page in bad[:_MOST_NAMES]) + (
        " and others" if len(bad) > _MOST_NAMES else ""
    )
    raise PartlyFailed(
        f"{len(bad)} of {len(plan.pages)} pages would fail: {names}",
        hint=f"a run does nothing until every page fits; {enough}" if least_bytes else "mend or replace them",
    )


def _most_demanding(bad: list[PagePlan]) -> str:
    """Return the advice for the page that needs most of those that were refused."""
    refused_pages = [(page.placement.peak_bytes, page.hint) for page in bad if page.placement is not None]
    return max(refused_pages, default=(0, ""))[1]


def _faulty(name: str, fault: Fault) -> PagePlan:
    return PagePlan(name, "faulty", code=fault.code, message=fault.message, hint=fault.hint or "")


def _privacy(placed: list[Placement]) -> str:
    """Return where the pages of a plan go, each place once."""
    return ", ".join(dict.fromkeys(way.privacy for way in placed)) or STAYS_HERE
