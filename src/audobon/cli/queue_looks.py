"""Looks at the queue again and again, and tells what happened since the last look."""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from audobon.cli.last_event import last_event_id
from audobon.cli.queue_names import TaskNames
from audobon.cli.queue_words import done_in_words, event_in_words
from audobon.clock import Clock, utc_now
from audobon.errors import TaskNotFound
from audobon.queue.figures import PoolFigures, QueueFigures
from audobon.queue.port import Queue
from audobon.queue.tasks import Owner, TaskEvent, TaskRecord

_FIGURES_SECONDS = 1.0
_MOST_AT_WORK = 1000
_MOST_EVENTS = 1000
_MOST_ENDED = 1000
# A task's end is seen up to so long after the instant it bears: it is noted before the disk is waited for.
_LATE_SECONDS = 5.0
# What ended so shortly before the first look is told too, but not more than so many.
_EARLIER_SECONDS = 60.0
_MOST_EARLIER = 20


class Worker(NamedTuple):
    """A worker, and how long it has been watched without a sign of life."""

    owner: Owner
    silent_seconds: float


class Look(NamedTuple):
    """The queue at one instant, and what happened since the look before.

    engine_pid  the process whose engine has the data folder; None when none runs
    begun       tasks that were taken up since, and are at work
    left        tasks that ended since, or went back to the queue
    events      what happened to tasks, but for beginning and being done, which leave none
    mentioned   every task that is named here, by its id, as far as it is there still
    """

    at: float
    engine_pid: int | None
    queues: list[QueueFigures]
    pools: list[PoolFigures]
    workers: list[Worker]
    at_work: list[TaskRecord]
    begun: list[TaskRecord]
    left: list[TaskRecord]
    events: list[TaskEvent]
    mentioned: dict[int, TaskRecord]


class Happening(NamedTuple):
    """What happened to a task, in words."""

    at: float
    task_id: int
    name: str
    words: str


class Looker:
    """Reads only what may have changed: events after the last one seen, figures once a second at most.

    engine_pid  asks which process's engine has the data folder
    """

    def __init__(
        self,
        queue: Queue,
        *,
        engine_pid: Callable[[], int | None],
        clock: Clock = utc_now,
        steady_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._engine_pid = engine_pid
        self._clock = clock
        self._steady_clock = steady_clock
        self._seen_event = max(0, last_event_id(queue) - _MOST_EARLIER)
        self._figures_at = float("-inf")
        self._figures: tuple[int | None, list[QueueFigures], list[PoolFigures], list[Worker]]
        self._beats: dict[str, tuple[int, float]] = {}
        self._at_work: dict[int, TaskRecord] = {}
        self._told_ends: set[tuple[int, int]] = set()
        self._looked_at: float | None = None

    def look(self) -> Look:
        """Return how it stands now."""
        now = self._steady_clock()
        if now - self._figures_at >= _FIGURES_SECONDS:
            self._figures_at = now
            workers = self._look_at_workers(now)
            self._figures = (self._engine_pid(), self._queue.figures(), self._queue.pools(), workers)
        leased = self._queue.select(states=("leased",), limit=_MOST_AT_WORK)
        at_work = {
            task.id: task for task in sorted(leased, key=lambda each: (each.started_at or 0.0, each.id))
        }
        before, self._at_work = self._at_work, at_work
        begun = [task for task in at_work.values() if not _is_same(before.get(task.id), task)]
        left = self._ended()
        known = at_work.keys() | {task.id for task in left}
        left += self._find(before.keys() - known).values()
        events = self._queue.events(after_id=self._seen_event, limit=_MOST_EVENTS)
        if events:
            self._seen_event = events[-1].id
        mentioned = {task.id: task for task in [*left, *at_work.values()]}
        return Look(
            self._clock(),
            *self._figures,
            list(at_work.values()),
            begun,
            left,
            events,
            mentioned | self._find(event.task_id for event in events if event.task_id not in mentioned),
        )

    def _ended(self) -> list[TaskRecord]:
        """Return the tasks that ended since the last look."""
        now, last = self._clock(), self._looked_at
        since = now - _EARLIER_SECONDS if last is None else min(now, last) - _LATE_SECONDS
        found = self._queue.ended_since(since, limit=_MOST_ENDED)
        news = [task for task in found if (task.id, task.token) not in self._told_ends]
        self._told_ends = {(task.id, task.token) for task in found}
        self._looked_at = now
        return news[-_MOST_EARLIER:] if last is None else news

    def _look_at_workers(self, now: float) -> list[Worker]:
        beats, workers = {}, []
        for owner in self._queue.owners():
            beat, since = self._beats.get(owner.name, (owner.beat, now))
            beats[owner.name] = (owner.beat, since if beat == owner.beat else now)
            workers.append(Worker(owner, now - beats[owner.name][1]))
        self._beats = beats
        return workers

    def _find(self, task_ids: Iterable[int]) -> dict[int, TaskRecord]:
        found = {}
        for task_id in set(task_ids):
            try:
                found[task_id] = self._queue.find(task_id)
            except TaskNotFound:
                # Its job was discarded meanwhile.
                continue
        return found


def happenings(look: Look, names: TaskNames) -> list[Happening]:
    """Return what happened since the look before, earliest first."""

    def name(task_id: int) -> str:
        return names.of(look.mentioned[task_id]) if task_id in look.mentioned else ""

    told = [
        Happening(
            task.started_at or look.at,
            task.id,
            name(task.id),
            "begun" if task.attempt <= 1 else f"begun, attempt {task.attempt}",
        )
        for task in look.begun
    ]
    told += [
        Happening(event.at, event.task_id, name(event.task_id), event_in_words(event))
        for event in look.events
    ]
    # One that took over the result of equal work left an event.
    told += [
        Happening(task.finished_at or look.at, task.id, name(task.id), done_in_words(task))
        for task in look.left
        if task.state == "done" and task.attempt > 0
    ]
    return sorted(told, key=lambda each: each.at)


def _is_same(task: TaskRecord | None, other: TaskRecord) -> bool:
    """Tell whether this is still the same lease."""
    return task is not None and task.token == other.token
