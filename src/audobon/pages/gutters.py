"""Gutters: the one-coloured bands that run from the edge of a page between its panels.

Works on a page already reduced; the boxes of its pieces are in the pixels of that copy.
"""

from collections.abc import Iterator

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from audobon.pages.boxes import Box
from audobon.pages.gutter_colours import Colours, edge_colours

Page = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]
"""uint8 [height, width], 0 or 1."""

MIN_SIDE = 0.05
"""Shortest side of a panel, as a part of the short side of the page."""

MIN_SIDE_PX = 8
"""Shorter still is no panel on any page, not even on a strip a few pixels wide."""

GUTTER_LEVELS = (0.45, 0.3, 0.15)
"""How much of a gutter may be covered, by balloons or figures. The lower ones serve where a
wide panel was joined to one that takes up only a part of its row."""


class Piece(msgspec.Struct, frozen=True):
    """Part of a page between gutters: where its mask lies, and the mask."""

    x: int
    y: int
    mask: Mask

    @property
    def box(self) -> Box:
        """Place on the page."""
        return Box(self.x, self.y, self.mask.shape[1], self.mask.shape[0])

    @property
    def area(self) -> int:
        """Pixels of the piece itself, not of its box."""
        return int(np.count_nonzero(self.mask))


def pieces_between_gutters(page: Page, *, inside_panel: bool) -> list[Piece]:
    """Return the pieces that gutters of one colour divide a page into.

    page          uint8 [height, width, 3] RGB, at most a megapixel or so
    inside_panel  the page is cut out of another, so a plain edge proves nothing: only two or
                  more straight-edged pieces that fill most of it count
    returns       no order; empty where no gutter is seen
    """
    lone: list[Piece] = []
    # Blurred by a pixel, noise counts less, and thin frames close where they are broken.
    soft = cv2.GaussianBlur(page, (3, 3), 0)
    for colours, share in edge_colours(soft):
        found = _pieces_of(page, soft, colours)
        strict = inside_panel or share < 0.5
        if len(found) > 1 and _is_layout(found, page, strict=strict):
            return found
        if len(found) == 1 and not strict and not lone and found[0].box.area > 0.2 * soft[:, :, 0].size:
            lone = found
    return lone


def _pieces_of(page: Page, soft: Page, colours: Colours) -> list[Piece]:
    rest = 1 - _gutter_mask(page, soft, colours)
    short_side = min(page.shape[:2])
    min_side, min_area = max(MIN_SIDE_PX, round(MIN_SIDE * short_side)), 0.01 * short_side**2
    _, labels, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=4)
    pieces: list[Piece] = []
    # Chosen all at once: a noisy page has specks by the hundred thousand.
    sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].min(axis=1)
    large = (stats[:, cv2.CC_STAT_AREA] >= min_area) & (sides >= min_side)
    for label in np.flatnonzero(large[1:]) + 1:
        x, y, width, height, _ = (int(value) for value in stats[label])
        whole = Piece(x, y, (labels[y : y + height, x : x + width] == label).astype(np.uint8))
        for part in _parted(whole, min_side):
            piece = _trimmed(part)
            if piece.area >= min_area and min(piece.mask.shape) >= min_side:
                pieces.append(piece)
    return _without_strays(pieces, page.shape[0] * page.shape[1])


def _gutter_mask(page: Page, soft: Page, colours: Colours) -> Mask:
    """Return 1 where the colours reach in from the edge of the page."""
    low, high = (tuple(int(value) for value in np.clip(colour, 0, 255)) for colour in colours)
    alike = cv2.inRange(soft, low, high)
    framed = cv2.copyMakeBorder(alike, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
    cv2.floodFill(framed, None, (0, 0), 128)
    reached = (framed[1:-1, 1:-1] == 128).astype(np.uint8)
    # The blur took a pixel from both edges of every gutter; the sharp page gives it back.
    grown = cv2.dilate(reached, np.ones((3, 3), np.uint8))
    mask: Mask = reached | (grown & cv2.inRange(page, low, high) & 1)
    return mask


def _parted(piece: Piece, min_side: int) -> Iterator[Piece]:
    """Yield the parts of a piece on both sides of gutters seen on most of their length."""
    pending = [piece]
    while pending:
        whole = pending.pop()
        for axis in (0, 1):
            band = _band(whole.mask.mean(axis=1 - axis), min_side)
            if band:
                start, end = band
                if axis == 0:
                    halves = (
                        Piece(whole.x, whole.y, whole.mask[:start]),
                        Piece(whole.x, whole.y + end, whole.mask[end:]),
                    )
                else:
                    halves = (
                        Piece(whole.x, whole.y, whole.mask[:, :start]),
                        Piece(whole.x + end, whole.y, whole.mask[:, end:]),
                    )
                pending.extend(_largest(half) for half in halves)
                break
        else:
            yield whole


def _band(filled: npt.NDArray[np.float64], min_side: int) -> tuple[int, int] | None:
    """Return where a line is mostly gutter between two straight edges, if anywhere.

    filled  for each row (or column) of a piece, how much of it is not gutter, 0..1
    """
    for level in GUTTER_LEVELS:
        sparse = np.concatenate([[False], filled <= level, [False]]).astype(np.int8)
        steps = np.diff(sparse)
        for start, end in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
            if end - start < 2 or start < min_side or len(filled) - end < min_side:
                continue
            # Edges that fade in over many rows are a drawing's waist, not a gutter.
            if min(filled[max(0, start - 4) : start].max(), filled[end : end + 4].max()) >= 1.6 * level:
                return int(start), int(end)
    return None


def _largest(piece: Piece) -> Piece:
    """Return the largest connected part of a piece, its box drawn tight."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(piece.mask), connectivity=4)
    if len(stats) < 2:
        return piece
    label = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, width, height, _ = (int(value) for value in stats[label])
    mask = (labels[y : y + height, x : x + width] == label).astype(np.uint8)
    return Piece(piece.x + x, piece.y + y, mask)


def _trimmed(piece: Piece) -> Piece:
    """Return the piece without what pokes out over a straight edge, a balloon or a foot."""
    rows, columns = piece.mask.mean(axis=1), piece.mask.mean(axis=0)
    top, bottom = _poke(rows), len(rows) - _poke(rows[::-1])
    left, right = _poke(columns), len(columns) - _poke(columns[::-1])
    if (top, left, bottom, right) == (0, 0, len(rows), len(columns)):
        return piece
    return _largest(Piece(piece.x + left, piece.y + top, piece.mask[top:bottom, left:right]))


def _poke(filled: npt.NDArray[np.float64]) -> int:
    first = int((filled >= 0.65).argmax())
    if 0 < first < 0.35 * len(filled) and filled[max(0, first - 2)] <= 0.45:
        return first
    return 0


def _without_strays(pieces: list[Piece], page_area: int) -> list[Piece]:
    """Return the pieces without balloons between panels and art that broke off a panel."""
    kept: list[Piece] = []
    for piece in sorted(pieces, key=lambda one: -one.box.area):
        straight = _is_straight(piece)
        small = piece.area < 0.06 * page_area
        inside = any(piece.box.overlap(other.box) > 0.7 * piece.box.area for other in kept)
        if straight or not (small or inside):
            kept.append(piece)
    return kept


def _is_layout(pieces: list[Piece], page: Page, *, strict: bool) -> bool:
    """Say whether pieces look like panels rather than like things before a plain wall."""
    areas = [piece.area for piece in pieces]
    solid = sum(area * _solidity(piece) for area, piece in zip(areas, pieces, strict=True)) / sum(areas)
    coverage = sum(areas) / (page.shape[0] * page.shape[1])
    if strict:
        return solid > 0.93 and coverage > 0.6 and all(_is_straight(piece) for piece in pieces)
    return solid > 0.8 and coverage > 0.25


def _is_straight(piece: Piece) -> bool:
    outline = _outline(piece)
    corners = len(cv2.approxPolyDP(outline, 0.02 * cv2.arcLength(outline, True), True))
    return corners <= 6 and _solidity(piece) > 0.85


def _outline(piece: Piece) -> npt.NDArray[np.int32]:
    contours, _ = cv2.findContours(
        np.ascontiguousarray(piece.mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    outline: npt.NDArray[np.int32] = max(contours, key=cv2.contourArea)
    return outline


def _solidity(piece: Piece) -> float:
    """Return how much of its convex hull the piece fills, 0..1."""
    hull = cv2.contourArea(cv2.convexHull(_outline(piece)))
    return min(1.0, piece.area / hull) if hull else 0.0
