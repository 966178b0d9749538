"""`audobon database migrate`: bring the database up to date, see what that would do, or go back."""

import sys
from typing import TYPE_CHECKING

import click
import msgspec

from audobon.cli.terminal import print_json, say
from audobon.errors import AlreadyRunning, InvalidInput

if TYPE_CHECKING:
    from audobon.app import App
    from audobon.database.migrate import MigrationPlan


@click.command(short_help="Bring the database up to date, or back to before.")
@click.option("--dry-run", is_flag=True, help="Only check it, and tell what would be done.")
@click.option("--undo", is_flag=True, help="Put back the copy from before it was last brought up to date.")
@click.option("--yes", is_flag=True, help="With --undo, do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what was, or would be, done as JSON.")
def migrate(*, dry_run: bool, undo: bool, yes: bool, as_json: bool) -> None:
    """Bring the database up to date; any command does so by itself when it needs to.

    First it is checked, page by page, and a copy of it is kept in the folder "before-migration" of the data
    folder; the newest 3 stay. Each revision is done whole or not at all, whatever happens meanwhile.

    There is no way back through the revisions. --undo puts back the copy from before, for use with the
    Audobon from before; what was recorded since is kept as a copy too.
    """
    from audobon.app import open_app

    app = open_app()
    if undo:
        if dry_run:
            raise InvalidInput("--undo cannot be tried", hint="leave out --dry-run or --undo")
        _undo(app, asks=not yes, as_json=as_json)
        return
    plan = app.database.migration()
    if plan is not None and not dry_run:
        app.database.open().close()
    if as_json:
        print_json(msgspec.to_builtins({"is_dry_run": dry_run, "plan": plan}, enc_hook=str))
    elif plan is None:
        say(
            f"{app.database.path} is up to date" if app.database.path.exists() else "there is no database yet"
        )
    else:
        _tell(plan, is_done=not dry_run)


def _tell(plan: "MigrationPlan", *, is_done: bool) -> None:
    megabytes = f"{plan.size_bytes / 1e6:.1f} MB"
    for number, purpose in plan.revisions:
        click.echo(f"{number}  {purpose}")
    if is_done:
        say(f"{plan.path} was brought up to date; the copy from before is in {plan.copies}")
        return
    say(
        f"would bring {plan.path} ({megabytes}) from {plan.revision or 'nothing'} to {plan.revisions[-1][0]}"
        f" in about {plan.estimated_seconds:.0f} s; a copy of {megabytes} would be kept in {plan.copies}"
    )


def _undo(app: "App", *, asks: bool, as_json: bool) -> None:
    pid = app.engine_pid()
    if pid is not None:
        raise AlreadyRunning(
            f"the engine of {app.folder} runs in process {pid}", hint="stop it, and try again"
        )
    if asks:
        if as_json or not sys.stdin.isatty():
            raise InvalidInput(
                "this would put back the database from before it was brought up to date", hint="say --yes"
            )
        click.confirm("put back the database from before it was brought up to date?", abort=True, err=True)
    back, kept = app.database.undo_migration()
    if as_json:
        print_json(msgspec.to_builtins({"put_back": back, "kept": kept}, enc_hook=str))
        return
    say(f"put back {back.path}, of schema {back.revision}; what was there is kept as {kept.path}")
    say("use the Audobon from before now: this one brings the database up to date again when it opens it")
