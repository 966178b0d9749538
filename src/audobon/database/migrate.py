"""Brings a database, a file or one of PostgreSQL, to the newest schema with Alembic."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from audobon.database import precautions
from audobon.sqlite import connect_plainly

_HOME = Path(__file__).parent / "migrations"
# Checking, copying, and making all tables anew: 0.46 GB of tasks took 42 s on two cores busy with other work.
_SECONDS_PER_GIGABYTE = 100
_LEAST_SECONDS = 2.0


class MigrationPlan(msgspec.Struct, frozen=True):
    """What bringing a database file up to date will do.

    revisions  to come, oldest first: number and what it is for
    copies     the folder where the copy of the present file will lie
    """

    path: Path
    revision: str | None
    revisions: list[tuple[str, str]]
    size_bytes: int
    copies: Path
    estimated_seconds: float


def plan(path: Path, revision: str | None) -> MigrationPlan:
    """Return what `upgrade` would do with a database file of a revision; checks it and the room there is.

    raises  Corrupt, DiskFull
    """
    precautions.demand_room(path)
    precautions.prove_sound(path)
    size = precautions.size_bytes(path)
    return MigrationPlan(
        path,
        revision,
        [
            (script.revision, script.doc)
            for script in revisions()
            if revision is None or script.revision > revision
        ],
        size,
        precautions.copies_folder(path),
        _LEAST_SECONDS + size / 1e9 * _SECONDS_PER_GIGABYTE,
    )


def upgrade(path: Path, to: str = "head") -> None:
    """Apply the revisions a database file lacks; each is applied whole or not at all.

    The log stays, so that they are shipped as any commit is.
    raises  sqlite3.Error, as the driver named it
    """
    engine = create_engine(
        "sqlite://", creator=lambda: connect_plainly(path, keeps_log=True), poolclass=NullPool
    )
    # The driver's own habit commits before DDL, so half a revision would stay behind.
    event.listen(engine, "connect", _leave_transactions_alone)
    event.listen(engine, "begin", _begin_immediate)
    _upgrade(engine, sqlite3.Error, to)


def upgrade_postgres(connect: Callable[[], Any], to: str = "head") -> None:
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
    _upgrade(engine, psycopg.Error, to)


def _upgrade(engine: Engine, errors: type[Exception], to: str) -> None:
    try:
        with engine.connect() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, to)
            connection.commit()
    except DBAPIError as error:
        if isinstance(error.orig, errors):
            raise error.orig from error
        raise
    finally:
        engine.dispose()


def is_known(revision: str) -> bool:
    """Tell whether a revision is one of ours."""
    return any(script.revision == revision for script in revisions())


def revisions() -> list[Script]:
    """Return all revisions, oldest first."""
    return list(ScriptDirectory.from_config(_config()).walk_revisions())[::-1]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HOME).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _leave_transactions_alone(connection: Any, _record: object) -> None:
    connection.isolation_level = None


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
