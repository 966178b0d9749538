"""Which channels of a page go through a picture model together, and how often; needs no numpy."""

from collections.abc import Iterator
from typing import NamedTuple

from audobon.errors import UnknownOperation
from audobon.pages.picture_info import PictureInfo
from audobon.pages.tiles import PictureShape, tile_count, window_pixels


class Plate(NamedTuple):
    """Channels that go through the model together.

    channels  one (fed three times over) or three
    inverted  fed as its negative: ink amounts look like drawings only so
    """

    channels: tuple[int, ...]
    inverted: bool = False


# Transparency is restored like a grey drawing: outlines on clear film live there.
# Ink separations keep their plates: colours go together, black alone, both as negatives.
_PLATES = {
    "L": (Plate((0,)),),
    "I;16": (Plate((0,)),),
    "LA": (Plate((0,)), Plate((1,))),
    "RGB": (Plate((0, 1, 2)),),
    "RGBA": (Plate((0, 1, 2)), Plate((3,))),
    "CMYK": (Plate((0, 1, 2), inverted=True), Plate((3,), inverted=True)),
}


def plates(mode: str) -> tuple[Plate, ...]:
    """Return the groups of channels of a picture mode."""
    return _PLATES[mode]


def has_alpha(mode: str) -> bool:
    """Tell whether a mode ends with a transparency channel."""
    return mode in ("LA", "RGBA")


def is_alpha(mode: str, plate: Plate) -> bool:
    """Tell whether a plate is the transparency channel of a mode."""
    return has_alpha(mode) and plate is _PLATES[mode][-1]


def passes_for(scale: int, shape: PictureShape, model_name: str) -> int:
    """Return how often a page goes through a model to grow by `scale`.

    raises  UnknownOperation when the model cannot reach that scale
    """
    if shape.scale == scale:
        return 1
    if shape.scale > 1 and shape.scale**2 == scale:
        return 2
    raise UnknownOperation(
        f"{model_name} makes pages ×{shape.scale}, not ×{scale}",
        hint="choose another --scale or --model; audobon models list shows them",
    )


def count_runs(info: PictureInfo, shape: PictureShape, *, tile_px: int, passes: int) -> int:
    """Return how many model runs a page takes, an opaque alpha channel counted as free."""
    return sum(runs for runs, _ in _runs_of_passes(info, shape, tile_px, passes))


def fed_pixels(info: PictureInfo, shape: PictureShape, *, tile_px: int, passes: int) -> int:
    """Return how many pixels a model is handed for a page in all its runs; see `count_runs`."""
    return sum(runs * window for runs, window in _runs_of_passes(info, shape, tile_px, passes))


def _runs_of_passes(
    info: PictureInfo, shape: PictureShape, tile_px: int, passes: int
) -> Iterator[tuple[int, int]]:
    """Yield for each pass the number of runs, and how many pixels one of them takes."""
    plates = sum(1 for plate in _PLATES[info.mode] if not is_alpha(info.mode, plate))
    for index in range(passes):
        width, height = info.width * shape.scale**index, info.height * shape.scale**index
        yield plates * tile_count(width, height, tile_px, shape), window_pixels(width, height, tile_px, shape)
