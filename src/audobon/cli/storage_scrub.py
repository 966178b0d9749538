"""`audobon storage scrub`: every byte read and proved, and what is damaged mended."""

import sys
from collections.abc import Callable

import click

from audobon.cli.terminal import is_terminal, print_json, say


@click.command(short_help="Read and prove what is kept, and mend what is damaged.")
@click.option("--all", "is_all", is_flag=True, help="All of it now, not only what has its turn.")
@click.option("--budget", metavar="SIZE", help="Stop after reading so much, as 2GB.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only tell what is damaged; mend nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def scrub(*, is_all: bool, budget: str | None, is_dry: bool, as_json: bool) -> None:
    """Read packs whose turn it is, prove every byte, and compare the index with them.

    Each pack has its turn within storage.scrub_days. What is damaged, missing or older than it should be is
    replaced from a backup place that has it whole. Ends with status 9 when something could not be mended.
    May be stopped at any time, and run beside everything else.
    """
    import msgspec

    from audobon.app import open_app
    from audobon.cli.queue_words import counted
    from audobon.cli.storage_words import parse_size, size
    from audobon.jobs.hit_by_damage import who_needs
    from audobon.jobs.scrubbing import note
    from audobon.storage.scrub_report import refuse

    app = open_app()
    found = app.storage.scrubber.scrub(
        is_all=is_all,
        budget_bytes=None if budget is None else parse_size(budget),
        is_dry=is_dry,
        copies=app.backups(),
        on_step=_progress(),
    )
    note(app.log, found)
    app.log.close()
    app.storage.close()
    hit = who_needs(app.database, app.keys, [key for damage in found.damages for key in damage.lost])
    if as_json:
        print_json({**msgspec.to_builtins(found), "needed_by": hit})
    else:
        say(
            f"{counted(found.packs, 'pack')} with {counted(found.blobs, 'blob')} proved,"
            f" {size(found.read_bytes)}; {counted(found.left_packs, 'pack')} not due yet"
        )
        for words in [*found.news, *found.index_faults]:
            say(words)
        if found.found_packs:
            say(f"packs that the index did not know: {found.found_packs}")
    for damage in found.damages:
        say(
            f"{damage.pack}: {damage.what}: " + (f"mended {damage.mended}" if damage.mended else "not mended")
        )
        for key in damage.lost:
            say(f"  lost: {key[:16]}…" + "".join(f", needed by {name}" for name in hit.get(key, [])))
    refuse(found)


def _progress() -> Callable[[int, int], None] | None:
    if not is_terminal():
        return None

    def tell(done: int, total: int) -> None:
        sys.stderr.write(f"\r{done / 1e6:.0f} of {total / 1e6:.0f} MB read" + ("\n" if done >= total else ""))
        sys.stderr.flush()

    return tell
