"""Where the lines of text are: a detector's probability map turned into rotated rectangles.

Not for reading them (text_reading) nor for telling which lines belong together (balloons).
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from audobon.pages.letter_scale import MULTIPLE_PX, PAGE_HEIGHT_PX, detector_scale

Run = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""One call of a model: float32 in, float32 out."""

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

COARSE = 0.6
"""A second, coarser look: on large flat grounds the detector overlooks lone balloons in the first."""
PIECES = 0.5
OVERLAP_PX = 192
SMALLEST_SIDE_PX = 8
"""A page narrower than this holds no lettering that could be read."""

IS_TEXT = 0.4
"""Probability from which a pixel of the map is text."""
IS_LINE = 0.5
"""Mean probability from which a patch of text is a line."""
THINNEST_PX = 3
GROWTH = 1.6
"""The detector is trained to mark shrunken lines; source: DB (Liao et al. 2020), section 3.4."""


class Window(NamedTuple):
    """A stretch of one axis the detector sees, and the part of it that counts."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def find_lines(
    page: Bytes, detector: Run, *, report: Callable[[int, int], None] | None = None
) -> list[Floats]:
    """Return the corners of every line of text, unordered.

    page      uint8 [height, width, 3], RGB
    detector  float32 [1, 3, h, w], BGR, -1..1, sides multiples of 32, to float32 [1, 1, h, w], 0..1
    report    called with windows done and windows in all
    returns   float32 [4, 2] each, (x, y) in page pixels, clockwise from the top-left of a line that
              is level or tilted by 45 degrees at most
    """
    if min(page.shape[:2]) < SMALLEST_SIDE_PX:
        return []
    height, width = page.shape[:2]
    fine = detector_scale(width, height)
    scales = (fine, fine * COARSE)
    sizes = [(math.ceil(height * scale), math.ceil(width * scale)) for scale in scales]
    in_all = sum(len(list(windows(high))) * len(list(windows(wide))) for high, wide in sizes)
    done = itertools.count(1)
    looks: list[list[Floats]] = []
    for scale, (high, wide) in zip(scales, sizes, strict=True):
        text = np.zeros((high, wide), np.uint8)
        for down, across in itertools.product(windows(high), windows(wide)):
            seen = detector(_detector_input(page, down, across, scale))[0, 0]
            rows = slice(down.keep_start - down.start, down.keep_stop - down.start)
            columns = slice(across.keep_start - across.start, across.keep_stop - across.start)
            # bytes, because the map of a long strip is as large as the strip
            text[down.keep_start : down.keep_stop, across.keep_start : across.keep_stop] = (
                np.clip(seen[rows, columns], 0, 1) * 255 + 0.5
            )
            if report is not None:
                report(next(done), in_all)
        looks.append([_on_page(corners, scale, width, height) for corners in rectangles(text)])
    return merged(*looks)


def merged(fine: list[Floats], coarse: list[Floats]) -> list[Floats]:
    """Return the fine lines, with coarse ones where those are missing or mere pieces."""
    kept = dict(enumerate(fine))
    added: list[Floats] = []
    for line in coarse:
        shared = {index: _shared(line, other) for index, other in kept.items()}
        pieces = [index for index, area in shared.items() if area > 0.1 * cv2.contourArea(kept[index])]
        covered = sum(shared[index] for index in pieces)
        # a blob as high as two lines is worse than the pieces
        is_line = all(_height(line) <= 1.6 * _height(kept[index]) for index in pieces)
        if is_line and covered < PIECES * cv2.contourArea(line):
            for index in pieces:
                del kept[index]
            added.append(line)
    return [*kept.values(), *added]


def windows(length_px: int) -> Iterator[Window]:
    """Cut an axis into overlapping windows of one page height at most."""
    if length_px <= PAGE_HEIGHT_PX:
        yield Window(0, length_px, 0, length_px)
        return
    count = math.ceil((length_px - OVERLAP_PX) / (PAGE_HEIGHT_PX - OVERLAP_PX))
    step = (length_px - OVERLAP_PX) / count
    starts = [round(step * index) for index in range(count)]
    stops = [start + OVERLAP_PX for start in starts[1:]] + [length_px]
    for index, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        # the outer half of an overlap lacks surroundings: the neighbour saw it better
        keep_start = start + OVERLAP_PX // 2 if index else 0
        keep_stop = stop - OVERLAP_PX // 2 if index < count - 1 else stop
        yield Window(start, stop, keep_start, keep_stop)


def rectangles(text: Bytes) -> list[Floats]:
    """Return the corners of the lines in a map of text probability (0..255), in its pixels."""
    mask = (text >= IS_TEXT * 255).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found: list[Floats] = []
    for contour in contours:
        left, top, width, height = cv2.boundingRect(contour)
        if min(width, height) < THINNEST_PX:
            continue
        inside = np.zeros((height, width), np.uint8)
        cv2.drawContours(inside, [contour], -1, 1, -1, offset=(-left, -top))
        if cv2.mean(text[top : top + height, left : left + width], inside)[0] < IS_LINE * 255:
            continue
        centre, (width, height), degrees = cv2.minAreaRect(contour)
        width, height = width + 1, height + 1  # contours run through the middle of pixels
        growth = width * height * GROWTH / (width + height)
        corners = level(cv2.boxPoints((centre, (width + growth, height + growth), degrees)))
        found.append(corners + np.float32(0.5))
    return found


def level(corners: Floats) -> Floats:
    """Return four clockwise corners begun so that the first side is as level as it can be."""
    sides = np.roll(corners, -1, axis=0) - corners
    first = int(np.argmax(sides[:, 0] / np.maximum(np.hypot(sides[:, 0], sides[:, 1]), 1e-6)))
    return np.roll(corners, -first, axis=0).astype(np.float32)


def _detector_input(page: Bytes, down: Window, across: Window, scale: float) -> Floats:
    height, width = down.stop - down.start, across.stop - across.start
    rows = slice(int(down.start / scale), max(1, math.ceil(down.stop / scale)))
    columns = slice(int(across.start / scale), max(1, math.ceil(across.stop / scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    seen = cv2.resize(page[rows, columns], (width, height), interpolation=how)
    seen = cv2.copyMakeBorder(seen, 0, -height % MULTIPLE_PX, 0, -width % MULTIPLE_PX, cv2.BORDER_REPLICATE)
    return as_input(seen)[np.newaxis]


def as_input(rgb: Bytes) -> Floats:
    """Return uint8 [h, w, 3] RGB as the float32 [3, h, w] BGR in -1..1 the models were trained on."""
    planes = rgb[:, :, ::-1].transpose(2, 0, 1).astype(np.float32)
    planes *= np.float32(1 / 127.5)
    planes -= np.float32(1)
    return np.ascontiguousarray(planes)


def _shared(a: Floats, b: Floats) -> float:
    if (a.max(axis=0) <= b.min(axis=0)).any() or (b.max(axis=0) <= a.min(axis=0)).any():
        return 0.0
    return float(cv2.intersectConvexConvex(a, b)[0])


def _height(corners: Floats) -> float:
    return float(np.linalg.norm(corners[3] - corners[0]))


def _on_page(corners: Floats, scale: float, width: int, height: int) -> Floats:
    limits = np.array([width, height], np.float32)
    on_page: Floats = np.clip(corners / np.float32(scale), 0, limits)
    return on_page
