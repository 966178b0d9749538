"""`audobon jobs`: what was done, what was left half done."""

import time

import click

from audobon.cli.terminal import print_json, printable, say


@click.group()
def jobs() -> None:
    """List, show and discard jobs."""


@jobs.command("list")
@click.option("--unfinished", is_flag=True, help="Only jobs that can be gone on with.")
@click.option("--json", "as_json", is_flag=True, help="Print the jobs as JSON.")
def list_jobs(*, unfinished: bool, as_json: bool) -> None:
    """List jobs, newest first.

    interrupted: the same command goes on with it. partial: some pages failed; the same command with
    --overwrite does them again.
    """
    from audobon.app import open_app

    found = open_app().jobs.list(only_unfinished=unfinished)
    if as_json:
        print_json(found)
        return
    if not found:
        say("no jobs; start with: audobon run upscale page.png -o page-print.png")
    for job in found:
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.created_at))
        pages = f"{job.pages_done}/{job.pages} pages"
        route = job.source if job.target is None else f"{job.source} -> {job.target}"
        click.echo(printable(f"{job.id}  {moment}  {job.state:<11}  {job.operation:<8} {pages:<14} {route}"))


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


@jobs.command()
@click.argument("job", required=False)
@click.option("--finished", is_flag=True, help="Forget all jobs that are done or failed.")
def discard(job: str | None, *, finished: bool) -> None:
    """Forget a job that is not running, and free the finished pages kept for it.

    Output that was already written stays where it is.
    """
    from audobon.app import open_app

    jobs = open_app().jobs
    if finished == (job is not None):
        raise click.UsageError("name one job, or say --finished")
    if job is None:
        say(f"{jobs.discard_finished()} finished jobs are forgotten")
    else:
        say(f"job {job} is forgotten; {jobs.discard(job) / 1e6:.1f} MB came free")
