"""`audobon database`: what is recorded of jobs and tasks, and how it is brought up to date."""

import click

from audobon.cli.database_migrate import migrate
from audobon.cli.database_postgres import postgres


@click.group("database")
def database() -> None:
    """Bring the database up to date, or back."""


database.add_command(migrate)
database.add_command(postgres)
