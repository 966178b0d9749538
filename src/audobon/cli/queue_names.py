"""What a task is called on the command line: the page it works on, or the kind of upkeep."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from audobon.jobs.page_names import PageName, PageNames
    from audobon.queue.tasks import TaskRecord


class TaskNames:
    """Names tasks; those to come are made known with `learn`, in one look for all of them."""

    def __init__(self, pages: "PageNames", tasks: "Iterable[TaskRecord]" = ()) -> None:
        self._pages = pages
        self._names: dict[tuple[str, int], PageName] = {}
        self.learn(tasks)

    def learn(self, tasks: "Iterable[TaskRecord]") -> None:
        """Look up the names of tasks, in place of those learnt before."""
        self._names = self._pages.find(place for task in tasks if (place := _place(task)) is not None)

    def of(self, task: "TaskRecord") -> str:
        """Return what a task does: "upscale the-wren/page-1.png", or "sweep-blobs"."""
        name = self._page(task)
        if name is not None:
            return str(name)
        return task.kind if task.job_id is None else f"{task.kind} {task.ordinal} of {task.job_id}"

    def facts(self, task: "TaskRecord") -> dict[str, Any]:
        """Return a task for programs: its record, with operation, document and page, null where unknown."""
        name = self._page(task)
        named = {"operation": None, "document": None, "page": None}
        return msgspec.structs.asdict(task) | (named if name is None else msgspec.structs.asdict(name))

    def _page(self, task: "TaskRecord") -> "PageName | None":
        place = _place(task)
        return None if place is None else self._names.get(place)


def _place(task: "TaskRecord") -> tuple[str, int] | None:
    return None if task.job_id is None or task.ordinal is None else (task.job_id, task.ordinal)
