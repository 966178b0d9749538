"""`audobon models remove | restore`: puts models of the user's own aside, and brings them back."""

import click

from audobon.cli.terminal import print_json, say


@click.command("remove")
@click.argument("name")
@click.option("--purge", is_flag=True, help="For good, with everything of that name that could be restored.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def remove_model(name: str, *, purge: bool, as_json: bool) -> None:
    """Remove a model of your own; it can be restored for 30 days."""
    from audobon.app import open_app
    from audobon.models.own_models import KEPT_DAYS, OwnModels

    own = OwnModels(open_app().models_folder)
    if purge:
        freed_bytes = own.purge(name)
        words = f"{name} is gone for good; {freed_bytes / 1e6:.1f} MB came free"
    else:
        own.remove(name)
        freed_bytes = 0
        words = f"{name} is removed; for {KEPT_DAYS} days it comes back with: audobon models restore {name}"
    if as_json:
        print_json({"name": name, "is_purged": purge, "freed_bytes": freed_bytes})
    say(words)


@click.command("restore")
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
