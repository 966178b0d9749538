"""The figures of a sample that are kept over time, one number each."""

from typing import Literal

from audobon.telemetry.resources import Sample

Figure = Literal[
    "processor_percent",
    "processor_ours_percent",
    "load",
    "memory_used_bytes",
    "memory_ours_bytes",
    "swap_used_bytes",
    "vram_used_bytes",
    "vram_ours_bytes",
    "gpu_percent",
    "disk_used_bytes",
    "disk_read_bytes_per_second",
    "disk_written_bytes_per_second",
    "ours_read_bytes_per_second",
    "ours_written_bytes_per_second",
]
"""What can be asked of the history; bytes_per_second of all disks, the rest as in `Sample`."""


def figures_of(sample: Sample) -> dict[Figure, float | None]:
    """Return the figures of a sample; several graphics cards are added up, and None is not known."""
    memory, disk, gpus = sample.memory, sample.disk, sample.gpus
    held = [gpu.ours_bytes for gpu in gpus if gpu.ours_bytes is not None]
    busy = [gpu.percent for gpu in gpus if gpu.percent is not None]
    return {
        "processor_percent": sample.processor.percent,
        "processor_ours_percent": sample.processor.ours_percent,
        "load": sample.processor.load,
        "memory_used_bytes": memory.total_bytes - memory.available_bytes,
        "memory_ours_bytes": memory.ours_bytes,
        "swap_used_bytes": memory.swap_used_bytes,
        "vram_used_bytes": sum(gpu.used_bytes for gpu in gpus) if gpus else None,
        "vram_ours_bytes": sum(held) if held else None,
        "gpu_percent": max(busy) if busy else None,
        "disk_used_bytes": disk.total_bytes - disk.free_bytes,
        "disk_read_bytes_per_second": disk.read_bytes_per_second,
        "disk_written_bytes_per_second": disk.written_bytes_per_second,
        "ours_read_bytes_per_second": disk.ours_read_bytes_per_second,
        "ours_written_bytes_per_second": disk.ours_written_bytes_per_second,
    }
