"""Read the lettering of a comic page: text, boxes, reading order and confidence.

Knows three models as plain callables; not for loading or running them.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from audobon.errors import InvalidInput
from audobon.pages.balloons import Balloon, TextLine, join_lines
from audobon.pages.boxes import Box, Order
from audobon.pages.panels import find_panels
from audobon.pages.reading_order import in_reading_order
from audobon.pages.text_lines import Run, find_lines
from audobon.pages.text_reading import Reading, read_lines

__all__ = ["Balloon", "LetterModels", "Lettering", "Run", "TextLine", "read_letters"]

CONFIDENT = 0.7
VERY_CONFIDENT = 0.95
"""For a lone character: sparkles and knots in the art are read as such."""


@dataclass(frozen=True)
class LetterModels:
    """Three models that read text, as text_lines and text_reading call them.

    alphabet  characters in the order of the recogniser's outputs, without blank (first there)
              and space (last there)
    """

    detector: Run
    classifier: Run
    recogniser: Run
    alphabet: tuple[str, ...]


class Lettering(msgspec.Struct, frozen=True):
    """What is written on a page; width and height are the page's, balloons in reading order."""

    width: int
    height: int
    balloons: tuple[Balloon, ...]


def read_letters(
    page: npt.NDArray[np.uint8],
    models: LetterModels,
    *,
    order: Order = "ltr",
    report: Callable[[int, int], None] | None = None,
) -> Lettering:
    """Return the lettering of a page, one balloon per entry, in reading order.

    Not read: lettering below about 1/80 of the page's height (font size), columns of vertical
    script, letters drawn along a curve. A lone balloon on a wide flat ground may come in pieces.
    Two balloons without an outline or other ground between them, no further apart than their
    lines, become one. Dots are hard to count: two are given as three, and so is a dot before the
    first letter of a line. Level signs and captions on a calm ground count as speech; a word cut
    at a line end loses its hyphen even where it has one.

    page     uint8 [height, width, 3], RGB; not modified
    order    side on which a row of panels begins, "rtl" for manga; lines are read left to right
    report   called with units done and units in all
    raises   InvalidInput if the page is not uint8 [height, width, 3] or has no pixels
    """
    if page.ndim != 3 or page.shape[2] != 3 or page.dtype != np.uint8 or page.size == 0:
        raise InvalidInput(f"a page must be uint8 [height, width, 3], not {page.dtype} {page.shape}")
    progress = _Progress(report)
    found = find_lines(page, models.detector, report=progress.found)
    readings = read_lines(
        page, found, models.classifier, models.recogniser, models.alphabet, report=progress.read
    )
    height, width = page.shape[:2]
    lines = [_text_line(reading, width, height) for reading in readings if _is_lettering(reading)]
    balloons = _ordered(page, join_lines(page, lines), order)
    progress.done()
    return Lettering(width, height, tuple(balloons))


class _Progress:
    """Two halves of equal length: finding lines, one unit a window, then reading them."""

    def __init__(self, report: Callable[[int, int], None] | None) -> None:
        self.report = report
        self.windows = 1

    def found(self, done: int, windows: int) -> None:
        self.windows = windows
        self._tell(done)

    def read(self, done: int, batches: int) -> None:
        if done < batches:
            self._tell(self.windows + self.windows * done // batches)

    def done(self) -> None:
        self._tell(2 * self.windows)

    def _tell(self, units: int) -> None:
        if self.report is not None:
            self.report(units, 2 * self.windows)


def _is_lettering(reading: Reading) -> bool:
    characters = sum(letter.isalnum() or letter in "?!" for letter in reading.text)
    return bool(reading.text) and reading.confidence >= (CONFIDENT if characters > 1 else VERY_CONFIDENT)


def _text_line(reading: Reading, width: int, height: int) -> TextLine:
    corners = reading.corners
    left, top = (int(value) for value in np.floor(corners.min(axis=0)))
    right, bottom = (int(value) for value in np.ceil(corners.max(axis=0)))
    across, down = (float(value) for value in corners[1] - corners[0])
    return TextLine(
        text=dots_counted(reading.text),
        confidence=round(min(1.0, max(0.0, reading.confidence)), 4),
        box=Box.spanning(left, top, right, bottom).within(width, height),
        corners=tuple((round(float(x), 1), round(float(y), 1)) for x, y in corners),
        angle_degrees=round(math.degrees(math.atan2(down, across)), 1),
    )


def dots_counted(text: str) -> str:
    """Return the text with its ellipses as three full stops, as letterers write them."""
    text = text.replace("\u2026", "...")
    text = re.sub(r"(?<!\.)\.\.(?!\.)", "...", text)
    return re.sub(r"^\.(?=[^\W\d_])", "...", text)


def _ordered(page: npt.NDArray[np.uint8], balloons: Sequence[Balloon], order: Order) -> list[Balloon]:
    """Return balloons panel by panel; one between panels goes with the panel it is nearest to."""
    if len(balloons) < 2:
        return list(balloons)
    panels = [panel.box for panel in find_panels(page, order=order)]
    homes: list[list[Balloon]] = [[] for _ in panels]
    for balloon in balloons:
        homes[min(range(len(panels)), key=lambda index: _away(balloon.box, panels[index]))].append(balloon)
    return [
        home[index] for home in homes for index in in_reading_order([balloon.box for balloon in home], order)
    ]


def _away(box: Box, panel: Box) -> tuple[int, float]:
    centre_x, centre_y = box.centre
    outside_x = max(panel.x - centre_x, centre_x - panel.right, 0.0)
    outside_y = max(panel.y - centre_y, centre_y - panel.bottom, 0.0)
    return -panel.overlap(box), math.hypot(outside_x, outside_y)
