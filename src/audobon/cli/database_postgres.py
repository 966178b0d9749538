"""`audobon database postgres`: copies of a PostgreSQL server, and the way back to any instant."""

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audobon.cli.terminal import print_json, printable, say
from audobon.errors import InvalidInput, Misconfigured, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audobon.database.postgres import Address
    from audobon.database.postgres_recovery import Target

_SHIP_SECONDS = 5.0
_place = click.option(
    "--place",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the copies; by default postgres-copies in the data folder.",
)
_url = click.option("--url", help="postgresql://user@host:port/database, instead of database.postgres_url.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON; instants are UTC seconds.")


@click.group("postgres", short_help="Copy a PostgreSQL server, and restore it to an instant.")
def postgres() -> None:
    """Copy a PostgreSQL server, and restore it to an instant.

    Copies are sealed with a key of Audobon's own, and each file of a server is checked when it arrives and
    when it is restored. The server's programs are found by database.postgres_binaries or on the PATH.
    """


class _Opened:
    """What the commands work with."""

    def __init__(self, place: Path | None) -> None:
        from audobon.app import open_app
        from audobon.database.postgres_objects import PostgresObjects
        from audobon.database.postgres_programs import Programs
        from audobon.storage.embedded import FolderObjectStore

        app = open_app()
        binaries = app.settings.database.postgres_binaries
        self.keys = app.keys
        store = FolderObjectStore({"standard": place or app.folder / "postgres-copies"})
        self.objects: PostgresObjects = PostgresObjects(store, self.keys)
        self.programs: Programs = Programs(None if binaries == Path() else binaries)


@contextmanager
def _opened(place: Path | None) -> "Iterator[_Opened]":
    opened = _Opened(place)
    with closing(opened.keys):
        yield opened


def _address(url: str | None) -> "Address":
    from audobon.app import open_app
    from audobon.database.postgres import Address

    known = url or open_app().settings.database.postgres_url
    if not known:
        raise Misconfigured("which server?", hint="add --url, or set database.postgres_url")
    return Address(known)


@postgres.command(short_help="Take a base backup: whole, or what changed since the newest.")
@click.option("--whole", is_flag=True, help="Copy everything, even when only a part has changed.")
@_url
@_place
@_json
def backup(*, whole: bool, url: str | None, place: Path | None, as_json: bool) -> None:
    """Take a base backup of a running server: what changed since the newest, or everything.

    For what changed the server needs `summarize_wal = on`.
    """
    from audobon.database.postgres_backups import BaseBackups

    with _opened(place) as opened:
        backups = BaseBackups(opened.objects, opened.programs)
        known = [] if whole else backups.all()
        taken = backups.take(_address(url), since=known[-1].id if known else None)
    if as_json:
        print_json(taken)
        return
    say(f"took {taken.id}: " + (f"what changed since {taken.parent}" if taken.parent else "whole"))


@postgres.command(short_help="Receive a server's log until Ctrl-C, each commit before it counts.")
@click.option(
    "--into",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the log as it arrives, on another disk than the server's.",
)
@click.option("--require", is_flag=True, help="Let the server acknowledge nothing that did not arrive here.")
@_url
@_place
def receive(*, into: Path, require: bool, url: str | None, place: Path | None) -> None:
    """Receive the log of a server until Ctrl-C, and seal it file by file.

    With --require a commit counts only when it lies here too, so that none is lost with the server. When this
    ends, the server then waits for it to be started again; `audobon database postgres release` lets it go on.

    What keeps it from receiving, as a lost connection or a full disk, is said; it goes on as soon as it can.
    """
    import time
    from contextlib import suppress

    from audobon.database.postgres_wal import WalArchive, WalReceiver

    address = _address(url)
    with _opened(place) as opened:
        archive = WalArchive(opened.objects, into)
        system_identifier = archive.claim(address)
        with WalReceiver(address, into, opened.programs) as receiver:
            if require:
                receiver.require()
            say(f"receiving the log of {address.place} into {into}; Ctrl-C ends it")
            is_waited_for, told = False, [""]
            while True:
                receiver.demand_alive()
                # The same again and again, while an outage lasts.
                if (heard := receiver.attend()) and heard != told:
                    told = heard
                    say("\n".join(map(printable, heard)))
                if require and not is_waited_for:
                    # The server may be away just now.
                    with suppress(Unavailable):
                        is_waited_for = receiver.is_synchronous()
                    if is_waited_for:
                        say("from now on no commit counts that is not here")
                archive.ship(system_identifier=system_identifier, partial=True)
                time.sleep(_SHIP_SECONDS)


@postgres.command(short_help="Let a server go on that waits for a receiver of its log.")
@_url
@_place
def release(*, url: str | None, place: Path | None) -> None:
    """Let a server go on that waits for a receiver of its log; commits count without one from now on."""
    from audobon.database.postgres_wal import WalReceiver

    address = _address(url)
    with _opened(place) as opened:
        WalReceiver(address, Path(), opened.programs).release()
    say(f"{address.place} waits for no receiver any more")


@postgres.command("list", short_help="List the base backups.")
@_place
@_json
def list_backups(*, place: Path | None, as_json: bool) -> None:
    """List the base backups, oldest first, each with the instant from which on it can restore."""
    from datetime import UTC, datetime

    from audobon.database.postgres_backups import BaseBackups

    with _opened(place) as opened:
        found = BaseBackups(opened.objects, opened.programs).all()
    if as_json:
        print_json(found)
        return
    for each in found:
        ended = datetime.fromtimestamp(each.ended_at, UTC).isoformat(timespec="seconds")
        kind = f"since {each.parent}" if each.parent else "whole"
        click.echo(f"{each.id}  {ended}  {each.size_bytes / 1e6:9.1f} MB  {kind}")
    if not found:
        say("no base backup was taken yet: audobon database postgres backup")


@postgres.command(short_help="Read all copies, and prove them.")
@_place
@_json
def verify(*, place: Path | None, as_json: bool) -> None:
    """Read every backup and the log after the oldest, and prove each file by its manifest."""
    from audobon.database.postgres_recovery import Recovery

    with _opened(place) as opened:
        proved = Recovery(opened.objects, opened.programs).verify()
    if as_json:
        print_json({"proved": proved})
        return
    say(f"proved {len(proved)} backups and parts of the log")


@postgres.command(short_help="Make a server's folder anew, as it was at an instant.")
@click.option(
    "--into", required=True, type=click.Path(path_type=Path, file_okay=False), help="The new folder of data."
)
@click.option("--to", "at", help="An instant like 2026-11-25T02:30:00Z; everything when left out.")
@click.option("--lsn", help="A place in the log, like 0/3000148.")
@click.option("--transaction", type=int, help="The last transaction to be there.")
@click.option(
    "--received",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The folder of a receiver, for what was not sealed yet.",
)
@click.option("--only-prepare", is_flag=True, help="Do not start the server; it recovers when you do.")
@_place
@_json
def restore(
    *,
    into: Path,
    at: str | None,
    lsn: str | None,
    transaction: int | None,
    received: Path | None,
    only_prepare: bool,
    place: Path | None,
    as_json: bool,
) -> None:
    """Make a server's folder anew, have it go through the log to the target, and leave it ready to start."""
    import os

    from audobon.database.postgres_recovery import Recovery
    from audobon.database.postgres_starting import carry_out

    target = _target(at, lsn, transaction)
    with _opened(place) as opened:
        done = Recovery(opened.objects, opened.programs, received_in=received).restore(into, target)
        if not only_prepare:
            if os.name == "posix" and os.geteuid() == 0 and into.stat().st_uid == 0:
                raise Misconfigured(
                    f"{into} is made, but PostgreSQL does not run as root",
                    hint="give it to the server's user and start the server: it goes through the log then",
                )
            carry_out(done.folder, opened.programs, user=done.user)
    told: dict[str, Any] = {"folder": str(done.folder), "backups": done.backups, "log_files": done.log_files}
    if as_json:
        print_json(told)
        return
    way = "goes through its log when it is started" if only_prepare else "is ready to start"
    say(f"{done.folder} {way}; made from {' + '.join(done.backups)} and {done.log_files} files of the log")
    if received is not None:
        say(f"move {received} away before a receiver is started for the restored server")


@postgres.command(short_help="Remove old backups, and the log before the oldest that stays.")
@click.option(
    "--keep", type=click.IntRange(1), required=True, help="Whole backups to keep, with their parts."
)
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@_place
@_json
def prune(*, keep: int, dry_run: bool, place: Path | None, as_json: bool) -> None:
    """Remove all but the newest whole backups.

    What rests on those removed goes with them, and so does the log before the oldest that stays.
    """
    from audobon.database.postgres_backups import BaseBackups

    with _opened(place) as opened:
        pruned = BaseBackups(opened.objects, opened.programs).prune(keep=keep, is_dry=dry_run)
    if as_json:
        print_json(pruned)
        return
    verb = "would remove" if dry_run else "removed"
    say(
        f"{verb} {len(pruned.backups)} backups and {pruned.log_files} files of the log,"
        f" {pruned.size_bytes / 1e6:.1f} MB"
    )


def _target(at: str | None, lsn: str | None, transaction: int | None) -> "Target":
    from datetime import UTC, datetime

    from audobon.database.postgres_lsn import parse_lsn
    from audobon.database.postgres_recovery import Target

    if sum(each is not None for each in (at, lsn, transaction)) > 1:
        raise InvalidInput("only one of --to, --lsn and --transaction can be the target")
    instant = None
    if at is not None:
        try:
            parsed = datetime.fromisoformat(at)
        except ValueError as error:
            raise InvalidInput(f"{at!r} is no instant", hint="write it like 2026-11-25T02:30:00Z") from error
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=UTC)
        instant = parsed.timestamp()
    return Target(at=instant, lsn=None if lsn is None else parse_lsn(lsn), transaction=transaction)
