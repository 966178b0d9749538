"""`audobon database`: what is recorded of jobs and tasks, and how it is brought up to date."""

import click

from audobon.cli.database_migrate import migrate


@click.group("database")
def database() -> None:
    """Bring the database up to date, or back."""


database.add_command(migrate)
