"""How the commands of `audobon queue` come by the queue, and find what was named."""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from audobon.cli.terminal import say
from audobon.errors import InvalidInput, JobNotFound, QueueNotFound, TaskNotFound

if TYPE_CHECKING:
    from audobon.cli.queue_names import TaskNames
    from audobon.queue.port import Queue
    from audobon.queue.rules import QueueRules
    from audobon.queue.tasks import TaskRecord

NOTHING = "nothing was ever enqueued here"
MOST_TASKS = 100_000
"""Tasks that one command takes up."""


@contextmanager
def queue_to_change() -> "Iterator[Queue]":
    """Open the queue, creating its database when there is none."""
    from audobon.app import open_app

    with open_app().queue() as queue:
        yield queue


@contextmanager
def queue_to_look_at() -> "Iterator[Queue | None]":
    """Open the queue; None, and nothing created, when nothing was ever enqueued."""
    from audobon.app import open_app

    app = open_app()
    if not app.database.path.exists():
        yield None
        return
    with app.queue() as queue:
        yield queue


def names_of(tasks: "Iterable[TaskRecord]") -> "TaskNames":
    """Return what tasks are called."""
    from audobon.app import open_app
    from audobon.cli.queue_names import TaskNames

    return TaskNames(open_app().jobs.page_names(), tasks)


def jobs_that_are_over(tasks: "Iterable[TaskRecord]") -> set[str]:
    """Return the jobs of tasks whose pages are kept no longer, so that their tasks cannot be done again."""
    from audobon.app import open_app

    job_ids = {task.job_id for task in tasks if task.job_id is not None}
    return open_app().jobs.over(job_ids) if job_ids else set()


def say_when_nobody_works() -> None:
    """Tell that what is ready waits for an engine, when none runs."""
    from audobon.app import open_app

    if open_app().engine_pid() is None:
        say("no engine runs; audobon up does what is ready")


def task_id_of(text: str) -> int:
    """Return the id a person typed.

    raises  InvalidInput when it is none
    """
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise InvalidInput(f"{text!r} is not the id of a task", hint="a number; audobon queue list --tasks")
    return int(text)


def rules_of(queue: "Queue | None", name: str) -> "QueueRules":
    """Return the rules of a queue; QueueNotFound, with the nearest name, when there is none."""
    from audobon.queue.rules import default_rules
    from audobon.queue.tasks import CATEGORIES

    found = queue.rules() if queue is not None else [default_rules(category) for category in CATEGORIES]
    known = {rules.name: rules for rules in found}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    raise QueueNotFound(
        f"there is no queue {name!r}", hint=f"did you mean {near[0]}?" if near else "audobon queue list"
    )


def task_of(queue: "Queue | None", task_id: int) -> "TaskRecord":
    """Return a task; TaskNotFound when there is none."""
    with suppress(TaskNotFound):
        if queue is not None:
            return queue.find(task_id)
    raise TaskNotFound(f"there is no task {task_id}", hint="audobon queue list --tasks")


def tasks_of_job(queue: "Queue | None", job_id: str) -> "list[TaskRecord]":
    """Return the tasks of a job, newest first; JobNotFound when it has none."""
    found = queue.select(job_id=job_id, limit=MOST_TASKS) if queue is not None else []
    if not found:
        raise JobNotFound(f"no job {job_id} is in the queue", hint="audobon jobs list")
    return found


def one_way(**ways: bool) -> None:
    """Let exactly one way of naming things stand; the names are those a person types."""
    if sum(ways.values()) != 1:
        names = [name.replace("_", "-") for name in ways]
        raise InvalidInput(
            "say which" if not any(ways.values()) else "say it in one way only",
            hint="one of: " + ", ".join("ID..." if name == "ids" else f"--{name}" for name in names),
        )
