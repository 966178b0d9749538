"""What the machine's resources are used for now: the whole, Audobon's own part, and others'.

Samples only; `history` keeps them.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from audobon.clock import Clock, utc_now
from audobon.telemetry.gpus import Gpu, GpuDriver
from audobon.telemetry.probes import MachineReading, ProcessReading, SystemProbe

# A driver that was not there a moment ago is not asked for in each sample.
_GPU_RETRY_SECONDS = 60.0


class ProcessorUse(msgspec.Struct, frozen=True):
    """Processor time since the sample before, in percent of the whole machine; None in the first.

    load  processes that want to run, over the last minute; None where the system does not tell
    """

    cores: int
    percent: float | None
    ours_percent: float | None
    load: float | None


class MemoryUse(msgspec.Struct, frozen=True):
    """Memory at one moment; what our processes share with each other counts each time."""

    total_bytes: int
    available_bytes: int
    ours_bytes: int
    others_bytes: int
    swap_total_bytes: int
    swap_used_bytes: int


class GpuUse(msgspec.Struct, frozen=True):
    """A graphics card at one moment.

    ours_bytes, others_bytes  None when the driver does not tell who holds what
    percent                   how busy it is; None when it does not tell
    """

    name: str
    total_bytes: int
    used_bytes: int
    ours_bytes: int | None
    others_bytes: int | None
    percent: float | None


class DiskUse(msgspec.Struct, frozen=True):
    """The data folder's disk, and what all disks moved since the sample before.

    *_per_second  None in the first sample, and where the system does not tell
    """

    total_bytes: int
    free_bytes: int
    read_bytes_per_second: float | None
    written_bytes_per_second: float | None
    ours_read_bytes_per_second: float | None
    ours_written_bytes_per_second: float | None


class Sample(msgspec.Struct, frozen=True):
    """All resources at one moment.

    at           seconds since 1970, UTC
    gpu_problem  why there is no graphics card; None if there is one
    processes    how many of ours there were
    """

    at: float
    processor: ProcessorUse
    memory: MemoryUse
    gpus: tuple[GpuUse, ...]
    gpu_problem: str | None
    disk: DiskUse
    processes: int


class _Reading(msgspec.Struct, frozen=True):
    seconds: float
    machine: MachineReading
    ours: dict[int, ProcessReading]


class ResourceMonitor:
    """Samples the machine; a sample tells rates since the one before. Not for two threads at once.

    folder  the data folder, whose disk is looked at
    family  our processes at this moment: the engine's and its descendants
    """

    def __init__(
        self,
        folder: Path,
        family: Callable[[], Iterable[int]],
        *,
        probe: SystemProbe | None = None,
        driver: GpuDriver | None = None,
        clock: Clock = time.monotonic,
        now: Clock = utc_now,
    ) -> None:
        self._family = family
        self._probe = probe or SystemProbe(folder)
        self._driver = driver or GpuDriver()
        self._clock = clock
        self._now = now
        self._last: _Reading | None = None
        self._gpu_problem: str | None = None
        self._ask_gpus_at = float("-inf")

    def sample(self) -> Sample:
        """Return the machine as it is now; never waits."""
        ours = {pid: found for pid in self._family() if (found := self._probe.process(pid)) is not None}
        reading = _Reading(self._clock(), self._probe.machine(), ours)
        last, self._last = self._last, reading
        gpus = self._gpus(reading.seconds)
        return Sample(
            at=self._now(),
            processor=_processor(last, reading),
            memory=_memory(reading),
            gpus=tuple(_gpu(gpu, ours.keys()) for gpu in gpus),
            gpu_problem=self._gpu_problem,
            disk=_disk(last, reading),
            processes=len(ours),
        )

    def close(self) -> None:
        """Let go of the graphics driver."""
        self._driver.close()

    def _gpus(self, seconds: float) -> tuple[Gpu, ...]:
        if seconds < self._ask_gpus_at:
            return ()
        gpus, self._gpu_problem = self._driver.read()
        if not gpus:
            self._ask_gpus_at = seconds + _GPU_RETRY_SECONDS
        return gpus


def _processor(last: _Reading | None, now: _Reading) -> ProcessorUse:
    machine, percent, ours_percent = now.machine, None, None
    if last is not None:
        total_seconds = machine.total_seconds - last.machine.total_seconds
        if total_seconds > 0:
            percent = _percent(machine.busy_seconds - last.machine.busy_seconds, total_seconds)
            ours_seconds = _grown(last, now, lambda process: process.processor_seconds)
            ours_percent = _percent(ours_seconds or 0.0, total_seconds)
    return ProcessorUse(machine.cores, percent, ours_percent, machine.load)


def _memory(now: _Reading) -> MemoryUse:
    machine = now.machine
    ours_bytes = sum(process.resident_bytes for process in now.ours.values())
    used_bytes = machine.memory_total_bytes - machine.memory_available_bytes
    return MemoryUse(
        machine.memory_total_bytes,
        machine.memory_available_bytes,
        ours_bytes,
        max(0, used_bytes - ours_bytes),
        machine.swap_total_bytes,
        machine.swap_used_bytes,
    )


def _gpu(gpu: Gpu, ours: Iterable[int]) -> GpuUse:
    used_bytes = gpu.total_bytes - gpu.free_bytes
    ours_bytes = sum(gpu.held_bytes.get(pid, 0) for pid in ours) if gpu.held_bytes else None
    others_bytes = None if ours_bytes is None else max(0, used_bytes - ours_bytes)
    return GpuUse(gpu.name, gpu.total_bytes, used_bytes, ours_bytes, others_bytes, gpu.busy_percent)


def _disk(last: _Reading | None, now: _Reading) -> DiskUse:
    machine, seconds = now.machine, 0.0 if last is None else now.seconds - last.seconds

    def rate(before: float | None, after: float | None) -> float | None:
        if before is None or after is None or seconds <= 0:
            return None
        return max(0.0, after - before) / seconds

    return DiskUse(
        machine.disk_total_bytes,
        machine.disk_free_bytes,
        rate(None if last is None else last.machine.read_bytes, machine.read_bytes),
        rate(None if last is None else last.machine.written_bytes, machine.written_bytes),
        rate(0.0, None if last is None else _grown(last, now, lambda process: process.read_bytes)),
        rate(0.0, None if last is None else _grown(last, now, lambda process: process.written_bytes)),
    )


def _grown(last: _Reading, now: _Reading, count: Callable[[ProcessReading], float | None]) -> float | None:
    """Return by how much a counter of our processes grew; None when none of them tells.

    A process not seen before has done all its work since, for its counters begin with it; what one that
    ended did since the last sample is lost.
    """
    told, grown = False, 0.0
    for pid, process in now.ours.items():
        after = count(process)
        if after is None:
            continue
        told = True
        before = count(last.ours[pid]) if pid in last.ours else 0.0
        # A smaller count is another process under the same number.
        grown += after - before if before is not None and before <= after else after
    return grown if told or not now.ours else None


def _percent(part: float, whole: float) -> float:
    return min(100.0, max(0.0, 100.0 * part / whole))
