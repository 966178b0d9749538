"""Cuts a page into overlapping tiles that fit a memory budget.

All tiles of a page have the same shape, so a runtime plans its memory once.
"""

import math
from typing import Literal, NamedTuple

import msgspec

# Sides are rounded up to this where the model allows any: vector code likes it.
_COMFORTABLE_MULTIPLE_PX = 8


class PictureShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a picture model wants to be fed.

    scale         output pixels per input pixel, along one side
    colour        channel order of input and output, 0..1
    padding_px    pixels each side of a tile needs around it
    edges         replicate: repeat the page's border there (the model eats the padding);
                  own: the model pads by itself, so only inner sides get pixels, cropped after
    multiple_px   sides of a padded tile must be multiples of this
    tile_exact    the pixels do not depend on how the page is tiled
    tile_px       tile side used when memory allows; the only one unless tile_exact
    tiles_px      sides that may be used, smallest first
    """

    scale: int
    colour: Literal["RGB", "BGR"]
    padding_px: int
    edges: Literal["replicate", "own"]
    multiple_px: int
    tile_exact: bool
    tile_px: int
    tiles_px: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.edges == "own" and self.multiple_px > 1:
            # Rounding a window up would repeat border pixels, which such a model must not see.
            raise ValueError('edges "own" goes with multiple_px 1 only')


class Span(NamedTuple):
    """One tile along one axis, in page pixels.

    read   first pixel handed to the model; may lie outside the page
    start  first pixel of the result that belongs to the tile
    stop   pixel after the last
    """

    read: int
    start: int
    stop: int


class Axis(NamedTuple):
    """The tiles along one side of the page.

    length    pixels of the side
    window    pixels handed to the model at once
    spans     tiles, covering the side without gap or overlap
    """

    length: int
    window: int
    spans: tuple[Span, ...]


def plan_axis(length: int, tile_px: int, shape: PictureShape) -> Axis:
    """Return the tiles along a side of `length` pixels, none larger than `tile_px`.

    Tile-exact models get equal tiles, so that little is computed twice; others always get the
    pinned size, because the size is part of their result.
    """
    padding = shape.padding_px
    multiple = shape.multiple_px
    if shape.tile_exact:
        count = math.ceil(length / tile_px)
        side = math.ceil(length / count)
        if count > 1:
            multiple = math.lcm(multiple, _COMFORTABLE_MULTIPLE_PX)
    else:
        side = min(tile_px, length)
        count = math.ceil(length / side)
    window = _round_up(side + 2 * padding, multiple)
    if shape.edges == "own":
        window = min(window, _round_up(length, shape.multiple_px))
        last_read = max(0, length - window)
        reads = [min(max(0, index * side - padding), last_read) for index in range(count)]
    else:
        side_read = window - 2 * padding
        last_read = max(0, length - side_read)
        reads = [min(index * side, last_read) - padding for index in range(count)]
    stops = [min(length, (index + 1) * side) for index in range(count)]
    return Axis(
        length,
        window,
        tuple(
            Span(read, index * side, stop)
            for index, (read, stop) in enumerate(zip(reads, stops, strict=True))
        ),
    )


def tile_count(width: int, height: int, tile_px: int, shape: PictureShape) -> int:
    """Return how many tiles a page of this size is cut into."""
    return len(plan_axis(width, tile_px, shape).spans) * len(plan_axis(height, tile_px, shape).spans)


def window_pixels(width: int, height: int, tile_px: int, shape: PictureShape) -> int:
    """Return how many pixels the model is handed at once."""
    return plan_axis(width, tile_px, shape).window * plan_axis(height, tile_px, shape).window


def _round_up(value: int, multiple: int) -> int:
    return math.ceil(value / multiple) * multiple
