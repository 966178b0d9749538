"""Runs a picture model over a page tile by tile: upscaling and cleaning alike."""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from audobon.errors import CorruptModel
from audobon.pages.picture import Picture, Pixels
from audobon.pages.plates import Plate, count_runs, has_alpha, is_alpha, plates
from audobon.pages.tile_results import Cut, TileResults
from audobon.pages.tiles import Axis, PictureShape, Span, plan_axis
from audobon.pages.transparency import fill_transparent

Run = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
Report = Callable[[int, int], None]

_SOLID = 252 / 255


class PictureModel(NamedTuple):
    """A picture model ready to run.

    run  takes and returns float32 [1, 3, height, width], 0..1, colours in the order of the shape
    """

    shape: PictureShape
    run: Run


def restore(
    picture: Picture,
    model: PictureModel,
    *,
    passes: int,
    tile_px: int,
    report: Report,
    results: TileResults | None = None,
) -> Iterator[Pixels]:
    """Yield the restored page from top to bottom, in bands of whole rows.

    passes   times the page goes through the model, each growing it by the model's scale
    tile_px  largest tile side, in input pixels
    report   called as report(done, total) after every tile
    results  tiles made before, which are not computed again; the others are added
    yields   [rows, width * scale ** passes, channels] in the picture's own sample type
    raises   CorruptModel when an answer has another shape than it should, or numbers that are not finite
    """
    pixels = _visible(picture)
    remaining = _Progress(report, count_runs(picture.info, model.shape, tile_px=tile_px, passes=passes))
    mode = picture.info.mode
    for _ in range(passes - 1):
        pixels = _collect(_bands(pixels, mode, model, tile_px, remaining, results), pixels, model)
    yield from _bands(pixels, mode, model, tile_px, remaining, results)


class _Progress:
    """Counts tiles; the total grows when an alpha channel turns out to need work."""

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


def _bands(
    pixels: Pixels,
    mode: str,
    model: PictureModel,
    tile_px: int,
    progress: _Progress,
    results: TileResults | None,
) -> Iterator[Pixels]:
    scale = model.shape.scale
    vertical = plan_axis(pixels.shape[0], tile_px, model.shape)
    horizontal = plan_axis(pixels.shape[1], tile_px, model.shape)
    constants = {
        plate.channels[0]: value
        for plate in plates(mode)
        if is_alpha(mode, plate) and (value := _constant(pixels[:, :, plate.channels[0]])) is not None
    }
    if has_alpha(mode) and not constants:
        progress.expect(len(vertical.spans) * len(horizontal.spans))
    for rows in vertical.spans:
        shape = ((rows.stop - rows.start) * scale, pixels.shape[1] * scale, pixels.shape[2])
        band = np.empty(shape, pixels.dtype)
        for channel, value in constants.items():
            band[:, :, channel] = value
        for columns in horizontal.spans:
            window = _cut(pixels, rows, columns, vertical, horizontal)
            target = band[:, columns.start * scale : columns.stop * scale]
            cut = _cut_of_answer(rows, columns, model.shape)
            for plate in plates(mode):
                if plate.channels[0] not in constants:
                    is_transparency = is_alpha(mode, plate)
                    _make(window, cut, target, plate, model, results, is_transparency=is_transparency)
                    progress.step()
        yield band


def _make(
    window: Pixels,
    cut: Cut,
    target: Pixels,
    plate: Plate,
    model: PictureModel,
    results: TileResults | None,
    *,
    is_transparency: bool,
) -> None:
    """Write a plate of a tile into `target`: as it was made before, else by the model."""
    key = b""
    if results is not None:
        key = results.key(window, cut, plate, is_transparency=is_transparency)
        found = results.find(key, cut, len(plate.channels), target.dtype)
        if found is not None:
            target[:, :, plate.channels] = found
            return
    started = time.monotonic()
    # The answer is let go of before its pixels are kept: memory is promised for one of both.
    answer = model.run(_feed(window, plate, model.shape))
    _check(answer, window, model.shape)
    _store(_core(answer, cut, model.shape), target, plate, is_transparency=is_transparency)
    del answer
    if results is not None:
        results.keep(key, target[:, :, plate.channels], seconds=time.monotonic() - started)


def _check(answer: npt.NDArray[np.float32], window: Pixels, shape: PictureShape) -> None:
    """Refuse an answer whose pixels would be nonsense, and kept; some pages bring a model to it."""
    eaten = 2 * shape.padding_px if shape.edges == "replicate" else 0
    fed = (1, 3, *window.shape[:2])
    wanted = (1, 3, *((side - eaten) * shape.scale for side in fed[2:]))
    if answer.shape != wanted:
        sides = ("×".join(map(str, one)) for one in (fed, answer.shape, wanted))
        raise CorruptModel("the model answered {} with {}; it should be {}".format(*sides))
    # A sum takes no memory of its own; one number that is not finite makes it so.
    if not np.isfinite(answer.sum(dtype=np.float64)):
        raise CorruptModel("the model answered with numbers that are not finite")


def _constant(plane: Pixels) -> int | None:
    value = int(plane.flat[0])
    return value if bool((plane == value).all()) else None


def _feed(window: Pixels, plate: Plate, shape: PictureShape) -> npt.NDArray[np.float32]:
    white = np.float32(np.iinfo(window.dtype).max)
    planes = window[:, :, plate.channels].transpose(2, 0, 1).astype(np.float32)
    planes /= white
    if plate.inverted:
        np.subtract(1, planes, out=planes)
    if len(plate.channels) == 1:
        planes = np.repeat(planes, 3, axis=0)
    elif shape.colour == "BGR":
        planes = np.ascontiguousarray(planes[::-1])
    return planes[None]


def _cut(pixels: Pixels, rows: Span, columns: Span, vertical: Axis, horizontal: Axis) -> Pixels:
    """Return the window of a tile; beyond the page its border pixels repeat.

    pixels   [height, width, channels]
    returns  [vertical.window, horizontal.window, channels], a copy
    """
    ys = np.clip(np.arange(rows.read, rows.read + vertical.window), 0, vertical.length - 1)
    xs = np.clip(np.arange(columns.read, columns.read + horizontal.window), 0, horizontal.length - 1)
    if ys[-1] - ys[0] == vertical.window - 1 and xs[-1] - xs[0] == horizontal.window - 1:
        return pixels[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].copy()
    taken: Pixels = pixels[ys[:, None], xs[None, :]]
    return taken


def _cut_of_answer(rows: Span, columns: Span, shape: PictureShape) -> Cut:
    """Return which part of a model's answer belongs to a tile."""
    eaten = shape.padding_px if shape.edges == "replicate" else 0
    return Cut(
        top=(rows.start - rows.read - eaten) * shape.scale,
        left=(columns.start - columns.read - eaten) * shape.scale,
        height=(rows.stop - rows.start) * shape.scale,
        width=(columns.stop - columns.start) * shape.scale,
    )


def _core(answer: npt.NDArray[np.float32], cut: Cut, shape: PictureShape) -> npt.NDArray[np.float32]:
    """Return a part of a model's answer: [3, height, width]."""
    core: npt.NDArray[np.float32] = answer[
        0, :, cut.top : cut.top + cut.height, cut.left : cut.left + cut.width
    ]
    return core[::-1] if shape.colour == "BGR" else core


def _store(core: npt.NDArray[np.float32], target: Pixels, plate: Plate, *, is_transparency: bool) -> None:
    white = np.float32(np.iinfo(target.dtype).max)
    values = core.mean(axis=0, keepdims=True) if len(plate.channels) == 1 else core.copy()
    if plate.inverted:
        np.subtract(1, values, out=values)
    values *= white
    np.rint(values, out=values)
    np.clip(values, 0, white, out=values)
    if is_transparency:
        # A model answers "solid" with a level less; film that was clear or solid must stay so.
        values[values >= white * _SOLID] = white
        values[values <= white * (1 - _SOLID)] = 0
    target[:, :, plate.channels] = values.transpose(1, 2, 0).astype(target.dtype)
