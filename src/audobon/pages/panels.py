"""The panels of a comic page, found by its gutters.

Classical vision, no model: fast, the same everywhere, and honest about what it cannot see.
"""

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from audobon.errors import InvalidInput
from audobon.pages.boxes import Box, Order
from audobon.pages.gutters import Piece, pieces_between_gutters
from audobon.pages.reading_order import in_reading_order

Page = npt.NDArray[np.uint8]

MAX_PIXELS = 1_000_000
"""Pixels looked at; larger pages are reduced first, so time and memory stay bounded."""

OUTLINE = (230, 0, 126)
NUMERAL = (255, 255, 255)


class Panel(msgspec.Struct, frozen=True):
    """One panel; its box is in page pixels, upright even where the panel is slanted."""

    box: Box


def find_panels(page: Page, *, order: Order = "ltr") -> list[Panel]:
    """Return the panels of a page in reading order.

    Gutters may have any one colour, a little noise and a slant, and balloons or figures may
    reach into them or cross them for less than half their length.

    Not found apart: panels with only a line between them, or less than two pixels of gutter
    on a page of MAX_PIXELS; panels whose gutter is mostly covered, or is a texture or a
    strong gradient; an inset that lies wholly inside another panel. A
    panel without an outline ends where its drawing ends. A framed caption as large as a
    small panel counts as one.

    page     uint8 [height, width, 3] RGB; not modified
    order    side on which a row begins: "ltr" left, "rtl" right
    returns  at least one panel: the whole page where no gutter is seen. Boxes are exact to
             a pixel or two of a page of MAX_PIXELS, thus to 10 pixels or so at 24 megapixels
    raises   InvalidInput if the page has no pixels or is not uint8 RGB
    """
    _check(page)
    height, width = page.shape[:2]
    small = _reduced(page)
    small_height, small_width = small.shape[:2]
    boxes = [
        piece.box.scaled(width / small_width, height / small_height).within(width, height)
        for piece in _pieces(small)
    ]
    boxes = boxes or [Box(0, 0, width, height)]
    return [Panel(boxes[index]) for index in in_reading_order(boxes, order)]


def draw_panels(page: Page, panels: list[Panel]) -> Page:
    """Return a copy of the page with the panels outlined and numbered from 1.

    page    uint8 [height, width, 3] RGB; not modified
    raises  InvalidInput if the page has no pixels or is not uint8 RGB
    """
    _check(page)
    drawn = np.ascontiguousarray(page).copy()
    stroke = max(2, min(page.shape[:2]) // 200)
    for number, panel in enumerate(panels, start=1):
        box = panel.box
        corner, opposite = (box.x, box.y), (box.right - 1, box.bottom - 1)
        cv2.rectangle(drawn, corner, opposite, OUTLINE, stroke)
        radius = stroke * 5
        centre = (box.x + radius + 2 * stroke, box.y + radius + 2 * stroke)
        cv2.circle(drawn, centre, radius, OUTLINE, cv2.FILLED, cv2.LINE_AA)
        text, font, scale = str(number), cv2.FONT_HERSHEY_SIMPLEX, stroke / 5
        (text_width, text_height), _ = cv2.getTextSize(text, font, scale, stroke)
        place = (centre[0] - text_width // 2, centre[1] + text_height // 2)
        cv2.putText(drawn, text, place, font, scale, NUMERAL, max(1, stroke // 2), cv2.LINE_AA)
    return drawn


def _check(page: Page) -> None:
    if page.ndim != 3 or page.shape[2] != 3 or page.dtype != np.uint8:
        raise InvalidInput(f"a page must be uint8 [height, width, 3], not {page.dtype} {page.shape}")
    if page.size == 0:
        raise InvalidInput(f"a page needs pixels, this one is {page.shape[1]} x {page.shape[0]}")


def _reduced(page: Page) -> Page:
    page = np.ascontiguousarray(page)
    height, width = page.shape[:2]
    factor = (MAX_PIXELS / (height * width)) ** 0.5
    if factor >= 1:
        return page
    # A strip thinner than a pixel after reduction still keeps one; its length is capped instead.
    new_width = min(MAX_PIXELS, max(1, round(width * factor)))
    new_height = min(MAX_PIXELS, max(1, round(height * factor)))
    reduced: Page = cv2.resize(page, (new_width, new_height), interpolation=cv2.INTER_AREA)
    return reduced


def _pieces(page: Page) -> list[Piece]:
    """Return the pieces of the page, looked for again inside a lone one."""
    pieces = pieces_between_gutters(page, inside_panel=False)
    if len(pieces) != 1:
        return pieces
    # A scan or a mat has a margin of its own around the page with its gutters. A few pixels
    # less on each side leave the blurred border between the two out.
    box = pieces[0].box.grown(-3)
    if not box.area:
        return pieces
    inner = np.ascontiguousarray(page[box.y : box.bottom, box.x : box.right])
    within = pieces_between_gutters(inner, inside_panel=True)
    if len(within) < 2:
        return pieces
    return [msgspec.structs.replace(piece, x=piece.x + box.x, y=piece.y + box.y) for piece in within]
