"""The processes that a slice starts; none outlives it."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import IO

_PR_SET_PDEATHSIG = 1

_started: list["subprocess.Popen[bytes]"] = []


def start(
    command: Sequence[str], *, stdout: IO[bytes] | None = None, stderr: IO[bytes] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a process with a group of its own, for which its descendants are ended too."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
    )
    _started.append(process)
    return process


def end_all() -> None:
    """Kill all that was started, and wait."""
    for process in _started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it ended by itself
    for process in _started:
        process.wait()
    _started.clear()


def end_with_parent() -> None:
    """Let this process clean up and end when the one that started it is gone."""

    def leave(number: int, frame: object) -> None:
        sys.exit(f"ended by signal {number}")

    signal.signal(signal.SIGTERM, leave)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
