"""Gives transparent pixels a colour, so that a model does not smear what hides there."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

# Wide enough to cover what a model sees around an outline.
_REACH_PX = 12
# Of 255; where less is seen around a pixel, eight bits no longer tell its colour from black.
_LEAST_WEIGHT = 16


def fill_transparent(colour: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the colours with fully transparent pixels painted like their visible neighbours.

    colour  [height, width, channels]; alpha  [height, width]
    returns a new array; visible pixels are untouched, far ones become white
    """
    hidden = alpha == 0
    if not hidden.any():
        return colour
    weight = _blur(alpha)
    filled = colour.copy()
    for channel in range(colour.shape[2]):
        plane = colour[:, :, channel]
        mixed = _blur(((plane.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8))
        near = weight >= _LEAST_WEIGHT
        value = np.full(plane.shape, 255, np.uint8)
        value[near] = np.minimum(255, mixed[near].astype(np.uint32) * 255 // weight[near])
        filled[:, :, channel][hidden] = value[hidden]
    return filled


def _blur(plane: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    picture = Image.fromarray(plane).filter(ImageFilter.BoxBlur(_REACH_PX))
    return np.asarray(picture)
