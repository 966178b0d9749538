"""One worker process, as the engine holds it."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress

import msgspec

from audobon.compute.worker_messages import Hello, Order

_END_SECONDS = 0.5


class WorkerProcess:
    """A worker process from its start to its death, with its last words."""

    def __init__(self, module: str, hello: Hello) -> None:
        self.owner = hello.owner
        self.started_seconds = time.monotonic()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the object)
        self._process = subprocess.Popen(
            # -P: the folder we are started in may hold anything, modules included.
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            # Ctrl-C reaches the command alone, which then ends the worker in its own way.
            start_new_session=True,
        )
        # Readable once it has ended. There is one on Linux; elsewhere the process is asked again and again.
        self.descriptor = os.pidfd_open(self._process.pid) if hasattr(os, "pidfd_open") else None
        self._say(hello)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def status(self) -> int | None:
        """Return what it ended with, negative for a signal; None while it lives."""
        return self._process.poll()

    def wait(self, timeout_seconds: float) -> int | None:
        """Return what it ended with, as soon as it ends; None when it still lives after the time-out."""
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return None

    def order(self, order: Order) -> None:
        """Tell it something."""
        self._say(order)

    def terminate(self) -> None:
        """Ask the system to end it; what it was doing is lost, what it finished is not."""
        self._process.terminate()

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()

    def end(self) -> int:
        """End it now and return what it ended with."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.terminate()
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def last_words(self) -> str:
        """Return the last line it wrote on standard error."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "none"

    def close(self) -> None:
        """Let go of what is left of a process that ended."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
        self._log.close()

    def _say(self, message: msgspec.Struct) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(message) + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            # It died already, or was told to end; watching it says so.
            return


def status_in_words(status: int) -> str:
    """Return what a process ended with, for people."""
    return f"signal {-status}" if status < 0 else f"status {status}"
