"""Readings of the whole machine and of single processes, as the system gives them; judges nothing."""

import os
from pathlib import Path
from typing import Any

import msgspec

from audobon.cgroup import read_limits


class MachineReading(msgspec.Struct, frozen=True, kw_only=True):
    """The machine at one moment; counters run from its start.

    busy_seconds, total_seconds   processor time, of all cores together
    memory_total_bytes            within the limit of a control group, when there is one
    read_bytes, written_bytes     all disks together; None where the system does not tell
    disk_free_bytes               on the disk of the data folder
    load                          processes that want to run, over the last minute; None as above
    """

    cores: int
    busy_seconds: float
    total_seconds: float
    memory_total_bytes: int
    memory_available_bytes: int
    swap_total_bytes: int
    swap_used_bytes: int
    disk_total_bytes: int
    disk_free_bytes: int
    read_bytes: int | None
    written_bytes: int | None
    load: float | None


class ProcessReading(msgspec.Struct, frozen=True, kw_only=True):
    """One process at one moment; counters run from its start; None where the system does not tell."""

    processor_seconds: float
    resident_bytes: int
    read_bytes: int | None
    written_bytes: int | None


class SystemProbe:
    """Asks the system; the tests' probes answer in its place.

    folder  on the disk to look at; it may not be there yet
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def machine(self) -> MachineReading:
        """Return the machine as it is now; some 0.7 ms."""
        import psutil

        times, memory, swap = psutil.cpu_times(), psutil.virtual_memory(), psutil.swap_memory()
        # What guests take is counted under user and nice as well.
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        total_seconds = sum(times) - guests
        limits, moved, disk = read_limits(), psutil.disk_io_counters(), psutil.disk_usage(self._place())
        return MachineReading(
            cores=os.cpu_count() or 1,
            busy_seconds=total_seconds - times.idle - getattr(times, "iowait", 0.0),
            total_seconds=total_seconds,
            memory_total_bytes=_least(memory.total, limits.memory_bytes),
            memory_available_bytes=_least(memory.available, limits.free_bytes),
            swap_total_bytes=swap.total,
            swap_used_bytes=swap.used,
            disk_total_bytes=disk.total,
            disk_free_bytes=disk.free,
            read_bytes=None if moved is None else moved.read_bytes,
            written_bytes=None if moved is None else moved.write_bytes,
            load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        )

    def process(self, pid: int) -> ProcessReading | None:
        """Return a process as it is now; None when it has ended or may not be looked at."""
        import psutil

        try:
            process = psutil.Process(pid)
            with process.oneshot():
                times, resident = process.cpu_times(), process.memory_info().rss
        except psutil.Error:
            return None
        moved = _moved(process)
        return ProcessReading(
            processor_seconds=times.user + times.system,
            resident_bytes=resident,
            read_bytes=None if moved is None else moved.read_bytes,
            written_bytes=None if moved is None else moved.write_bytes,
        )

    def _place(self) -> str:
        place = self._folder.absolute()
        while not place.exists() and place != place.parent:
            place = place.parent
        return str(place)


def _moved(process: Any) -> Any:
    import psutil

    if not hasattr(process, "io_counters"):
        return None
    try:
        return process.io_counters()
    except psutil.Error:
        # Only the system's administrator may see this of other users' processes.
        return None


def _least(measured: int, limit: int | None) -> int:
    return measured if limit is None else min(measured, limit)
