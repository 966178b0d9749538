"""What this machine has, as plain values, asked of the system once.

Judges nothing; `hardware.judge` says what the values mean for the work.
"""

import os
import shutil
import warnings
from pathlib import Path

import msgspec

from audobon.cgroup import read_limits
from audobon.compute import disks
from audobon.compute.disks import DiskKind, OtherDisk, ReadSpeed


class Gpu(msgspec.Struct, frozen=True):
    """An NVIDIA graphics card; free_bytes is what no program uses at this moment."""

    name: str
    total_bytes: int
    free_bytes: int


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
        providers=_providers(),
        disk_kind=disks.kind_of_disk(place),
        disk_free_bytes=free_bytes,
        speed=speed,
        speed_problem=speed_problem,
        other_disks=disks.other_disks(place),
    )


def find_gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """Return the NVIDIA cards, and why there is none; never raises for want of a card or a driver."""
    with warnings.catch_warnings():
        # Another package of the same name warns on import that it is outdated.
        warnings.simplefilter("ignore")
        try:
            import pynvml
        except ImportError:
            return (), "no NVIDIA GPU found: the package nvidia-ml-py is not installed"
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError, OSError):
        return (), "no NVIDIA GPU found: no NVIDIA driver answers"
    try:
        gpus = tuple(_gpu(index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        return (), f"the NVIDIA driver answers, but not about its cards: {error}"
    finally:
        pynvml.nvmlShutdown()
    return gpus, None if gpus else "no NVIDIA GPU found: the driver knows of no card"


def _gpu(index: int) -> Gpu:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    name = pynvml.nvmlDeviceGetName(handle)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        name=name.decode() if isinstance(name, bytes) else str(name),
        total_bytes=int(memory.total),
        free_bytes=int(memory.free),
    )


def _affinity_cores(logical_cores: int) -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return logical_cores


def _providers() -> tuple[str, ...]:
    try:
        import onnxruntime
    except ImportError:
        return ()
    return tuple(onnxruntime.get_available_providers())


def _measure(place: Path, free_bytes: int) -> tuple[ReadSpeed | None, str | None]:
    try:
        speed = disks.read_speed(place, free_bytes=free_bytes)
    except OSError as error:
        return None, f"not measured: {error.strerror or error}"
    return speed, None if speed else "not measured: too little free space for a trial file"
