"""`audobon queue retry` and `cancel`: tasks tried again, and called off."""

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import click

from audobon.cli.queue_access import (
    MOST_TASKS,
    jobs_that_are_over,
    one_way,
    queue_to_look_at,
    rules_of,
    say_when_nobody_works,
    task_id_of,
    task_of,
    tasks_of_job,
)
from audobon.cli.terminal import print_json, printable, say
from audobon.errors import InvalidInput

if TYPE_CHECKING:
    from audobon.queue.port import Queue
    from audobon.queue.tasks import TaskRecord, TaskState

_UNFINISHED: "tuple[TaskState, ...]" = ("waiting", "ready", "leased")
_REPLAYABLE: "tuple[TaskState, ...]" = ("failed", "cancelled")
_REASON = "cancelled by `audobon queue cancel`"
# So many tasks are changed in one transaction: others may write between two of them.
_CHUNK = 1000
_SHOWN_IDS = 10

_ids = click.argument("ids", metavar="[ID]...", nargs=-1, type=task_id_of)
_job = click.option("--job", "job_id", metavar="JOB", help="All tasks of this job.")
_dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
_json = click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")


@click.command()
@_ids
@_job
@click.option("--all-dead", is_flag=True, help="All dead letters.")
@click.option("--all-cancelled", is_flag=True, help="All cancelled tasks.")
@click.option(
    "--queue", "name", metavar="NAME", help="Only those of this queue; with --all-dead and the like."
)
@_dry_run
@_json
def retry(
    *,
    ids: tuple[int, ...],
    job_id: str | None,
    all_dead: bool,
    all_cancelled: bool,
    name: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Try dead letters and cancelled tasks again.

    They are ready at once, with all their attempts. Tasks in other states are left as they are, and so are
    pages of a job none of whose pages could be done: they are kept no longer, and `audobon run` takes them
    in again.
    """
    one_way(ids=bool(ids), job=job_id is not None, all_dead=all_dead or all_cancelled)
    if name is not None and not (all_dead or all_cancelled):
        raise click.UsageError("--queue goes with --all-dead or --all-cancelled")
    wanted: dict[TaskState, bool] = {"failed": all_dead, "cancelled": all_cancelled}
    states = tuple(state for state, is_wanted in wanted.items() if is_wanted)
    with queue_to_look_at() as queue:
        found = _select(queue, name, states) if states else _named(queue, ids, job_id)
        replayable = [task for task in found if task.state in _REPLAYABLE]
        over = jobs_that_are_over(replayable)
        chosen = [task.id for task in replayable if task.job_id not in over]
        not_kept = [task.id for task in replayable if task.job_id in over]
        replayed = 0
        if queue is not None and not dry_run:
            replayed = sum(queue.replay(task_ids=chunk) for chunk in _chunks(chosen))
    if as_json:
        count = len(chosen) if dry_run else replayed
        print_json({"dry_run": dry_run, "replayed": count, "ids": chosen, "not_kept": not_kept})
        return
    for task in found[:_SHOWN_IDS] if ids else []:
        if task.state not in _REPLAYABLE:
            say(f"task {task.id} is {task.state}: left as it is")
    if not_kept:
        say(f"left as they are: {_listed(not_kept)} of jobs that ended; run the same commands again")
    _say_when_not_all(found)
    if not chosen:
        say("nothing to retry")
    elif dry_run:
        say(f"would be retried: {_listed(chosen)}")
    else:
        say(f"retried: {_listed(chosen) if replayed == len(chosen) else _tasks(replayed)}")
        say_when_nobody_works()


@click.command()
@_ids
@_job
@click.option("--queue", "name", metavar="NAME", help="With --all: every unfinished task of this queue.")
@click.option("--all", "is_all", is_flag=True, help="Goes with --queue.")
@_dry_run
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json
def cancel(
    *,
    ids: tuple[int, ...],
    job_id: str | None,
    name: str | None,
    is_all: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Call tasks off; those at work are asked to stop.

    Asks before it cancels more than one, unless --yes; with --json it never asks and needs --yes. What is
    cancelled can be retried.
    """
    one_way(ids=bool(ids), job=job_id is not None, queue=name is not None)
    if is_all != (name is not None):
        raise click.UsageError("--queue and --all go together")
    with queue_to_look_at() as queue:
        found = _select(queue, name, _UNFINISHED) if name is not None else _named(queue, ids, job_id)
        chosen = [task.id for task in found if task.state in _UNFINISHED and task.stop_asked_at is None]
        at_work = sum(task.state == "leased" and task.stop_asked_at is None for task in found)
        if dry_run or queue is None:
            waiting = len(chosen) - at_work
        else:
            if len(chosen) > 1 and not yes:
                _ask(len(chosen), at_work, as_json=as_json)
            waiting, at_work = _cancel(queue, chosen)
    if as_json:
        print_json({"dry_run": dry_run, "cancelled": waiting, "asked_to_stop": at_work, "ids": chosen})
        return
    for task in found[:_SHOWN_IDS] if ids else []:
        if task.id not in chosen:
            state = "asked to stop already" if task.state == "leased" else task.state
            say(f"task {task.id} is {state}: left as it is")
    _say_when_not_all(found)
    if not chosen:
        say("nothing to cancel")
        return
    would = "would be " if dry_run else ""
    say(f"{would}cancelled: {_tasks(waiting)} that waited; {would}asked to stop: {_tasks(at_work)} at work")
    if not dry_run:
        say(f"undo: audobon queue retry {_way_back(chosen, job_id, name)}")


def _select(queue: "Queue | None", name: str | None, states: "Sequence[TaskState]") -> "list[TaskRecord]":
    if name is not None:
        rules_of(queue, name)
    return queue.select(queue=name, states=states, limit=MOST_TASKS) if queue is not None else []


def _named(queue: "Queue | None", ids: tuple[int, ...], job_id: str | None) -> "list[TaskRecord]":
    if job_id is not None:
        return tasks_of_job(queue, job_id)
    return [task_of(queue, task_id) for task_id in dict.fromkeys(ids)]


def _cancel(queue: "Queue", ids: Sequence[int]) -> tuple[int, int]:
    """Cancel tasks; return how many waited, and how many are at work and were asked to stop."""
    waiting = asked = 0
    for chunk in _chunks(ids):
        with queue.transaction():
            at_work = {
                task.id
                for task in queue.select(states=("leased",), limit=MOST_TASKS)
                if task.stop_asked_at is None
            }
            stopping = len(at_work.intersection(chunk))
            waiting += queue.cancel(task_ids=chunk, reason=_REASON) - stopping
            asked += stopping
    return waiting, asked


def _ask(count: int, at_work: int, *, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise InvalidInput(f"this would cancel {_tasks(count)}", hint="say --yes, or --dry-run to see them")
    working = f", {at_work} of them at work" if at_work else ""
    click.confirm(f"cancel {_tasks(count)}{working}?", abort=True, err=True)


def _say_when_not_all(found: "Sequence[TaskRecord]") -> None:
    if len(found) == MOST_TASKS:
        say(f"these are the newest {MOST_TASKS:,}: say it again for the rest")


def _chunks(ids: Sequence[int]) -> Iterator[list[int]]:
    rest = iter(ids)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def _tasks(count: int) -> str:
    return f"{count} task" + ("" if count == 1 else "s")


def _listed(ids: Sequence[int]) -> str:
    if not ids:
        return _tasks(0)
    shown = ", ".join(map(str, ids[:_SHOWN_IDS])) + (" ..." if len(ids) > _SHOWN_IDS else "")
    return f"{_tasks(len(ids))} ({shown})"


def _way_back(ids: Sequence[int], job_id: str | None, name: str | None) -> str:
    if job_id is not None:
        return printable(f"--job {job_id}")
    return f"--all-cancelled --queue {name}" if name is not None else " ".join(map(str, ids))
