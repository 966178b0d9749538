"""One queue of the fake Cloud Tasks: what is in it, what may be delivered now, what becomes of an answer.

No clock, no threads and no network of its own: whoever drives it says what time it is.
"""

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from fakes.tasks_arithmetic import (
    RETENTION_SECONDS,
    TokenBucket,
    duration_seconds,
    is_given_up,
    retry_seconds,
    set_seconds,
)
from fakes.tasks_checks import DEFAULT_DEADLINE_SECONDS
from fakes.tasks_faults import DeliveryFault, DeliveryFaults

RUNNING, PAUSED = 1, 2
NAME_KEPT_SECONDS = 86400.0
"""For so long the name of a task that is gone cannot be used again: "up to 24 hours"."""

_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 429: 8, 499: 1, 501: 12, 503: 14, 504: 4}
_UNKNOWN, _UNAVAILABLE, _DEADLINE_EXCEEDED = 2, 14, 4


@dataclass
class Answer:
    """What a worker answered; status 0: it could not be reached, or hung up."""

    status: int
    retry_after_seconds: float = 0.0


@dataclass(eq=False)
class LiveTask:
    """A task that is in the queue."""

    message: Any
    created_at: float
    due_at: float
    first_at: float | None = None
    previous_status: int = 0
    ticket: int = 0
    was_late: bool = False


@dataclass(eq=False)
class Attempt:
    """One delivery of a task. `is_over` once it was answered or its deadline passed."""

    queue: "LiveQueue"
    task: LiveTask
    retry: int
    executions: int
    due_at: float
    began_at: float
    deadline_at: float
    fault: DeliveryFault | None
    is_over: bool = field(default=False)


class LiveQueue:
    """A queue with its tasks. Not safe for several threads: whoever drives it keeps the lock."""

    def __init__(self, message: Any, *, faults: DeliveryFaults, now: float) -> None:
        self.message = message
        self.tasks: dict[str, LiveTask] = {}
        self._faults = faults
        self._gone: dict[str, float] = {}
        self._line: list[tuple[float, float, int, LiveTask]] = []
        self._tickets = count(1)
        self._flying: set[Attempt] = set()
        self._bucket = self._new_bucket(now)

    @property
    def in_flight(self) -> int:
        """How many deliveries wait for their answer."""
        return len(self._flying)

    def set_limits(self, now: float) -> None:
        """Go by what the message says now."""
        self._bucket = self._new_bucket(now)

    @property
    def _is_full(self) -> bool:
        return self.in_flight >= int(self.message.rate_limits.max_concurrent_dispatches)

    def is_taken(self, name: str, now: float) -> bool:
        """Tell whether a name cannot be used: a task has it, or had it a short while ago."""
        return name in self.tasks or self._gone.get(name, now) > now

    def add(self, message: Any, now: float) -> LiveTask:
        """Put a task in; what it says was checked."""
        due_at = max(now, duration_seconds(message.schedule_time))
        set_seconds(message.schedule_time, due_at)
        message.create_time.seconds = int(now)
        task = LiveTask(message, now, due_at)
        self.tasks[message.name] = task
        self._line_up(task)
        return task

    def remove(self, name: str, now: float) -> None:
        """Take a task out; what is on its way is not called back."""
        del self.tasks[name]
        self._gone[name] = now + NAME_KEPT_SECONDS

    def purge(self, now: float) -> None:
        """Take all tasks out."""
        set_seconds(self.message.purge_time, now)
        for name in list(self.tasks):
            self.remove(name, now)

    def begin(self, now: float) -> list[Attempt]:
        """Return the deliveries to make now: what is due, as the limits let it go."""
        self._time_out(now)
        begun: list[Attempt] = []
        while self.message.state == RUNNING and self._line and self._line[0][0] <= now:
            task = self._line[0][3]
            if self._is_stale(self._line[0]):
                heapq.heappop(self._line)
            elif now - task.created_at > RETENTION_SECONDS:
                self.remove(task.message.name, now)
            elif self._is_full or not self._bucket.take(now):
                break
            else:
                heapq.heappop(self._line)
                begun += self._strike(task, now)
        return begun

    def begin_one(self, task: LiveTask, now: float) -> Attempt:
        """Deliver a task now, whatever the limits, the state of the queue and its schedule."""
        task.ticket = 0
        return self._fly(task, now, None)

    def settle(self, attempt: Attempt, answer: Answer, now: float) -> None:
        """Take in what a worker answered; after its deadline nobody listens any more."""
        if attempt.is_over:
            return
        self._land(attempt)
        task = attempt.task
        if self.tasks.get(task.message.name) is not task:
            return
        if answer.status:
            task.message.response_count += 1
        is_success = 200 <= answer.status < 300
        code = 0 if is_success else _RPC_CODES.get(answer.status, _UNKNOWN if answer.status else _UNAVAILABLE)
        self._note_end(task, code, now)
        if is_success and attempt.fault != "forgotten":
            self.remove(task.message.name, now)
        else:
            task.previous_status = answer.status
            self._again(task, now, least_seconds=answer.retry_after_seconds)

    def next_at(self, now: float) -> float | None:
        """Return when there may be something to do; None when only a change from outside can bring it."""
        instants = [attempt.deadline_at for attempt in self._flying]
        while self._line and self._is_stale(self._line[0]):
            heapq.heappop(self._line)
        if self._line and self.message.state == RUNNING and not self._is_full:
            instants.append(max(self._line[0][0], self._bucket.next_at(now)))
        return min(instants, default=None)

    def _new_bucket(self, now: float) -> TokenBucket:
        rates = self.message.rate_limits
        return TokenBucket(rates.max_dispatches_per_second, rates.max_burst_size, now=now)

    def _is_stale(self, place: tuple[float, float, int, LiveTask]) -> bool:
        task = place[3]
        return task.ticket != place[2] or self.tasks.get(task.message.name) is not task

    def _line_up(self, task: LiveTask) -> None:
        task.ticket = next(self._tickets)
        heapq.heappush(self._line, (task.due_at, self._faults.place(task.ticket), task.ticket, task))

    def _strike(self, task: LiveTask, now: float) -> list[Attempt]:
        fault = self._faults.pick()
        if fault == "late" and not task.was_late:
            task.was_late = True
            task.due_at = now + self._faults.late_seconds
            self._line_up(task)
            return []
        if fault == "lost":
            self.remove(task.message.name, now)
            return []
        attempts = [self._fly(task, now, fault)]
        if fault == "duplicate":
            attempts.append(self._fly(task, now, fault))
        return attempts

    def _fly(self, task: LiveTask, now: float, fault: DeliveryFault | None) -> Attempt:
        message = task.message
        if task.first_at is None:
            task.first_at = now
            set_seconds(message.first_attempt.dispatch_time, now)
        message.last_attempt.Clear()
        set_seconds(message.last_attempt.schedule_time, task.due_at)
        set_seconds(message.last_attempt.dispatch_time, now)
        seconds = duration_seconds(message.dispatch_deadline) or DEFAULT_DEADLINE_SECONDS
        attempt = Attempt(
            self,
            task,
            retry=message.dispatch_count,
            executions=message.response_count,
            due_at=task.due_at,
            began_at=now,
            deadline_at=now + seconds,
            fault=fault,
        )
        message.dispatch_count += 1
        self._flying.add(attempt)
        return attempt

    def _land(self, attempt: Attempt) -> None:
        attempt.is_over = True
        self._flying.discard(attempt)

    def _time_out(self, now: float) -> None:
        for attempt in [each for each in self._flying if each.deadline_at <= now]:
            self._land(attempt)
            if self.tasks.get(attempt.task.message.name) is attempt.task:
                self._note_end(attempt.task, _DEADLINE_EXCEEDED, attempt.deadline_at)
                self._again(attempt.task, attempt.deadline_at)

    def _again(self, task: LiveTask, now: float, *, least_seconds: float = 0.0) -> None:
        if any(each.task is task for each in self._flying):
            # Another delivery of it may still succeed.
            return
        message = task.message
        policy = message.retry_config if message.HasField("retry_config") else self.message.retry_config
        if is_given_up(message.dispatch_count, now - (task.first_at or now), policy):
            self.remove(message.name, now)
            return
        seconds = retry_seconds(
            message.dispatch_count,
            min_backoff=duration_seconds(policy.min_backoff),
            max_backoff=duration_seconds(policy.max_backoff),
            max_doublings=policy.max_doublings,
        )
        task.due_at = now + max(seconds, least_seconds)
        set_seconds(message.schedule_time, task.due_at)
        self._line_up(task)

    def _note_end(self, task: LiveTask, code: int, now: float) -> None:
        last = task.message.last_attempt
        last.response_status.code = code
        set_seconds(last.response_time, now)
