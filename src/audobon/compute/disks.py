"""The disks of this machine: of what kind, how fast, and how many.

Reads what the system says and one temporary file of its own; changes nothing.
"""

import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

DiskKind = Literal["nvme", "ssd", "rotating", "memory", "unknown"]

LARGEST_TRIAL_BYTES = 256 << 20
PIECE_BYTES = 8 << 20

_BLOCK_DEVICES = Path("/sys/dev/block")
# Slowest first: a volume over several disks is as slow as the slowest of them.
_SLOWEST_FIRST: tuple[DiskKind, ...] = ("unknown", "rotating", "ssd", "nvme")
# What hypervisors call the disks they make up; what lies beneath cannot be seen from inside.
_MADE_UP_DISKS = ("qemu", "vbox", "vmware", "virtual", "msft", "google", "xen")


class ReadSpeed(msgspec.Struct, frozen=True):
    """How fast a disk gave back a file written a moment before.

    is_from_disk  the system was asked to forget its copy in memory, so that the disk had to answer
    """

    read_bytes: int
    seconds: float
    is_from_disk: bool

    @property
    def megabytes_per_second(self) -> float:
        """The speed in MB/s (10**6 bytes)."""
        return self.read_bytes / 1e6 / max(self.seconds, 1e-9)


class OtherDisk(msgspec.Struct, frozen=True):
    """A writable disk other than the one that holds the data folder."""

    mountpoint: str
    free_bytes: int


def existing_part(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def read_speed(
    folder: Path, *, free_bytes: int, clock: Callable[[], float] = time.perf_counter
) -> ReadSpeed | None:
    """Write a temporary file, read it back from the disk, and remove it whatever happens.

    free_bytes  room on the disk; at most a quarter of it is used, and never over 256 MiB
    returns     None if not even one piece of 8 MiB fits
    raises      OSError if the folder cannot be written or the disk fails
    """
    pieces = min(LARGEST_TRIAL_BYTES, free_bytes // 4) // PIECE_BYTES
    if pieces == 0:
        return None
    # Random bytes, because some file systems store zeros, or anything compressible, without reading a disk.
    piece = bytearray(os.urandom(PIECE_BYTES))
    # A temporary file without a name, where the system has such: not even a killed process leaves it behind.
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(pieces):
            _write_whole(file.fileno(), piece)
        os.fsync(file.fileno())
        is_from_disk = _forget_copy_in_memory(file.fileno())
        file.seek(0)
        began = clock()
        read_bytes = 0
        while count := file.readinto(piece):
            read_bytes += count
        seconds = clock() - began
    return ReadSpeed(read_bytes, seconds, is_from_disk)


def kind_of_disk(folder: Path, *, block_devices: Path = _BLOCK_DEVICES) -> DiskKind:
    """Return what kind of disk holds a folder; "unknown" wherever the system does not truly say."""
    holder = _holder(folder)
    if holder is None:
        return "unknown"
    if holder.fstype in {"tmpfs", "ramfs"}:
        return "memory"
    kinds = {_kind_of_whole_disk(disk) for disk in _whole_disks_of(holder.device, block_devices)}
    return min(kinds, key=_SLOWEST_FIRST.index, default="unknown")


def other_disks(folder: Path, *, block_devices: Path = _BLOCK_DEVICES) -> tuple[OtherDisk, ...]:
    """Return the writable disks that share no device with the folder, roomiest first.

    Where the system does not tell which disk a volume lies on (Windows, macOS), volumes count as disks.
    """
    import psutil

    holder = _holder(folder)
    if holder is None or holder.fstype == "overlay":
        # The top layer of a container lies on some disk of the host; any other volume may be the same one.
        return ()
    own = _names_of_disks(holder, block_devices)
    found: dict[frozenset[str], OtherDisk] = {}
    for partition in psutil.disk_partitions(all=False):
        names = _names_of_disks(partition, block_devices)
        if not _may_hold_backups(partition) or names & own:
            continue
        try:
            free_bytes = psutil.disk_usage(partition.mountpoint).free
        except OSError:
            # A disk that may not be looked at is no place for this user's backups.
            continue
        known = found.get(names)
        if known is None or known.free_bytes < free_bytes:
            found[names] = OtherDisk(partition.mountpoint, free_bytes)
    return tuple(sorted(found.values(), key=lambda disk: -disk.free_bytes))


def _holder(folder: Path) -> Any:
    """Return the mounted partition (of psutil) that a folder lies on; None if there is none."""
    import psutil

    place = folder.resolve()
    # Of two mounts on one place the later hides the earlier; `max` takes the first of equals.
    within = [
        partition
        for partition in reversed(psutil.disk_partitions(all=True))
        if place.is_relative_to(partition.mountpoint)
    ]
    return max(within, key=lambda partition: len(partition.mountpoint), default=None)


def _may_hold_backups(partition: Any) -> bool:
    options = partition.opts.split(",")
    # Containers mount single files such as /etc/hosts from a disk of the host.
    is_folder = Path(partition.mountpoint).is_dir()
    is_system = partition.mountpoint.startswith("/boot") or "loop" in Path(partition.device).name
    return is_folder and not is_system and not {"ro", "cdrom"} & set(options)


def _write_whole(descriptor: int, piece: bytearray) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(descriptor, left) :]


def _forget_copy_in_memory(descriptor: int) -> bool:
    if not hasattr(os, "posix_fadvise"):
        return False
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def _names_of_disks(partition: Any, block_devices: Path) -> frozenset[str]:
    """Return the names of the whole disks beneath a partition, or the volume's own where nobody tells."""
    names = frozenset(disk.name for disk in _whole_disks_of(partition.device, block_devices))
    if names:
        return names
    if partition.fstype == "zfs":
        return frozenset({partition.device.partition("/")[0]})
    # On macOS disk3s1 and disk3s5 are volumes of one container.
    return frozenset({re.sub(r"(disk\d+)s\d.*$", r"\1", partition.device)})


def _whole_disks_of(device: str, block_devices: Path) -> list[Path]:
    try:
        number = Path(device).stat().st_rdev
    except OSError:
        return []
    if number == 0 or not block_devices.is_dir():
        return []
    return _whole_disks(block_devices / f"{os.major(number)}:{os.minor(number)}")


def _whole_disks(entry: Path) -> list[Path]:
    try:
        device = entry.resolve(strict=True)
    except OSError:
        return []
    if (device / "partition").exists():
        device = device.parent
    slaves = device / "slaves"
    beneath = sorted(slaves.iterdir()) if slaves.is_dir() else []
    # Encrypted volumes, LVM and RAID stand on other devices.
    return [disk for slave in beneath for disk in _whole_disks(slave)] or [device]


def _kind_of_whole_disk(disk: Path) -> DiskKind:
    if disk.name.startswith("nvme"):
        return "nvme"
    maker = (_word(disk / "device" / "vendor") + " " + _word(disk / "device" / "model")).lower()
    if not disk.name.startswith("sd") or any(name in maker for name in _MADE_UP_DISKS):
        return "unknown"
    rotational = _word(disk / "queue" / "rotational")
    return {"0": "ssd", "1": "rotating"}.get(rotational, "unknown")  # type: ignore[return-value]


def _word(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
