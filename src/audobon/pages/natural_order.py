"""Sorts page names the way people count: page 2 before page 10."""

import re

_DIGITS = re.compile(r"(\d+)")


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], ...]:
    """Return a sort key for a path with forward slashes: folder by folder, numbers as numbers."""
    return tuple(
        tuple(_part_key(part) for part in _DIGITS.split(piece.casefold()) if part)
        for piece in name.split("/")
    )


def _part_key(part: str) -> tuple[int, int, str]:
    if not part.isdecimal():
        return 1, 0, part
    # Compared as text of equal length: Python refuses to read numbers of thousands of digits.
    digits = part.lstrip("0")
    return 0, len(digits), digits
