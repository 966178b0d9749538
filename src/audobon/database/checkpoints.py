"""Copies the log into the database and begins it anew, so that nothing is lost that was not shipped.

SQLite begins a log anew when somebody writes and all of the log is in the database. Nobody but this module
lets it come to that, and only once everything is shipped; then it begins the next round itself, with a commit
that changes nothing, so that what the new round follows is known.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from audobon.database.wal_format import LogIndex, next_salt
from audobon.database.wal_reader import LogReader
from audobon.sqlite import Connection, connect

TURN_FRAMES = 1000
"""After so many frames the log is begun anew, as SQLite itself would."""

_BUSY_MS = 2000
# While the shipper waits for the lock, nobody ships.
_WAIT_SECONDS = 0.1
# Before there is a log, there is nothing that others could ship.
_WAIT_FOR_LOG_SECONDS = 2.0
_LOOK_SECONDS = 0.0005


class Checkpoints:
    """The connections with which one process copies the log into the database."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = LogReader(path)
        self._writer: Connection | None = None
        self._copier: Connection | None = None

    @property
    def writer(self) -> Connection:
        """The connection that keeps others from writing."""
        if self._writer is None:
            self._writer = self._connect()
        return self._writer

    def close(self) -> None:
        """Close the connections."""
        self.log.close()
        for connection in (self._writer, self._copier):
            if connection is not None:
                connection.close()
        self._writer = self._copier = None

    def index(self) -> LogIndex:
        """Return what is committed in the log."""
        _ = self.writer
        index = self.log.index()
        if index is None:
            # A process died while it wrote the index; whoever reads next makes it anew.
            self.writer.execute("SELECT count(*) FROM sqlite_master").fetchone()
            index = self.log.index()
        if index is None:
            raise sqlite3.OperationalError("the index of the log cannot be read")
        return index

    def begun_frames(self) -> int:
        """Return up to which frame anybody has begun to copy the log into the database."""
        _ = self.writer
        return self.log.begun_frames()

    @contextmanager
    def writers_kept_out(self, *, wait_seconds: float = _WAIT_SECONDS) -> Iterator[sqlite3.Connection]:
        """Let nobody else write during the block. raises sqlite3.OperationalError when others do not end."""
        self._lock_out(wait_seconds)
        try:
            yield self.writer
        finally:
            if self.writer.in_transaction:
                self.writer.execute("ROLLBACK")

    def _lock_out(self, wait_seconds: float) -> None:
        # SQLite waits ever longer between its looks, so that those who write on and on come first each time.
        self.writer.execute("PRAGMA busy_timeout = 0")
        end_at = time.monotonic() + wait_seconds
        try:
            while True:
                try:
                    self.writer.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError as error:
                    is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                    if not is_busy or time.monotonic() >= end_at:
                        raise
                time.sleep(_LOOK_SECONDS)
        finally:
            self.writer.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")

    def begin_log(self) -> None:
        """See to it that there is a round of the log."""
        if not self.index().frames:
            with self.writers_kept_out(wait_seconds=_WAIT_FOR_LOG_SECONDS):
                self._change_nothing()

    def turn(self, ship: Callable[[], LogIndex], began_anew: Callable[[LogIndex], None]) -> None:
        """Begin the log anew, if nobody reads in it.

        ship        ships all there is, and returns up to where
        began_anew  told that the log, shipped so far, was begun anew, and with which salts
        """
        self._copy_ahead(ship)
        with self.writers_kept_out():
            shipped = ship()
            is_whole = self._copy() == (shipped.frames, shipped.frames)
        if not is_whole:
            return
        # Only one that begins to write now sees that all of the log is in the database.
        with self.writers_kept_out():
            if self.index() == shipped:
                self._change_nothing()
        now = self.index()
        if now.salts[:4] == next_salt(shipped.salts):
            began_anew(now)

    def _copy_ahead(self, ship: Callable[[], LogIndex]) -> None:
        """Copy what is shipped while others write: a reader keeps what comes later from being copied."""
        self.writer.execute("BEGIN")
        try:
            self.writer.execute("SELECT count(*) FROM sqlite_master").fetchone()
            # When all is copied, somebody may begin the log anew just while a copy begins; before 3.51.3
            # SQLite takes frames of the new round for copied then (sqlite.org/wal.html, WAL-reset bug).
            if self.log.copied_frames() < ship().frames:
                self._copy()
        finally:
            self.writer.execute("ROLLBACK")

    def _copy(self) -> tuple[int, int]:
        if self._copier is None:
            self._copier = self._connect()
        row = self._copier.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return row[1], row[2]

    def _change_nothing(self) -> None:
        number = self.writer.execute("PRAGMA user_version").fetchone()[0]
        self.writer.execute(f"PRAGMA user_version = {(number + 1) & 0x7FFFFFFF}")
        self.writer.execute("COMMIT")

    def reader(self) -> Connection:
        """Return another connection, for whoever holds a state for long."""
        return self._connect()

    def _connect(self) -> Connection:
        if not self.path.exists():
            # One that was taken away is not begun anew in its place.
            raise sqlite3.OperationalError(f"{self.path} is gone")
        connection = connect(self.path, durable=False, keeps_log=True)
        # Nothing of ours may begin the log anew unasked.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        # Making sure that there is an index.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return connection
