"""Runs a picture model over a page tile by tile: upscaling and cleaning alike."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from audobon.errors import UnknownOperation
from audobon.pages.picture import Picture, Pixels
from audobon.pages.picture_info import PictureInfo
from audobon.pages.tiles import Axis, PictureShape, Span, cut, plan_axis, tile_count
from audobon.pages.transparency import fill_transparent

Run = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
Report = Callable[[int, int], None]


class PictureModel(NamedTuple):
    """A picture model ready to run.

    run  takes and returns float32 [1, 3, height, width], RGB 0..1
    """

    shape: PictureShape
    run: Run


class _Group(NamedTuple):
    """Channels that go through the model together.

    channels  one (fed three times over) or three
    inverted  fed as its negative: ink amounts look like drawings only so
    """

    channels: tuple[int, ...]
    inverted: bool = False


# Transparency is restored like a grey drawing: outlines on clear film live there.
# Ink separations keep their plates: colours go together, black alone, both as negatives.
_GROUPS = {
    "L": (_Group((0,)),),
    "I;16": (_Group((0,)),),
    "LA": (_Group((0,)), _Group((1,))),
    "RGB": (_Group((0, 1, 2)),),
    "RGBA": (_Group((0, 1, 2)), _Group((3,))),
    "CMYK": (_Group((0, 1, 2), inverted=True), _Group((3,), inverted=True)),
}


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


def count_units(info: PictureInfo, shape: PictureShape, *, tile_px: int, passes: int) -> int:
    """Return how many model runs a page takes, an opaque alpha channel counted as free."""
    groups = sum(1 for group in _GROUPS[info.mode] if not _is_alpha(info.mode, group))
    total = 0
    for index in range(passes):
        grown = shape.scale**index
        total += groups * tile_count(info.width * grown, info.height * grown, tile_px, shape)
    return total


def restore(
    picture: Picture, model: PictureModel, *, passes: int, tile_px: int, report: Report
) -> Iterator[Pixels]:
    """Yield the restored page from top to bottom, in bands of whole rows.

    passes   times the page goes through the model, each growing it by the model's scale
    tile_px  largest tile side, in input pixels
    report   called as report(done, total) after every model run
    yields   [rows, width * scale ** passes, channels] in the picture's own sample type
    """
    pixels = _visible(picture)
    remaining = _Progress(report, count_units(picture.info, model.shape, tile_px=tile_px, passes=passes))
    for _ in range(passes - 1):
        pixels = _collect(_bands(pixels, picture.info.mode, model, tile_px, remaining), pixels, model)
    yield from _bands(pixels, picture.info.mode, model, tile_px, remaining)


class _Progress:
    """Counts model runs; the total grows when an alpha channel turns out to need work."""

    def __init__(self, report: Report, total: int) -> None:
        self._report, self._total, self._done = report, total, 0

    def expect(self, units: int) -> None:
        self._total += units

    def step(self) -> None:
        self._done += 1
        self._report(min(self._done, self._total), self._total)


def _visible(picture: Picture) -> Pixels:
    if picture.info.mode not in ("LA", "RGBA"):
        return picture.pixels
    colour, alpha = picture.pixels[:, :, :-1], picture.pixels[:, :, -1]
    filled = fill_transparent(colour, alpha)
    return picture.pixels if filled is colour else np.dstack([filled, alpha])


def _collect(bands: Iterator[Pixels], pixels: Pixels, model: PictureModel) -> Pixels:
    height, width, channels = pixels.shape
    scale = model.shape.scale
    whole = np.empty((height * scale, width * scale, channels), pixels.dtype)
    row = 0
    for band in bands:
        whole[row : row + len(band)] = band
        row += len(band)
    return whole


def _bands(pixels: Pixels, mode: str, model: PictureModel, tile_px: int, progress: _Progress) -> Iterator[Pixels]:
    scale = model.shape.scale
    vertical = plan_axis(pixels.shape[0], tile_px, model.shape)
    horizontal = plan_axis(pixels.shape[1], tile_px, model.shape)
    constants = {
        group.channels[0]: value
        for group in _GROUPS[mode]
        if _is_alpha(mode, group) and (value := _constant(pixels[:, :, group.channels[0]])) is not None
    }
    if _has_alpha(mode) and not constants:
        progress.expect(len(vertical.spans) * len(horizontal.spans))
    for rows in vertical.spans:
        shape = ((rows.stop - rows.start) * scale, pixels.shape[1] * scale, pixels.shape[2])
        band = np.empty(shape, pixels.dtype)
        for channel, value in constants.items():
            band[:, :, channel] = value
        for columns in horizontal.spans:
            window = cut(pixels, rows, columns, vertical, horizontal)
            target = band[:, columns.start * scale : columns.stop * scale]
            for group in _GROUPS[mode]:
                if group.channels[0] not in constants:
                    answer = model.run(_feed(window, group))
                    kept = _core(answer, rows, columns, model.shape)
                    _store(kept, target, group)
                    progress.step()
        yield band


def _is_alpha(mode: str, group: _Group) -> bool:
    return _has_alpha(mode) and group is _GROUPS[mode][-1]


def _has_alpha(mode: str) -> bool:
    return mode in ("LA", "RGBA")


def _constant(plane: Pixels) -> int | None:
    value = int(plane.flat[0])
    return value if bool((plane == value).all()) else None


def _feed(window: Pixels, group: _Group) -> npt.NDArray[np.float32]:
    white = np.float32(np.iinfo(window.dtype).max)
    planes = window[:, :, group.channels].transpose(2, 0, 1).astype(np.float32)
    planes /= white
    if group.inverted:
        np.subtract(1, planes, out=planes)
    if len(group.channels) == 1:
        planes = np.repeat(planes, 3, axis=0)
    return planes[None]


def _core(
    answer: npt.NDArray[np.float32], rows: Span, columns: Span, shape: PictureShape
) -> npt.NDArray[np.float32]:
    """Return the part of a model's answer that belongs to the tile: [3, height, width]."""
    eaten = shape.padding_px if shape.edges == "replicate" else 0
    top = (rows.start - rows.read - eaten) * shape.scale
    left = (columns.start - columns.read - eaten) * shape.scale
    height = (rows.stop - rows.start) * shape.scale
    width = (columns.stop - columns.start) * shape.scale
    core: npt.NDArray[np.float32] = answer[0, :, top : top + height, left : left + width]
    return core


def _store(core: npt.NDArray[np.float32], target: Pixels, group: _Group) -> None:
    white = np.float32(np.iinfo(target.dtype).max)
    values = core.mean(axis=0, keepdims=True) if len(group.channels) == 1 else core.copy()
    if group.inverted:
        np.subtract(1, values, out=values)
    values *= white
    np.rint(values, out=values)
    np.clip(values, 0, white, out=values)
    target[:, :, group.channels] = values.transpose(1, 2, 0).astype(target.dtype)
