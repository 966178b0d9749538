"""Does one task: decodes the page, runs the operation, stores the result."""

import io
import time
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import IO, NamedTuple, cast

import msgspec

from audobon.compute.codec import Codec
from audobon.compute.page_memory import PageMemory, refusal
from audobon.compute.placement import PageLoad, Peaks, Placement, device_notes, told_device
from audobon.compute.results import Results, TaskResults
from audobon.compute.tuning import Tuning
from audobon.compute.work import (
    PageResult,
    Work,
    least_budget,
    model_names,
    model_shares,
    page_load,
    passes_of,
    place,
    result_info,
)
from audobon.errors import DiskFull, Exhausted, MemoryTooSmall
from audobon.models.devices import Choice
from audobon.models.service import Models, replaced_meanwhile
from audobon.pages.letters import LetterModels, read_letters
from audobon.pages.operations import (
    CleanSettings,
    LettersSettings,
    PanelsSettings,
    UpscaleSettings,
    operation_named,
    parse_settings,
)
from audobon.pages.panels import draw_panels, find_panels
from audobon.pages.picture import Picture, Pixels
from audobon.pages.picture_info import PictureInfo
from audobon.pages.restore import PictureModel, restore
from audobon.storage.pack_writer import BlobWriter
from audobon.storage.service import Storage

Report = Callable[[int, int], None]
Publish = Callable[[str | None, str], None]
_PublishResult = Callable[[str | None, PageResult], None]


class LastStep(NamedTuple):
    """What is left of a task when the model is done with it: writing the file, and publishing it.

    run              does it, from any thread; raises as `perform` does
    may_run_beside   there is memory to begin the next page meanwhile
    """

    run: Callable[[], None]
    may_run_beside: bool


class Performer:
    """Does tasks with two codecs in turns and one set of models: one page is written as the next begins."""

    def __init__(
        self,
        storage: Storage,
        models: Models,
        codecs: tuple[Codec, Codec],
        results: Results,
        *,
        tuning: Tuning | None = None,
    ) -> None:
        self._storage = storage
        self._models = models
        self._results = results
        self._codec, self._other_codec = codecs
        self._tuning = tuning

    @property
    def needs_recycling(self) -> bool:
        """Whether memory did not come back, so that this process should make way for a new one."""
        return self._models.needs_recycling

    def devices(self) -> frozenset[str]:
        """Return the kinds of device that models can run on here."""
        return self._models.device_kinds()

    def loaded_models(self) -> frozenset[str]:
        """Return the names of the models in memory."""
        return frozenset(model.name for model in self._models.resident())

    def keep_models_within(self, budget_bytes: int) -> None:
        """Let go of models until they hold no more than this; to be called while no task is at work."""
        self._models.set_budget(budget_bytes)

    def perform(
        self,
        work: Work,
        *,
        report: Report,
        publish: Publish,
        memory: PageMemory,
        alone: Callable[[], None],
    ) -> LastStep | None:
        """Do what a task asks, but for the last step if there is one; only one may be left at a time.

        report   called as report(done, total) while it runs
        publish  called once with the blob (None when there is none) and the JSON of a PageResult,
                 while the blob is safe from being removed
        alone    called before work that needs all the room there is; returns when no last step is left
        raises   an AudobonError saying what is wrong with the page
        """
        started = time.monotonic()
        results = self._results.of_task(work, subject=self._storage.subject_of(work.blob))

        def timed(blob: str | None, result: PageResult) -> None:
            result = msgspec.structs.replace(result, seconds=round(time.monotonic() - started, 3))
            # First: once the last page is published, its run may end this process at any instant.
            results.keep_page(blob, result)
            publish(blob, msgspec.json.encode(result).decode())

        settings = parse_settings(operation_named(work.operation), work.settings)
        data = self._storage.get(work.blob)
        file_bytes = len(data)
        picture = self._codec.decode(data)
        del data  # the file may be as large as the pixels
        load = page_load(picture.info, file_bytes, work.format)
        room_bytes = memory.room_bytes()
        budget_bytes = min(room_bytes, work.memory_bytes or room_bytes)
        peaks = self._models.peaks.predict
        try:
            placement = place(load, settings, budget_bytes, tuning=self._tuning, peaks=peaks)
        except MemoryTooSmall:
            needed_bytes = least_budget(load, settings, peaks=peaks)
            raise refusal(
                needed_bytes, pool_bytes=memory.pool_bytes(), asked_bytes=work.memory_bytes
            ) from None
        is_roomy = 2 * placement.peak_bytes <= budget_bytes
        if not is_roomy:
            alone()
            self._other_codec.close()
        memory.hold(placement.peak_bytes)
        # What no task holds may be kept by models that are not in use now.
        idle_bytes = max(0, room_bytes - memory.held_bytes())
        self._models.set_budget(placement.model_bytes + idle_bytes)
        if isinstance(settings, UpscaleSettings | CleanSettings):
            try:
                step = self._restore(
                    picture, settings, work, placement, report, timed, results, memory, is_roomy=is_roomy
                )
            except (Exhausted, MemoryError) as error:
                if isinstance(error, MemoryTooSmall | DiskFull):
                    raise
                placement = _smaller(load, settings, budget_bytes, placement, error, peaks)
                step = self._restore(
                    picture, settings, work, placement, report, timed, results, memory, is_roomy=is_roomy
                )
            return step
        if isinstance(settings, LettersSettings):
            shares = model_shares(load, settings, peaks)
            self._read(picture, settings, placement, shares, report, timed, results, memory)
        else:
            subject = self._storage.subject_of(work.blob)
            self._find_panels(picture, settings, placement, report, timed, subject)
        return None

    def _restore(
        self,
        picture: Picture,
        settings: UpscaleSettings | CleanSettings,
        work: Work,
        placement: Placement,
        report: Report,
        publish: _PublishResult,
        results: TaskResults,
        memory: PageMemory,
        *,
        is_roomy: bool,
    ) -> LastStep:
        (name,) = model_names(settings)
        lease = self._models.lease(name, lean=placement.lean, peak_bytes=placement.model_bytes)
        card = lease.card
        if work.models and work.models != (card.identity,):
            raise replaced_meanwhile(name)
        made = result_info(picture.info, settings, card, work.format)
        shape = card.picture
        assert shape is not None
        result = PageResult(width=made.width, height=made.height, notes=made.notes, placement=placement)

        codec = self._codec
        with lease as model:
            results.runs_on(model.choice)
            _hold_graphics(memory, model.choice)
            result = msgspec.structs.replace(
                result,
                placement=told_device(placement, model.choice),
                notes=(*made.notes, *device_notes(model.choice)),
            )
            bands = restore(
                picture,
                PictureModel(shape, model),
                passes=passes_of(settings, card),
                tile_px=placement.tile_px,
                report=report,
                results=results.tiles(card, model.choice),
            )
            codec.send(made, bands)
            result = results.counted(result)
        if is_roomy:
            # It is busy writing now; the next page is opened by the other.
            self._codec, self._other_codec = self._other_codec, codec
        subject = self._storage.subject_of(work.blob)
        return LastStep(
            lambda: self._publish_blob(codec.receive, result, publish, subject), may_run_beside=is_roomy
        )

    def _read(
        self,
        picture: Picture,
        settings: LettersSettings,
        placement: Placement,
        shares: tuple[int, ...],
        report: Report,
        publish: _PublishResult,
        results: TaskResults,
        memory: PageMemory,
    ) -> None:
        names = model_names(settings)
        with ExitStack() as stack:
            # Lean: line widths vary, and an arena would keep room for each of them.
            detector, classifier, recogniser = (
                stack.enter_context(self._models.lease(name, lean=True, peak_bytes=peak_bytes))
                for name, peak_bytes in zip(names, shares, strict=True)
            )
            placement = told_device(placement, detector.choice)
            choices = [model.choice for model in (detector, classifier, recogniser)]
            for choice in choices:
                results.runs_on(choice)
            _hold_graphics(memory, *choices)
            alphabet = tuple(recogniser.metadata()["character"].split("\n"))
            found = read_letters(
                picture.rgb8(),
                LetterModels(detector, classifier, recogniser, alphabet),
                order=settings.order,
                report=report,
            )
        publish(None, _findings(picture.info, placement, balloons=found.balloons))

    def _find_panels(
        self,
        picture: Picture,
        settings: PanelsSettings,
        placement: Placement,
        report: Report,
        publish: _PublishResult,
        subject: str,
    ) -> None:
        page = picture.rgb8()
        panels = find_panels(page, order=settings.order)
        result = _findings(picture.info, placement, panels=panels)
        if not settings.pictures:
            report(1, 1)
            publish(None, result)
            return

        def write(writer: BlobWriter) -> None:
            ending = "tif" if picture.info.mode == "CMYK" else "png"
            with zipfile.ZipFile(cast(IO[bytes], writer), "w") as pieces:
                for index, panel in enumerate(panels, start=1):
                    box = panel.box
                    cut = picture.pixels[box.y : box.bottom, box.x : box.right]
                    pieces.writestr(f"panel-{index:02}.{ending}", self._picture_file(picture.info, cut))
                    report(index, len(panels) + 1)
                drawing = PictureInfo(width=0, height=0, mode="RGB", format="PNG", dpi=picture.info.dpi)
                pieces.writestr("overview.png", self._picture_file(drawing, draw_panels(page, panels)))
            report(len(panels) + 1, len(panels) + 1)

        self._publish_blob(write, result, publish, subject)

    def _publish_blob(
        self,
        write: Callable[[BlobWriter], None],
        result: PageResult,
        publish: _PublishResult,
        subject: str,
    ) -> None:
        with ExitStack() as held:
            with self._storage.writing(subject=subject, kind="result") as writer:
                write(writer)
                held.enter_context(self._storage.sharing())
            publish(writer.key, msgspec.structs.replace(result, size_bytes=writer.size_bytes))

    def _picture_file(self, info: PictureInfo, pixels: Pixels) -> bytes:
        height, width = pixels.shape[:2]
        # PNG holds every mode but CMYK, which is kept whole as TIFF.
        made = msgspec.structs.replace(
            info, width=width, height=height, format="TIFF" if info.mode == "CMYK" else "PNG"
        )
        target = io.BytesIO()
        self._codec.encode(made, [pixels], target)
        return target.getvalue()


def _smaller(
    load: PageLoad,
    settings: UpscaleSettings | CleanSettings,
    budget_bytes: int,
    tried: Placement,
    error: Exception,
    peaks: Peaks,
) -> Placement:
    """Return the placement for the one other try after memory ran out; raises the error if there is none."""
    try:
        placement = place(load, settings, budget_bytes, most_tile_px=tried.tile_px // 2, peaks=peaks)
    except MemoryTooSmall:
        raise error from None
    reason = f"here: memory ran out with tiles of {tried.tile_px} px; tiles of {placement.tile_px} px instead"
    return msgspec.structs.replace(placement, reason=reason)


def _hold_graphics(memory: PageMemory, *choices: Choice) -> None:
    if limit_bytes := sum(choice.limit_bytes for choice in choices):
        memory.hold_graphics(limit_bytes)


def _findings(info: PictureInfo, placement: Placement, **found: object) -> PageResult:
    return PageResult(
        width=info.width,
        height=info.height,
        notes=info.notes,
        placement=placement,
        findings=msgspec.Raw(msgspec.json.encode(found)),
    )
