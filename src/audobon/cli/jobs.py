"""`audobon jobs`: what was done, what was left half done."""

import shutil
import sys
from typing import TYPE_CHECKING

import click

from audobon.cli.terminal import one_line, print_json, printable, say

if TYPE_CHECKING:
    from audobon.jobs.records import JobSummary

# Narrower, a path tells nothing: then the terminal breaks the lines.
_LEAST_PATH_CELLS = 10


@click.group()
def jobs() -> None:
    """List, show and discard jobs."""


@jobs.command("list")
@click.option("--unfinished", is_flag=True, help="Only jobs that can be gone on with.")
@click.option("--json", "as_json", is_flag=True, help="Print the jobs as JSON.")
def list_jobs(*, unfinished: bool, as_json: bool) -> None:
    """List jobs, newest first.

    interrupted: the same command goes on with it. partial: some pages failed; the same command with
    --overwrite does them again. A job is named by when it was begun, in UTC.
    """
    from audobon.app import open_app

    found = open_app().jobs.list(only_unfinished=unfinished)
    if as_json:
        print_json(found)
        return
    if not found:
        say("no jobs; start with: audobon run upscale page.png -o page-print.png")
    else:
        cells = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo("\n".join(table(found, cells=cells)))


def table(found: "list[JobSummary]", *, cells: int | None) -> list[str]:
    """Return jobs as lines under headings.

    cells  width of the terminal: paths are cut in the middle until the lines fit; None leaves them whole
    """
    from audobon.cli.queue_words import columns

    headings = ("job", "state", "does", "pages", "from", "to")
    facts = [(job.id, job.state, job.operation, f"{job.pages_done}/{job.pages}") for job in found]
    room = None
    if cells is not None:
        taken = max(map(len, columns(headings[:4], facts)))
        room = max(_LEAST_PATH_CELLS, (cells - taken - 4) // 2)
    rows = [
        (*fact, _path(job.source, room), _path(job.target or "", room))
        for fact, job in zip(facts, found, strict=True)
    ]
    return columns(headings, rows, right=("pages",))


def _path(path: str, cells: int | None) -> str:
    from audobon.cli.queue_words import shortened

    return path if cells is None else shortened(one_line(path), cells)


@jobs.command()
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="Print the job as JSON.")
def show(job: str, *, as_json: bool) -> None:
    """Show one job with its pages."""
    from audobon.app import open_app

    found = open_app().jobs.show(job)
    if as_json:
        print_json(found)
        return
    settings = ", ".join(f"{name} {value}" for name, value in found["settings"].items())
    for name in ("id", "state", "operation", "source", "target"):
        click.echo(printable(f"{name:<10} {found[name] or ''}".rstrip()))
    click.echo(f"settings   {settings}")
    for page in found["pages"]:
        click.echo(printable(f"  {page['state']:<7} {page['name']}  {page['message'] or ''}".rstrip()))


@jobs.command(short_help="Forget a job, and the finished pages kept for it.")
@click.argument("job", required=False)
@click.option("--finished", is_flag=True, help="Forget all jobs that are done or failed.")
@click.option("--dry-run", "is_dry", is_flag=True, help="With --finished: only say how many would go.")
def discard(job: str | None, *, finished: bool, is_dry: bool) -> None:
    """Forget a job that is not running, and free the finished pages kept for it.

    Output that was already written stays where it is.
    """
    from audobon.app import open_app
    from audobon.cli.queue_words import counted

    jobs = open_app().jobs
    if finished == (job is not None):
        raise click.UsageError("name one job, or say --finished")
    if is_dry and not finished:
        raise click.UsageError("--dry-run goes with --finished")
    if is_dry:
        ended = sum(each.state in ("done", "failed") for each in jobs.list())
        say(f"would be forgotten: {counted(ended, 'finished job')}")
    elif job is None:
        count = jobs.discard_finished()
        say(f"{counted(count, 'finished job')} {'is' if count == 1 else 'are'} forgotten")
    else:
        say(f"job {job} is forgotten; {jobs.discard(job) / 1e6:.1f} MB came free")
