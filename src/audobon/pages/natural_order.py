"""Sorts page names the way people count: page 2 before page 10."""

import re

_DIGITS = re.compile(r"(\d+)")


def natural_key(name: str) -> tuple[tuple[tuple[int, int | str], ...], ...]:
    """Return a sort key for a path with forward slashes: folder by folder, numbers as numbers."""
    return tuple(
        tuple((0, int(part)) if part.isdecimal() else (1, part) for part in _DIGITS.split(piece.casefold()) if part)
        for piece in name.split("/")
    )
