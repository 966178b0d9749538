"""Is this machine fit for the work: its hardware judged against the table of the design document.

`examine` asks and judges; `judge` alone is pure, so that every verdict can be seen without the hardware.
"""

from pathlib import Path
from typing import Literal

import msgspec

from audobon.compute.machine import Machine, probe

# ok             the minimum of the table is reached
# recommended    the higher, recommended figure is reached as well (only memory has one)
# below minimum  it is there, but less or slower than the table asks for
# missing        it is not there at all, or could not be measured
Verdict = Literal["ok", "recommended", "below minimum", "missing"]

# The table counts as makers do, in powers of ten: a "32 GB" machine reports a little under 32 GiB.
GIGABYTE = 1_000_000_000
MINIMUM_CORES = 8
MINIMUM_MEMORY_BYTES = 32 * GIGABYTE
RECOMMENDED_MEMORY_BYTES = 64 * GIGABYTE
LITTLE_AVAILABLE_BYTES = 2 * GIGABYTE
MINIMUM_GRAPHICS_BYTES = 8 * GIGABYTE
MINIMUM_FREE_BYTES = 500 * GIGABYTE
# The table asks for NVMe without a figure. No SATA disk can read faster than this (6 Gbit/s less its coding),
# so a slower answer is not what the table means.
MINIMUM_READ_MB_PER_S = 600.0

# source: waifu2x-upconv7-x2, the default model, takes 7 to 9 processor seconds per megapixel of the page.
_PROCESSOR_SECONDS_PER_MEGAPIXEL = 8
_MEGAPIXELS_OF_A_PAGE = 3

_MINIMA = {
    "processor cores": f"{MINIMUM_CORES} cores",
    "memory": f"{MINIMUM_MEMORY_BYTES // GIGABYTE} GB, {RECOMMENDED_MEMORY_BYTES // GIGABYTE} GB recommended",
    "graphics memory": f"{MINIMUM_GRAPHICS_BYTES // GIGABYTE} GB, NVIDIA",
    "CUDA": "offered by ONNX Runtime",
    "NVMe space": f"NVMe, {MINIMUM_FREE_BYTES // GIGABYTE} GB free",
    "disk read speed": f"{MINIMUM_READ_MB_PER_S:.0f} MB/s",
    "secondary storage": "another disk",
}

_KINDS = {
    "nvme": "an NVMe SSD",
    "ssd": "an SSD, not NVMe",
    "rotating": "a rotating disk",
    "memory": "kept in memory only",
    "unknown": "kind of disk unknown",
}


class Finding(msgspec.Struct, frozen=True):
    """One line of the table: what was found, and what it means.

    measured  for people;  value with unit, for programs: None if nothing could be measured
    meaning   one plain sentence about the user's work
    """

    subject: str
    measured: str
    value: float | None
    unit: str
    verdict: Verdict
    meaning: str

    @property
    def minimum(self) -> str:
        """What is asked for, in words."""
        return _MINIMA[self.subject]

    @property
    def is_fit(self) -> bool:
        """Whether the minimum is reached."""
        return self.verdict in {"ok", "recommended"}


def examine(folder: Path) -> list[Finding]:
    """Ask the machine that holds this data folder what it has, and judge it; takes a second or two."""
    return judge(probe(folder))


def judge(machine: Machine) -> list[Finding]:
    """Return one finding per line of the table, always the same seven, in its order."""
    return [
        _processor(machine),
        _memory(machine),
        _graphics_memory(machine),
        _cuda(machine),
        _space(machine),
        _read_speed(machine),
        _secondary_storage(machine),
    ]


def usable_cores(machine: Machine) -> float:
    """Return the real cores this process may keep busy; a fraction under a processor quota."""
    cores = machine.physical_cores or machine.logical_cores
    return min(cores, machine.affinity_cores, machine.quota_cores or cores)


def _processor(machine: Machine) -> Finding:
    cores = usable_cores(machine)
    physical = "unknown" if machine.physical_cores is None else machine.physical_cores
    measured = f"{cores:g} usable ({physical} physical, {machine.logical_cores} logical"
    if machine.affinity_cores < machine.logical_cores:
        measured += f", {machine.affinity_cores} assigned to this process"
    if machine.quota_cores is not None:
        measured += f", a quota of {machine.quota_cores:g}"
    verdict: Verdict = "ok" if cores >= MINIMUM_CORES else "below minimum"
    meaning = (
        "Enough to work on pages and to read and write others meanwhile."
        if verdict == "ok"
        else f"Work on the processor takes about {MINIMUM_CORES / cores:.1f} times as long"
        f" as with {MINIMUM_CORES} cores."
    )
    return Finding("processor cores", measured + ")", cores, "cores", verdict, meaning)


def _memory(machine: Machine) -> Finding:
    usable_bytes = machine.memory_limit_bytes or machine.memory_bytes
    measured = f"{_gigabytes(usable_bytes)}, {_gigabytes(machine.available_bytes)} available now"
    if machine.memory_limit_bytes:
        measured += f" (limited; the machine has {_gigabytes(machine.memory_bytes)})"
    if usable_bytes >= RECOMMENDED_MEMORY_BYTES:
        verdict: Verdict = "recommended"
        meaning = "Several models can stay loaded side by side."
    elif usable_bytes >= MINIMUM_MEMORY_BYTES:
        verdict = "ok"
        meaning = "Enough for large pages; 64 GB would let several models stay loaded side by side."
    else:
        verdict = "below minimum"
        meaning = "Fewer pages are worked on at once, and large ones in smaller tiles, which takes longer."
    if machine.available_bytes < LITTLE_AVAILABLE_BYTES:
        meaning = "Other programs hold almost all of the memory: close some before a large book."
    return Finding("memory", measured, usable_bytes, "bytes", verdict, meaning)


def _graphics_memory(machine: Machine) -> Finding:
    if not machine.gpus:
        measured = machine.gpu_problem or "no NVIDIA GPU found"
        return Finding("graphics memory", measured, None, "bytes", "missing", _on_the_processor(machine))
    gpu = max(machine.gpus, key=lambda gpu: gpu.total_bytes)
    measured = f"{gpu.name}: {_gigabytes(gpu.total_bytes)}, {_gigabytes(gpu.free_bytes)} free now"
    if gpu.total_bytes >= MINIMUM_GRAPHICS_BYTES:
        meaning = "The card is large enough for every model at every tile size."
        return Finding("graphics memory", measured, gpu.total_bytes, "bytes", "ok", meaning)
    meaning = "The card may be too small: a model that does not fit at the moment runs on the processor."
    return Finding("graphics memory", measured, gpu.total_bytes, "bytes", "below minimum", meaning)


def _cuda(machine: Machine) -> Finding:
    has_provider = "CUDAExecutionProvider" in machine.providers
    measured = "CUDA is" + (" offered" if has_provider else " not offered") + " by ONNX Runtime"
    if has_provider and machine.gpus:
        meaning = "Models run on the card if CUDA starts; the device named below is the proof."
        return Finding("CUDA", measured, len(machine.gpus), "graphics cards", "ok", meaning)
    if not machine.gpus:
        measured += ", and no NVIDIA GPU was found"
        meaning = "Nothing runs on a graphics card here; the processor does all the work."
    elif machine.providers:
        meaning = (
            "The graphics card stays idle: the ONNX Runtime installed here is the one without CUDA;"
            " docs/guides/hardware.md tells how to exchange it."
        )
    else:
        measured, meaning = "ONNX Runtime is not installed", "No model can run on this machine."
    return Finding("CUDA", measured, 0, "graphics cards", "missing", meaning)


def _space(machine: Machine) -> Finding:
    measured = f"{_gigabytes(machine.disk_free_bytes)} free, {_KINDS[machine.disk_kind]}"
    is_roomy = machine.disk_free_bytes >= MINIMUM_FREE_BYTES
    verdict: Verdict = "ok" if is_roomy and machine.disk_kind in {"nvme", "unknown"} else "below minimum"
    if machine.disk_kind == "memory":
        meaning = "Work kept here is lost when the machine is switched off; choose a folder on a disk."
    elif not is_roomy:
        meaning = "Enough to begin, but large libraries will fill this disk; 500 GB are asked for."
    elif machine.disk_kind == "nvme":
        meaning = "Room for models, pages and results, on a disk of the right kind."
    elif machine.disk_kind == "unknown":
        meaning = "Room enough; what disk it is cannot be seen from here, so go by the read speed."
    else:
        meaning = "Room enough, but models load and pages open more slowly than from an NVMe SSD."
    return Finding("NVMe space", measured, machine.disk_free_bytes, "bytes", verdict, meaning)


def _read_speed(machine: Machine) -> Finding:
    speed = machine.speed
    if speed is None:
        measured = machine.speed_problem or "not measured"
        meaning = "How long models take to load from this disk cannot be foretold."
        return Finding("disk read speed", measured, None, "MB/s", "missing", meaning)
    rate = speed.megabytes_per_second
    measured = f"{rate:,.0f} MB/s over a file of {speed.read_bytes / 1e6:,.0f} MB"
    if not speed.is_from_disk:
        measured += " (perhaps from memory: this system does not let go of its copy)"
    if rate > MINIMUM_READ_MB_PER_S:
        meaning = "Models and pages are read without a wait worth mentioning."
        return Finding("disk read speed", measured, rate, "MB/s", "ok", meaning)
    meaning = "Slower than any NVMe SSD: models load, and books open, with a noticeable wait."
    return Finding("disk read speed", measured, rate, "MB/s", "below minimum", meaning)


def _secondary_storage(machine: Machine) -> Finding:
    if not machine.other_disks:
        meaning = "Backups would lie on the same disk as the work and be lost together with it."
        return Finding("secondary storage", "no other disk found", None, "bytes", "missing", meaning)
    disk = machine.other_disks[0]
    measured = f"{disk.mountpoint}: {_gigabytes(disk.free_bytes)} free"
    if len(machine.other_disks) > 1:
        measured += f", and {len(machine.other_disks) - 1} more"
    meaning = "Backups can lie on another disk than the work."
    return Finding("secondary storage", measured, disk.free_bytes, "bytes", "ok", meaning)


def _on_the_processor(machine: Machine) -> str:
    processor_seconds = _PROCESSOR_SECONDS_PER_MEGAPIXEL * _MEGAPIXELS_OF_A_PAGE
    seconds = max(1, round(processor_seconds / usable_cores(machine)))
    return (
        f"Pages are upscaled on the processor: expect roughly {seconds} s"
        f" for a page of {_MEGAPIXELS_OF_A_PAGE} megapixels."
    )


def _gigabytes(count_bytes: int) -> str:
    return f"{count_bytes / GIGABYTE:,.1f} GB"
