"""The limits that Linux control groups, versions 1 and 2, put on this process.

Reads small files only; on other systems, and without limits, everything is None.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

_MEMBERSHIP = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")

# Version 1 says "no limit" with the largest multiple of a page below 2**63.
_UNLIMITED_BYTES = 1 << 60


class Limits(msgspec.Struct, frozen=True):
    """What the control groups allow; None where they set no limit.

    cores         processor time per second of clock time, may be a fraction
    memory_bytes  the tightest limit on the way to the root
    free_bytes    what is left under the limit that leaves least; the page cache counts as left
    """

    cores: float | None = None
    memory_bytes: int | None = None
    free_bytes: int | None = None


def read_limits(membership: Path = _MEMBERSHIP, mount: Path = _MOUNT) -> Limits:
    """Return the limits on this process; those of all groups above it hold as well."""
    cores: list[float] = []
    sizes_bytes: list[int] = []
    free_bytes: list[int] = []
    for version, controllers, path in _groups(membership):
        if version == 2:
            for group in _upwards(_unified_mount(mount), path):
                cores += _cores(group / "cpu.max")
                _add_memory(group, ("memory.max", "memory.current", "inactive_file"), sizes_bytes, free_bytes)
            continue
        if "cpu" in controllers:
            for group in _upwards(mount / "cpu", path):
                cores += _cores_of_version_1(group)
        if "memory" in controllers:
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            for group in _upwards(mount / "memory", path):
                _add_memory(group, names, sizes_bytes, free_bytes)
    return Limits(
        cores=min(cores, default=None),
        memory_bytes=min(sizes_bytes, default=None),
        free_bytes=min(free_bytes, default=None),
    )


def _groups(membership: Path) -> Iterator[tuple[int, list[str], str]]:
    for line in _text(membership).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        yield (2 if number == "0" and not controllers else 1), controllers.split(","), path


def _unified_mount(mount: Path) -> Path:
    # Beside version 1, version 2 is mounted one folder deeper.
    return mount / "unified" if (mount / "unified").is_dir() else mount


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    # Inside a container the path may name a group of the host: then only the mount itself is there to read.
    group = mount / path.strip("/")
    while group != mount and mount in group.parents:
        yield group
        group = group.parent
    yield mount


def _cores(file: Path) -> list[float]:
    words = _text(file).split()
    if len(words) != 2 or not words[0].isdigit():
        return []
    return [int(words[0]) / int(words[1])]


def _cores_of_version_1(group: Path) -> list[float]:
    quota = _number(group / "cpu.cfs_quota_us")
    period = _number(group / "cpu.cfs_period_us")
    return [quota / period] if quota and period else []


def _add_memory(
    group: Path, names: tuple[str, str, str], sizes_bytes: list[int], free_bytes: list[int]
) -> None:
    limit_name, usage_name, cache_name = names
    limit = _number(group / limit_name)
    if limit is None or limit >= _UNLIMITED_BYTES:
        return
    sizes_bytes.append(limit)
    usage = _number(group / usage_name)
    if usage is not None:
        free_bytes.append(max(0, min(limit, limit - usage + _cached_bytes(group, cache_name))))


def _cached_bytes(group: Path, name: str) -> int:
    for line in _text(group / "memory.stat").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return 0


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
