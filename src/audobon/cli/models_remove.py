"""`audobon models remove | restore`: puts models of the user's own aside, and brings them back."""

import sys

import click

from audobon.cli.terminal import print_json, say
from audobon.errors import InvalidInput


@click.command("remove")
@click.argument("name")
@click.option("--purge", is_flag=True, help="For good, with everything of that name that could be restored.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", is_flag=True, help="With --purge: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def remove_model(name: str, *, purge: bool, is_dry: bool, yes: bool, as_json: bool) -> None:
    """Remove a model of your own; it can be restored for 30 days.

    --purge asks before it deletes a model that was not removed before, unless --yes; with --json it never
    asks and needs --yes.
    """
    from audobon.app import open_app
    from audobon.models.own_models import KEPT_DAYS, OwnModels

    own = OwnModels(open_app().models_folder)
    freed_bytes = 0
    if purge:
        is_live, copies, size_bytes = own.look(name)
        doomed = _doomed(name, copies, is_live=is_live)
        if is_dry:
            freed_bytes = size_bytes
            words = f"would be gone for good: {doomed}; {size_bytes / 1e6:.1f} MB"
        else:
            if is_live and not yes:
                _ask(doomed, as_json=as_json)
            freed_bytes = own.purge(name, is_live_too=is_live)
            words = f"{name} is gone for good; {freed_bytes / 1e6:.1f} MB came free"
    elif is_dry:
        own.check_live(name)
        words = f"{name} would be removed, and could be restored for {KEPT_DAYS} days"
    else:
        own.remove(name)
        words = f"{name} is removed; for {KEPT_DAYS} days it comes back with: audobon models restore {name}"
    if as_json:
        print_json({"name": name, "is_purged": purge, "freed_bytes": freed_bytes, "is_dry_run": is_dry})
    say(words)


def _doomed(name: str, copies: int, *, is_live: bool) -> str:
    """Return what purging deletes."""
    from audobon.cli.queue_words import counted

    removed = counted(copies, "removed model") + f" of the name {name}"
    if not is_live:
        return removed
    return f"the model {name}" + (f" and {removed}" if copies else "")


def _ask(doomed: str, *, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise InvalidInput(
            f"this would delete {doomed} for good", hint="say --yes, or leave out --purge to keep a way back"
        )
    click.confirm(f"delete {doomed} for good?", abort=True, err=True)


@click.command("restore", short_help="Bring back a model that was removed or replaced.")
@click.argument("name", required=False)
@click.option("--replace", is_flag=True, help="Exchange it for the model that has the name now.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def restore_model(name: str | None, *, replace: bool, as_json: bool) -> None:
    """Bring back the model of that name which was removed or replaced last.

    Without NAME, list what can be brought back.
    """
    from audobon.app import open_app
    from audobon.cli.durations import span
    from audobon.clock import utc_now
    from audobon.models.own_models import OwnModels

    own = OwnModels(open_app().models_folder)
    if name is not None:
        was_exchanged = own.restore(name, replace=replace)
        if as_json:
            print_json({"name": name, "is_replaced": was_exchanged})
        say(f"{name} is back" + ("; what had its name is kept in its place" if was_exchanged else ""))
        return
    found = own.removed()
    if as_json:
        print_json(found)
        return
    if not found:
        say("no removed models")
    for item in found:
        age = span(max(0.0, utc_now() - item.removed_at))
        click.echo(f"{item.name}  {item.size_bytes / 1e6:.1f} MB  removed {age} ago")
