"""When Cloud Tasks tries again, and how fast it goes: the arithmetic of its documentation."""

import math
from typing import Any

RETENTION_SECONDS = 31 * 86400.0
"""For so long a task is kept that never succeeds."""


def retry_seconds(retry: int, *, min_backoff: float, max_backoff: float, max_doublings: int) -> float:
    """Return how long after a failed attempt the next one is due.

    Doubles `max_doublings` times, then rises by the last step, up to `max_backoff`. There is no jitter.
    retry   counts from 1
    source  `RetryConfig.max_doublings` of google-cloud-tasks 2.26; its example is a test
    """
    if retry <= max_doublings + 1:
        return min(max_backoff, min_backoff * 2.0 ** min(retry - 1, 1000))
    return min(max_backoff, min_backoff * 2.0 ** min(max_doublings, 1000) * (retry - max_doublings))


def is_given_up(attempts: int, since_first_seconds: float, retry_config: Any) -> bool:
    """Tell whether a task that failed is deleted: both its attempts and its time must be used up.

    A duration of 0 and attempts of -1 set no limit of their own; with neither, nothing is given up.
    """
    seconds = duration_seconds(retry_config.max_retry_duration)
    limits = []
    if retry_config.max_attempts >= 0:
        limits.append(attempts >= retry_config.max_attempts)
    if seconds > 0:
        limits.append(since_first_seconds >= seconds)
    return bool(limits) and all(limits)


def burst_of(rate_per_second: float) -> int:
    """Return how many tasks may go at once: "generally at least equal to max_dispatches_per_second"."""
    return max(1, math.ceil(rate_per_second))


def duration_seconds(duration: Any) -> float:
    """Return a protobuf Duration or Timestamp in seconds."""
    return float(duration.seconds) + duration.nanos / 1e9


def set_seconds(field: Any, seconds: float) -> None:
    """Write seconds into a protobuf Duration or Timestamp, to the microsecond."""
    microseconds = round(seconds * 1e6)
    field.seconds, field.nanos = microseconds // 10**6, microseconds % 10**6 * 1000


class TokenBucket:
    """Lets tasks go at a rate over time, and so many at once after a rest."""

    def __init__(self, rate_per_second: float, burst: int, *, now: float) -> None:
        self.rate_per_second = rate_per_second
        self.burst = burst
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token; False when there is none."""
        self._refill(now)
        # What is added up in parts falls short of a whole by a hair.
        if self._tokens < 1.0 - 1e-9:
            return False
        self._tokens = max(0.0, self._tokens - 1.0)
        return True

    def next_at(self, now: float) -> float:
        """Return when there will be a token."""
        self._refill(now)
        return now + max(0.0, 1.0 - self._tokens) / self.rate_per_second

    def _refill(self, now: float) -> None:
        self._tokens = min(float(self.burst), self._tokens + max(0.0, now - self._at) * self.rate_per_second)
        self._at = now
