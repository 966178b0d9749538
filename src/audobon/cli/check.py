"""`audobon check`: is all that is kept as it was written?"""

import click

from audobon.cli.terminal import print_json, say


@click.command(short_help="Read all that is kept, here and in every place, and tell what is damaged.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def check(*, as_json: bool) -> None:
    """Read all that is kept, and tell what is not as it was written: keys, storage, database, places.

    Mends nothing, but for the index of storage, which any command makes anew. Ends with status 9 when
    anything is damaged or missing, with 3 when all that is amiss was written by a newer Audobon. Each part
    says which command mends it.
    """
    from audobon.app import open_app
    from audobon.backup.checking import check_everything, refuse
    from audobon.cli.backup_words import RunningLine

    with RunningLine() as line:
        found = check_everything(open_app().backups(), tell=line.tell)
    if as_json:
        print_json(found)
    for each in found:
        for fault in each.faults:
            say(f"{each.part}: {fault}")
        if each.faults:
            say(f"hint: {each.hint}")
        elif not as_json:
            click.echo(f"{each.part:<10}as it was written")
    refuse(found)
