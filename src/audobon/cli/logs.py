"""`audobon logs`: what happened here, opened for the owner."""

from typing import Any

import click

from audobon.cli.terminal import one_line, say

_FIRST = ("at", "level", "category", "event")


@click.group()
def logs() -> None:
    """Read the log of the data folder."""


@logs.command()
@click.option("--follow", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as one line of JSON.")
def show(*, follow: bool, as_json: bool) -> None:
    """Show the events of the log, oldest first.

    Names in it are sealed on the disk; here they are opened. What belonged to a person or project that was
    erased is told as erased.
    """
    import msgspec

    from audobon.app import open_app
    from audobon.telemetry.log_reading import read_log

    app = open_app()
    is_empty = True
    for event in read_log(app.folder, app.keys.unseal_text, follow=follow):
        is_empty = False
        click.echo(msgspec.json.encode(event).decode() if as_json else one_line(_words(event)))
    if is_empty and not as_json:
        say("nothing was logged yet")


def _words(event: dict[str, Any]) -> str:
    at, level, category, what = (str(event.get(name, "")) for name in _FIRST)
    facts = "  ".join(f"{name} {value}" for name, value in event.items() if name not in _FIRST)
    return f"{at[:19]}  {level:<7}  {category:<6}  {what}  {facts}".rstrip()
