"""`audobon queue`: what waits, what is at work, what failed; and letting queues run, pause or drain."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from audobon.cli.queue_access import (
    NOTHING,
    names_of,
    queue_to_change,
    queue_to_look_at,
    rules_of,
    say_when_nobody_works,
    task_id_of,
    task_of,
    tasks_of_job,
)
from audobon.cli.queue_dead import dead
from audobon.cli.queue_rules import configure
from audobon.cli.queue_schedule import schedule
from audobon.cli.queue_tasks import cancel, retry
from audobon.cli.queue_watch import watch
from audobon.cli.terminal import print_json, printable, say

if TYPE_CHECKING:
    from audobon.queue.port import Queue
    from audobon.queue.tasks import QueueState, TaskRecord, TaskState

_SHORT_JSON = 60
_STATES = ("waiting", "ready", "leased", "done", "failed", "cancelled")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON; instants are UTC seconds.")


@click.group("queue", short_help="Look after what waits, is at work and failed.")
def queue_group() -> None:
    """Look after the queue: list, watch, pause, retry, cancel, schedule.

    \b
    A task is one page of a job, or one act of upkeep. It is
      waiting    not yet due
      ready      to be taken up
      leased     at work
      done       finished
      failed     a dead letter: given up, kept with its reason until retried
      cancelled  called off, and can be retried
    """


@queue_group.command("list")
@click.option("--tasks", "of_tasks", is_flag=True, help="List tasks, newest first, not queues.")
@click.option("--queue", "name", metavar="NAME", help="Only this queue.")
@click.option(
    "--state", "states", type=click.Choice(_STATES), multiple=True, help="Only tasks in this state."
)
@click.option("--job", "job_id", metavar="JOB", help="Only tasks of this job.")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many tasks.  [default: 50]"
)
@_json
def list_queue(
    *,
    of_tasks: bool,
    name: str | None,
    states: "tuple[TaskState, ...]",
    job_id: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the queues, or the tasks in them.

    oldest: how long the oldest ready task has waited. done/min, failed/min: within the last minute.
    --state, --job and --limit mean --tasks.
    """
    if of_tasks or states or job_id is not None or limit is not None:
        _list_tasks(name, states, job_id, limit or 50, as_json=as_json)
        return
    with queue_to_look_at() as queue:
        if name is not None:
            rules_of(queue, name)
        figures = [each for each in (queue.figures() if queue else []) if name in (None, each.queue)]
        pools = queue.pools() if queue else []
    if as_json:
        print_json({"queues": figures, "pools": pools})
        return
    if queue is None:
        say(NOTHING)
        return
    from audobon.cli.queue_words import QUEUE_HEADINGS, columns, pool_in_words, queue_cells

    rows = [queue_cells(each) for each in figures]
    click.echo("\n".join(columns(QUEUE_HEADINGS, rows, right=QUEUE_HEADINGS[2:])))
    for pool in pools:
        click.echo(printable(pool_in_words(pool)))
    if any(each.ready and each.state != "pause" for each in figures):
        say_when_nobody_works()


def _list_tasks(
    name: str | None, states: "tuple[TaskState, ...]", job_id: str | None, limit: int, *, as_json: bool
) -> None:
    with queue_to_look_at() as queue:
        if name is not None:
            rules_of(queue, name)
        found = queue.select(queue=name, states=states, job_id=job_id, limit=limit) if queue else []
        if job_id is not None and not found:
            tasks_of_job(queue, job_id)
    names = names_of(found)
    if as_json:
        print_json([names.facts(task) for task in found])
        return
    if not found:
        say(NOTHING if queue is None else "no such tasks")
        return
    from audobon.cli.queue_words import columns, moment

    headings = ("id", "queue", "state", "tries", "done", "enqueued", "what", "job")
    rows = [
        (
            str(task.id),
            task.queue,
            task.state,
            f"{task.attempt}/{task.max_attempts}",
            f"{task.done_units}/{task.total_units}",
            moment(task.enqueued_at)[5:],
            names.of(task),
            task.job_id or "",
        )
        for task in found
    ]
    click.echo("\n".join(columns(headings, rows, right=("id", "tries", "done"))))
    if len(found) == limit:
        say(f"these are the newest {limit}, and there may be more: --limit")


@queue_group.command()
@click.argument("task_id", metavar="ID", type=task_id_of)
@_json
def show(task_id: int, *, as_json: bool) -> None:
    """Show one task whole, with what happened to it.

    Times are those of this place.
    """
    with queue_to_look_at() as queue:
        task = task_of(queue, task_id)
        events = queue.events(task_id=task_id) if queue else []
        pids = {owner.name: owner.pid for owner in queue.owners()} if queue else {}
    names = names_of([task])
    if as_json:
        print_json({**names.facts(task), "events": events})
        return
    from audobon.cli.queue_words import history, moment

    for label, value in _rows_of(task, names.of(task), pids.get(task.owner or "")):
        click.echo(f"{label:<9} {printable(value)}")
    click.echo("\nhistory")
    for at, words in history(task, events):
        click.echo(f"  {moment(at)}  {words}")


def _rows_of(task: "TaskRecord", name: str, pid: int | None) -> list[tuple[str, str]]:
    """Return what is to be said of a task, without what is not there."""
    from audobon.cli.queue_words import amount, counted, moment, with_reason

    graphics = f" and {amount(task.vram_bytes)} of graphics memory" if task.vram_bytes else ""
    device = "any device" if task.device == "any" else task.device
    rows: list[tuple[str, str | None]] = [
        ("task", str(task.id)),
        ("what", None if name == task.kind else name),
        ("state", "failed: a dead letter" if task.state == "failed" else task.state),
        ("queue", f"{task.queue}, priority {task.priority}"),
        ("kind", task.kind),
        ("model", task.model),
        ("job", task.job_id and f"{task.job_id}, entry {task.ordinal}"),
        ("key", task.idempotency_key),
        ("needs", f"{amount(task.ram_bytes)} of memory{graphics}, {device}"),
        ("attempts", f"{task.attempt} of {task.max_attempts}"),
        ("progress", f"{task.done_units} of {counted(task.total_units, 'unit')}"),
        (
            "worker",
            task.owner and f"{task.owner if pid is None else f'pid {pid}'}, on {task.pool or 'any pool'}",
        ),
        ("due", moment(task.run_at) if task.state == "waiting" else None),
        ("deadline", None if task.deadline_at is None else moment(task.deadline_at)),
        ("stopping", None if task.stop_asked_at is None else f"asked to stop {moment(task.stop_asked_at)}"),
        ("error", task.error_code and with_reason(task.error_code, task.error_message or "")),
        ("payload", None if task.payload == "{}" else _spread(task.payload)),
        ("result", task.result and _spread(task.result)),
        ("blob", task.result_blob),
    ]
    return [(label, value) for label, value in rows if value]


def _spread(text: str) -> str:
    """Return JSON that a task carries, indented when it is long; JSON within its texts is spread too."""
    import msgspec

    if len(text) <= _SHORT_JSON:
        return text

    def unfolded(value: object) -> object:
        if isinstance(value, dict):
            return {key: unfolded(inner) for key, inner in value.items()}
        if isinstance(value, str) and value.startswith("{"):
            with suppress(msgspec.DecodeError):
                return unfolded(msgspec.json.decode(value))
        return value

    try:
        spread = msgspec.json.format(msgspec.json.encode(unfolded(msgspec.json.decode(text))), indent=2)
    except msgspec.DecodeError:
        return text
    return spread.decode().replace("\n", "\n" + " " * 10)


def _names_to_set(queue: "Queue", names: tuple[str, ...], *, is_all: bool) -> list[str]:
    if is_all == bool(names):
        raise click.UsageError("name queues, or say --all")
    return [rules_of(queue, name).name for name in names] or [rules.name for rules in queue.rules()]


def _set_state(names: tuple[str, ...], state: "QueueState", *, is_all: bool, as_json: bool) -> None:
    with queue_to_change() as queue:
        with queue.transaction():
            chosen = _names_to_set(queue, names, is_all=is_all)
            for name in chosen:
                queue.set_state(name, state)
            figures = [each for each in queue.figures() if each.queue in chosen]
        # Workers that wait are told that there may be something for them.
        queue.wake()
    if as_json:
        print_json(figures)
        return
    from audobon.cli.queue_words import counted

    for each in figures:
        if state == "run":
            say(f"{each.queue} is running: it takes tasks and hands them out")
        elif state == "pause":
            verb = "goes" if each.leased == 1 else "go"
            going_on = f"; {counted(each.leased, 'task')} at work {verb} on" if each.leased else ""
            say(f"{each.queue} is paused: it takes tasks, and hands out none{going_on}")
        else:
            left = each.ready + each.waiting + each.leased
            finishing = f"finishes the {counted(left, 'task')} it has" if left else "has no tasks"
            say(f"{each.queue} is draining: it {finishing}, and takes none")
    if state != "run":
        say(f"undo: audobon queue resume {' '.join(each.queue for each in figures)}")


def _state_command(name: str, state: "QueueState", words: str) -> None:
    @click.argument("names", metavar="QUEUE...", nargs=-1)
    @click.option("--all", "is_all", is_flag=True, help="Every queue.")
    @_json
    def command(names: tuple[str, ...], **options: Any) -> None:
        _set_state(names, state, **options)

    queue_group.command(name, help=words)(command)


_state_command(
    "pause",
    "pause",
    "Pause queues: they take tasks and hand out none.\n\n"
    "What is at work goes on to its end. Nothing is lost; tasks wait until `audobon queue resume`.",
)
_state_command("resume", "run", "Let queues run again: they take tasks and hand them out.")
_state_command(
    "drain",
    "drain",
    "Drain queues: they finish the tasks they have and take none.\n\n"
    "Whoever adds a task meanwhile is refused, so `audobon run` ends with status 5. The runs of schedules"
    " that fall due meanwhile are left out.",
)
for _command in (watch, retry, cancel, dead, schedule, configure):
    queue_group.add_command(_command)
