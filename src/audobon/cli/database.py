"""`audobon database`: what is recorded of jobs and tasks, and how it is brought up to date."""

import click

from audobon.cli.database_migrate import migrate
from audobon.cli.database_postgres import postgres
from audobon.cli.database_prune import prune
from audobon.cli.database_restore import restore
from audobon.cli.database_shipped import check, points, status


@click.group("database")
def database() -> None:
    """Look after the database: its state, its copy, and the ways back."""


for _command in (status, check, points, restore, prune, migrate, postgres):
    database.add_command(_command)
