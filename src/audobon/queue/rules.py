"""How a queue treats its tasks: limits, ageing, leases and retries."""

import random
from collections.abc import Callable

import msgspec

from audobon.errors import InvalidInput, QueueDrained
from audobon.queue.tasks import Category, QueueState


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often a task is tried, and how long it rests between tries.

    first_seconds  longest rest after the first try; doubled after each further one
    most_seconds   longest rest of all
    """

    max_attempts: int = 3
    first_seconds: float = 1.0
    most_seconds: float = 300.0

    def rest_seconds(self, attempt: int, *, draw: Callable[[], float] = random.random) -> float:
        """Return how long to rest after a failed attempt, drawn evenly from 0 to the bound (full jitter).

        attempt  counts from 1
        draw     returns a number from 0 to 1
        source   Amazon Builders' Library, "Timeouts, retries and backoff with jitter"
        """
        bound = min(self.most_seconds, self.first_seconds * 2.0 ** min(attempt - 1, 64))
        return bound * draw()


class QueueRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one queue.

    state                run, pause or drain
    lead_seconds         how much older its tasks count than those of other queues
    ageing_step_seconds  waiting this long is worth one priority
    warm_bonus_seconds   how much older a task counts when its model is in memory
    patience_seconds     a due task that does not fit is passed over by smaller ones for this long only
    lease_seconds        an owner without a sign of life for this long has lost its tasks
    max_running          tasks at work at once; None for no limit
    rate_per_second      tasks begun per second over time; None for no limit
    burst                tasks that may begin at once under a rate
    retry                for kinds without a policy of their own
    retry_by_kind        policies of single kinds
    """

    name: str
    state: QueueState = "run"
    lead_seconds: float = 0.0
    ageing_step_seconds: float = 60.0
    warm_bonus_seconds: float = 120.0
    patience_seconds: float = 30.0
    lease_seconds: float = 10.0
    max_running: int | None = None
    rate_per_second: float | None = None
    burst: int = 1
    retry: RetryPolicy = RetryPolicy()
    retry_by_kind: dict[str, RetryPolicy] = {}

    def retry_for(self, kind: str) -> RetryPolicy:
        """Return the policy for a kind of task."""
        return self.retry_by_kind.get(kind, self.retry)

    def check(self) -> None:
        """Raise InvalidInput naming every rule that cannot be kept."""
        positive = {
            "ageing_step_seconds": self.ageing_step_seconds,
            "lease_seconds": self.lease_seconds,
            "rate_per_second": 1.0 if self.rate_per_second is None else self.rate_per_second,
        }
        faults = [f"{name} must be above 0" for name, value in positive.items() if value <= 0]
        if not self.name or "/" in self.name:
            # Keys are kept as queue/key.
            faults.append("its name must not be empty or hold a slash")
        for name, count in {"max_running": self.max_running, "burst": self.burst}.items():
            if count is not None and count < 1:
                faults.append(f"{name} must be at least 1")
        for name, value in {"warm_bonus": self.warm_bonus_seconds, "patience": self.patience_seconds}.items():
            if value < 0:
                faults.append(f"{name}_seconds must not be negative")
        for kind, policy in {"": self.retry, **self.retry_by_kind}.items():
            if policy.max_attempts < 1 or policy.first_seconds < 0 or policy.most_seconds < 0:
                faults.append(
                    f"the retry policy{f' of {kind}' if kind else ''} has a number that is too small"
                )
        if faults:
            raise InvalidInput(f"queue {self.name}: " + "; ".join(faults))


def drained(queue: str) -> QueueDrained:
    """Return the error for a task that a draining queue does not take."""
    return QueueDrained(
        f"the queue {queue} takes no new tasks while it drains", hint=f"audobon queue resume {queue}"
    )


def default_rules(category: Category) -> QueueRules:
    """Return the rules a category starts with."""
    if category == "interactive":
        # Somebody waits for it: ahead of a book that has waited for less than an hour.
        return QueueRules(name=category, lead_seconds=3600.0)
    if category == "maintenance":
        return QueueRules(name=category, lead_seconds=-3600.0, max_running=1)
    return QueueRules(name=category)
