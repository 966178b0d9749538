"""Time as the rest of Audobon sees it, so that tests can turn it."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns seconds; UTC since 1970 for `utc_now`, from any start for a monotonic clock."""


def utc_now() -> float:
    """Return the present instant in seconds since 1970, UTC."""
    return time.time()
