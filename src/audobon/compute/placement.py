"""Decides how a page runs on this machine: tile size and memory, with the reason."""

from typing import Protocol

import msgspec

from audobon.errors import MemoryTooSmall
from audobon.models.card import Card, Footprint
from audobon.models.devices import Choice
from audobon.pages.picture_info import PictureInfo
from audobon.pages.plates import fed_pixels
from audobon.pages.tiles import window_pixels

# Resident sizes measured on Linux x86-64 with the pinned libraries (benchmarks/README.md, "memory").
COMMAND_BYTES = 62 << 20
WORKER_BYTES = 74 << 20
CODEC_BYTES = 34 << 20
# What Python and the allocator leave lying about beside the large buffers.
_SLACK_BYTES = 8 << 20
_STORED_BYTES_PER_PIXEL = {"L": 1, "I;16": 2}
# What writing a file takes beside the picture: measured on noise, the worst there is (docs/decisions/0002).
_ENCODER_BYTES_PER_PIXEL = {"PNG": 1, "JPEG": 2, "TIFF": 6, "WEBP": 40}
# Opening and writing PNG on the machine of benchmarks/README.md, and what a page takes however small it is.
_CODEC_SECONDS_PER_MEGAPIXEL = 0.06
_PAGE_SECONDS = 0.05

STAYS_HERE = "stays here"
"""The privacy of a place that is this machine."""


class Peaks(Protocol):
    """Tells what a model is expected to take: the card's figure, or one that observation corrected."""

    def __call__(self, card: Card, pixels: int, *, lean: bool) -> int:
        """Return the growth of the process for this many pixels at once, weights included."""


def card_peak(card: Card, pixels: int, *, lean: bool) -> int:
    """Return what a model's card says it takes."""
    return (card.memory.lean if lean else card.memory.fast).peak_bytes(pixels)


class Seconds(msgspec.Struct, frozen=True):
    """How long something is thought to take.

    likely       the best guess
    low, high    it should lie between
    pages_seen   how many pages of this machine it was learned from; 0: from the cards, or from other models
    """

    likely: float
    low: float
    high: float
    pages_seen: int = 0


class Placement(msgspec.Struct, frozen=True):
    """Where and how a page will run.

    where         here, or refused; other places come with their drivers
    tile_px       largest side of a tile, in input pixels
    lean          run the model in its smallest memory rather than its shortest time
    peak_bytes    predicted for all processes of the run together; refused: the least that would do
    reason        for people
    model_bytes   of peak_bytes, what the models take at their peak
    model         the main one; "" when none runs, or when an older version recorded it
    device        what the model runs on: cpu, cuda:0
    budget_bytes  what it had to fit
    card_seconds  processor seconds by the cards; what a page really took is compared with it
    seconds       predicted; None when nobody asked, or nothing is known of the device
    price_micros  lowest and highest price in millionths of a US dollar
    privacy       where the page goes
    advice        what to do when it is refused
    """

    where: str
    tile_px: int
    lean: bool
    peak_bytes: int
    reason: str
    model_bytes: int = 0
    model: str = ""
    device: str = "cpu"
    budget_bytes: int = 0
    card_seconds: float = 0.0
    seconds: Seconds | None = None
    price_micros: tuple[int, int] = (0, 0)
    privacy: str = STAYS_HERE
    advice: str = ""


class PageLoad(msgspec.Struct, frozen=True):
    """What a page brings with it.

    file_bytes     size of its file
    target_format  format its result is written in
    """

    info: PictureInfo
    file_bytes: int
    target_format: str

    @property
    def pixels(self) -> int:
        """Pixels of the page."""
        return self.info.width * self.info.height

    @property
    def held_bytes(self) -> int:
        """The page decoded."""
        return self.pixels * self.info.channels * self.info.sample_bytes

    @property
    def opening_bytes(self) -> int:
        """Most that opening it takes: the file in three hands, the pixels here and in the codec."""
        return 3 * self.file_bytes + 2 * 4 * self.pixels + self.held_bytes

    def encoding_bytes(self, pixels: int, mode: str) -> int:
        """Most that writing a picture of so many pixels takes."""
        stored = _STORED_BYTES_PER_PIXEL.get(mode, 4)
        return pixels * (stored + _ENCODER_BYTES_PER_PIXEL[self.target_format])

    def handling_seconds(self, made_pixels: int = 0) -> float:
        """Return what opening the page and writing so many pixels takes."""
        return _PAGE_SECONDS + _CODEC_SECONDS_PER_MEGAPIXEL * (self.pixels + made_pixels) / 1e6


def place_picture(
    page: PageLoad,
    card: Card,
    *,
    passes: int,
    budget_bytes: int,
    most_tile_px: int | None = None,
    peaks: Peaks = card_peak,
) -> Placement:
    """Return the fastest way to restore a page within a memory budget.

    passes        times the page goes through the model
    budget_bytes  for all processes of the run together
    most_tile_px  no larger tiles than this; None: as large as the card allows
    peaks         tells what the model takes
    raises        MemoryTooSmall when even the smallest tiles would not fit
    """
    if card.picture is None:
        raise ValueError(f"{card.name} is no picture model")
    sides = [side for side in _sides(card) if most_tile_px is None or side <= most_tile_px]
    ways = [_way(page, card, passes, side, lean, peaks) for side in sides for lean in (False, True)]
    fitting = [(seconds, placement) for seconds, placement in ways if placement.peak_bytes <= budget_bytes]
    if not fitting:
        least = least_bytes(page, card, passes=passes, peaks=peaks)
        raise MemoryTooSmall(
            f"a page of {page.info.width}×{page.info.height} needs {_megabytes(least)} MB with {card.name},"
            f" the budget is {_megabytes(budget_bytes)} MB",
            hint=f"--memory {_megabytes(least) + 1}MB",
        )
    chosen = min(fitting, key=lambda way: (way[0], way[1].peak_bytes))[1]
    return msgspec.structs.replace(chosen, budget_bytes=budget_bytes)


def refused(error: MemoryTooSmall, *, model: str, budget_bytes: int, least_bytes: int = 0) -> Placement:
    """Return the placement of a page that fits nowhere, from the error that says so."""
    return Placement(
        "refused",
        0,
        True,
        least_bytes,
        error.message,
        model=model,
        budget_bytes=budget_bytes,
        advice=error.hint or "",
    )


def told_device(placement: Placement, choice: Choice) -> Placement:
    """Return a placement that names the device when it is a card, or the processor in place of one."""
    if choice.device.kind == "cpu" and not choice.is_fallback:
        return placement
    words = f"{placement.reason}; on {choice.device.name}"
    if choice.reason is not None:
        words += f", because {choice.reason}"
    return msgspec.structs.replace(placement, reason=words, device=choice.device.label)


def device_notes(choice: Choice) -> tuple[str, ...]:
    """Return what a user should know of the device: that it is the processor in place of a card."""
    return (f"worked on by {choice.device.name}, because {choice.reason}",) if choice.is_fallback else ()


def least_bytes(page: PageLoad, card: Card, *, passes: int, peaks: Peaks = card_peak) -> int:
    """Return the smallest budget a page can be restored in."""
    ways = (_way(page, card, passes, side, lean, peaks) for side in _sides(card) for lean in (False, True))
    return min(placement.peak_bytes for _, placement in ways)


def _sides(card: Card) -> tuple[int, ...]:
    assert card.picture is not None
    if not card.picture.tile_exact:
        return (card.picture.tile_px,)
    return tuple(side for side in card.picture.tiles_px if side <= card.picture.tile_px)


def _way(
    page: PageLoad, card: Card, passes: int, side: int, lean: bool, peaks: Peaks = card_peak
) -> tuple[float, Placement]:
    """Return the cost of one way to run (processor seconds by the card) and its placement."""
    shape = card.picture
    assert shape is not None
    footprint: Footprint = card.memory.lean if lean else card.memory.fast
    grown = shape.scale ** (passes - 1)
    fed = window_pixels(page.info.width * grown, page.info.height * grown, side, shape)
    all_fed = fed_pixels(page.info, shape, tile_px=side, passes=passes)
    seconds = footprint.seconds_per_megapixel * all_fed / 1e6
    seconds += page.handling_seconds(page.pixels * shape.scale ** (2 * passes))
    model_bytes = peaks(card, fed, lean=lean)
    # The tensors around a run: what goes in, what comes out, and its rounding.
    tensors = fed * 3 * 4 + 2 * fed * shape.scale**2 * 3 * 4
    restoring = model_bytes + tensors + _page_bytes(page, shape.scale, passes, side)
    peak = COMMAND_BYTES + WORKER_BYTES + CODEC_BYTES + _SLACK_BYTES + max(restoring, page.opening_bytes)
    how = "small memory" if lean else "full speed"
    reason = f"here: tiles of {side} px at {how} fit the budget"
    return seconds, Placement(
        "here", side, lean, peak, reason, model_bytes, card.name, card_seconds=round(seconds, 3)
    )


def _page_bytes(page: PageLoad, scale: int, passes: int, side: int) -> int:
    """Return what the page itself takes while it is restored: decoded, between passes, encoded."""
    info = page.info
    held: int = sum(page.held_bytes * scale ** (2 * index) for index in range(passes))
    grown: int = scale**passes
    band: int = 2 * side * scale * info.width * grown * info.channels * info.sample_bytes
    return held + page.encoding_bytes(page.pixels * grown**2, info.mode) + band


def _megabytes(count: int) -> int:
    return -(-count // (1 << 20))
