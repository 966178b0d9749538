"""When a worker that died is started again, and when no longer: pure, on an injected clock."""

import time
from collections.abc import Callable

_FIRST_SECONDS = 0.1
_MOST_SECONDS = 30.0
# A worker that lived this long, or did a task, was sound.
_SOUND_SECONDS = 60.0


class Restarts:
    """Rests longer after each death in a row, and says when workers cannot live here.

    A death counts only when it took no task with it: a task that kills its worker is given up by itself.
    """

    def __init__(self, *, most_in_a_row: int = 3, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_in_a_row = most_in_a_row
        self._clock = clock
        self._in_a_row = 0
        self._not_before = 0.0

    def died(self, *, lived_seconds: float, had_task: bool) -> None:
        """Note a death."""
        is_sound = had_task or lived_seconds >= _SOUND_SECONDS
        self._in_a_row = 0 if is_sound else self._in_a_row + 1
        rest = 0.0 if is_sound else min(_MOST_SECONDS, _FIRST_SECONDS * 2.0 ** (self._in_a_row - 1))
        self._not_before = self._clock() + rest

    def was_sound(self) -> None:
        """Note that a worker ended as it should: workers can live here."""
        self._in_a_row = 0

    @property
    def rest_seconds(self) -> float:
        """What is left of the rest after the last death; 0 when another worker may be started."""
        return max(0.0, self._not_before - self._clock())

    @property
    def is_hopeless(self) -> bool:
        """Whether so many workers died in a row that no other is to be started."""
        return self._in_a_row >= self._most_in_a_row
