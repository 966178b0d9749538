"""Spans of time as people write and read them: 30s, 5m, 2h, 7d."""

import re

from audobon.errors import InvalidInput

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_MOST_SECONDS = 100 * 365 * 86_400


def parse_duration(text: str) -> float:
    """Return the seconds of "30s", "5m", "1.5h" or "7d".

    raises  InvalidInput when it is none of these, or longer than a hundred years
    """
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([smhd])", text.strip().lower(), re.ASCII)
    if match is None:
        raise InvalidInput(f"{text!r} is not a span of time", hint="write it like 30s, 5m, 2h or 7d")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > _MOST_SECONDS:
        raise InvalidInput(f"{text.strip()} is more than a hundred years", hint="write it like 7d")
    return seconds


def span(seconds: float) -> str:
    """Return a span in at most two units, cut and not rounded: "4 min", "2 h 5 min", "3 d"."""
    if seconds < 10 and seconds != int(seconds):
        return f"{int(seconds * 10) / 10:g} s"
    left = int(seconds)
    for name, size, small_name, small_size in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60)):
        if left >= size:
            small = left % size // small_size
            return f"{left // size} {name}" + (f" {small} {small_name}" if small else "")
    if left < 60:
        return f"{left} s"
    return f"{left // 60} min" + (f" {left % 60} s" if left < 600 and left % 60 else "")
