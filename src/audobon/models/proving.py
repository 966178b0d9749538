"""Proves a user's model against its card: what it answers, and whether tiles leave a trace."""

import math

import msgspec
import numpy as np
import numpy.typing as npt

from audobon.errors import CorruptModel, UnsafeModel
from audobon.models import golden
from audobon.models.card import Card, Golden
from audobon.models.runtime import LoadedModel, Tensor
from audobon.pages.picture import Picture
from audobon.pages.picture_info import PictureInfo
from audobon.pages.restore import PictureModel, restore
from audobon.pages.tiles import PictureShape

# As for the models that ship: more than processors and versions of the runtime were seen to differ by.
_TOLERANCE = 0.001
_SIDES = (48, 64)
_TILES = (48, 64)
# Odd, so that no tile side divides the page.
_ODD_REST = (5, 19)
# A picture model answers about 0..1; some overshoot at hard edges.
_SANE = (-1.0, 2.0)


def window_side(shape: PictureShape, side: int) -> int:
    """Return the side of what the model is fed for a tile of this side."""
    return math.ceil((side + 2 * shape.padding_px) / shape.multiple_px) * shape.multiple_px


def prove(card: Card, model: LoadedModel) -> Golden:
    """Return the golden result of a model that answers as its card says; UnsafeModel when it does not."""
    shape = card.picture
    assert shape is not None
    height, width = (window_side(shape, side) if shape.edges == "replicate" else side for side in _SIDES)
    fed = golden.pattern((1, 3, height, width))
    answer = _answer(model, fed)
    _check_shape(answer.shape, fed.shape, shape)
    if not np.isfinite(answer).all():
        raise UnsafeModel("it answers with numbers that are not finite")
    low, high = float(answer.min()), float(answer.max())
    if low < _SANE[0] or high > _SANE[1]:
        raise UnsafeModel(
            f"it answers with values between {low:.3g} and {high:.3g}; pixels lie between 0 and 1",
            hint="export it so that it takes and gives 0..1",
        )
    recorded = golden.record(answer, fed.shape, tolerance=_TOLERANCE)
    try:
        golden.check(_with(card, recorded), model)
    except CorruptModel as error:
        raise UnsafeModel("it answers the same picture differently each time") from error
    if shape.edges == "own":
        # Pages are of any size, odd ones included.
        odd = golden.pattern((1, 3, height + 3, width + 1))
        _check_shape(_answer(model, odd).shape, odd.shape, shape)
    return recorded


def is_tile_exact(shape: PictureShape, model: LoadedModel) -> bool:
    """Tell whether two pages come out the same whole and in tiles of two sizes, to the last bit.

    One page is smooth with hard strokes, one is noise: there every leak from a tile's edge shows.
    """
    height, width = (2 * max(_TILES) + 2 * shape.padding_px + rest for rest in _ODD_REST)
    drawn = np.rint(golden.pattern((1, 3, height, width))[0].transpose(1, 2, 0) * 255).astype(np.uint8)
    noise = np.random.default_rng(7).integers(0, 256, drawn.shape, np.uint8)
    # The likeliest to show a trace first: the slowest models are told soon.
    for page in (noise, drawn):
        whole = _restored(page, shape, model, max(height, width))
        if any(_restored(page, shape, model, side) != whole for side in _TILES):
            return False
    return True


def _restored(page: npt.NDArray[np.uint8], shape: PictureShape, model: LoadedModel, tile_px: int) -> bytes:
    info = PictureInfo(width=page.shape[1], height=page.shape[0], mode="RGB", format="PNG")
    bands = restore(
        Picture(info, page),
        PictureModel(shape, model),
        passes=1,
        tile_px=tile_px,
        report=lambda _done, _total: None,
    )
    return b"".join(band.tobytes() for band in bands)


def _answer(model: LoadedModel, fed: Tensor) -> Tensor:
    try:
        return model(fed)
    except CorruptModel as error:
        raise UnsafeModel(
            f"it fails on a picture of {fed.shape[3]}×{fed.shape[2]}: {error.message}",
            hint="if the sides it takes must be multiples of a number, say so with multiple_px",
        ) from error


def _check_shape(found: tuple[int, ...], fed: tuple[int, ...], shape: PictureShape) -> None:
    eaten = 2 * shape.padding_px if shape.edges == "replicate" else 0
    wanted = (1, 3, (fed[2] - eaten) * shape.scale, (fed[3] - eaten) * shape.scale)
    if tuple(found) == wanted:
        return
    sides = f'scale = {shape.scale}, edges = "{shape.edges}", padding_px = {shape.padding_px}'
    raise UnsafeModel(
        f"it answers {_by(fed)} with {_by(found)}; its card says {_by(wanted)} ({sides})",
        hint=_advice(found, fed, shape.scale),
    )


def _advice(found: tuple[int, ...], fed: tuple[int, ...], scale: int) -> str | None:
    """Return what the card should say for such an answer, if that can be told."""
    if len(found) != 4 or found[:2] != (1, 3):
        return None
    for likely in (scale, 1, 2, 4):
        high, wide = fed[2] * likely - found[2], fed[3] * likely - found[3]
        if high == wide == 0:
            return f'scale = {likely}, edges = "own" would fit'
        if high == wide > 0 and high % (2 * likely) == 0 and likely == scale:
            return f'edges = "replicate", padding_px = {high // (2 * likely)} would fit'
    return None


def _by(sides: tuple[int, ...]) -> str:
    return "×".join(map(str, sides))


def _with(card: Card, recorded: Golden) -> Card:
    return msgspec.structs.replace(card, golden=recorded)
