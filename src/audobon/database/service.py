"""Opens the database of a data folder, bringing its schema up to date first."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from audobon.atomic import disk_errors, make_private_folder
from audobon.database import precautions
from audobon.database.revisions import SCHEMA_REVISION, must_migrate
from audobon.errors import AudobonError, Conflict, Corrupt, Denied, DiskFull, NewerFormat, Unavailable
from audobon.processes import FileLock
from audobon.sqlite import Connection, connect, connect_to_look

if TYPE_CHECKING:
    from audobon.database.continuous import ContinuousShipping
    from audobon.database.migrate import MigrationPlan
    from audobon.database.precautions import KeptCopy

MEND = "audobon recovery mend"
"""What brings a damaged or lost database back."""

_LITTLE_ROOM_BYTES = 4 << 20


class DatabaseFacts(msgspec.Struct, frozen=True):
    """A database as its files tell of it; revision is None when it has no schema of ours."""

    path: str
    size_bytes: int
    log_bytes: int
    revision: str | None
    journal: str


class Database:
    """The SQLite database of a data folder.

    migrates_apart  what bringing it up to date takes shall not stay in this process
    shipping        ships what is committed, while a connection is open; None: others do
    """

    def __init__(
        self, folder: Path, *, migrates_apart: bool = False, shipping: "ContinuousShipping | None" = None
    ) -> None:
        self._folder = folder
        self._shipping = shipping
        self._migrates_apart = migrates_apart
        self.path = folder / "audobon.db"

    def open(self, *, durable: bool = True, grouped: bool = False) -> sqlite3.Connection:
        """Return a connection to an up-to-date schema; see `sqlite.connect`.

        An older schema is checked and copied first. A newer one that names this version as one that may go
        on with it is used as it is.
        raises  NewerFormat when a newer Audobon wrote it, Corrupt when it is no database or damaged,
                Denied, DiskFull, Unavailable when another process keeps it locked
        """
        with disk_errors(self.path):
            make_private_folder(self._folder)
            self._demand_not_lost()
        try:
            connection = connect(self.path, durable=durable, grouped=grouped, keeps_log=True)
            try:
                is_old = self._must_migrate(connection)
                if _revision(connection) is None:
                    self._demand_new("holds nothing without its log")
            except BaseException:
                connection.close()
                raise
            if is_old:
                if shipping_note(self.path).exists():
                    # What is committed so far is shipped before the log grows by all that is made anew.
                    self._attach(connection)
                connection.close()
                self._migrate()
                connection = connect(self.path, durable=durable, grouped=grouped, keeps_log=True)
        except sqlite3.Error as error:
            raise self._noted(named(error, self.path)) from error
        self._attach(connection)
        return connection

    def _attach(self, connection: Connection) -> None:
        if self._shipping is None:
            return
        try:
            self._shipping.attach(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, Corrupt):
                self._noted(error)
            raise

    def look(self) -> sqlite3.Connection | None:
        """Return a connection that reads alone; None when there is no database, or an older one.

        raises  NewerFormat, Corrupt, Denied, Unavailable
        """
        if not self.path.exists():
            return None
        with self.errors():
            connection = connect_to_look(self.path)
            try:
                if not self._must_migrate(connection):
                    return connection
            except BaseException:
                connection.close()
                raise
            connection.close()
            return None

    def facts(self) -> "DatabaseFacts | None":
        """Return what its files tell, whatever its schema; None when there is none. raises as `look`."""
        if not self.path.exists():
            return None
        with self.errors(), closing(connect_to_look(self.path)) as connection:
            log = Path(f"{self.path}-wal")
            return DatabaseFacts(
                str(self.path),
                self.path.stat().st_size,
                log.stat().st_size if log.exists() else 0,
                _revision(connection),
                str(connection.execute("PRAGMA journal_mode").fetchone()[0]),
            )

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn SQLite's complaints in the block into ours, naming the file and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._noted(named(error, self.path)) from error

    def _noted(self, error: AudobonError) -> AudobonError:
        """Note beside a damaged database that it is, so that the next engine looks at all of it."""
        if isinstance(error, Corrupt):
            with suppress(OSError):
                mark = damage_mark(self.path)
                mark.parent.mkdir(exist_ok=True)
                mark.touch()
        return error

    def _demand_not_lost(self) -> None:
        """Refuse to begin a database anew where one was that can be had again."""
        if not self.path.exists() or not self.path.stat().st_size:
            self._demand_new("is gone")

    def _demand_new(self, what_is_seen: str) -> None:
        # Without its own copy it may be in a place yet; that it was shipped tells that there was one.
        if shipping_note(self.path).exists() or any((self._folder / "wal").glob("*/*.snapshot")):
            raise Corrupt(f"{self.path} {what_is_seen}", hint=MEND)

    def migration(self) -> "MigrationPlan | None":
        """Return what bringing it up to date would do, having checked it; None when it is, or is not there.

        raises  as `open`
        """
        if not self.path.exists():
            return None
        with self.errors():
            with closing(connect(self.path, keeps_log=True)) as connection:
                if not self._must_migrate(connection):
                    return None
                revision = _revision(connection)
            from audobon.database.migrate import plan

            return plan(self.path, revision)

    def undo_migration(self) -> "tuple[KeptCopy, KeptCopy]":
        """Put back the copy from before the last migration; return it, and the one kept of what was there.

        raises  NotFound when there is none, Conflict when the schema is not this version's, Corrupt
        """
        with self._migration_lock(), self.errors():
            with closing(connect(self.path, keeps_log=True)) as connection:
                revision = _revision(connection)
            if revision is None:
                raise Conflict(f"{self.path} was never brought up to date")
            copy = precautions.copy_to_go_back_to(self.path, revision)
            kept = precautions.keep_copy(self.path, revision)
            precautions.put_back(self.path, copy)
            return copy, kept

    def _must_migrate(self, connection: sqlite3.Connection) -> bool:
        revision = _revision(connection)
        floor = None if revision is None or revision <= SCHEMA_REVISION else _floor(connection)
        return must_migrate(revision, floor, place=self.path)

    def _migrate(self) -> None:
        if self._migrates_apart:
            from audobon.database.migrate_process import migrate_apart

            migrate_apart(self._folder)
            return
        with self._migration_lock():
            with closing(connect(self.path, keeps_log=True)) as connection:
                revision = _revision(connection)
                # Another process may have done it while this one waited.
                if not self._must_migrate(connection):
                    return
            # Dear to import, and needed once in the life of a schema.
            from audobon.database.migrate import is_known, upgrade

            if revision is not None and not is_known(revision):
                raise NewerFormat(
                    f"{self.path} has a schema nobody knows here ({revision})", hint="upgrade Audobon"
                )
            if revision is not None:
                precautions.demand_room(self.path)
                precautions.prove_sound(self.path)
                precautions.keep_copy(self.path, revision)
            upgrade(self.path)

    def _migration_lock(self) -> FileLock:
        return FileLock(self._folder / "locks" / "migrate.lock", purpose="a database migration", wait=True)


def shipping_note(path: Path) -> Path:
    """Return the file that tells how far a database was shipped."""
    return path.parent / "locks" / f"{path.name}.shipped"


def damage_mark(path: Path) -> Path:
    """Return the file that lies there once a database file was found damaged, until it is mended."""
    return path.parent / "locks" / f"{path.name}.damaged"


def _revision(connection: sqlite3.Connection) -> str | None:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    if known is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _floor(connection: sqlite3.Connection) -> str | None:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_floor'").fetchone() is None:
        return None
    row = connection.execute("SELECT revision FROM schema_floor").fetchone()
    return None if row is None else str(row[0])


def named(error: sqlite3.Error, path: Path) -> AudobonError:
    """Return our error for one of SQLite's about a database file."""
    # The extended codes of SQLite carry the plain one in their low byte.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    # Or so many fight over its locks that SQLite gave up looking.
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return Unavailable(f"{path} is kept locked by another process", hint="try again later")
    # On a full disk SQLite may only see that reading or writing failed.
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_disk_full(path)):
        return DiskFull(f"no room left for {path}", hint="free some space and run the same command again")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return Denied(f"not allowed: {path}: {error}", hint="check the permissions of its folder")
    if code == sqlite3.SQLITE_IOERR:
        return Unavailable(f"reading or writing {path} failed: {error}", hint="check the disk and try again")
    return Corrupt(
        f"{path} cannot be used as a database: {error}",
        hint=MEND,
    )


def _is_disk_full(path: Path) -> bool:
    return shutil.disk_usage(path.parent).free < _LITTLE_ROOM_BYTES
