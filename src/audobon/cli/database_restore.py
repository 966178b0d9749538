"""`audobon database restore`: the database as it was, beside the one in use or in its place."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.database_shipped import as_json_option, megabytes, place_option, store_of
from audobon.cli.terminal import print_json, printable, say
from audobon.errors import InvalidInput

if TYPE_CHECKING:
    from audobon.backup.locations import Location


@click.command(short_help="Write the database as it was at a time or after a commit.")
@click.option(
    "--into", metavar="PATH", type=click.Path(dir_okay=False, path_type=Path), help="Write it into this file."
)
@click.option("--in-place", "in_place", is_flag=True, help="Replace the database in use; it is kept.")
@click.option("--to", "target", metavar="TIME|COMMIT", default="latest", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists; nobody may have it open.")
@click.option("--as-far-as-possible", is_flag=True, help="Stop before what is damaged, rather than refuse.")
@place_option
@as_json_option
def restore(
    *,
    into: Path | None,
    in_place: bool,
    target: str,
    overwrite: bool,
    as_far_as_possible: bool,
    place: "Location | None",
    as_json: bool,
) -> None:
    """Write the database as it was, checked, into a file, or in the place of the one in use.

    \b
    TIME    2026-03-01T12:00:00, in the time of this place, or with Z or +02:00;
            all that was shipped until then is in it
    COMMIT  the number of a commit; see: audobon database points

    With --in-place what is there is kept in the folder "damaged" of the data folder, and no engine may run;
    otherwise the database in use stays as it is. Ends with status 9 when the copy is damaged, 4 when
    nothing reaches back so far, 5 when the file exists or an engine runs.
    """
    from audobon.app import open_app
    from audobon.database.generations import in_words
    from audobon.database.restoring import restore_database

    if (into is None) == (not in_place):
        raise InvalidInput("say where: --into FILE, or --in-place")
    if in_place and overwrite:
        raise InvalidInput("--overwrite goes with --into", hint="--in-place keeps what it replaces")
    app = open_app()
    if into is None:
        put_back = app.recovery.restore_database(
            place, to=_target(target), as_far_as_possible=as_far_as_possible
        )
        restored = put_back.restored
    else:
        put_back = None
        restored = restore_database(
            store_of(place, app.folder),
            app.keys,
            into,
            to=_target(target),
            overwrite=overwrite,
            as_far_as_possible=as_far_as_possible,
        )
    if as_json:
        print_json(put_back or restored)
    else:
        position = restored.position
        say(
            f"restored commit {position.commit} of {in_words(position.at)}"
            f" into {printable(str(into or app.database.path))} ({megabytes(restored.size_bytes)} MB)"
        )
    if restored.broken_off is not None:
        click.echo(f"it ends there because {restored.broken_off}", file=sys.stderr)
    if put_back is not None and not as_json:
        if put_back.kept is not None:
            say(f"what was there before is in {printable(put_back.kept)}; remove it when you are sure")
        say("look: audobon jobs list; when it is as it should be: audobon backup now")


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
