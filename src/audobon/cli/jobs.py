"""`audobon jobs`: what was done, what was left half done."""

import time

import click

from audobon.cli.terminal import print_json, printable, say


@click.group()
def jobs() -> None:
    """List, show and discard jobs."""


@jobs.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the jobs as JSON.")
def list_jobs(*, as_json: bool) -> None:
    """List all jobs, newest first."""
    from audobon.app import open_app

    found = open_app().jobs.list()
    if as_json:
        print_json(found)
        return
    if not found:
        say("no jobs yet; start with: audobon run upscale page.png -o page-print.png")
    for job in found:
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.created_at))
        pages = f"{job.pages_done}/{job.pages} pages"
        click.echo(
            printable(f"{job.id}  {moment}  {job.state:<11}  {job.operation:<8} {pages:<14} {job.source}")
        )


@jobs.command()
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="Print the job as JSON.")
def show(job: str, *, as_json: bool) -> None:
    """Show one job with its report."""
    from audobon.app import open_app

    found = open_app().jobs.show(job)
    if as_json:
        print_json(found)
        return
    report = found["report"] or {}
    for name in ("id", "state", "operation", "settings", "source", "target"):
        click.echo(printable(f"{name:<10} {found[name]}"))
    for page in report.get("pages", []):
        words = page.get("message") or f"{page.get('width')}×{page.get('height')}, {page.get('seconds', 0)} s"
        click.echo(printable(f"  {page['state']:<7} {page['name']}  {words}"))


@jobs.command()
@click.argument("job")
def discard(job: str) -> None:
    """Forget a job that is not running, and free the finished pages kept for it.

    Output that was already written stays where it is.
    """
    from audobon.app import open_app

    freed = open_app().jobs.discard(job)
    say(f"job {job} is forgotten; {freed / 1e6:.1f} MB came free")
