"""Looks at the queue again and again, and tells what happened since the last look."""

import time
from collections.abc import Callable
from typing import NamedTuple

from audobon.cli.queue_words import event_in_words
from audobon.clock import Clock, utc_now
from audobon.errors import TaskNotFound
from audobon.queue.figures import PoolFigures, QueueFigures
from audobon.queue.port import Queue
from audobon.queue.tasks import Owner, TaskEvent, TaskRecord

_FIGURES_SECONDS = 1.0
_MOST_AT_WORK = 1000
_MOST_EVENTS = 1000


class Worker(NamedTuple):
    """A worker, and how long it has been watched without a sign of life."""

    owner: Owner
    silent_seconds: float


class Look(NamedTuple):
    """The queue at one instant, and what happened since the look before.

    begun, ended  tasks that were taken up, or no longer are; those that were both meanwhile are in neither
    events        what happened to tasks, but for beginning and being done, which leave none
    """

    at: float
    queues: list[QueueFigures]
    pools: list[PoolFigures]
    workers: list[Worker]
    at_work: list[TaskRecord]
    begun: list[TaskRecord]
    ended: list[TaskRecord]
    events: list[TaskEvent]


class Happening(NamedTuple):
    """What happened to a task, in words."""

    at: float
    task_id: int
    words: str


class Looker:
    """Reads only what may have changed: the events after the last one seen, figures once a second at most.

    earlier_events  events from before the first look that it tells too
    """

    def __init__(
        self,
        queue: Queue,
        *,
        earlier_events: int,
        clock: Clock = utc_now,
        steady_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._steady_clock = steady_clock
        self._seen_event = max(0, _last_event_id(queue) - earlier_events)
        self._figures_at = float("-inf")
        self._figures: tuple[list[QueueFigures], list[PoolFigures], list[Worker]] = ([], [], [])
        self._beats: dict[str, tuple[int, float]] = {}
        self._at_work: dict[int, TaskRecord] = {}

    def look(self) -> Look:
        """Return how it stands now."""
        now = self._steady_clock()
        if now - self._figures_at >= _FIGURES_SECONDS:
            self._figures_at = now
            self._figures = (self._queue.figures(), self._queue.pools(), self._look_at_workers(now))
        at_work = {task.id: task for task in self._queue.select(states=("leased",), limit=_MOST_AT_WORK)}
        before, self._at_work = self._at_work, at_work
        begun = [task for task in at_work.values() if not _is_same(before.get(task.id), task)]
        gone = [task.id for task in before.values() if not _is_same(at_work.get(task.id), task)]
        events = self._queue.events(after_id=self._seen_event, limit=_MOST_EVENTS)
        if events:
            self._seen_event = events[-1].id
        return Look(
            self._clock(),
            *self._figures,
            sorted(at_work.values(), key=lambda task: (task.started_at or 0.0, task.id)),
            begun,
            [task for task_id in gone if (task := self._find(task_id)) is not None],
            events,
        )

    def _look_at_workers(self, now: float) -> list[Worker]:
        beats, workers = {}, []
        for owner in self._queue.owners():
            beat, since = self._beats.get(owner.name, (owner.beat, now))
            beats[owner.name] = (owner.beat, since if beat == owner.beat else now)
            workers.append(Worker(owner, now - beats[owner.name][1]))
        self._beats = beats
        return workers

    def _find(self, task_id: int) -> TaskRecord | None:
        try:
            return self._queue.find(task_id)
        except TaskNotFound:
            # Its job was discarded meanwhile.
            return None


def happenings(look: Look) -> list[Happening]:
    """Return what happened since the look before, earliest first."""
    told = [
        Happening(task.started_at or look.at, task.id, f"attempt {task.attempt} of {task.kind} begun")
        for task in look.begun
    ]
    told += [Happening(event.at, event.task_id, event_in_words(event)) for event in look.events]
    told += [
        Happening(task.finished_at or look.at, task.id, "done") for task in look.ended if task.state == "done"
    ]
    return sorted(told, key=lambda each: each.at)


def _is_same(task: TaskRecord | None, other: TaskRecord) -> bool:
    """Tell whether this is still the same lease."""
    return task is not None and task.token == other.token


def _last_event_id(queue: Queue) -> int:
    """Return an id that no event comes after, nearest to the last; found by halving, as ids only rise."""
    low, high = 0, 1
    while queue.events(after_id=high, limit=1):
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        if queue.events(after_id=middle, limit=1):
            low = middle + 1
        else:
            high = middle
    return high
