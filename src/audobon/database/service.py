"""Opens the database of a data folder, bringing its schema up to date first."""

import sqlite3
from pathlib import Path

from audobon.atomic import disk_errors
from audobon.errors import Corrupt, Misconfigured
from audobon.processes import FileLock
from audobon.sqlite import connect

SCHEMA_REVISION = "0001"
"""The revision this version works with; a test keeps it equal to the newest migration."""


class Database:
    """The SQLite database of a data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = folder / "audobon.db"

    def open(self, *, durable: bool = True) -> sqlite3.Connection:
        """Return a connection to an up-to-date schema; see `sqlite.connect`.

        raises  Misconfigured when a newer Audobon wrote it, Corrupt when it is no database
        """
        with disk_errors(self.path):
            self._folder.mkdir(parents=True, exist_ok=True)
        try:
            connection = connect(self.path, durable=durable)
            revision = _revision(connection)
            if revision != SCHEMA_REVISION:
                connection.close()
                self._migrate(revision)
                connection = connect(self.path, durable=durable)
        except sqlite3.DatabaseError as error:
            raise Corrupt(
                f"{self.path} cannot be used as a database: {error}",
                hint="move it away; finished output is not in it",
            ) from error
        return connection

    def _migrate(self, revision: str | None) -> None:
        # Dear to import, and needed once in the life of a schema.
        from audobon.database.migrate import is_known, upgrade

        if revision is not None and not is_known(revision):
            raise Misconfigured(
                f"{self.path} was written by a newer Audobon (schema {revision})", hint="upgrade Audobon"
            )
        with FileLock(self._folder / "locks" / "migrate.lock", purpose="a database migration", wait=True):
            upgrade(self.path)


def _revision(connection: sqlite3.Connection) -> str | None:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    if known is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])
