"""Writes a file through to the disk beside other work on it, so that little is left to do at the end."""

import os
import threading

_EVERY_BYTES = 64 << 20


class SyncingAhead:
    """Syncs one open file in a thread, now and then while it grows, and for good at the end.

    The pages stay in memory, where the one who checks the file next finds them: `posix_fadvise` would have
    dropped those that were written meanwhile.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._written_bytes = 0
        self._thread: threading.Thread | None = None
        # An error is told to one sync alone, so none may be forgotten.
        self._failures: list[OSError] = []

    def wrote(self, count: int) -> None:
        """Take note that so many bytes were written; never waits."""
        self._written_bytes += count
        if self._written_bytes >= _EVERY_BYTES and (self._thread is None or not self._thread.is_alive()):
            self._start()

    def begin_last(self) -> None:
        """Begin to sync all that was written so far."""
        self._join()
        self._start()

    def finish(self) -> None:
        """Wait for what was begun. raises OSError, also one of an earlier sync."""
        self._join()
        if self._failures:
            raise self._failures[0]

    def _start(self) -> None:
        self._written_bytes = 0
        self._thread = threading.Thread(target=self._sync, name="syncing ahead")
        self._thread.start()

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._failures.append(error)

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
