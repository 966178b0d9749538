"""`audobon database status | check | points`: the database, and how far its copy reaches."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from audobon.cli.locations import LOCATION
from audobon.cli.terminal import print_json, printable, say
from audobon.errors import AudobonError, Corrupt

if TYPE_CHECKING:
    from audobon.app import App
    from audobon.backup.locations import Location
    from audobon.storage.port import ObjectStore

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON; instants are UTC seconds.")
place_option = click.option(
    "--from",
    "place",
    metavar="PLACE",
    type=LOCATION,
    help='Use the copy in another place: the folder, or gs://BUCKET/PREFIX, that holds "wal".',
)


@click.command(short_help="Show the database and how far its copy is.")
@as_json_option
def status(*, as_json: bool) -> None:
    """Show the database, and the last point it can be restored to.

    unshipped: what was committed and is not in the copy yet.
    """
    from audobon.app import open_app
    from audobon.database.copies import own_copy
    from audobon.database.generations import in_words
    from audobon.database.looking import shipping_status

    app = open_app()
    path = app.database.path
    facts = app.database.facts()
    shipped = shipping_status(path, own_copy(app.folder), app.keys)
    mode = app.settings.database.shipping
    if as_json:
        print_json(
            {
                "database": facts,
                "shipping": mode,
                "shipped": shipped,
                "place": str(app.folder / "wal"),
                "places": _copies_at_places(app),
            }
        )
        return
    if facts is None:
        say("there is no database yet")
    else:
        click.echo(f"database    {printable(str(path))}")
        click.echo(
            f"size        {megabytes(facts.size_bytes)} MB, and {megabytes(facts.log_bytes)} MB of log"
        )
        click.echo(f"schema      {facts.revision or 'none'}")
        click.echo(f"journal     {facts.journal}")
    click.echo(
        f"shipping    {mode}" + ("" if shipped.failure is None else f", and it fails: {shipped.failure}")
    )
    click.echo(f"copy        {printable(str(app.folder / 'wal'))}, {megabytes(shipped.size_bytes)} MB")
    if shipped.commit is None or shipped.at is None or shipped.age_seconds is None:
        click.echo("shipped     nothing that can be restored")
    else:
        from audobon.cli.durations import span

        click.echo(f"generation  {shipped.generation}")
        click.echo(
            f"shipped     commit {shipped.commit} of {in_words(shipped.at)}, {span(shipped.age_seconds)} ago"
        )
        lag = "unknown" if shipped.lag_bytes is None else f"{megabytes(shipped.lag_bytes)} MB"
        click.echo(f"unshipped   {lag}")
    for copy in _copies_at_places(app):
        reaches = (
            "nothing that can be restored"
            if copy.at is None
            else f"commit {copy.commit} of {in_words(copy.at)}"
        )
        click.echo(f"backup      {printable(copy.place)}: {copy.failure or reaches}")


@click.command(short_help="Check the database and every byte of its copy.")
@place_option
@as_json_option
def check(*, place: "Location | None", as_json: bool) -> None:
    """Check the database, and read every byte of its copy.

    Ends with status 9 when something is damaged or missing.
    """
    from contextlib import closing

    from audobon.app import open_app
    from audobon.cli.queue_words import counted
    from audobon.database.copies import own_copy
    from audobon.database.exchanged import faults_of_file
    from audobon.database.looking import faults_in_copy
    from audobon.database.restoring import faults_in
    from audobon.database.service import MEND
    from audobon.database.shipping_state import StateFile

    app = open_app()
    way_back = "audobon database restore --help"
    faults = list(faults_of_file(app.database.path, own_copy(app.folder), app.keys))
    # What is under the log of another says nothing.
    connection = None if faults else app.database.look()
    if connection is not None:
        with closing(connection), app.database.errors():
            faults += [f"{app.database.path}: {fault}" for fault in faults_in(connection)]
    if faults:
        way_back = MEND
    count = [0]

    def count_one(_: str) -> None:
        count[0] += 1

    shipped = StateFile(app.database.path).read() if place is None else None
    faults += faults_in_copy(store_of(place, app.folder), app.keys, shipped=shipped, on_object=count_one)
    if as_json:
        print_json({"objects": count[0], "faults": faults})
    for fault in faults:
        say(printable(fault))
    if faults:
        raise Corrupt(f"{counted(len(faults), 'fault')} in the database or its copy", hint=way_back)
    if not as_json:
        say(f"the database is sound, and so are the {count[0]} objects of its copy")


@click.command(short_help="List what the database can be restored to.")
@place_option
@as_json_option
def points(*, place: "Location | None", as_json: bool) -> None:
    """List the stretches of time and commits the database can be restored to, newest first.

    Each commit from the first to the last of a stretch can be restored.
    """
    from audobon.app import open_app
    from audobon.database.generations import in_words
    from audobon.database.generations import points as points_of

    app = open_app()
    found = list(points_of(store_of(place, app.folder), app.keys))
    if as_json:
        print_json(found)
        return
    if not found:
        say("nothing can be restored yet")
        return
    for point in found:
        click.echo(
            f"commits {point.first} to {point.last}  {in_words(point.begins_at)} to {in_words(point.ends_at)}"
            f"  {megabytes(point.size_bytes)} MB  begun for: {point.why}"
        )


class _CopyAtPlace(msgspec.Struct, frozen=True):
    """How far the copy at a place for backups reaches; `failure` says why that cannot be told."""

    place: str
    commit: int | None = None
    at: float | None = None
    failure: str | None = None


def _copies_at_places(app: "App") -> list[_CopyAtPlace]:
    from audobon.backup.places import Places
    from audobon.database.generations import latest_position

    found = []
    for place in Places(app.folder, app.settings.backup.places).list():
        name = str(place.path)
        if isinstance(place.path, Path) and not place.path.is_dir():
            found.append(_CopyAtPlace(name, failure="it is not there"))
            continue
        try:
            position = latest_position(store_of(place.path, app.folder), app.keys)
        except AudobonError as error:
            found.append(_CopyAtPlace(name, failure=error.message))
            continue
        reached = (None, None) if position is None else (position.commit, position.at)
        found.append(_CopyAtPlace(name, *reached))
    return found


def store_of(place: "Location | None", folder: Path) -> "ObjectStore":
    """Return the store that holds the copy: of another place, or the data folder's own."""
    from audobon.backup.locations import open_store
    from audobon.database.copies import own_copy

    return own_copy(folder) if place is None else open_store(place, rights="read")


def megabytes(count: int) -> str:
    """Return bytes as megabytes, without the unit."""
    return f"{count / 1e6:.1f}"
