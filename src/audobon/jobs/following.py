"""Follows a job at a cost that does not grow with its number of pages."""

import time
from collections.abc import Callable, Iterable

from audobon.jobs.report import Counts
from audobon.queue.port import Queue
from audobon.queue.tasks import TaskView

_ENDED = ("done", "failed", "cancelled")
# Finished tasks are found by the clock on the wall, which may be set back: when nothing is at work for so
# long and the end is not in sight, all tasks are looked at.
_QUIET_SECONDS = 2.0


class Following:
    """How far a job is: what was finished since the last look, and sums over all its tasks.

    A page that ended without being done leaves the total: what is left is what others still take.
    Looks only at tasks that were finished since, and those being worked on; and at all of them once more
    when every one seems to have ended, since one that failed may have been replayed meanwhile.
    resumed  places in the document that were finished before
    """

    def __init__(
        self,
        queue: Queue,
        job_id: str,
        *,
        resumed: frozenset[int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._job_id = job_id
        self._clock = clock
        tasks = queue.tasks(job_id)
        before = [task for task in tasks if task.ordinal in resumed]
        self._units = {task.ordinal: task.total_units for task in tasks}
        self._finished = {task.ordinal: task for task in before}
        self._done_units = sum(task.total_units for task in before)
        self._total_units = sum(self._units.values())
        self._failed = 0
        self._since = max((task.finished_at or 0.0 for task in before), default=0.0)
        self._quiet_since = self._looked_at = clock()
        self.resumed = resumed

    @property
    def tasks(self) -> int:
        """Number of tasks of the job."""
        return len(self._units)

    @property
    def is_complete(self) -> bool:
        """Whether every task was seen to have ended."""
        return len(self._finished) == len(self._units)

    def look(self) -> tuple[list[TaskView], Counts]:
        """Return the tasks that ended since the last look, and how far the job is."""
        leased = self._queue.leased(self._job_id)
        self._forget(leased)
        news = self._take_in(self._queue.finished_since(self._job_id, self._since))
        now = self._clock()
        if leased or news or self.is_complete:
            self._quiet_since = self._looked_at = now
        elif now - self._looked_at >= _QUIET_SECONDS:
            self._looked_at = now
            self._since = 0.0
            news = self._take_in(task for task in self._queue.tasks(self._job_id) if task.state in _ENDED)
            if news:
                self._quiet_since = now
        if self.is_complete and news:
            self._forget(task for task in self._queue.tasks(self._job_id) if task.state not in _ENDED)
        for task in leased:
            self._learn(task)
        counts = Counts(
            tasks=len(self._units),
            done=len(self._finished) - self._failed,
            failed=self._failed,
            done_units=self._done_units
            + sum(task.done_units for task in leased if task.ordinal not in self._finished),
            total_units=self._total_units,
        )
        return news, counts

    @property
    def is_quiet(self) -> bool:
        """Whether nothing of the job is at work for a while, though it has not ended."""
        return not self.is_complete and self._clock() - self._quiet_since >= _QUIET_SECONDS / 2

    def _take_in(self, tasks: Iterable[TaskView]) -> list[TaskView]:
        news = [task for task in tasks if not self._knows(task)]
        self._forget(news)
        for task in news:
            self._learn(task)
            self._finished[task.ordinal] = task
            self._count(task, 1)
            self._since = max(self._since, task.finished_at or 0.0)
        return news

    def _knows(self, task: TaskView) -> bool:
        known = self._finished.get(task.ordinal)
        return known is not None and (known.state, known.finished_at) == (task.state, task.finished_at)

    def _forget(self, tasks: Iterable[TaskView]) -> None:
        """Take back that these tasks had ended, if they had: they were replayed."""
        for task in tasks:
            known = self._finished.pop(task.ordinal, None)
            if known is not None:
                self._count(known, -1)

    def _count(self, task: TaskView, times: int) -> None:
        """Count a task that ended, or take that back with -1."""
        if task.state == "done":
            self._done_units += times * task.total_units
        else:
            self._failed += times
            self._total_units -= times * task.total_units

    def _learn(self, task: TaskView) -> None:
        """Take over a task's total, which grows when its transparency turns out to need work."""
        self._total_units += task.total_units - self._units[task.ordinal]
        self._units[task.ordinal] = task.total_units
