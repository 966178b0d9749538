"""Counts how often the disk is waited for per acknowledged task: durability is seen, not believed."""

import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from lineup import Contestant
from slices import Runner, SliceFailed

_TRACE = ["-f", "-qq", "-e", "trace=fsync,fdatasync"]
_CALL = re.compile(r"\b(?:fsync|fdatasync)\(")
_FEW, _MANY = 20, 120
ONE_EACH = 0.95
"""Syncs per task from which an acknowledgement counts as durable."""


def syncs_per_task(runner: Runner, contestant: Contestant) -> float | None:
    """Return the fsyncs per enqueued task, one producer; None when they cannot be counted here."""
    strace = shutil.which("strace")
    if strace is None:
        return None
    try:
        # What laying the tables and the probes cost falls out of the difference.
        few, many = (_count(strace, runner, contestant, tasks) for tasks in (_FEW, _MANY))
    except SliceFailed as error:
        if "ptrace" in str(error) or "PTRACE" in str(error):
            return None
        raise
    return (many - few) / (_MANY - _FEW)


def _count(strace: str, runner: Runner, contestant: Contestant, tasks: int) -> int:
    with tempfile.TemporaryDirectory(prefix="audobon-trace-") as folder:
        trace = Path(folder, "trace")
        trace.touch()
        command = [strace, *_TRACE, "-o", str(trace)]
        if contestant.server == "postgres" and runner.postgres is not None:
            with _attached(command, runner.postgres.pid):
                runner.run(contestant, "single", {"tasks": tasks})
        else:
            runner.run(contestant, "single", {"tasks": tasks}, under=command)
        return len(_CALL.findall(trace.read_text(errors="replace")))


@contextmanager
def _attached(command: list[str], pid: int) -> Iterator[None]:
    """Trace a running server: those of its processes that are there, and those it will start."""
    server = psutil.Process(pid)
    pids = [pid, *(child.pid for child in server.children(recursive=True))]
    process = subprocess.Popen([*command, *(part for each in pids for part in ("-p", str(each)))])
    try:
        until = time.monotonic() + 10
        while "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text():
            if process.poll() is not None or time.monotonic() > until:
                raise SliceFailed("strace could not attach: ptrace")
            time.sleep(0.01)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
