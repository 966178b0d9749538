"""The marks that tasks leave: counted in shared memory, never in the system under measure.

A file mapped by all processes: a gate, the processes that wait at it, and for each task when it first
started, how often it started and how often it ended.
"""

import mmap
import os
import struct
import time
from pathlib import Path
from typing import Any

from place import here

_HEADER = 4096
_WAITERS = 500
_LOOK_SECONDS = 0.002
_PID = struct.Struct("<Q")
_SLOT = struct.Struct("<QII")


class Counters:
    """The marks of one slice."""

    def __init__(self, path: Path, *, tasks: int = 0) -> None:
        if tasks:
            path.write_bytes(bytes(_HEADER + tasks * _SLOT.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._is_open = False

    def open_gate(self) -> None:
        """Let everybody run."""
        self._memory[0] = 1

    def run(self, index: int) -> None:
        """Do the task: wait for the gate, note the start, note the end."""
        if not self._is_open:
            self.await_gate()
        at = _HEADER + index * _SLOT.size
        first, starts, ends = _SLOT.unpack_from(self._memory, at)
        _SLOT.pack_into(self._memory, at, first or time.monotonic_ns(), starts + 1, ends + 1)

    def await_gate(self) -> None:
        """Register this process as waiting, and return when the gate is open."""
        if not self._memory[0]:
            pid = os.getpid()
            _PID.pack_into(self._memory, 8 + pid % _WAITERS * 8, pid)
            while not self._memory[0]:
                time.sleep(_LOOK_SECONDS)
        self._is_open = True

    def waiting(self) -> int:
        """Return how many processes have come to the gate."""
        return sum(bool(_PID.unpack_from(self._memory, 8 + 8 * slot)[0]) for slot in range(_WAITERS))

    def started_ns(self, index: int) -> int:
        """Return when a task first started, by the machine's monotonic clock; 0 when it did not yet."""
        return int(_SLOT.unpack_from(self._memory, _HEADER + index * _SLOT.size)[0])

    def ended(self) -> int:
        """Return how many tasks have ended at least once."""
        return int((self._slots()["ends"] > 0).sum())

    def faults(self) -> dict[str, int]:
        """Return how many tasks never ran, and how many ran more than once."""
        starts = self._slots()["starts"]
        return {"lost": int((starts == 0).sum()), "repeated": int((starts > 1).sum())}

    def _slots(self) -> Any:
        import numpy as np

        kind = np.dtype([("first", "<u8"), ("starts", "<u4"), ("ends", "<u4")])
        return np.frombuffer(self._memory, kind, offset=_HEADER)


_counters: Counters | None = None


def run_task(index: int) -> None:
    """Do a task, in whatever process a system runs it."""
    global _counters
    if _counters is None:
        _counters = Counters(here().counters)
    _counters.run(index)
