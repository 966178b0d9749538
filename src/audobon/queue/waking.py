"""Lets a process wait until another rings, on one machine, without looking again and again."""

import errno
import os
import secrets
import select
import sys
import time
from contextlib import suppress
from pathlib import Path

from audobon.atomic import make_private_folder

# Where there are no named pipes, by the system or the disk, whoever waits looks again this often.
_LOOK_SECONDS = 0.05


class Bell:
    """A folder of named pipes: one for each that waits, rung by anybody.

    A ring is never lost for one that has begun to wait: its pipe keeps it. A pipe whose process died is
    removed by whoever rings next.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pipe: Path | None = None
        self._descriptor = -1

    def ring(self) -> None:
        """Wake all who wait."""
        try:
            names = os.listdir(self._folder)  # noqa: PTH208  (this is done for every task)
        except FileNotFoundError:
            return
        for name in names:
            self._ring_one(f"{self._folder}/{name}")

    def wait(self, timeout_seconds: float) -> None:
        """Return when somebody rang since the last wait began, or after the time-out."""
        if sys.platform == "win32":
            time.sleep(min(timeout_seconds, _LOOK_SECONDS))
            return
        if self._descriptor < 0:
            try:
                self._hang()
            except OSError:
                time.sleep(min(timeout_seconds, _LOOK_SECONDS))
            # What was rung before the pipe was there is not known: look once at once.
            return
        ready, _, _ = select.select([self._descriptor], [], [], timeout_seconds)
        if ready:
            with suppress(BlockingIOError):
                while len(os.read(self._descriptor, 4096)) == 4096:
                    pass

    def close(self) -> None:
        """Stop listening."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._pipe is not None:
            self._pipe.unlink(missing_ok=True)
            self._pipe = None

    def _hang(self) -> None:
        make_private_folder(self._folder)
        pipe = self._folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        os.mkfifo(pipe, 0o600)
        self._pipe = pipe
        # Open for writing too, so that the pipe never reads as ended.
        self._descriptor = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK)

    def _ring_one(self, pipe: str) -> None:
        try:
            descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            # Nobody reads it: its process is gone, or has not opened it yet and will look once by itself.
            with suppress(FileNotFoundError):
                if time.time() - os.stat(pipe).st_mtime > 1.0:  # noqa: PTH116
                    os.unlink(pipe)  # noqa: PTH108
            return
        try:
            os.write(descriptor, b"!")
        except (BlockingIOError, BrokenPipeError):
            # Full of rings already, or closed this very moment.
            return
        finally:
            os.close(descriptor)
