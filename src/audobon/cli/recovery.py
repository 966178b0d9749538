"""`audobon recovery`: what was damaged and mended, and mending it now."""

from pathlib import Path

import click

from audobon.cli.recovery_words import telling, words_file_option, words_from
from audobon.cli.terminal import print_json, printable, say

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON; instants are UTC seconds.")


@click.group("recovery")
def recovery() -> None:
    """Mend what is damaged or lost, and see what was mended.

    An engine mends by itself when it starts: audobon up, and audobon run without one.
    """


@recovery.command(short_help="Look at everything, and mend what is amiss.")
@words_file_option
@click.option("--json", "as_json", is_flag=True, help="Print what was mended as JSON.")
def mend(*, words_file: Path | None, as_json: bool) -> None:
    """Look at the whole data folder, and mend what is amiss from copies and backups.

    What is replaced is kept in the folder `damaged`. Needs the folder for itself: end `audobon up` first.
    Ends with status 9 when something cannot be mended, 4 when the keyring is lost and the words are missing.
    """
    from audobon.app import open_app

    say_it = (lambda news: None) if as_json else telling(as_json=False)
    told = open_app().recovery.mend(tell=say_it, words=words_from(words_file), is_thorough=True, waits=True)
    if as_json:
        print_json({"mended": told})
    elif not told:
        say("nothing is amiss")


@recovery.command("list", short_help="List what was mended.")
@_json
def list_(*, as_json: bool) -> None:
    """List what was found amiss and mended, oldest first."""
    from audobon import config
    from audobon.cli.queue_words import columns
    from audobon.database.generations import in_words
    from audobon.recovery.told import RecoveryBook

    told = RecoveryBook(config.load().storage.folder).list()
    if as_json:
        print_json(told)
        return
    if not told:
        say("nothing was ever amiss")
        return
    rows = [(each.id, in_words(each.at), each.what) for each in told]
    click.echo("\n".join(columns(("id", "at", "what"), rows)))


@recovery.command(short_help="Show one of them whole.")
@click.argument("name", metavar="[ID]", default="latest")
@_json
def show(name: str, *, as_json: bool) -> None:
    """Show what was amiss and what was done about it: the latest, or the one of ID."""
    from audobon import config
    from audobon.database.generations import in_words
    from audobon.recovery.told import RecoveryBook

    found = RecoveryBook(config.load().storage.folder).find(name)
    if as_json:
        print_json(found)
        return
    click.echo(f"{found.id}  {in_words(found.at)}  {found.what}")
    click.echo(printable(f"{found.words}."))
