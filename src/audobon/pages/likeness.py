"""How like two pictures or two texts are: PSNR, SSIM, and the share of characters that differ."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audobon.errors import InvalidInput

Bytes = npt.NDArray[np.uint8]
_Plane = npt.NDArray[np.float64]

EQUAL_DB = 100.0
"""Stands for the PSNR of equal pictures, which has no bound."""
# source: Wang, Bovik, Sheikh and Simoncelli, Image Quality Assessment, IEEE TIP 13(4), 2004, section III.B
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# source: ITU-R BT.601
_LUMA = np.array([0.299, 0.587, 0.114])
# Rows worked on at once: a page of 24 megapixels would otherwise take gigabytes.
_ROWS = 256


def psnr_db(a: Bytes, b: Bytes) -> float:
    """Return the peak signal-to-noise ratio of two pictures of one shape, over all channels."""
    _check(a, b)
    squares = sum(
        float(np.sum((a[row : row + _ROWS].astype(np.float64) - b[row : row + _ROWS]) ** 2))
        for row in range(0, len(a), _ROWS)
    )
    error = squares / a.size
    return EQUAL_DB if error == 0 else min(EQUAL_DB, 10 * math.log10(255**2 / error))


def ssim(a: Bytes, b: Bytes) -> float:
    """Return the mean structural similarity of two pictures of one shape: 1 when they are equal.

    Of their brightness, under a Gaussian window of 11 px that lies wholly inside, as in Wang 2004.
    a, b    uint8 [height, width, 3] RGB, or [height, width]
    raises  InvalidInput when the shapes differ, or a side is shorter than the window
    """
    _check(a, b)
    height, width = a.shape[:2]
    if min(height, width) < _WINDOW:
        raise InvalidInput(
            f"a picture of {width}×{height} is too small for SSIM: each side needs {_WINDOW} px"
        )
    whole, count = 0.0, 0
    for row in range(0, height - _WINDOW + 1, _ROWS):
        rows = slice(row, row + _ROWS + _WINDOW - 1)
        found = _ssim_map(_brightness(a[rows]), _brightness(b[rows]))
        whole += float(found.sum())
        count += found.size
    return whole / count


def _check(a: Bytes, b: Bytes) -> None:
    if a.shape != b.shape:
        raise InvalidInput(f"pictures of different shapes cannot be compared: {a.shape} and {b.shape}")


def _brightness(pixels: Bytes) -> _Plane:
    return pixels.astype(np.float64) if pixels.ndim == 2 else pixels @ _LUMA


def _ssim_map(a: _Plane, b: _Plane) -> _Plane:
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a = _blurred(a * a) - mean_a**2
    variance_b = _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    below = (mean_a**2 + mean_b**2 + _C1) * (variance_a + variance_b + _C2)
    found: _Plane = above / below
    return found


def _blurred(plane: _Plane) -> _Plane:
    """Return the Gaussian mean around each pixel whose window lies inside."""
    at = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-(at**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    height, width = (side - _WINDOW + 1 for side in plane.shape)
    down = sum(weight * plane[step : step + height] for step, weight in enumerate(weights))
    blurred: _Plane = sum(weight * down[:, step : step + width] for step, weight in enumerate(weights))
    return blurred


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Return how many characters must be put in, left out or replaced to make one text the other."""
    row = list(range(len(b) + 1))
    for index, letter in enumerate(a, start=1):
        corner, row[0] = row[0], index
        for other, wanted in enumerate(b, start=1):
            best = min(row[other] + 1, row[other - 1] + 1, corner + (letter != wanted))
            corner, row[other] = row[other], best
    return row[-1]
