"""Decides how a page runs on this machine: tile size and memory, with the reason."""

import msgspec

from audobon.errors import MemoryTooSmall
from audobon.models.card import Card, Footprint
from audobon.pages.picture_info import PictureInfo
from audobon.pages.tiles import plan_axis, window_pixels

# Resident sizes measured on Linux x86-64 with the pinned libraries (benchmarks/README.md, "memory").
COMMAND_BYTES = 48 << 20
WORKER_BYTES = 62 << 20
CODEC_BYTES = 34 << 20
# What Python and the allocator leave lying about beside the large buffers.
_SLACK_BYTES = 8 << 20
_STORED_BYTES_PER_PIXEL = {"L": 1, "I;16": 2}


class Placement(msgspec.Struct, frozen=True):
    """Where and how a page will run.

    where       here; other places come with their drivers
    tile_px     largest side of a tile, in input pixels
    lean        run the model in its smallest memory rather than its shortest time
    peak_bytes  predicted for all processes of the run together
    reason      for people
    """

    where: str
    tile_px: int
    lean: bool
    peak_bytes: int
    reason: str


def place_picture(info: PictureInfo, card: Card, *, passes: int, budget_bytes: int) -> Placement:
    """Return the fastest way to restore a page within a memory budget.

    passes        times the page goes through the model
    budget_bytes  for all processes of the run together
    raises        MemoryTooSmall when even the smallest tiles would not fit
    """
    if card.picture is None:
        raise ValueError(f"{card.name} is no picture model")
    ways = [_way(info, card, passes, side, lean) for side in _sides(card) for lean in (False, True)]
    fitting = [(seconds, placement) for seconds, placement in ways if placement.peak_bytes <= budget_bytes]
    if not fitting:
        least = min(placement.peak_bytes for _, placement in ways)
        raise MemoryTooSmall(
            f"a page of {info.width}×{info.height} needs {_megabytes(least)} MB with {card.name},"
            f" the budget is {_megabytes(budget_bytes)} MB",
            hint=f"--memory {_megabytes(least) + 1}MB",
        )
    return min(fitting, key=lambda way: (way[0], way[1].peak_bytes))[1]


def least_bytes(info: PictureInfo, card: Card, *, passes: int) -> int:
    """Return the smallest budget a page can be restored in."""
    return min(_way(info, card, passes, side, lean=True)[1].peak_bytes for side in _sides(card))


def _sides(card: Card) -> tuple[int, ...]:
    assert card.picture is not None
    if not card.picture.tile_exact:
        return (card.picture.tile_px,)
    return tuple(side for side in card.picture.tiles_px if side <= card.picture.tile_px)


def _way(info: PictureInfo, card: Card, passes: int, side: int, lean: bool) -> tuple[float, Placement]:
    """Return the cost of one way to run (relative seconds) and its placement."""
    shape = card.picture
    assert shape is not None
    footprint: Footprint = card.memory.lean if lean else card.memory.fast
    grown = shape.scale ** (passes - 1)
    width, height = info.width * grown, info.height * grown
    fed = window_pixels(width, height, side, shape)
    tiles = len(plan_axis(width, side, shape).spans) * len(plan_axis(height, side, shape).spans)
    seconds = footprint.seconds_per_megapixel * fed * tiles / 1e6
    peak = (
        COMMAND_BYTES
        + WORKER_BYTES
        + CODEC_BYTES
        + _SLACK_BYTES
        + footprint.peak_bytes(fed)
        + _page_bytes(info, shape.scale, passes, side)
    )
    # The tensors around a run: what goes in, what comes out, and its rounding.
    peak += fed * 3 * 4 + 2 * fed * shape.scale**2 * 3 * 4
    how = "small memory" if lean else "full speed"
    reason = f"here: tiles of {side} px at {how} fit the budget"
    return seconds, Placement("here", side, lean, peak, reason)


def _page_bytes(info: PictureInfo, scale: int, passes: int, side: int) -> int:
    """Return what the page itself takes while it is restored: decoded, between passes, encoded."""
    sample = info.channels * info.sample_bytes
    pixels = info.width * info.height
    held = pixels * sample
    for index in range(1, passes):
        held += pixels * scale ** (2 * index) * sample
    grown: int = scale**passes
    encoded = pixels * grown**2 * _STORED_BYTES_PER_PIXEL.get(info.mode, 4)
    band = 2 * side * scale * info.width * grown * sample
    return held + encoded + band


def _megabytes(count: int) -> int:
    return -(-count // (1 << 20))
