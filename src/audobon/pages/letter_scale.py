"""How large a page is shown to the letter detector; light, so that planning can ask."""

import math

PAGE_HEIGHT_PX = 1408
"""Height at which the detector looks at one page.

Measured: at this size lettering of 18 to 100 px (font size) is read, 14 px with slips; half of it
loses small words on art, one and a half takes three times as long and breaks short words.
"""
PAGE_SHAPE = math.sqrt(2)
"""Height over width of one page; what is taller is a strip, seen a page at a time."""
LARGEST_ENLARGEMENT = 2.0
MULTIPLE_PX = 32


def detector_scale(width: int, height: int) -> float:
    """Return how many times a page of this size is enlarged for the detector."""
    return min(LARGEST_ENLARGEMENT, PAGE_HEIGHT_PX / min(height, width * PAGE_SHAPE))


def detector_pixels(width: int, height: int) -> int:
    """Return the most pixels the detector sees at once of a page of this size."""
    scale = detector_scale(width, height)
    sides = (
        min(PAGE_HEIGHT_PX, math.ceil(side * scale / MULTIPLE_PX) * MULTIPLE_PX) for side in (width, height)
    )
    return math.prod(sides)
