"""`audobon database status | check | points | restore`: the database, its copy, and the way back."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.terminal import print_json, printable, say
from audobon.errors import Corrupt, InvalidInput

if TYPE_CHECKING:
    from audobon.storage.port import ObjectStore

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON; instants are UTC seconds.")
_place = click.option(
    "--from",
    "place",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help='Use the copy in another place: the folder that holds "wal".',
)


@click.command(short_help="Show the database and how far its copy is.")
@_json
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
            {"database": facts, "shipping": mode, "shipped": shipped, "place": str(app.folder / "wal")}
        )
        return
    if facts is None:
        say("there is no database yet")
    else:
        click.echo(f"database    {printable(str(path))}")
        click.echo(
            f"size        {_megabytes(facts.size_bytes)} MB, and {_megabytes(facts.log_bytes)} MB of log"
        )
        click.echo(f"schema      {facts.revision or 'none'}")
        click.echo(f"journal     {facts.journal}")
    click.echo(
        f"shipping    {mode}" + ("" if shipped.failure is None else f", and it fails: {shipped.failure}")
    )
    click.echo(f"copy        {printable(str(app.folder / 'wal'))}, {_megabytes(shipped.size_bytes)} MB")
    if shipped.commit is None or shipped.at is None or shipped.age_seconds is None:
        click.echo("shipped     nothing that can be restored")
        return
    from audobon.cli.durations import span

    click.echo(f"generation  {shipped.generation}")
    click.echo(
        f"shipped     commit {shipped.commit} of {in_words(shipped.at)}, {span(shipped.age_seconds)} ago"
    )
    lag = "unknown" if shipped.lag_bytes is None else f"{_megabytes(shipped.lag_bytes)} MB"
    click.echo(f"unshipped   {lag}")


@click.command(short_help="Check the database and every byte of its copy.")
@_place
@_json
def check(*, place: Path | None, as_json: bool) -> None:
    """Check the database, and read every byte of its copy.

    Ends with status 9 when something is damaged or missing.
    """
    from contextlib import closing

    from audobon.app import open_app
    from audobon.database.looking import faults_in_copy
    from audobon.database.restoring import faults_in
    from audobon.database.shipping_state import StateFile

    app = open_app()
    faults: list[str] = []
    connection = app.database.look()
    if connection is not None:
        with closing(connection), app.database.errors():
            faults += [f"{app.database.path}: {fault}" for fault in faults_in(connection)]
    count = [0]

    def counted(_: str) -> None:
        count[0] += 1

    shipped = StateFile(app.database.path).read() if place is None else None
    faults += faults_in_copy(_store(place, app.folder), app.keys, shipped=shipped, on_object=counted)
    if as_json:
        print_json({"objects": count[0], "faults": faults})
    for fault in faults:
        say(printable(fault))
    if faults:
        raise Corrupt(
            f"{len(faults)} faults in the database or its copy", hint="audobon database restore --help"
        )
    if not as_json:
        say(f"the database is sound, and so are the {count[0]} objects of its copy")


@click.command(short_help="List what the database can be restored to.")
@_place
@_json
def points(*, place: Path | None, as_json: bool) -> None:
    """List the stretches of time and commits the database can be restored to, newest first.

    Each commit from the first to the last of a stretch can be restored.
    """
    from audobon.app import open_app
    from audobon.database.generations import in_words
    from audobon.database.generations import points as points_of

    app = open_app()
    found = list(points_of(_store(place, app.folder), app.keys))
    if as_json:
        print_json(found)
        return
    if not found:
        say("nothing can be restored yet")
        return
    for point in found:
        click.echo(
            f"commits {point.first} to {point.last}  {in_words(point.begins_at)} to {in_words(point.ends_at)}"
            f"  {_megabytes(point.size_bytes)} MB  begun for: {point.why}"
        )


@click.command(short_help="Write the database as it was at a time or after a commit.")
@click.option("--into", metavar="PATH", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--to", "target", metavar="TIME|COMMIT", default="latest", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists; nobody may have it open.")
@click.option("--as-far-as-possible", is_flag=True, help="Stop before what is damaged, rather than refuse.")
@_place
@_json
def restore(
    *, into: Path, target: str, overwrite: bool, as_far_as_possible: bool, place: Path | None, as_json: bool
) -> None:
    """Write the database as it was, checked, into a file.

    \b
    TIME    2026-03-01T12:00:00, in the time of this place, or with Z or +02:00;
            all that was shipped until then is in it
    COMMIT  the number of a commit; see: audobon database points

    The database in use stays as it is. Ends with status 9 when the copy is damaged, 4 when nothing reaches
    back so far, 5 when the file exists.
    """
    from audobon.app import open_app
    from audobon.database.generations import in_words
    from audobon.database.restoring import restore_database

    app = open_app()
    restored = restore_database(
        _store(place, app.folder),
        app.keys,
        into,
        to=_target(target),
        overwrite=overwrite,
        as_far_as_possible=as_far_as_possible,
    )
    if as_json:
        print_json(restored)
    else:
        position = restored.position
        say(
            f"restored commit {position.commit} of {in_words(position.at)} into {printable(str(into))}"
            f" ({_megabytes(restored.size_bytes)} MB)"
        )
    if restored.broken_off is not None:
        click.echo(f"it ends there because {restored.broken_off}", file=sys.stderr)


def _target(text: str) -> datetime | int | None:
    if text == "latest":
        return None
    if text.isdecimal() and text.isascii():
        return int(text)
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{text!r} is no time and no commit", hint="write it like 2026-03-01T12:00:00, or a number"
        ) from None


def _store(place: Path | None, folder: Path) -> "ObjectStore":
    from audobon.database.copies import own_copy
    from audobon.storage.embedded import FolderObjectStore

    return own_copy(folder) if place is None else FolderObjectStore({"standard": place}, rights="read")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f}"
