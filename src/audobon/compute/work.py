"""What a task asks for, and which models it takes; light, so that planning needs no model runtime."""

import blake3
import msgspec

from audobon.compute.placement import (
    CODEC_BYTES,
    COMMAND_BYTES,
    WORKER_BYTES,
    PageLoad,
    Peaks,
    Placement,
    card_peak,
    least_bytes,
    place_picture,
)
from audobon.compute.tuning import Tuning, tuned_card
from audobon.errors import MemoryTooSmall, UnknownOperation
from audobon.models.card import Card
from audobon.models.catalogue import card_named, draft_card
from audobon.pages.letter_scale import detector_pixels, detector_scale
from audobon.pages.operations import (
    CleanSettings,
    LettersSettings,
    Operation,
    PanelsSettings,
    Settings,
    UpscaleSettings,
    settings_identity,
)
from audobon.pages.picture_formats import check_encodable
from audobon.pages.picture_info import PictureInfo
from audobon.pages.plates import count_runs, passes_for

# OpenCV and its buffers; measured like the sizes in `placement`.
_VISION_BYTES = 40 << 20
# Reading the lines beside finding them, and finding panels: measured on the sample comic.
_READING_SHARE = 1.7
_PANELS_SECONDS_PER_MEGAPIXEL = 0.02
_LETTER_MODELS = ("ppocr-v6-detector", "ppocr-v2-classifier", "ppocr-v6-recogniser")


PAGE_KIND = "page"
"""The kind of task that is one page of a job."""


class Work(msgspec.Struct, frozen=True):
    """What is to be done to one page.

    settings      JSON of the operation's settings
    format        to write the page in; None keeps its own
    memory_bytes  most it may take, as asked for; None: what the engine allows
    models        identities of the models it was planned with; (): whichever there are
    use_cache     results from before may be used, and what is made may be kept
    """

    operation: str
    settings: str
    blob: str
    format: str | None = None
    memory_bytes: int | None = None
    models: tuple[str, ...] = ()
    use_cache: bool = True


class PageResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a page, kept as JSON beside the blob.

    notes      what changed on the way, for the user
    placement  how it ran
    seconds    from opening the page to having its result
    tiles      looked up in the result cache; cached_tiles of them were there
    is_cached  the whole page was there
    """

    width: int
    height: int
    seconds: float = 0.0
    size_bytes: int = 0
    notes: tuple[str, ...] = ()
    placement: Placement
    tiles: int = 0
    cached_tiles: int = 0
    is_cached: bool = False
    findings: msgspec.Raw = msgspec.Raw(b"null")


def model_names(settings: Settings) -> tuple[str, ...]:
    """Return the models an operation runs, the main one first; () when it needs none."""
    if isinstance(settings, UpscaleSettings):
        return (settings.model if settings.quality == "full" else draft_card(settings.model).name,)
    if isinstance(settings, CleanSettings):
        return (settings.model or f"waifu2x-cunet-clean{settings.level}",)
    if isinstance(settings, LettersSettings):
        return _LETTER_MODELS
    return ()


def models_with(name: str) -> tuple[str, ...]:
    """Return all models that run where this one is the main one."""
    return _LETTER_MODELS if name == _LETTER_MODELS[0] else (name,)


def model_identities(settings: Settings) -> tuple[str, ...]:
    """Return what tells the models of an operation from others of the same names; see `Card.identity`."""
    return tuple(card_named(name).identity for name in model_names(settings))


def loss_db(settings: Settings) -> float | None:
    """Return how far a draft is from the full model, as its card says; None when it is not a draft."""
    if not isinstance(settings, UpscaleSettings):
        return None
    return card_named(model_names(settings)[0]).loss_db


def check_settings(settings: Settings) -> None:
    """Raise ModelNotFound or UnknownOperation when the settings cannot work for any page."""
    for name in model_names(settings):
        card = card_named(name)
        if isinstance(settings, UpscaleSettings | CleanSettings):
            passes_of(settings, card)


def passes_of(settings: Settings, card: Card) -> int:
    """Return how often a page goes through the model.

    raises  UnknownOperation when the model cannot do what is asked
    """
    if card.picture is None or card.task not in ("upscale", "clean"):
        raise UnknownOperation(f"{card.name} does not make pictures", hint="audobon models list")
    if isinstance(settings, UpscaleSettings):
        return passes_for(settings.scale, card.picture, card.name)
    if card.picture.scale != 1:
        raise UnknownOperation(
            f"{card.name} makes pages ×{card.picture.scale}, it does not clean", hint="audobon models list"
        )
    return 1


def format_to_write(info: PictureInfo, target_format: str | None) -> str | None:
    """Return the format for a page's work; None for the one it has, so that it is the same work anywhere."""
    return None if target_format == info.format else target_format


def work_key(work: Work, operation: Operation) -> str:
    """Return a key that is equal only for work with the same outcome."""
    settings = msgspec.json.decode(work.settings, type=operation.settings)
    identity = (
        operation.name,
        operation.version,
        settings_identity(settings),
        model_identities(settings),
        work.blob,
        work.format,
    )
    return blake3.blake3(msgspec.json.encode(identity)).hexdigest()


def result_info(info: PictureInfo, settings: Settings, card: Card, target_format: str | None) -> PictureInfo:
    """Return what the restored page will be.

    raises  UnsupportedPicture when its format cannot hold it
    """
    assert card.picture is not None
    grown = card.picture.scale ** passes_of(settings, card)
    dpi = info.dpi
    if dpi is not None and isinstance(settings, UpscaleSettings) and settings.dpi == "scale":
        dpi = (dpi[0] * grown, dpi[1] * grown)
    made = msgspec.structs.replace(
        info,
        width=info.width * grown,
        height=info.height * grown,
        format=target_format or info.format,
        dpi=dpi,
    )
    check_encodable(made)
    return made


def place(
    page: PageLoad,
    settings: Settings,
    budget_bytes: int,
    *,
    most_tile_px: int | None = None,
    tuning: Tuning | None = None,
    peaks: Peaks = card_peak,
) -> Placement:
    """Return how a page will run; MemoryTooSmall when it does not fit the budget.

    most_tile_px  no larger tiles than this; None: as large as the model's card allows
    tuning        of this machine; None: tiles as the card says
    peaks         tells what models take
    """
    names = model_names(settings)
    if isinstance(settings, UpscaleSettings | CleanSettings):
        card = tuned_card(card_named(names[0]), tuning or Tuning())
        return place_picture(
            page,
            card,
            passes=passes_of(settings, card),
            budget_bytes=budget_bytes,
            most_tile_px=most_tile_px,
            peaks=peaks,
        )
    needed = least_budget(page, settings, peaks=peaks)
    if needed > budget_bytes:
        raise MemoryTooSmall(
            f"a page of {page.info.width}×{page.info.height} needs {needed >> 20} MB,"
            f" the budget is {budget_bytes >> 20} MB",
            hint=f"--memory {(needed >> 20) + 1}MB",
        )
    return Placement(
        "here",
        0,
        True,
        needed,
        "here: it fits the budget",
        model_bytes=sum(model_shares(page, settings, peaks)),
        model=names[0] if names else "",
        budget_bytes=budget_bytes,
        card_seconds=round(_findings_seconds(page, settings), 3),
    )


def least_budget(page: PageLoad, settings: Settings, *, peaks: Peaks = card_peak) -> int:
    """Return the smallest memory budget a page can be worked on in."""
    cards = [card_named(name) for name in model_names(settings)]
    if isinstance(settings, UpscaleSettings | CleanSettings):
        return least_bytes(page, cards[0], passes=passes_of(settings, cards[0]), peaks=peaks)
    # The page as decoded, and as RGB for looking at, with transient copies of the latter.
    working = page.held_bytes + page.pixels * 3 * 3 + sum(model_shares(page, settings, peaks))
    if isinstance(settings, PanelsSettings) and settings.pictures:
        # A panel may be the whole page: its pixels once more, in the codec, and as a file; and the drawing.
        working += page.held_bytes + page.encoding_bytes(page.pixels, page.info.mode) + page.pixels * (3 + 4)
    return COMMAND_BYTES + WORKER_BYTES + CODEC_BYTES + _VISION_BYTES + max(working, page.opening_bytes)


def model_shares(page: PageLoad, settings: Settings, peaks: Peaks) -> tuple[int, ...]:
    """Return what each model of a findings operation is lent, all of them at once; in their order."""
    cards = [card_named(name) for name in model_names(settings)]
    if not cards:
        return ()
    detecting = peaks(cards[0], detector_pixels(page.info.width, page.info.height), lean=True)
    # One that waits beside the detector is counted with what it holds, which is more than its graph.
    return (cards[0].graph_bytes + detecting, *(card.loading_bytes for card in cards[1:]))


def _findings_seconds(page: PageLoad, settings: Settings) -> float:
    """Return the processor seconds that looking for something on a page takes, by the cards."""
    width, height = page.info.width, page.info.height
    if isinstance(settings, LettersSettings):
        seen_pixels = width * height * detector_scale(width, height) ** 2
        card = card_named(_LETTER_MODELS[0])
        looking = card.memory.lean.seconds_per_megapixel * seen_pixels / 1e6
        return page.handling_seconds() + looking * _READING_SHARE
    written = page.pixels if isinstance(settings, PanelsSettings) and settings.pictures else 0
    return page.handling_seconds(written) + _PANELS_SECONDS_PER_MEGAPIXEL * page.pixels / 1e6


def page_load(info: PictureInfo, file_bytes: int, target_format: str | None) -> PageLoad:
    """Return what a page brings with it, as placement wants to know it."""
    return PageLoad(info, file_bytes, target_format or info.format)


def units(info: PictureInfo | None, settings: Settings, placement: Placement | None) -> int:
    """Return how many model runs a page is expected to take; 1 when nothing is known of it."""
    if info is None or placement is None or not isinstance(settings, UpscaleSettings | CleanSettings):
        return 1
    card = card_named(model_names(settings)[0])
    assert card.picture is not None
    return count_runs(info, card.picture, tile_px=placement.tile_px, passes=passes_of(settings, card))
