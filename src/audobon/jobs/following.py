"""Follows a job at a cost that does not grow with its number of pages."""

from audobon.jobs.report import Counts
from audobon.queue.service import Queue, TaskView


class Following:
    """How far a job is: what was finished since the last look, and sums over all its tasks.

    Looks only at tasks that were finished since, and those being worked on.
    """

    def __init__(self, queue: Queue, job_id: str) -> None:
        self._queue = queue
        self._job_id = job_id
        tasks = queue.tasks(job_id)
        self._units = {task.ordinal: task.total_units for task in tasks}
        self._total_units = sum(self._units.values())
        self._finished = {task.ordinal: task for task in tasks if task.state == "done"}
        self._finished_units = sum(task.total_units for task in self._finished.values())
        self._failed = 0
        self._since = max((task.finished_at or 0.0 for task in self._finished.values()), default=0.0)
        self.resumed = frozenset(self._finished)
        """Places in the document that were finished when following began."""

    @property
    def tasks(self) -> int:
        """Number of tasks of the job."""
        return len(self._units)

    def look(self) -> tuple[list[TaskView], Counts]:
        """Return the tasks finished or failed since the last look, and how far the job is."""
        news = [
            task
            for task in self._queue.finished_since(self._job_id, self._since)
            if task.ordinal not in self._finished
        ]
        for task in news:
            self._finished[task.ordinal] = task
            self._failed += task.state == "failed"
            self._finished_units += task.total_units
            self._learn(task)
            self._since = max(self._since, task.finished_at or 0.0)
        partial = 0
        for task in self._queue.leased(self._job_id):
            partial += task.done_units
            self._learn(task)
        counts = Counts(
            tasks=len(self._units),
            done=len(self._finished) - self._failed,
            failed=self._failed,
            done_units=self._finished_units + partial,
            total_units=self._total_units,
        )
        return news, counts

    def _learn(self, task: TaskView) -> None:
        """Take over a task's total, which grows when its transparency turns out to need work."""
        self._total_units += task.total_units - self._units[task.ordinal]
        self._units[task.ordinal] = task.total_units
