"""`audobon backup schedule`: backups, proofs and drills that come again and again."""

import re

import click

from audobon.cli.terminal import print_json, say

KINDS = {"now": "0 1 * * *", "drill": "0 3 * * *", "verify": "0 5 * * 0"}
"""What is scheduled when nothing else is said, in UTC: a backup and a drill each night, a proof each week."""

_EVERY = re.compile(r"(\d{1,2})([mh])", re.ASCII)


@click.command(short_help="Have backups, drills and proofs made again and again.")
@click.argument("kind", required=False, type=click.Choice(list(KINDS)))
@click.option("--every", metavar="TIME", help="Such as 30m, 1h, 6h: at whole multiples of it.")
@click.option("--cron", metavar="LINE", help='Such as "0 1 * * *", in UTC.')
@click.option("--remove", "is_removing", is_flag=True, help="Take the schedule away again.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; instants are UTC seconds.")
def schedule(
    kind: str | None, *, every: str | None, cron: str | None, is_removing: bool, as_json: bool
) -> None:
    """Have backups (now), drills and proofs (verify) made again and again by the engine.

    Without KIND, all three: a backup and a drill each night, a proof of every byte each week. A running
    engine does what is due (audobon up); `audobon queue schedule list` shows the schedules.
    """
    from audobon.app import open_app
    from audobon.cli.queue_words import moment
    from audobon.errors import InvalidInput, ScheduleNotFound
    from audobon.queue.schedule import Schedule
    from audobon.queue.tasks import Needs

    if kind is None and (every or cron):
        raise InvalidInput("say what is to come so often", hint=f"one of: {', '.join(KINDS)}")
    if every and cron:
        raise InvalidInput("--every and --cron say the same in two ways", hint="leave one out")
    kinds = [kind] if kind else list(KINDS)
    put = []
    with open_app().queue() as queue, queue.transaction():
        for each in kinds:
            name = f"backup-{each}"
            if is_removing:
                if any(found.name == name for found in queue.schedules()):
                    queue.remove_schedule(name)
                elif kind:
                    raise ScheduleNotFound(
                        f"there is no schedule {name!r}", hint="audobon queue schedule list"
                    )
                continue
            line = cron or (_cron_of(every) if every else KINDS[each])
            wanted = Schedule(
                name=name, queue="maintenance", needs=Needs(kind=name), cron=line, misfire="once"
            )
            put.append(queue.put_schedule(wanted))
    if as_json:
        gone = [f"backup-{each}" for each in kinds] if is_removing else []
        print_json({"schedules": put, "removed": gone})
        return
    if is_removing:
        say("removed: " + ", ".join(f"backup-{each}" for each in kinds))
    for found in put:
        say(f"{found.name}: {found.cron} UTC; it runs next {moment(found.next_at)[:-3]}, time of this place")


def _cron_of(every: str) -> str:
    """Return the cron line of "30m" or "6h"."""
    from audobon.errors import InvalidInput

    match = _EVERY.fullmatch(every)
    count = int(match[1]) if match else 0
    if match and match[2] == "m" and 5 <= count <= 30 and 60 % count == 0:
        return f"*/{count} * * * *"
    if match and match[2] == "h" and 1 <= count <= 24 and 24 % count == 0:
        return "0 0 * * *" if count == 24 else f"0 */{count} * * *"
    raise InvalidInput(
        f"{every!r} does not divide an hour or a day evenly", hint="such as 15m, 30m, 1h, 6h, 24h; or --cron"
    )
