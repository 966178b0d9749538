"""Other processes: their memory, their end, and locks that die with them."""

import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from audobon.atomic import disk_errors, make_private_folder
from audobon.cgroup import read_limits
from audobon.errors import AlreadyRunning

if sys.platform != "win32":
    import fcntl


_PR_SET_PDEATHSIG = 1
# The system tells the start of a process to the second it was itself started in.
_CREATED_TOLERANCE_SECONDS = 1.0
# What this process last wrote in the files of its locks.
_signed: dict[str, bytes] = {}


class FileLock:
    """A lock held by this process alone, freed by the system when it dies.

    wait    until it is free, instead of refusing
    shared  beside others who share it; only where the system can, alone elsewhere
    raises  AlreadyRunning from `__enter__` when another process holds it, Denied when its folder is closed
    """

    def __init__(self, path: Path, *, purpose: str, wait: bool = False, shared: bool = False) -> None:
        self._path = path
        self._purpose = purpose
        self._wait = wait
        self._shared = shared
        self._file: IO[str] | None = None

    def __enter__(self) -> "FileLock":
        with disk_errors(self._path):
            make_private_folder(self._path.parent)
            file = self._path.open("a+")
        try:
            _lock(file, wait=self._wait, shared=self._shared)
        except OSError as error:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            file.close()
            raise AlreadyRunning(
                f"{self._purpose} is already under way in process {holder}",
                hint="wait for it to end, or stop that process",
            ) from error
        if not self._shared:
            # The number is for others to read; on a full disk the lock holds without it.
            with suppress(OSError):
                self._sign(file)
        self._file = file
        return self

    def _sign(self, file: IO[str]) -> None:
        number = str(os.getpid()).encode()
        place = str(self._path)
        # To write it anew may take as long as a sync of the disk; what a namesake left there is not ours.
        if _signed.get(place) == number and os.pread(file.fileno(), 20, 0) == number:
            return
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), number)
        _signed[place] = number

    def holder(self) -> int | None:
        """Return the process that holds it, or held it last; None when nobody ever did."""
        try:
            return int(self._path.read_text())
        except (OSError, ValueError):
            return None

    def living_holder(self) -> int | None:
        """Return the process that held it last, if that one lives still; asks without trying the lock.

        A process begun after the file was written only has the same number.
        """
        import psutil

        pid = self.holder()
        try:
            written_at = self._path.stat().st_mtime
            if (
                pid is not None
                and psutil.Process(pid).create_time() <= written_at + _CREATED_TOLERANCE_SECONDS
            ):
                return pid
        except (OSError, psutil.Error):
            return None
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Let go of before it is closed: the next instant another thread may have the lock, and its file here.
        file, self._file = self._file, None
        if file is not None:
            # Closing frees the lock; the file stays, since removing it would race with a waiter.
            file.close()


def _lock(file: IO[str], *, wait: bool, shared: bool) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    else:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(file, kind | (0 if wait else fcntl.LOCK_NB))


def resident_bytes(pid: int) -> int:
    """Return the memory a process holds now; 0 when it has ended or cannot be asked."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError):
        return 0 if sys.platform == "linux" else _resident_elsewhere(pid)
    return pages * os.sysconf("SC_PAGE_SIZE")


def _resident_elsewhere(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def family_resident_bytes(pids: Iterable[int]) -> int:
    """Return the memory of some processes and all their descendants, shared pages counted each time."""
    return sum(resident_bytes(pid) for pid in family(pids))


def family(pids: Iterable[int]) -> set[int]:
    """Return some processes and all their descendants; those that ended meanwhile may be among them."""
    pending, seen = list(pids), set[int]()
    while pending:
        pid = pending.pop()
        if pid not in seen:
            seen.add(pid)
            pending.extend(_children(pid))
    return seen


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []
    found: list[int] = []
    for task in tasks:
        try:
            found.extend(int(child) for child in (task / "children").read_text().split())
        except OSError:
            # The thread ended between listing and reading; its children show under another.
            continue
    return found


def end_with_parent() -> None:
    """Have the system kill this process when the thread that started it ends.

    A process that hangs does not read that its input was closed. Only where the system can (Linux).
    source  prctl(2), PR_SET_PDEATHSIG
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def usable_threads() -> int:
    """Return how many processors this process may keep busy, by its affinity and its group's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = read_limits().cores
    return count if quota is None else max(1, min(count, round(quota)))


def available_bytes() -> int:
    """Return the memory that could be used now without pushing anything out."""
    limit = read_limits().free_bytes
    try:
        text = Path("/proc/meminfo").read_text()
        line = next(line for line in text.splitlines() if line.startswith("MemAvailable"))
        free = int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        import psutil

        free = int(psutil.virtual_memory().available)
    return free if limit is None else min(free, limit)
