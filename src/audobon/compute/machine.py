"""What this machine has, as plain values, asked of the system once.

Judges nothing; `hardware.judge` says what the values mean for the work.
"""

import os
import shutil
from pathlib import Path

import msgspec

from audobon.cgroup import read_limits
from audobon.compute import disks
from audobon.compute.disks import DiskKind, OtherDisk, ReadSpeed
from audobon.models.devices import available_providers
from audobon.telemetry.gpus import Gpu, find_gpus


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine has; made up freely in tests.

    physical_cores      None if the system does not say
    affinity_cores      logical processors this process may run on
    quota_cores         processor time a control group allows; None without one
    memory_limit_bytes  what a control group allows of the memory; None without one
    available_bytes     memory that can be taken now without swapping, within the limit
    gpu_problem         why no card was found; None if one was, or all went well
    providers           execution providers of the installed ONNX Runtime
    speed_problem       why the disk was not measured; None if it was
    """

    physical_cores: int | None
    logical_cores: int
    affinity_cores: int
    quota_cores: float | None
    memory_bytes: int
    memory_limit_bytes: int | None
    available_bytes: int
    gpus: tuple[Gpu, ...]
    gpu_problem: str | None
    providers: tuple[str, ...]
    disk_kind: DiskKind
    disk_free_bytes: int
    speed: ReadSpeed | None
    speed_problem: str | None
    other_disks: tuple[OtherDisk, ...]


def probe(folder: Path) -> Machine:
    """Ask the system what it has; takes a second or two, most of it to read from the disk.

    folder  the data folder, or where it will be; nothing stays in it
    """
    import psutil

    limits = read_limits()
    memory = psutil.virtual_memory()
    is_limited = limits.memory_bytes is not None and limits.memory_bytes < memory.total
    left_bytes = memory.available if limits.free_bytes is None else limits.free_bytes
    logical_cores = os.cpu_count() or 1
    gpus, gpu_problem = find_gpus()
    place = disks.existing_part(folder)
    free_bytes = shutil.disk_usage(place).free
    speed, speed_problem = _measure(place, free_bytes)
    return Machine(
        physical_cores=psutil.cpu_count(logical=False),
        logical_cores=logical_cores,
        affinity_cores=_affinity_cores(logical_cores),
        quota_cores=limits.cores,
        memory_bytes=memory.total,
        memory_limit_bytes=limits.memory_bytes if is_limited else None,
        available_bytes=min(memory.available, left_bytes),
        gpus=gpus,
        gpu_problem=gpu_problem,
        providers=tuple(available_providers()),
        disk_kind=disks.kind_of_disk(place),
        disk_free_bytes=free_bytes,
        speed=speed,
        speed_problem=speed_problem,
        other_disks=disks.other_disks(place),
    )


def _affinity_cores(logical_cores: int) -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return logical_cores


def _measure(place: Path, free_bytes: int) -> tuple[ReadSpeed | None, str | None]:
    """Return the disk's speed, and why it was not measured."""
    try:
        speed = disks.read_speed(place, free_bytes=free_bytes)
    except OSError as error:
        return None, f"not measured: {error.strerror or error}"
    return speed, None if speed else "not measured: there is too little room for a trial file"
