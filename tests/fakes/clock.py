"""The clock of the cloud: a test turns it."""

import threading


class TurnedClock:
    """A clock that only moves when told to; seconds since 1970, UTC."""

    def __init__(self, seconds: float = 1_800_000_000.0) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self._seconds

    def turn(self, seconds: float) -> None:
        """Move on by so many seconds."""
        with self._lock:
            self._seconds += seconds
