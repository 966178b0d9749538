"""Which lines of text belong to one balloon, and what the balloon says.

Not for finding or reading lines (text_lines, text_reading), nor for the balloon's outline.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Literal

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from audobon.pages.boxes import Box
from audobon.pages.text_reading import straighten

Bytes = npt.NDArray[np.uint8]

LEVEL_DEGREES = 5.0
NEARLY_LEVEL_DEGREES = 10.0
"""The tilt of a short word is uncertain; a balloon's is judged by all its lines."""
CONTRAST = 80
SEPARABLE = 0.72
"""Measured on painted pages: words in balloons 0.79-0.87, words and numbers on art 0.63-0.66."""
LINE_GAP = 0.8
WORD_GAP = 1.2
HEIGHT_RATIO = 1.8
BARRIER_LEVELS = 48
BARRED = 0.85


class TextLine(msgspec.Struct, frozen=True):
    """One line of text.

    confidence     0..1, mean over its characters
    box            upright box around the line
    corners        four (x, y) in page pixels, clockwise from the top-left of the text
    angle_degrees  clockwise tilt of the text, 0 when level
    """

    text: str
    confidence: float
    box: Box
    corners: tuple[tuple[float, float], ...]
    angle_degrees: float


class Balloon(msgspec.Struct, frozen=True):
    """Lines that are read as one, from top to bottom.

    text        lines joined by spaces, words divided at a line end made whole
    confidence  0..1, mean over its characters
    box         upright box around the lines, not around the balloon's outline
    kind        "speech" is level and stands out from a calm ground; anything else is "effect":
                drawn sounds, credits and signs in the art
    """

    text: str
    confidence: float
    box: Box
    lines: tuple[TextLine, ...]
    kind: Literal["speech", "effect"]


def join_lines(page: Bytes, lines: Sequence[TextLine]) -> list[Balloon]:
    """Return the balloons the lines make up, unordered.

    Lines belong together when they are nearly level, of similar height, one under the other or
    side by side with little between them, and no outline or other ground lies between.
    Tilted lines stay alone.

    page  uint8 [height, width, 3], RGB
    """
    group = list(range(len(lines)))
    for first, second in itertools.combinations(range(len(lines)), 2):
        if group[first] != group[second] and _belong_together(page, lines[first], lines[second]):
            old, new = group[second], group[first]
            group = [new if name == old else name for name in group]
    members = [[line for line, name in zip(lines, group, strict=True) if name == one] for one in set(group)]
    return [_balloon(page, some) for some in members]


def join_text(lines: Sequence[str]) -> str:
    """Return the lines as running text.

    A word divided by a hyphen at a line end is made whole ("EVERY-", "THING"), a stammer keeps
    its hyphen ("B-", "BUT" is "B-BUT"), a double hyphen is a dash and stays. Scripts written
    without spaces are joined without.
    """
    text = ""
    for line in lines:
        if re.search(r"[^\W\d_]{2}-$", text) and re.match(r"[^\W\d_]{2}", line):
            text = text[:-1] + line
        elif re.search(r"(^|\W)[^\W\d_]-$", text) or (text and line and min(text[-1], line[0]) >= "\u2e80"):
            text += line
        else:
            text = f"{text} {line}".strip()
    return text


def _balloon(page: Bytes, lines: list[TextLine]) -> Balloon:
    ordered = _in_rows(lines)
    box = ordered[0].box
    for line in ordered[1:]:
        box = box.union(line.box)
    weights = [len(line.text) for line in ordered]
    confidence = float(np.average([line.confidence for line in ordered], weights=weights))
    tilt = np.average([abs(line.angle_degrees) for line in ordered], weights=weights)
    contrast, separable = np.average([_standing_out(page, line) for line in ordered], axis=0, weights=weights)
    is_speech = tilt <= LEVEL_DEGREES and contrast >= CONTRAST and separable >= SEPARABLE
    text = join_text([line.text for line in ordered])
    return Balloon(text, round(confidence, 4), box, tuple(ordered), "speech" if is_speech else "effect")


def _in_rows(lines: list[TextLine]) -> list[TextLine]:
    """Return lines from top to bottom, those side by side from left to right."""
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: line.box.centre[1]):
        if rows and _same_row(rows[-1][-1].box, line.box):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.box.x)]


def _same_row(a: Box, b: Box) -> bool:
    return min(a.bottom, b.bottom) - max(a.y, b.y) >= 0.6 * min(a.height, b.height)


def _belong_together(page: Bytes, first: TextLine, second: TextLine) -> bool:
    if max(abs(first.angle_degrees), abs(second.angle_degrees)) > NEARLY_LEVEL_DEGREES:
        return False
    a, b = sorted((first.box, second.box), key=lambda box: box.y)
    low, high = sorted((a.height, b.height))
    if not (_is_word(first) and _is_word(second)):
        low = high  # dots and dashes are lower than the letters they belong to
    elif high > HEIGHT_RATIO * low:
        return False
    if _same_row(a, b):
        a, b = sorted((a, b), key=lambda box: box.x)
        if b.x - a.right > WORD_GAP * low:
            return False
        # turned, so that side by side becomes one under the other
        return not _is_barred(page.transpose(1, 0, 2), _turned(a), _turned(b), low)
    if b.y - a.bottom > LINE_GAP * low:
        return False
    shared = min(a.right, b.right) - max(a.x, b.x)
    return shared >= 0.5 * min(a.width, b.width) and not _is_barred(page, a, b, low)


def _is_word(line: TextLine) -> bool:
    return any(letter.isalnum() for letter in line.text)


def _turned(box: Box) -> Box:
    return Box(box.y, box.x, box.height, box.width)


def _is_barred(page: Bytes, upper: Box, lower: Box, line_height_px: int) -> bool:
    """Say whether something unlike the ground of both runs between them from side to side."""
    slack = line_height_px // 10
    top, bottom = max(upper.y, upper.bottom - slack), min(lower.bottom, lower.y + slack)
    left, right = max(upper.x, lower.x), min(upper.right, lower.right)
    if bottom <= top or right <= left:
        return False
    barred = 0
    for start in range(left, right, line_height_px):
        columns = slice(start, min(right, start + line_height_px))
        # letters cover less than half of a line, so the median is the ground behind them
        ground = np.median(_rows(page, upper, lower, columns), axis=0)
        unlike = np.abs(page[top:bottom, columns] - ground).max(axis=2) > BARRIER_LEVELS
        barred += int(unlike.any(axis=0).sum())
    return barred >= BARRED * (right - left)


def _rows(page: Bytes, upper: Box, lower: Box, columns: slice) -> Bytes:
    parts = [page[box.y : box.bottom, columns].reshape(-1, 3) for box in (upper, lower)]
    return np.concatenate(parts)


def _standing_out(page: Bytes, line: TextLine) -> tuple[float, float]:
    """Return how strong the letters are (0..255) and how cleanly they part from the ground (0..1).

    source: Otsu 1979, separability eta; differs in: an even gradient of the ground is taken out
    """
    crop = straighten(page, np.array(line.corners, np.float32), 144, 48)
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float64)
    low, high = np.percentile(grey, (4, 96))
    y, x = (axis.ravel() for axis in np.mgrid[: grey.shape[0], : grey.shape[1]])
    plane = np.stack([np.ones(grey.size), x, y], axis=1)
    slope = np.linalg.lstsq(plane, grey.ravel(), rcond=None)[0]
    flat = grey.ravel() - plane @ slope
    flat = (flat - flat.min()) / max(1e-6, float(np.ptp(flat))) * 255
    _, is_high = cv2.threshold(flat.astype(np.uint8), 0, 1, cv2.THRESH_OTSU)
    chosen = is_high.ravel().astype(bool)
    share = float(chosen.mean())
    if not 0 < share < 1:
        return 0.0, 0.0
    between = share * (1 - share) * float(flat[chosen].mean() - flat[~chosen].mean()) ** 2
    return float(high - low), between / max(1e-6, float(flat.var()))
