"""`audobon backup`: copies in other places, and the proof that they can be restored."""

from typing import TYPE_CHECKING

import click

from audobon.cli.backup_restore import drill, restore
from audobon.cli.backup_schedule import schedule
from audobon.cli.backup_words import RunningLine, amount_of, print_failures, warn_of_words
from audobon.cli.locations import LOCATION
from audobon.cli.terminal import print_json, say

if TYPE_CHECKING:
    from audobon.backup.locations import Location
    from audobon.backup.service import Backups
    from audobon.backup.standing import Standing

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON; instants are UTC seconds.")
_place = click.argument("place", required=False, type=LOCATION)


@click.group()
def backup() -> None:
    """Keep copies in other places, and prove that they can be restored.

    \b
    Begin with:
      audobon backup add /media/disk/audobon
      audobon backup now
      audobon backup drill
    """


backup.add_command(restore)
backup.add_command(drill)
backup.add_command(schedule)


@backup.command(short_help="Begin backups in a folder or bucket.")
@click.argument("place", type=LOCATION)
@_json
def add(place: "Location", *, as_json: bool) -> None:
    """Begin backups in a folder, best on another disk, or in a bucket: gs://BUCKET/PREFIX.

    A folder is made when it is not there; a bucket must be there.
    """
    backups = _backups()
    is_new = backups.add(place)
    if as_json:
        print_json({"place": str(place.absolute()), "is_new": is_new})
    say(
        f"{place.absolute()} "
        + ("is a place for backups now" if is_new else "holds backups of this keyring already")
        + "; fill it with: audobon backup now"
    )


@backup.command(short_help="Forget a place; what lies there stays.")
@click.argument("place", type=LOCATION)
@_json
def remove(place: "Location", *, as_json: bool) -> None:
    """Forget a place; what lies there stays."""
    _backups().places.remove(place)
    if as_json:
        print_json({"place": str(place.absolute())})
    say(f"{place.absolute()} is no place for backups any more; what lies there stays")


@backup.command(short_help="Make a backup in every place, or in one.")
@_place
@click.option("--dry-run", "is_dry", is_flag=True, help="Only tell what would be copied.")
@_json
def now(place: "Location | None", *, is_dry: bool, as_json: bool) -> None:
    """Make a backup in every place, or in PLACE; only what is not there yet is copied.

    May be stopped, and run beside anything else; the next one goes on with what was copied. Ends with status
    10 when packs could not be read here, and with 9 when the keystore is damaged: the backup is made all the
    same, with the keys as they were last exported there.
    """
    from audobon.backup.making import refuse_partial

    backups = _backups()
    with RunningLine() as line:
        made = backups.make(place=place, is_dry=is_dry, tell=line.tell)
    if as_json:
        print_json({"backups": made, "failures": backups.failures, "is_dry_run": is_dry})
    for each in made:
        deed = "would copy" if is_dry else f"{each.id}: copied"
        say(
            f"{each.place}: {deed} {each.new_packs} of {each.packs} packs;"
            f" {amount_of(each.added_bytes)} {'would be ' if is_dry else ''}added"
        )
        for name, reason in each.lacking.items():
            say(f"  left out: {name}: {reason}")
        if each.keystore_fault is not None:
            say(f"  the keys are those of an earlier export: {each.keystore_fault}")
    print_failures(backups)
    if not is_dry:
        warn_of_words(backups)
    backups.raise_failures()
    refuse_partial(made)


@backup.command("list", short_help="List the backups of every place, or of one.")
@_place
@click.option("--from", "source", type=LOCATION, help="On a fresh machine: this place.")
@click.option("--check", is_flag=True, help="End with status 10 when anything is late or missing.")
@_json
def list_backups(place: "Location | None", *, source: "Location | None", check: bool, as_json: bool) -> None:
    """List the backups of every place, or of PLACE, oldest first.

    added: what it had to copy. One that added far more than you worked on is worth a look.
    """
    if source is not None:
        if place is not None or check:
            raise click.UsageError("--from is for a fresh machine, and stands alone")
        from audobon.cli.backup_entries import list_without_keys

        list_without_keys(source.absolute(), as_json=as_json)
        return
    import msgspec

    from audobon.backup.locations import parse_location
    from audobon.backup.places import Place
    from audobon.backup.service import refuse_late
    from audobon.cli.backup_entries import HEADINGS, RIGHT, entry_of, row_of
    from audobon.cli.queue_words import columns
    from audobon.errors import AudobonError

    backups = _backups()
    standings = backups.standings()
    if place is not None:
        standings = [each for each in standings if each.place == str(place.absolute())]
    rows, listed = [], []
    for standing in standings:
        try:
            history = backups.history(Place(parse_location(standing.place), standing.origin))
        except AudobonError:
            # Why not is among its alarms.
            history = []
        entries = [entry_of(each.manifest) for each in history]
        listed.append({**msgspec.to_builtins(standing), "backups": entries})
        now_at = backups.sources.clock()
        rows += [(standing.place, *row_of(each.manifest, now=now_at)) for each in history]
    if as_json:
        print_json({"places": listed})
    elif rows:
        click.echo("\n".join(columns(("place", *HEADINGS), rows, right=RIGHT)))
    elif not standings:
        say("no places for backups; begin with: audobon backup add FOLDER")
    _say_alarms(standings)
    if check:
        refuse_late(standings)


@backup.command(short_help="Tell how every place stands; status 10 when anything is late.")
@_json
def status(*, as_json: bool) -> None:
    """Tell how every place stands; ends with status 10 when anything is late or missing."""
    from audobon.backup.service import refuse_late
    from audobon.cli.durations import span
    from audobon.cli.queue_words import columns

    backups = _backups()
    found = backups.check()
    now_at = backups.sources.clock()

    def age(at: float | None) -> str:
        return "never" if at is None else f"{span(max(0.0, now_at - at))} ago"

    if as_json:
        print_json({"places": found})
    elif found:
        rows = [
            (
                each.place,
                "-" if each.backup_count is None else str(each.backup_count),
                age(each.backup_at),
                age(each.drilled_at),
                age(each.verified_at),
                "; ".join(each.alarms) or "well",
            )
            for each in found
        ]
        headings = ("place", "backups", "newest", "drill", "verified", "state")
        click.echo("\n".join(columns(headings, rows, right=("backups",))))
    else:
        say("no places for backups; begin with: audobon backup add FOLDER")
    if any(each.backup_count for each in found):
        warn_of_words(backups)
    refuse_late(found)


@backup.command(short_help="Prove that every place holds its backups as they were written.")
@_place
@click.option("--fast", "is_fast", is_flag=True, help="Look at presence, sizes and signatures alone.")
@click.option("--read-data", is_flag=True, help="Read every byte; this is what happens without --fast.")
@click.option(
    "--repair", "is_repair", is_flag=True, help="Mend first what the data folder or another place has."
)
@_json
def verify(
    place: "Location | None", *, is_fast: bool, read_data: bool, is_repair: bool, as_json: bool
) -> None:
    """Prove that every place, or PLACE, holds its backups as they were written.

    Ends with status 9 when a bit is not as it was, with 3 when all that is amiss was written by a newer
    Audobon, and with 8 or 10 when a place is not there. --repair needs the right to delete in the place, and
    makes a backup there when anything was damaged.
    """
    from audobon.backup.verifying import refuse
    from audobon.cli.queue_words import counted

    if is_fast and read_data:
        raise click.UsageError("--fast leaves out what --read-data asks for")
    backups = _backups()
    if is_fast and is_repair:
        raise click.UsageError("--repair reads every byte, and --fast none")
    repaired = []
    if is_repair:
        with RunningLine() as line:
            repaired = backups.repair(place=place, tell=line.tell)
        backups.raise_failures()
    for mended in repaired:
        for name in mended.mended:
            say(f"{mended.place}/{name}: mended")
        for name in mended.renewed:
            say(f"{mended.place}/{name}: made anew")
        for name in mended.given_up:
            say(f"{mended.place}/{name}: nothing has it a second time")
        for name in mended.spared:
            say(f"{mended.place}/{name}: left as it is, as it could not be read")
    with RunningLine() as line:
        found = backups.verify(place=place, is_fast=is_fast, tell=line.tell)
    if as_json:
        print_json({"places": found, "failures": backups.failures, "repaired": repaired})
    for each in found:
        for fault in each.faults:
            say(f"{each.place}/{fault.object}: {fault.what}")
        state = "all as it was written" if not each.faults else f"{len(each.faults)} not as written"
        read = "" if is_fast else f", {amount_of(each.read_bytes)} read"
        backups_there, objects = counted(each.backup_count, "backup"), counted(each.objects, "object")
        say(f"{each.place}: {backups_there}, {objects}{read}: {state}")
    print_failures(backups)
    refuse(found)
    backups.raise_failures()


@backup.command(short_help="Remove old backups by rules; shows first what would go.")
@_place
@click.option("--keep-last", type=click.IntRange(min=0), help="So many of the newest.")
@click.option("--keep-daily", type=click.IntRange(min=0), help="The newest of so many days.")
@click.option("--keep-weekly", type=click.IntRange(min=0), help="The newest of so many weeks.")
@click.option("--keep-monthly", type=click.IntRange(min=0), help="The newest of so many months.")
@click.option("--keep-days", type=click.FloatRange(min=0), help="All that are younger than so many days.")
@click.option("--yes", is_flag=True, help="Remove; without it, only tell what would go.")
@_json
def prune(place: "Location | None", *, yes: bool, as_json: bool, **keep: float | None) -> None:
    """Remove the backups of every place, or of PLACE, that no rule keeps; the settings have the rules.

    Never the last whole backup. Without --yes nothing is removed. Needs the right to delete in the place,
    which making backups does not.
    """
    import msgspec

    backups = _backups()
    said = {name.removeprefix("keep_"): value for name, value in keep.items() if value is not None}
    rules = msgspec.structs.replace(backups.rules, **said)
    with RunningLine() as line:
        pruned = backups.prune(place=place, rules=rules, is_dry=not yes, tell=line.tell)
    if as_json:
        print_json({"places": pruned, "failures": backups.failures, "is_dry_run": not yes})
    for each in pruned:
        for backup_id in each.removed:
            say(f"{each.place}: {backup_id} {'is gone' if yes else 'would go'}")
        for backup_id, reasons in each.kept.items():
            say(f"{each.place}: {backup_id} stays ({', '.join(reasons)})")
        verb = "came free" if yes else "would come free"
        say(f"{each.place}: {each.objects} objects, {amount_of(each.freed_bytes)} {verb}")
    if pruned and not yes and any(each.removed or each.objects for each in pruned):
        say("nothing was removed yet; say --yes")
    print_failures(backups)
    backups.raise_failures()


def _say_alarms(standings: "list[Standing]") -> None:
    for each in standings:
        for alarm in each.alarms:
            say(f"{each.place}: {alarm}")


def _backups() -> "Backups":
    from audobon.app import open_app

    return open_app().backups()
