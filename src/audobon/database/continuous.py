"""Ships a database for as long as this process has it open: beside its work, or before each answer."""

import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from audobon.clock import utc_now
from audobon.database.shipping import Shipper
from audobon.database.shipping_state import Failure, FailureFile
from audobon.errors import AlreadyRunning, AudobonError, Unavailable
from audobon.sqlite import Connection

ShippingMode = Literal["async", "sync", "off"]
"""async: soon after a commit; sync: before a commit is acknowledged; off: not at all."""

_REST_AFTER_FAILURE_SECONDS = 5.0


class ContinuousShipping:
    """Ships what connections of this process, and of others, commit.

    open_shipper     called when there is something to ship for the first time
    seconds          how often is looked for something new
    tell             told in words when shipping fails, once until it works again
    after_snapshot   called after one was taken, to prune
    """

    def __init__(
        self,
        path: Path,
        open_shipper: Callable[[], Shipper],
        *,
        mode: ShippingMode = "async",
        seconds: float = 0.1,
        tell: Callable[[str], None] = lambda _: None,
        after_snapshot: Callable[[], None] = lambda: None,
    ) -> None:
        self._open_shipper = open_shipper
        self._mode = mode
        self._seconds = seconds
        self._tell = tell
        self._after_snapshot = after_snapshot
        self._failure = FailureFile(path)
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._shipper: Shipper | None = None
        self._connections = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._care: threading.Thread | None = None

    def attach(self, connection: Connection) -> None:
        """Ship what a connection commits, until it is closed."""
        # Elsewhere the log cannot be read beside SQLite.
        if self._mode == "off" or sys.platform == "win32":
            return
        connection.before_close = self._detach
        if self._mode == "sync":
            connection.after_commit = self._ship_before_answer
        with self._lock:
            self._connections += 1
            if self._thread is None:
                self._ended.clear()
                self._thread = threading.Thread(target=self._run, name="shipping", daemon=True)
                self._thread.start()

    def _detach(self) -> None:
        with self._lock:
            self._connections -= 1
            if self._connections:
                return
            self._ended.set()
            if self._thread is not None:
                self._thread.join()
                self._thread = None
            if self._care is not None:
                self._care.join()
                self._care = None
            shipper = self._opened()
            try:
                # What is there already is not read again: another command may have nothing to ship.
                if shipper.has_news():
                    self._ship(waits=True)
                    if shipper.is_without_snapshot:
                        self._take_snapshot()
            finally:
                shipper.close()
                self._shipper = None

    def _ship_before_answer(self) -> None:
        try:
            shipper = self._opened()
            shipper.ship(takes_snapshots=False)
            if shipper.is_without_snapshot:
                # What nothing can be restored from yet is not in a copy.
                shipper.snapshot(waits=True)
        except sqlite3.Error as error:
            raise Unavailable(f"what was written is here, but not in the copy: {error}") from error

    def _run(self) -> None:
        # At once: what is opened first takes longer than a ship.
        rest_seconds = 0.0
        while not self._ended.wait(rest_seconds):
            rest_seconds = self._seconds
            with suppress(AlreadyRunning):
                if not self._look_and_ship():
                    rest_seconds = max(self._seconds, _REST_AFTER_FAILURE_SECONDS)
                    continue
            if self._care is None or not self._care.is_alive():
                self._begin_care()

    def _look_and_ship(self) -> bool:
        """Ship what is new; tell whether that worked. raises AlreadyRunning."""
        try:
            if not self._opened().has_news():
                return True
            self._opened().get_ready()
            return self._ship(waits=False)
        except AlreadyRunning:
            raise
        except (AudobonError, sqlite3.Error, OSError) as error:
            # Whatever it is, as too many open files: the next look may find it gone.
            self._failed(error)
            return False

    def _begin_care(self) -> None:
        shipper = self._opened()
        for is_due, deed in (
            (shipper.is_snapshot_due, self._take_snapshot),
            (shipper.is_compacting_due, self._compact),
        ):
            if is_due:
                self._care = threading.Thread(target=deed, name="care of the copy", daemon=True)
                self._care.start()
                return

    def _ship(self, *, waits: bool) -> bool:
        try:
            self._opened().ship(waits=waits, takes_snapshots=False)
        except AlreadyRunning:
            raise
        except (AudobonError, sqlite3.Error, OSError) as error:
            self._failed(error)
            return False
        if not self._opened().is_without_snapshot:
            self._worked()
        return True

    def _take_snapshot(self) -> None:
        try:
            self._opened().snapshot()
            self._worked()
        except (AudobonError, sqlite3.Error, OSError) as error:
            self._failed(error)
            return
        try:
            self._after_snapshot()
        except (AudobonError, OSError) as error:
            self._tell(f"what is kept no longer of the database's copy could not be removed: {error}")

    def _compact(self) -> None:
        try:
            self._opened().compact()
        except (AudobonError, sqlite3.Error, OSError) as error:
            # It is tried again with the next segments; meanwhile there are only more of them.
            self._tell(f"the copy of the database was not put together: {error}")

    def _worked(self) -> None:
        if self._failure.read() is not None:
            self._failure.clear()
            self._tell("the database is shipped again")

    def _failed(self, error: Exception) -> None:
        words = error.message if isinstance(error, AudobonError) else str(error)
        if self._failure.read() is None:
            self._tell(f"the database is not shipped: {words}")
        self._failure.write(Failure(utc_now(), words))

    def _opened(self) -> Shipper:
        with self._opening:
            if self._shipper is None:
                self._shipper = self._open_shipper()
            return self._shipper
