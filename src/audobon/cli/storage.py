"""`audobon storage`: what is kept, where, and for how long."""

import click

from audobon.cli.storage_holds import hold, keep, release
from audobon.cli.storage_lifecycle import lifecycle


@click.group()
def storage() -> None:
    """Look after what Audobon keeps: pages, results, and what you put there."""


for command in (lifecycle, hold, release, keep):
    storage.add_command(command)
