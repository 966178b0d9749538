"""Brings a database, a file or one of PostgreSQL, to the newest schema with Alembic."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from audobon.sqlite import BUSY_SECONDS

_HOME = Path(__file__).parent / "migrations"


def upgrade(path: Path) -> None:
    """Apply the revisions a database file lacks; each is applied whole or not at all.

    raises  sqlite3.Error, as the driver named it
    """
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_SECONDS})
    # The driver's own habit commits before DDL, so half a revision would stay behind.
    event.listen(engine, "connect", _leave_transactions_alone)
    event.listen(engine, "begin", _begin_immediate)
    _upgrade(engine, sqlite3.Error)


def upgrade_postgres(connect: Callable[[], Any]) -> None:
    """Apply the revisions a PostgreSQL database lacks; each is applied whole or not at all.

    connect  opens a connection; whoever calls sees to it that nobody else migrates
    raises   psycopg.Error, as the driver named it
    """
    import psycopg

    def connect_for_transactions() -> Any:
        connection = connect()
        # Else each statement would be committed alone, and half a revision would stay behind.
        connection.autocommit = False
        return connection

    engine = create_engine("postgresql+psycopg://", creator=connect_for_transactions, poolclass=NullPool)
    _upgrade(engine, psycopg.Error)


def _upgrade(engine: Engine, errors: type[Exception]) -> None:
    try:
        with engine.connect() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except DBAPIError as error:
        if isinstance(error.orig, errors):
            raise error.orig from error
        raise
    finally:
        engine.dispose()


def is_known(revision: str) -> bool:
    """Tell whether a revision is one of ours."""
    return any(
        script.revision == revision for script in ScriptDirectory.from_config(_config()).walk_revisions()
    )


def newest() -> str | None:
    """Return the newest revision there is."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HOME).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _leave_transactions_alone(connection: Any, _record: object) -> None:
    connection.isolation_level = None


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
