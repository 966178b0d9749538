"""`audobon queue dead`: tasks that were given up, and forgetting what ended long ago."""

from contextlib import suppress

import click

from audobon.cli.durations import parse_duration
from audobon.cli.queue_access import NOTHING, names_of, queue_to_look_at, rules_of
from audobon.cli.terminal import print_json, printable, say


@click.command()
@click.option("--queue", "name", metavar="NAME", help="Only those of this queue.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, metavar="N")
@click.option("--prune", is_flag=True, help="Forget what ended long ago.")
@click.option("--older-than", type=parse_duration, metavar="SPAN", help="With --prune: how long ago, as 30d.")
@click.option("--dry-run", is_flag=True, help="With --prune: only say what would be forgotten.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; instants are UTC seconds.")
def dead(
    *,
    name: str | None,
    limit: int,
    prune: bool,
    older_than: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """List dead letters, with when and why.

    --prune forgets for good the tasks that ended longer ago than --older-than and belong to no job: dead
    letters, and done and cancelled tasks with them. Those of a job go with it: audobon jobs discard JOB.
    """
    if prune != (older_than is not None):
        raise click.UsageError("--prune and --older-than go together")
    if dry_run and not prune:
        raise click.UsageError("--dry-run goes with --prune")
    if older_than is not None:
        if name is not None:
            raise click.UsageError("--prune takes all queues")
        _prune(older_than, dry_run=dry_run, as_json=as_json)
        return
    with queue_to_look_at() as queue:
        if name is not None:
            rules_of(queue, name)
        found = queue.select(queue=name, states=("failed",), limit=limit) if queue else []
        figures = queue.figures() if queue else []
    names = names_of(found)
    if as_json:
        print_json([names.facts(task) for task in found])
        return
    if not found:
        say(NOTHING if queue is None else "no dead letters")
        return
    from audobon.cli.queue_words import columns, moment, with_reason

    rows = [
        (
            str(task.id),
            task.queue,
            names.of(task),
            f"{task.attempt}/{task.max_attempts}",
            moment(task.finished_at or task.enqueued_at)[:-3],
            with_reason(task.error_code or "", task.error_message or ""),
        )
        for task in found
    ]
    headings = ("id", "queue", "what", "tries", "given up", "reason")
    click.echo("\n".join(columns(headings, rows, right=("id", "tries"))))
    total = sum(each.dead for each in figures if name in (None, each.queue))
    if total > len(found):
        say(f"these are the newest {len(found)} of {total}; --limit shows more")
    only = "" if name is None else f" --queue {name}"
    say(f"retry them: audobon queue retry --all-dead{only}, or: audobon queue retry {found[0].id}")
    job_id = next((task.job_id for task in found if task.job_id is not None), None)
    if job_id is not None:
        say(printable(f"dismiss those of a job: audobon jobs discard {job_id}"))
    if any(task.job_id is None for task in found):
        say("dismiss those without a job: audobon queue dead --prune --older-than 1d")


class _OnlyTried(Exception):
    """Undoes what was only tried."""


def _prune(older_than_seconds: float, *, dry_run: bool, as_json: bool) -> None:
    from audobon.cli.queue_words import counted
    from audobon.clock import utc_now

    before = utc_now() - older_than_seconds
    forgotten = 0
    with queue_to_look_at() as queue:
        if queue is not None:
            with suppress(_OnlyTried), queue.transaction():
                forgotten = queue.prune(finished_before=before)
                if dry_run:
                    raise _OnlyTried
    if as_json:
        print_json({"dry_run": dry_run, "forgotten": forgotten})
    else:
        say(f"{'would be ' if dry_run else ''}forgotten: {counted(forgotten, 'task')}")
