"""An honest estimate of the time that work still takes, and the words for it.

Pure: it reads an injected clock and holds no thread, no timer and no terminal.
"""

import math
import time
from collections import deque
from collections.abc import Callable

import msgspec

WINDOW_SAMPLES = 100
SAMPLES_FOR_ONE_NUMBER = 3
LARGEST_UNFINISHED_FRACTION = 0.99

# How far off the first samples may be: the first page also loads the model and warms the caches.
_SPREAD_BY_SAMPLES = {1: 2.0, 2: 1.5}

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


class Remaining(msgspec.Struct, frozen=True):
    """The time that work still takes, in seconds.

    low_seconds and high_seconds are equal unless is_range.
    """

    low_seconds: float
    high_seconds: float
    is_range: bool


class RemainingTime:
    """How far work is, and how long it still takes.

    Units are anything that adds up over parallel pages, such as pixels. What is shown never goes backwards,
    though units may be taken back when a page is begun anew, or given up.
    Time counts from the first `start`, without waiting before it and without pauses. One thread at a time.
    clock  seconds that never go backwards
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._total_units = 0.0
        self._done_units = 0.0
        self._largest_fraction = 0.0
        self._samples: deque[tuple[float, float]] = deque(maxlen=WINDOW_SAMPLES)
        self._sampled_at_seconds = 0.0
        self._counted_seconds = 0.0
        self._counting_since: float | None = None
        self._is_started = False
        self._is_paused = False
        self._is_finished = False

    def start(self, total_units: float) -> None:
        """Begin to count time; a later call only changes the total.

        raises  ValueError if the total is not a positive number
        """
        if not (total_units > 0 and math.isfinite(total_units)):
            raise ValueError(f"total_units must be a positive number, not {total_units}")
        self._total_units = total_units
        if not self._is_started:
            self._is_started = True
            self._count_time()

    def advance(self, done_units: float) -> None:
        """Take note of all units done so far; a lower value than before takes units back."""
        gained_units = done_units - self._done_units
        if not self._is_started or self._is_finished or not math.isfinite(done_units) or not gained_units:
            return
        self._done_units = max(0.0, done_units)
        if gained_units < 0:
            return
        if self._is_paused:
            # The page under way ends after a pause began: its time was not counted, so it is no sample.
            return
        now = self.elapsed_seconds()
        taken_seconds = now - self._sampled_at_seconds
        if taken_seconds > 0:
            self._samples.append((gained_units, taken_seconds))
        elif self._samples:
            # Pages that end at the same instant are one sample: alone, the second would look infinitely fast.
            units, seconds = self._samples.pop()
            self._samples.append((units + gained_units, seconds))
        self._sampled_at_seconds = now

    def pause(self) -> None:
        """Freeze the time; calling it again changes nothing."""
        if self._is_paused:
            return
        self._counted_seconds = self.elapsed_seconds()
        self._counting_since = None
        self._is_paused = True

    def resume(self) -> None:
        """Let the time run on; calling it again changes nothing."""
        if not self._is_paused:
            return
        self._is_paused = False
        self._count_time()

    def finish(self) -> None:
        """Say that the output is published; only now is the work wholly done."""
        self._counted_seconds = self.elapsed_seconds()
        self._counting_since = None
        self._is_finished = True

    def elapsed_seconds(self) -> float:
        """Return the time worked, in seconds; 0 before `start`, frozen in pauses and after `finish`."""
        if self._counting_since is None:
            return self._counted_seconds
        return self._counted_seconds + max(0.0, self._clock() - self._counting_since)

    def fraction(self) -> float:
        """Return the part that is done, 0..1; never falls, and is 1 only after `finish`."""
        if self._is_finished:
            return 1.0
        if self._is_started:
            reached = min(self._done_units / self._total_units, LARGEST_UNFINISHED_FRACTION)
            self._largest_fraction = max(self._largest_fraction, reached)
        return self._largest_fraction

    def remaining(self) -> Remaining | None:
        """Return the time still to go; None while nothing is known.

        A range until three samples exist, one number from then on. It may grow: when pages take longer than
        those before them, and while nothing happens.
        """
        if self._is_finished:
            return Remaining(0.0, 0.0, is_range=False)
        if not self._samples:
            return None
        seconds = self._expected_seconds()
        spread = _SPREAD_BY_SAMPLES.get(len(self._samples), 1.0)
        return Remaining(seconds / spread, seconds * spread, is_range=spread > 1.0)

    def _expected_seconds(self) -> float:
        # Recent samples weigh more, in a straight line: the newest of n counts n times the oldest.
        weighted = list(enumerate(self._samples, start=1))
        units = sum(weight * sample[0] for weight, sample in weighted)
        seconds = sum(weight * sample[1] for weight, sample in weighted)
        weights = sum(weight for weight, _ in weighted)
        usual_gap_seconds = seconds / weights
        waited_seconds = self.elapsed_seconds() - self._sampled_at_seconds
        overdue_seconds = max(0.0, waited_seconds - usual_gap_seconds)
        # Overdue time counts as the newest sample, without any units: a stall makes the estimate grow.
        seconds_per_unit = (seconds + len(weighted) * overdue_seconds) / units
        units_left = max(0.0, self._total_units - self._done_units)
        return max(0.0, units_left * seconds_per_unit - min(waited_seconds, usual_gap_seconds))

    def _count_time(self) -> None:
        if self._is_started and not self._is_paused and not self._is_finished:
            self._counting_since = self._clock()


def remaining_in_words(remaining: Remaining | None) -> str:
    """Return the time still to go as people say it: "about 2 min 10 s", "1-3 min", "unknown"."""
    if remaining is None:
        return "unknown"
    if not remaining.is_range:
        return duration_in_words(remaining.low_seconds)
    unit_seconds, unit = 1, "s"
    if remaining.high_seconds > _MINUTE:
        unit_seconds, unit = _MINUTE, "min"
    if remaining.high_seconds > 2 * _HOUR:
        unit_seconds, unit = _HOUR, "h"
    low = math.floor(remaining.low_seconds / unit_seconds)
    high = max(1, math.ceil(remaining.high_seconds / unit_seconds))
    if low == high:
        return f"about {high} {unit}"
    return f"{low}-{high} {unit}" if low else f"up to {high} {unit}"


def duration_in_words(seconds: float) -> str:
    """Return a duration as people say it, no finer than an estimate deserves: "about 2 min 10 s"."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 10:
        return f"about {round(seconds)} s"
    step_seconds = 5 if seconds < _MINUTE else 10 if seconds < 10 * _MINUTE else _MINUTE
    rounded = round(seconds / step_seconds) * step_seconds
    for large, large_unit, small, small_unit in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if rounded >= large:
            rest = rounded % large // small
            return f"about {rounded // large} {large_unit}" + (f" {rest} {small_unit}" if rest else "")
    return f"about {rounded} s"
