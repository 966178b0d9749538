"""Which colours the gutters of a page may have, judged by its edge.

Guesses only: whether gutters of such a colour part the page is found out elsewhere.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Page = npt.NDArray[np.uint8]

Colour = npt.NDArray[np.int16]
"""[3], RGB."""

Colours = tuple[Colour, Colour]
"""Lowest and highest value of each channel; may reach beyond 0..255."""

TOLERANCE = 26
"""How far a channel may stray from the gutter's colour: JPEG, paper, a little noise."""

WHITE, BLACK = np.full(3, 247, np.int16), np.full(3, 10, np.int16)


def edge_colours(page: Page) -> Iterator[tuple[Colours, float]]:
    """Yield colours gutters may have and their share of the page's edge, likeliest first.

    page  uint8 [height, width, 3] RGB
    """
    peaks = _edge_peaks(page)
    if len(peaks) > 1 and peaks[1][1] > 0.05 and _apart(peaks[0][0], peaks[1][0]) <= 1.5 * TOLERANCE:
        # One paper in two shades: a scan that is darker at one end.
        (first, first_share), (second, second_share) = peaks[:2]
        lower, upper = np.minimum(first, second), np.maximum(first, second)
        yield (lower - TOLERANCE, upper + TOLERANCE), first_share + second_share
    for colour, share in peaks:
        yield (colour - TOLERANCE, colour + TOLERANCE), share
    # On a page that bleeds off the paper, gutters touch the edge at their ends only.
    for plain in (WHITE, BLACK):
        if all(_apart(plain, known) > 16 for known, _ in peaks):
            yield (plain - TOLERANCE, plain + TOLERANCE), 0.0


def _apart(one: Colour, other: Colour) -> int:
    return int(np.abs(one - other).max())


def _edge_peaks(page: Page) -> list[tuple[Colour, float]]:
    """Return up to three colours most common on the page's edge, with their shares of it."""
    depth = max(1, min(page.shape[:2]) // 200)
    edge = np.concatenate(
        [part.reshape(-1, 3) for part in (page[:depth], page[-depth:], page[:, :depth], page[:, -depth:])]
    ).astype(np.int16)
    total = len(edge)
    peaks: list[tuple[Colour, float]] = []
    left = edge
    for _ in range(3):
        bins = (left >> 4) @ np.array([256, 16, 1], np.int16)
        peak = int(np.bincount(bins).argmax())
        middle = np.median(left[bins == peak], axis=0)
        for _ in range(2):
            # The second look moves to the middle of paper that is darker at one end.
            near = np.abs(left - middle).max(axis=1) <= TOLERANCE
            if near.any():
                middle = np.median(left[near], axis=0)
        share = float(near.sum()) / total
        if share < 0.02:
            break
        peaks.append((middle.astype(np.int16), share))
        left = left[~near]
        if not len(left):
            break
    return peaks
