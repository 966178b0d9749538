"""Tells why nothing happens while a job waits."""

import time
from collections.abc import Callable

from audobon.jobs.page_names import PageName
from audobon.jobs.records import JobRecords
from audobon.jobs.report import Watcher
from audobon.queue.port import Queue
from audobon.queue.tasks import Category, TaskRecord

_LOOK_SECONDS = 1.0


class Waits:
    """Says once, each time it begins, that the queue of a job is paused or that others go first.

    records   of jobs, for the names of their pages
    category  the queue that the pages of the job wait in
    """

    def __init__(
        self,
        queue: Queue,
        records: JobRecords,
        watcher: Watcher,
        job_id: str,
        *,
        category: Category,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._records = records
        self._watcher = watcher
        self._job_id = job_id
        self._category = category
        self._clock = clock
        self._told = ""
        self._looked_at = float("-inf")

    def tell(self, *, is_quiet: bool) -> None:
        """Say why nothing of the job is at work; cheap while something is."""
        now = self._clock()
        if not is_quiet:
            self._told = ""
            return
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        reason, words = self._reason()
        if words and reason != self._told:
            self._watcher.stage(words)
        self._told = reason

    def _reason(self) -> tuple[str, str]:
        """Return why the job waits, and the words for it; that others go first is one reason, whoever."""
        states = {rules.name: rules.state for rules in self._queue.rules()}
        if states.get(self._category) == "pause":
            name = self._category
            return "paused", f"waiting: the queue {name} is paused (audobon queue resume {name})"
        for task in self._queue.select(states=("leased",)):
            if task.job_id != self._job_id:
                share = 100 * task.done_units // max(1, task.total_units)
                return "others", f"waiting for {self._name(task)} ({share} %)"
        return "", ""

    def _name(self, task: TaskRecord) -> str:
        if task.job_id is None or task.ordinal is None:
            return task.kind
        found = self._records.page_at(task.job_id, task.ordinal)
        return f"{task.kind if found is None else PageName(*found)} of another run"
