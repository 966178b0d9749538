"""`audobon storage`: what is kept, put there, taken out and given back."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from audobon.cli.storage_holds import hold, keep, put_on_record, release
from audobon.cli.storage_lifecycle import lifecycle
from audobon.cli.storage_putting import put
from audobon.cli.storage_scrub import scrub
from audobon.cli.terminal import is_terminal, print_json, say

if TYPE_CHECKING:
    from audobon.app import App
    from audobon.storage.facts import BlobInfo

_KINDS = click.Choice(["page", "result", "other", "user"])
_TIERS = click.Choice(["standard", "nearline", "archive"])
_SHOWN = 50
_LEAST_KEY = 6
_KEY_CHARS = 64


@click.group(short_help="Look at and look after what is kept: blobs.")
def storage() -> None:
    """Look at, put, take out and look after blobs: encrypted bytes under the hash of what they hold.

    A KEY may be cut short, as long as no other begins so.
    """


for command in (put, lifecycle, hold, release, keep, scrub):
    storage.add_command(command)


@storage.command("list", short_help="List blobs, the newest last.")
@click.option("--packs", "as_packs", is_flag=True, help="List the packs that blobs lie in.")
@click.option("--limit", type=click.IntRange(1), default=_SHOWN, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_blobs(*, as_packs: bool, limit: int, as_json: bool) -> None:
    """List blobs, or packs, the newest last."""
    from audobon.app import open_app
    from audobon.cli.storage_words import blob_table, pack_table
    from audobon.storage.looking import Wanted

    app = open_app()
    if as_packs:
        packs = list(app.storage.packs(sealed_only=False))[-limit:]
        print_json(packs) if as_json else click.echo("\n".join(pack_table(packs, names(app))))
        return
    found = app.storage.find(Wanted(), newest=limit)
    print_json(found) if as_json else click.echo("\n".join(blob_table(found, names(app))))


@storage.command(short_help="Find blobs by what is known of them.")
@click.argument("key", default="")
@click.option("--kind", type=_KINDS, help="Of this kind.")
@click.option("--subject", help="Of this person or project.")
@click.option("--tier", type=_TIERS, help="In this tier.")
@click.option("--larger", metavar="SIZE", help="Of this size or more, as 4MB.")
@click.option("--smaller", metavar="SIZE", help="Of this size or less.")
@click.option("--older", metavar="SPAN", help="Stored so long ago or longer, as 7d.")
@click.option("--younger", metavar="SPAN", help="Stored later than so long ago.")
@click.option("--removed", is_flag=True, help="Those removed that can still be brought back.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def find(
    key: str,
    *,
    kind: str | None,
    subject: str | None,
    tier: str | None,
    larger: str | None,
    smaller: str | None,
    older: str | None,
    younger: str | None,
    removed: bool,
    as_json: bool,
) -> None:
    """Find blobs whose key begins so, and of which all that is said is true; the oldest first."""
    import msgspec

    from audobon.app import open_app
    from audobon.cli.durations import parse_duration
    from audobon.cli.storage_words import blob_table, parse_size
    from audobon.clock import utc_now
    from audobon.storage.looking import Wanted

    app = open_app()
    wanted = msgspec.convert(
        {
            "prefix": key,
            "kind": kind,
            "subject": None if subject is None else app.keys.find_subject(subject).id,
            "tier": tier,
            "least_bytes": None if larger is None else parse_size(larger),
            "most_bytes": None if smaller is None else parse_size(smaller),
            "created_before": None if older is None else utc_now() - parse_duration(older),
            "created_after": None if younger is None else utc_now() - parse_duration(younger),
            "is_dead": removed,
        },
        Wanted,
    )
    found = app.storage.find(wanted)
    if as_json:
        print_json(found)
    elif found:
        click.echo("\n".join(blob_table(found, names(app))))
    else:
        say("no blob is like that")


@storage.command(short_help="Show all that is known of a blob.")
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def stat(key: str, *, as_json: bool) -> None:
    """Show all that is known of a blob; it is not read."""
    from audobon.app import open_app
    from audobon.cli.storage_words import blob_lines

    app = open_app()
    info = blob_named(app, key)
    print_json(info) if as_json else click.echo("\n".join(blob_lines(info, names(app))))


@storage.command(short_help="Show what blobs take, by subject, kind and tier.")
@click.option("--tiers", "by_tier", is_flag=True, help="Only by tier, with the folder of each.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def usage(*, by_tier: bool, as_json: bool) -> None:
    """Show what blobs take. In packs: on the disk; dead: of that, what `gc` would give back in the end."""
    from audobon.app import open_app
    from audobon.cli.storage_words import tier_table, tiers_of, usage_table

    app = open_app()
    found = app.storage.usage()
    if by_tier:
        tiers = tiers_of(found, app.storage.store.tier_folder)
        print_json(tiers) if as_json else click.echo("\n".join(tier_table(tiers)))
        return
    print_json(found) if as_json else click.echo("\n".join(usage_table(found, names(app))))


@storage.command(short_help="Write a blob to a file, or to standard output.")
@click.argument("key")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
def get(key: str, *, output: Path | None, overwrite: bool) -> None:
    """Write a blob to a file, proved: what is damaged is not written."""
    from audobon.app import open_app
    from audobon.atomic import exists_already, writing

    app = open_app()
    info = blob_named(app, key)
    if output is None:
        app.storage.copy_to(info.key, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    else:
        if output.exists() and not overwrite:
            raise exists_already(output)
        with writing(output, replace=overwrite) as target:
            app.storage.copy_to(info.key, target)
        say(f"wrote {output}")
    app.storage.close()


@storage.command(short_help="Delete blobs by name.")
@click.argument("key_list", metavar="KEY...", nargs=-1, required=True)
@click.option("--dry-run", "is_dry", is_flag=True, help="Only tell what would go.")
def delete(key_list: tuple[str, ...], *, is_dry: bool) -> None:
    """Delete blobs that no hold keeps; `undelete` brings them back for storage.keep_removed_days."""
    from audobon.app import open_app
    from audobon.cli.queue_words import counted

    app = open_app()
    infos = [blob_named(app, key) for key in key_list]
    if not is_dry:
        app.storage.remove([info.key for info in infos])
        put_on_record(app, "blobs deleted", blobs=len(infos))
    size = sum(info.size_bytes for info in infos) / 1e6
    say(f"{'would delete' if is_dry else 'deleted'} {counted(len(infos), 'blob')}, {size:.1f} MB")
    days = app.settings.storage.keep_removed_days
    if days:
        say(f"hint: audobon storage undelete brings it back for {counted(round(days), 'day')}")
    else:
        say("hint: it is kept no longer here (storage.keep_removed_days); a backup may hold it")


@storage.command(short_help="Bring back a blob that was removed.")
@click.argument("key")
def undelete(key: str) -> None:
    """Bring back a blob that was removed, as long as its bytes are there."""
    from audobon.app import open_app
    from audobon.errors import BlobNotFound

    app = open_app()
    try:
        info = app.storage.undelete(blob_named(app, key).key)
    except BlobNotFound as error:
        raise BlobNotFound(
            f"{error.message}; its bytes are not here any more",
            hint=f"audobon backup restore --file {key} --into FOLDER",
        ) from error
    put_on_record(app, "blobs brought back", blobs=1)
    say(f"blob {info.key[:12]}… is back")


@storage.command(short_help="Make the index anew from the packs.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def rebuild(*, as_json: bool) -> None:
    """Make the index anew from the packs alone. How often blobs were read is forgotten."""
    from audobon.app import open_app
    from audobon.cli.queue_words import counted
    from audobon.errors import PartlyFailed

    app = open_app()
    told = app.storage.rebuild(on_step=steps("packs read"))
    put_on_record(app, "index made anew", packs=told.packs, blobs=told.blobs, faults=len(told.faults))
    if as_json:
        print_json(told)
    else:
        say(f"{counted(told.blobs, 'blob')} found in {counted(told.packs, 'pack')}")
        for fault in told.faults:
            say(fault)
    if told.faults:
        raise PartlyFailed(
            f"{counted(len(told.faults), 'pack')} could not be read whole", hint="audobon storage scrub"
        )


@storage.command(short_help="Give back the room of what nobody needs.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only tell what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print what was, or would be, done as JSON.")
def gc(*, is_dry: bool, as_json: bool) -> None:
    """Remove blobs nobody needs, and move what is left out of packs that are less than half alive.

    May be stopped at any instant, and run beside everything else.
    """
    import msgspec

    from audobon.app import open_app
    from audobon.cli.queue_words import counted

    app = open_app()
    swept = app.jobs.sweep(is_dry=is_dry)
    done = app.storage.collect(is_dry=is_dry, on_step=steps("packs moved out of"))
    if not is_dry:
        put_on_record(app, "room given back", swept_bytes=swept, **msgspec.to_builtins(done))
    if as_json:
        print_json({"swept_bytes": swept, **msgspec.to_builtins(done)})
        return
    would = "would be " if is_dry else ""
    say(f"{would}removed: {counted(done.removed_packs, 'dead pack')}")
    say(f"{would}moved together: {counted(done.moved_packs, 'pack')}")
    say(f"blobs that nobody needs: {swept / 1e6:.1f} MB")
    if done.found_packs:
        say(f"packs that the index did not know: {done.found_packs}")
    say(f"room {'that would be ' if is_dry else ''}given back: {done.freed_bytes / 1e6:.1f} MB")


def blob_named(app: "App", key: str) -> "BlobInfo":
    """Return the blob whose key begins so, also one that was removed.

    raises  BlobNotFound, InvalidInput when several do
    """
    from audobon.errors import BlobNotFound, InvalidInput
    from audobon.storage.looking import Wanted

    if len(key) == _KEY_CHARS:
        return app.storage.stat(key.lower())
    if len(key) < _LEAST_KEY:
        raise InvalidInput(f"{key!r} is too short for a key", hint=f"give {_LEAST_KEY} letters or more")
    found = app.storage.find(Wanted(prefix=key)) or app.storage.find(Wanted(prefix=key, is_dead=True))
    if not found:
        raise BlobNotFound(f"no blob {key}…", hint="audobon storage list")
    if len(found) > 1:
        raise InvalidInput(f"{len(found)} blobs begin with {key}", hint="give more of the key")
    return found[0]


def names(app: "App") -> dict[str, str]:
    """Return the names of subjects by their ids."""
    if not app.keys.exists:
        return {}
    return {subject.id: subject.name for subject in app.keys.subjects()}


def steps(what: str) -> Callable[[int, int], None] | None:
    """Return what tells a person how far long work is; None when nobody watches."""
    if not is_terminal():
        return None
    target: IO[str] = sys.stderr

    def tell(done: int, total: int) -> None:
        target.write(f"\r{done} of {total} {what}" + ("\n" if done == total else ""))
        target.flush()

    return tell
