"""Starts the worker process, sees its death at once, and starts another."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from audobon.compute.worker_messages import Go, Hello
from audobon.errors import DiskFull, WorkerDied
from audobon.ids import new_id
from audobon.processes import family_resident_bytes
from audobon.queue.service import Queue

_TICK_SECONDS = 0.1
_RENEW_SECONDS = 10.0
# Deaths that took no task with them; more of these mean that no worker can live here.
_MAX_IDLE_DEATHS = 3
_STOP_SECONDS = 0.5


class Supervisor:
    """One worker process and its replacements, for the length of a job.

    Use as a context manager: leaving it ends the worker, whatever it does.
    """

    def __init__(self, hello: Hello) -> None:
        self._hello = hello
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the object)
        self.peak_bytes = 0

    def __enter__(self) -> "Supervisor":
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._log.close()

    def run(self, queue: Queue, job_id: str, *, budget_bytes: int, on_tick: Callable[[], None]) -> None:
        """Have every task of a job done; return when none is left.

        on_tick  called about ten times a second, and once at the end
        raises   WorkerDied when workers die without taking up a task, DiskFull when results have no room
        """
        idle_deaths = 0
        while True:
            owner = new_id()
            process = self._process or self._start()
            self._say(process, Go(job_id, owner, budget_bytes))
            code = self._watch(process, queue, job_id, owner, on_tick)
            self._process = None
            is_full = code == DiskFull.exit
            taken = queue.give_back(
                job_id, owner=owner, reason=f"the worker ended with {_status(code)}", is_blameless=is_full
            )
            on_tick()
            if is_full:
                raise DiskFull(self._last_words(), hint="free some space and run the same command again")
            if code == 0 and not taken:
                return
            idle_deaths = 0 if taken else idle_deaths + 1
            if idle_deaths >= _MAX_IDLE_DEATHS:
                raise WorkerDied(
                    f"the worker process cannot run: it ended with {_status(code)} {idle_deaths} times"
                    f" before taking up a page. Its last words: {self._last_words()}",
                    hint="audobon doctor",
                )

    def stop(self) -> None:
        """End the worker now; what it was doing is lost, what it finished is not."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _watch(
        self,
        process: subprocess.Popen[bytes],
        queue: Queue,
        job_id: str,
        owner: str,
        on_tick: Callable[[], None],
    ) -> int:
        renewed = time.monotonic()
        while True:
            try:
                return process.wait(_TICK_SECONDS)
            except subprocess.TimeoutExpired:
                self.sample()
                on_tick()
            if time.monotonic() - renewed > _RENEW_SECONDS:
                queue.renew(job_id, owner)
                renewed = time.monotonic()

    def sample(self) -> None:
        """Note the memory all processes of the run hold now."""
        self.peak_bytes = max(self.peak_bytes, family_resident_bytes([os.getpid()]))

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            # -P: the folder we are started in may hold anything, modules included.
            [sys.executable, "-P", "-m", "audobon.compute.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            # Ctrl-C reaches the command alone, which then ends the worker in its own way.
            start_new_session=True,
        )
        self._process = process
        self._say(process, self._hello)
        return process

    def _say(self, process: subprocess.Popen[bytes], message: msgspec.Struct) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(msgspec.json.encode(message) + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            # It died already; watching it says so.
            return

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "none"


def _status(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"status {code}"
