"""`audobon queue schedule`: upkeep that comes again and again."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from audobon.cli.queue_access import queue_to_change, queue_to_look_at, rules_of, say_when_nobody_works
from audobon.cli.terminal import one_line, print_json, printable, say
from audobon.compute.maintenance_kinds import MAINTENANCE_KINDS
from audobon.errors import Conflict, InvalidInput, ScheduleNotFound

if TYPE_CHECKING:
    from audobon.queue.port import Queue
    from audobon.queue.schedule import Misfire, Schedule

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON; instants are UTC seconds.")
_KINDS_IN_WORDS = "\n".join(f"  {kind:<15} {words}" for kind, words in MAINTENANCE_KINDS.items())


@click.group()
def schedule() -> None:
    """Plan upkeep: tasks that are added again and again.

    A running engine adds what is due (audobon up), and so does `audobon queue schedule run`.
    """


@schedule.command("list")
@_json
def list_schedules(*, as_json: bool) -> None:
    """List schedules with their next runs, in the time of this place."""
    with queue_to_look_at() as queue:
        found = queue.schedules() if queue else []
    if as_json:
        print_json(found)
        return
    if not found:
        say(
            "no schedules; begin with:"
            ' audobon queue schedule add nightly --cron "0 3 * * *" --kind sweep-blobs'
        )
        return
    from audobon.cli.queue_words import columns, moment

    rows = [
        (
            each.name,
            f"{each.cron} UTC",
            each.needs.kind,
            each.queue,
            each.misfire,
            "paused" if each.is_paused else moment(each.next_at)[:-3],
        )
        for each in found
    ]
    click.echo("\n".join(columns(("name", "when", "kind", "queue", "missed", "next"), rows)))


@schedule.command(
    help="Add a schedule.\n\n"
    "--cron has five fields: minute hour day month weekday, in UTC.\n\n"
    "\b\n--kind is one of:\n" + _KINDS_IN_WORDS + "\n\n"
    "\b\n--misfire says what becomes of runs missed while nothing ran:\n"
    "  skip  none of them\n  once  one run for all of them\n  all   each of them"
)
@click.argument("name")
@click.option("--cron", required=True, metavar="LINE", help='When, such as "0 3 * * *".')
@click.option("--kind", required=True, metavar="KIND", help="What is to be done.")
@click.option("--queue", "of_queue", metavar="QUEUE", default="maintenance", show_default=True)
@click.option("--misfire", type=click.Choice(["skip", "once", "all"]), default="once", show_default=True)
@click.option("--payload", metavar="JSON", default="{}", help="A JSON object for the task.")
@click.option("--replace", "is_replaced", is_flag=True, help="Replace a schedule of this name.")
@_json
def add(
    name: str,
    *,
    cron: str,
    kind: str,
    of_queue: str,
    misfire: "Misfire",
    payload: str,
    is_replaced: bool,
    as_json: bool,
) -> None:
    """Add a schedule."""
    from audobon.queue.schedule import Schedule
    from audobon.queue.tasks import Needs

    _check_kind(kind)
    _check_payload(payload)
    if not name.strip() or one_line(name) != name:
        raise InvalidInput(f"{name!r} cannot be the name of a schedule", hint="a word such as nightly")
    wanted = Schedule(
        name=name, queue=of_queue, needs=Needs(kind=kind), cron=cron, payload=payload, misfire=misfire
    )
    with queue_to_change() as queue, queue.transaction():
        rules_of(queue, of_queue)
        if not is_replaced and any(each.name == name for each in queue.schedules()):
            raise Conflict(
                f"there is a schedule {name!r} already", hint="say --replace, or take another name"
            )
        _tell(queue.put_schedule(wanted), as_json=as_json)


@schedule.command()
@click.argument("name")
@_json
def remove(name: str, *, as_json: bool) -> None:
    """Forget a schedule; tasks it has added stay."""
    with _one_schedule(name) as (queue, _):
        queue.remove_schedule(name)
    if as_json:
        print_json({"removed": name})
    else:
        say(f"{name} is removed")


@schedule.command()
@click.argument("name")
@_json
def pause(name: str, *, as_json: bool) -> None:
    """Let a schedule add nothing until it is resumed."""
    _set_paused(name, is_paused=True, as_json=as_json)


@schedule.command()
@click.argument("name")
@_json
def resume(name: str, *, as_json: bool) -> None:
    """Let a schedule go on; what fell into its pause is not made up for."""
    _set_paused(name, is_paused=False, as_json=as_json)


@schedule.command(short_help="Add the task of a schedule now, or all that is due.")
@click.argument("name", required=False)
@_json
def run(name: str | None, *, as_json: bool) -> None:
    """Add the task of a schedule now, whenever it is due; without NAME, all that is due."""
    if name is None:
        with queue_to_look_at() as maybe:
            count = maybe.run_schedules() if maybe else 0
        if as_json:
            print_json({"added": count, "ids": []})
        else:
            say(f"added: {count} due")
            if count:
                say_when_nobody_works()
        return
    from audobon.queue.tasks import NewTask

    with _one_schedule(name) as (queue, found):
        task = NewTask(needs=found.needs, payload=found.payload, priority=found.priority)
        ids = queue.enqueue(found.queue, [task])
    if as_json:
        print_json({"added": 1, "ids": ids})
    else:
        say(f"added to {found.queue}: task {ids[0]}; see: audobon queue show {ids[0]}")
        say_when_nobody_works()


def _set_paused(name: str, *, is_paused: bool, as_json: bool) -> None:
    import msgspec

    with _one_schedule(name) as (queue, found), queue.transaction():
        _tell(queue.put_schedule(msgspec.structs.replace(found, is_paused=is_paused)), as_json=as_json)


@contextmanager
def _one_schedule(name: str) -> "Iterator[tuple[Queue, Schedule]]":
    """Open the queue and find a schedule; ScheduleNotFound, with the nearest name, when there is none."""
    with queue_to_look_at() as queue:
        known = {each.name: each for each in (queue.schedules() if queue else [])}
        if queue is None or name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            raise ScheduleNotFound(
                f"there is no schedule {name!r}",
                hint=f"did you mean {near[0]}?" if near else "audobon queue schedule list",
            )
        yield queue, known[name]


def _check_kind(kind: str) -> None:
    if kind not in MAINTENANCE_KINDS:
        known = ", ".join(MAINTENANCE_KINDS)
        near = difflib.get_close_matches(kind, MAINTENANCE_KINDS, n=1, cutoff=0.5)
        guess = f" (nearest: {near[0]})" if near else ""
        raise InvalidInput(f"no upkeep is named {kind!r}{guess}", hint=f"one of: {known}")


def _check_payload(payload: str) -> None:
    import msgspec

    try:
        msgspec.json.decode(payload, type=dict)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"the payload is not a JSON object: {error}", hint="such as '{}'") from error


def _tell(put: "Schedule", *, as_json: bool) -> None:
    if as_json:
        print_json(put)
        return
    from audobon.cli.queue_words import moment

    when = "it is paused" if put.is_paused else f"it runs next {moment(put.next_at)[:-3]}, time of this place"
    say(printable(f"{put.name}: {put.needs.kind} in {put.queue}; {when}"))
