"""`audobon database prune`: give back the room of what the copy keeps no longer."""

import click
import msgspec

from audobon.cli.terminal import print_json, say


@click.command(short_help="Remove what the copy of the database keeps no longer.")
@click.option("--keep-days", type=click.FloatRange(min=0), help="In place of database.keep_days.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only tell what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print what went as JSON.")
def prune(keep_days: float | None, *, is_dry: bool, as_json: bool) -> None:
    """Remove from the copy in the data folder what is older than database.keep_days.

    Each commit of those days can still be restored, and one state of each of the 30 days before them. The
    engine does so every night. Copies at the places for backups are pruned by `audobon backup prune`.
    """
    from audobon.app import open_app
    from audobon.cli.backup_words import amount_of
    from audobon.cli.queue_words import counted
    from audobon.database.copies import prune_own_copy

    app = open_app()
    days = app.settings.database.keep_days if keep_days is None else keep_days
    pruned = prune_own_copy(app.folder, app.keys, keep_days=days, is_dry_run=is_dry)
    if as_json:
        print_json(msgspec.to_builtins(pruned) | {"keep_days": days, "is_dry_run": is_dry})
        return
    said = f"{counted(pruned.objects, 'object')}, {amount_of(pruned.size_bytes)}"
    say(f"{said}, would go" if is_dry else f"{said}, went")
