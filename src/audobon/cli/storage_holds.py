"""`audobon storage hold`, `release` and `keep`: what must not be removed, and until when."""

import datetime
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from audobon.cli.terminal import say
from audobon.errors import BlobNotFound, InvalidInput

if TYPE_CHECKING:
    from audobon.app import App
    from audobon.storage.facts import BlobInfo

_Command = TypeVar("_Command", bound=Callable[..., Any])
_LAST_YEAR = 2200


def _which(command: _Command) -> _Command:
    """Add what says which blobs are meant."""
    command = click.argument("keys", nargs=-1, metavar="[KEY]...")(command)
    command = click.option("--subject", metavar="NAME", help="All blobs of a person or project.")(command)
    return click.option(
        "--kind", type=click.Choice(["page", "result", "other", "user"]), help="All blobs of a kind."
    )(command)


@click.command(short_help="Let nothing remove blobs.")
@_which
def hold(keys: tuple[str, ...], *, subject: str | None, kind: str | None) -> None:
    """Let nothing remove blobs until they are released.

    Neither rules, nor cleaning up, nor you remove what is on
    hold; the hold outlasts the index and a restore.
    """
    from audobon.app import open_app

    app = open_app()
    chosen = _chosen(app, keys, subject, kind)
    app.storage.annotate([each.key for each in chosen], event_hold=True)
    put_on_record(app, "blobs put on hold", blobs=len(chosen))
    say(f"on hold: {_blobs(len(chosen))}")


@click.command(short_help="Take blobs off hold.")
@_which
def release(keys: tuple[str, ...], *, subject: str | None, kind: str | None) -> None:
    """Take blobs off hold. A time until which they must be kept still counts."""
    from audobon.app import open_app

    app = open_app()
    chosen = _chosen(app, keys, subject, kind)
    app.storage.annotate([each.key for each in chosen], event_hold=False, temporary_hold=False)
    put_on_record(app, "blobs released", blobs=len(chosen))
    say(f"released: {_blobs(len(chosen))}")


@click.command(short_help="Let nothing remove blobs before a day.")
@_which
@click.option("--until", "until", required=True, metavar="DATE", help="Such as 2030-12-31; or 7d, from now.")
def keep(keys: tuple[str, ...], *, subject: str | None, kind: str | None, until: str) -> None:
    """Let nothing remove blobs before the end of a day, in UTC. A term is only ever made longer."""
    from audobon.app import open_app

    kept_until = _instant(until)
    app = open_app()
    chosen = _chosen(app, keys, subject, kind)
    longer = [each.key for each in chosen if (each.kept_until or 0.0) < kept_until]
    app.storage.keep(longer, kept_until)
    put_on_record(app, "blobs kept", blobs=len(longer), kept_until=kept_until)
    others = len(chosen) - len(longer)
    already = f"; {_blobs(others)} longer already" if others else ""
    say(f"kept until {until}: {_blobs(len(longer))}{already}")


def _chosen(app: "App", keys: tuple[str, ...], subject: str | None, kind: Any) -> "list[BlobInfo]":
    """Return the blobs that were named. raises InvalidInput, BlobNotFound, SubjectNotFound."""
    from audobon.cli.storage import blob_named
    from audobon.storage.looking import Wanted

    if bool(keys) == (subject is not None or kind is not None):
        raise click.UsageError("name blobs by KEY, or by --subject and --kind")
    if not keys:
        named = None if subject is None else app.keys.find_subject(subject).id
        found = app.storage.find(Wanted(subject=named, kind=kind))
        if not found:
            raise BlobNotFound("there are no such blobs", hint="audobon storage list")
        return found
    return [blob_named(app, key) for key in keys]


def put_on_record(app: "App", event: str, **facts: Any) -> None:
    """Put on record what was done, and let go of the files."""
    app.log.write("storage", event, **facts)
    app.log.close()
    app.storage.close()


def _instant(text: str) -> float:
    """Return the end of a day, or the instant a span of time from now."""
    from audobon.cli.durations import parse_duration
    from audobon.clock import utc_now

    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        if re.fullmatch(r"[\d.]+[smhd]", text):
            return utc_now() + parse_duration(text)
        raise InvalidInput(f"{text!r} is not a date", hint="write it like 2030-12-31, or 90d") from None
    if day.year > _LAST_YEAR:
        raise InvalidInput(f"{text} is later than the year {_LAST_YEAR}")
    end = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC) + datetime.timedelta(days=1)
    if end.timestamp() <= utc_now():
        raise InvalidInput(f"{text} is over", hint="name a day to come")
    return end.timestamp()


def _blobs(count: int) -> str:
    return f"{count} blob" + ("" if count == 1 else "s")
