"""Boxes on a page, in its own pixels.

Not for pixels themselves, and not for shapes other than upright rectangles.
"""

from typing import Literal, Self

import msgspec

Order = Literal["ltr", "rtl"]
"""Which way a row of panels is read: left to right, or right to left as in manga."""


class Box(msgspec.Struct, frozen=True, order=True):
    """An upright rectangle in page pixels; right and bottom lie just outside it.

    x, y           left and top edge, counted from the top left corner of the page
    width, height  in pixels; a box without area is allowed and overlaps nothing
    """

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def spanning(cls, left: int, top: int, right: int, bottom: int) -> Self:
        """Return the box between two corners; without area where they cross."""
        return cls(left, top, max(0, right - left), max(0, bottom - top))

    @property
    def right(self) -> int:
        """First column to the right of the box."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the box."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Pixels inside the box."""
        return self.width * self.height

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box, (x, y)."""
        return self.x + self.width / 2, self.y + self.height / 2

    def union(self, other: "Box") -> "Box":
        """Return the smallest box that holds both."""
        return Box.spanning(
            min(self.x, other.x),
            min(self.y, other.y),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def intersection(self, other: "Box") -> "Box":
        """Return what both share; a box without area where they are apart."""
        return Box.spanning(
            max(self.x, other.x),
            max(self.y, other.y),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def overlap(self, other: "Box") -> int:
        """Return how many pixels both share."""
        return self.intersection(other).area

    def contains(self, other: "Box") -> bool:
        """Say whether the other box lies wholly inside this one."""
        return (
            self.x <= other.x
            and self.y <= other.y
            and other.right <= self.right
            and other.bottom <= self.bottom
        )

    def grown(self, margin_px: int) -> "Box":
        """Return the box with a margin on every side; a negative margin shrinks it."""
        return Box.spanning(
            self.x - margin_px, self.y - margin_px, self.right + margin_px, self.bottom + margin_px
        )

    def within(self, width: int, height: int) -> "Box":
        """Return the part of the box that lies on a page of this size."""
        return self.intersection(Box(0, 0, width, height))

    def scaled(self, factor_x: float, factor_y: float) -> "Box":
        """Return the box on a page resized by these factors, edges rounded to whole pixels."""
        return Box.spanning(
            round(self.x * factor_x),
            round(self.y * factor_y),
            round(self.right * factor_x),
            round(self.bottom * factor_y),
        )
