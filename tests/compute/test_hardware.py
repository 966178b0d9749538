"""Every verdict from made-up machines, the probes on made-up systems, and the real probe once."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
import pytest

from audobon.cgroup import Limits, read_limits
from audobon.compute import disks, machine
from audobon.compute.disks import OtherDisk, ReadSpeed
from audobon.compute.hardware import GIGABYTE, Finding, examine, judge
from audobon.compute.machine import Machine
from audobon.telemetry.gpus import Gpu

SUBJECTS = [
    "processor cores",
    "memory",
    "graphics memory",
    "CUDA",
    "NVMe space",
    "disk read speed",
    "secondary storage",
]

FIT = Machine(
    physical_cores=12,
    logical_cores=24,
    affinity_cores=24,
    quota_cores=None,
    memory_bytes=64 * 1024**3,
    memory_limit_bytes=None,
    available_bytes=50 * GIGABYTE,
    gpus=(Gpu("NVIDIA Example", 12 * GIGABYTE, 11 * GIGABYTE),),
    gpu_problem=None,
    providers=("CUDAExecutionProvider", "CPUExecutionProvider"),
    disk_kind="nvme",
    disk_free_bytes=800 * GIGABYTE,
    speed=ReadSpeed(256 << 20, 0.1, is_from_disk=True),
    speed_problem=None,
    other_disks=(OtherDisk("/mnt/backup", 2000 * GIGABYTE),),
)


def finding(subject: str, **changes: Any) -> Finding:
    found = judge(msgspec.structs.replace(FIT, **changes))
    assert [one.subject for one in found] == SUBJECTS
    return found[SUBJECTS.index(subject)]


def test_a_machine_that_meets_the_table_falls_short_of_nothing() -> None:
    verdicts = {one.subject: one.verdict for one in judge(FIT)}
    assert verdicts == dict.fromkeys(SUBJECTS, "ok") | {"memory": "recommended"}
    assert all(one.is_fit for one in judge(FIT))


def test_every_finding_means_something_in_one_plain_sentence_or_two() -> None:
    poor = msgspec.structs.replace(FIT, gpus=(), providers=(), other_disks=(), speed=None, physical_cores=2)
    for one in judge(FIT) + judge(poor):
        assert one.meaning[0].isupper()
        assert one.meaning.endswith(".")
        assert one.measured


@pytest.mark.parametrize(
    ("changes", "value", "verdict"),
    [
        ({"physical_cores": 8}, 8, "ok"),
        ({"physical_cores": 7}, 7, "below minimum"),
        # Two threads of one core are not two cores.
        ({"physical_cores": 4, "logical_cores": 8, "affinity_cores": 8}, 4, "below minimum"),
        ({"physical_cores": None, "logical_cores": 8, "affinity_cores": 8}, 8, "ok"),
        ({"affinity_cores": 3}, 3, "below minimum"),
        ({"quota_cores": 2.5}, 2.5, "below minimum"),
        ({"quota_cores": 16.0}, 12, "ok"),
    ],
)
def test_only_real_cores_that_this_process_may_use_count(
    changes: dict[str, Any], value: float, verdict: str
) -> None:
    found = finding("processor cores", **changes)
    assert (found.value, found.verdict) == (value, verdict)


def test_too_few_cores_are_told_as_time() -> None:
    found = finding("processor cores", physical_cores=2)
    assert found.meaning == "Work on the processor takes about 4.0 times as long as with 8 cores."


@pytest.mark.parametrize(
    ("memory_bytes", "limit_bytes", "verdict"),
    [
        (64 * GIGABYTE, None, "recommended"),
        (64 * GIGABYTE - 1, None, "ok"),
        (32 * GIGABYTE, None, "ok"),
        (32 * GIGABYTE - 1, None, "below minimum"),
        # A "32 GB" machine keeps some for itself and reports about 31 GiB.
        (31 * 1024**3, None, "ok"),
        (128 * GIGABYTE, 16 * GIGABYTE, "below minimum"),
    ],
)
def test_memory_is_judged_by_what_this_process_may_have(
    memory_bytes: int, limit_bytes: int | None, verdict: str
) -> None:
    found = finding("memory", memory_bytes=memory_bytes, memory_limit_bytes=limit_bytes)
    assert found.verdict == verdict
    assert found.value == (limit_bytes or memory_bytes)
    assert ("limited" in found.measured) == (limit_bytes is not None)


def test_memory_tells_what_is_available_now_and_warns_when_that_is_little() -> None:
    found = finding("memory", available_bytes=1_500_000_000)
    assert "1.5 GB available now" in found.measured
    assert found.verdict == "recommended"
    assert found.meaning.startswith("Other programs hold almost all of the memory")


@pytest.mark.parametrize(
    ("total_bytes", "verdict"), [(8 * GIGABYTE, "ok"), (8 * GIGABYTE - 1, "below minimum")]
)
def test_graphics_memory_is_judged_by_the_largest_card(total_bytes: int, verdict: str) -> None:
    cards = (Gpu("small", 2 * GIGABYTE, GIGABYTE), Gpu("large", total_bytes, GIGABYTE))
    found = finding("graphics memory", gpus=cards)
    assert (found.verdict, found.value) == (verdict, total_bytes)
    assert found.measured.startswith("large: 8.0 GB, 1.0 GB free now")


def test_without_a_card_the_time_on_the_processor_is_told() -> None:
    found = finding("graphics memory", gpus=(), gpu_problem="no NVIDIA GPU found", physical_cores=2)
    assert found.verdict == "missing"
    assert found.measured == "no NVIDIA GPU found"
    assert found.meaning == (
        "Pages are upscaled on the processor: expect roughly 12 s for a page of 3 megapixels."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gpus": ()}, "no NVIDIA GPU was found"),
        ({"providers": ("CPUExecutionProvider",)}, "CUDA is not offered by ONNX Runtime"),
        ({"providers": ()}, "ONNX Runtime is not installed"),
        ({"gpus": (), "providers": ("CPUExecutionProvider",)}, "not offered by ONNX Runtime, and no NVIDIA"),
    ],
)
def test_cuda_needs_a_card_and_an_onnx_runtime_that_offers_it(changes: dict[str, Any], words: str) -> None:
    found = finding("CUDA", **changes)
    assert (found.verdict, found.value) == ("missing", 0)
    assert words in found.measured


@pytest.mark.parametrize(
    ("kind", "free_bytes", "verdict"),
    [
        ("nvme", 500 * GIGABYTE, "ok"),
        ("nvme", 500 * GIGABYTE - 1, "below minimum"),
        ("ssd", 500 * GIGABYTE, "below minimum"),
        ("rotating", 500 * GIGABYTE, "below minimum"),
        ("memory", 500 * GIGABYTE, "below minimum"),
        # What cannot be seen is not held against the machine; the read speed tells.
        ("unknown", 500 * GIGABYTE, "ok"),
        ("unknown", 499 * GIGABYTE, "below minimum"),
    ],
)
def test_space_must_be_roomy_and_not_known_to_be_slower_than_nvme(
    kind: str, free_bytes: int, verdict: str
) -> None:
    found = finding("NVMe space", disk_kind=kind, disk_free_bytes=free_bytes)
    assert (found.verdict, found.value) == (verdict, free_bytes)
    assert ("unknown" in found.measured) == (kind == "unknown")


def test_a_data_folder_in_memory_is_warned_of_before_anything_else() -> None:
    found = finding("NVMe space", disk_kind="memory", disk_free_bytes=GIGABYTE)
    assert found.meaning.startswith("Work kept here is lost")


@pytest.mark.parametrize(("seconds", "verdict"), [(0.16, "ok"), (1.0, "below minimum")])
def test_a_disk_no_faster_than_sata_is_below_minimum(seconds: float, verdict: str) -> None:
    found = finding("disk read speed", speed=ReadSpeed(100_000_000, seconds, is_from_disk=True))
    assert found.verdict == verdict
    assert found.value == pytest.approx(100 / seconds)
    assert "over a file of 100 MB" in found.measured


def test_a_speed_that_may_come_from_memory_says_so() -> None:
    found = finding("disk read speed", speed=ReadSpeed(100_000_000, 0.01, is_from_disk=False))
    assert "perhaps from memory" in found.measured


def test_a_disk_that_was_not_measured_says_why() -> None:
    found = finding("disk read speed", speed=None, speed_problem="not measured: Permission denied")
    assert (found.verdict, found.value) == ("missing", None)
    assert found.measured == "not measured: Permission denied"


def test_a_disk_for_backups_is_missing_or_named() -> None:
    assert finding("secondary storage", other_disks=()).verdict == "missing"
    two = (OtherDisk("/mnt/large", 9 * GIGABYTE), OtherDisk("/mnt/small", GIGABYTE))
    found = finding("secondary storage", other_disks=two)
    assert (found.verdict, found.measured) == ("ok", "/mnt/large: 9.0 GB free, and 1 more")


def test_the_real_probe_returns_sane_values_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "LARGEST_TRIAL_BYTES", 2 * disks.PIECE_BYTES)
    folder = tmp_path / "not" / "there" / "yet"
    found = machine.probe(folder)
    assert 1 <= found.affinity_cores <= found.logical_cores
    assert 0 < found.available_bytes <= (found.memory_limit_bytes or found.memory_bytes)
    assert found.speed is not None
    assert found.speed.read_bytes == 2 * disks.PIECE_BYTES
    assert found.speed.megabytes_per_second > 1
    assert "CPUExecutionProvider" in found.providers
    assert found.disk_free_bytes > 0
    assert list(tmp_path.iterdir()) == []
    assert [one.subject for one in judge(found)] == SUBJECTS


def test_examining_a_folder_judges_what_the_probe_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audobon.compute.hardware.probe", lambda folder: FIT)
    assert examine(tmp_path) == judge(FIT)


def test_the_trial_file_is_gone_after_a_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[os.stat_result] = []

    def fail(descriptor: int) -> None:
        seen.append(os.fstat(descriptor))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        disks.read_speed(tmp_path, free_bytes=5 * disks.PIECE_BYTES)
    assert seen[0].st_size == disks.PIECE_BYTES
    assert list(tmp_path.iterdir()) == []


def test_the_trial_file_takes_at_most_a_quarter_of_the_free_space(tmp_path: Path) -> None:
    seconds = iter([10.0, 10.5])
    speed = disks.read_speed(tmp_path, free_bytes=11 * disks.PIECE_BYTES, clock=lambda: next(seconds))
    assert speed is not None
    assert (speed.read_bytes, speed.seconds) == (2 * disks.PIECE_BYTES, 0.5)
    assert disks.read_speed(tmp_path, free_bytes=3 * disks.PIECE_BYTES) is None


class Partition(NamedTuple):
    """A mounted partition as psutil tells of it."""

    device: str
    mountpoint: str
    fstype: str
    opts: str


class MadeUpDisks:
    """A made-up /sys/dev/block, and the mounts that psutil tells of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.mounts: list[Partition] = []
        (folder / "dev").mkdir(parents=True)
        monkeypatch.setattr(disks, "_whole_disks_of", self._whole_disks_of)
        monkeypatch.setattr(psutil, "disk_partitions", lambda *, all: list(self.mounts))  # noqa: A006

    def disk(self, name: str, *, rotational: str = "", model: str = "", within: str = "") -> None:
        device = self.folder / within / name
        for file, text in (("queue/rotational", rotational), ("device/model", model)):
            (device / file).parent.mkdir(parents=True)
            (device / file).write_text(text + "\n")
        if within:
            (device / "partition").write_text("1\n")
        (self.folder / "dev" / name).symlink_to(device)

    def volume(self, name: str, *beneath: str) -> None:
        self.disk(name)
        (self.folder / name / "slaves").mkdir()
        for disk in beneath:
            (self.folder / name / "slaves" / disk).symlink_to(self.folder / disk)

    def mount(self, device: str, folder: Path, fstype: str = "ext4", opts: str = "rw") -> Path:
        folder.mkdir(exist_ok=True)
        self.mounts.append(Partition(device, str(folder), fstype, opts))
        return folder

    def _whole_disks_of(self, device: str, block_devices: Path) -> list[Path]:
        return disks._whole_disks(self.folder / "dev" / device)


@pytest.fixture
def sys_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeUpDisks:
    return MadeUpDisks(tmp_path / "sys", monkeypatch)


@pytest.mark.parametrize(
    ("name", "rotational", "model", "kind"),
    [
        ("nvme0n1", "0", "Fast 2000", "nvme"),
        ("sda", "0", "Solid 860", "ssd"),
        ("sda", "1", "Barrel 7200", "rotating"),
        ("sda", "1", "QEMU HARDDISK", "unknown"),
        ("sda", "0", "PersistentDisk Google", "unknown"),
        ("vda", "1", "", "unknown"),
        ("sda", "", "Silent", "unknown"),
    ],
)
def test_the_kind_of_a_disk_is_told_only_where_the_system_truly_knows(
    sys_block: MadeUpDisks, tmp_path: Path, name: str, rotational: str, model: str, kind: str
) -> None:
    sys_block.disk(name, rotational=rotational, model=model)
    sys_block.disk(name + "p1", within=name)
    folder = sys_block.mount(name + "p1", tmp_path / "data")
    assert disks.kind_of_disk(folder) == kind


def test_a_volume_is_as_slow_as_the_slowest_disk_beneath_it(sys_block: MadeUpDisks, tmp_path: Path) -> None:
    sys_block.disk("nvme0n1")
    sys_block.disk("sda", rotational="1")
    sys_block.volume("dm-0", "nvme0n1", "sda")
    assert disks.kind_of_disk(sys_block.mount("dm-0", tmp_path / "data")) == "rotating"


def test_a_folder_in_memory_is_seen_even_when_it_hides_another_mount(
    sys_block: MadeUpDisks, tmp_path: Path
) -> None:
    sys_block.disk("nvme0n1")
    sys_block.mount("nvme0n1", tmp_path / "data")
    folder = sys_block.mount("tmpfs", tmp_path / "data", "tmpfs")
    assert disks.kind_of_disk(folder) == "memory"


def test_another_disk_is_one_that_shares_no_device_and_can_be_written(
    sys_block: MadeUpDisks, tmp_path: Path
) -> None:
    for name in ("nvme0n1", "sda", "sdb"):
        sys_block.disk(name, rotational="0")
    sys_block.disk("nvme0n1p1", within="nvme0n1")
    sys_block.disk("nvme0n1p2", within="nvme0n1")
    sys_block.disk("loop3")
    data = sys_block.mount("nvme0n1p1", tmp_path / "data")
    sys_block.mount("nvme0n1p2", tmp_path / "same-disk")
    sys_block.mount("sda", tmp_path / "read-only", opts="ro,relatime")
    sys_block.mount("loop3", tmp_path / "image")
    backup = sys_block.mount("sdb", tmp_path / "backup")
    assert [disk.mountpoint for disk in disks.other_disks(data)] == [str(backup)]


def test_single_files_and_the_top_layer_of_a_container_are_no_disks(
    sys_block: MadeUpDisks, tmp_path: Path
) -> None:
    sys_block.disk("nvme0n1")
    sys_block.disk("sda")
    data = sys_block.mount("nvme0n1", tmp_path / "data")
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    sys_block.mounts.append(Partition("sda", str(hosts), "ext4", "rw"))
    assert disks.other_disks(data) == ()
    layer = sys_block.mount("overlay", tmp_path / "layer", "overlay")
    sys_block.mount("sda", tmp_path / "volume")
    assert disks.other_disks(layer) == ()


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_limits_of_version_2_groups_hold_all_the_way_up(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("0::/slice/app\n")
    mount = write(
        tmp_path / "mount",
        {
            "slice/app/cpu.max": "max 100000\n",
            "slice/app/memory.max": "4000\n",
            "slice/app/memory.current": "1500\n",
            "slice/app/memory.stat": "anon 900\ninactive_file 500\n",
            "slice/cpu.max": "250000 100000\n",
            "slice/memory.max": "8000\n",
            "slice/memory.current": "7000\n",
        },
    )
    assert read_limits(membership, mount) == Limits(cores=2.5, memory_bytes=4000, free_bytes=1000)


def test_limits_of_version_1_groups_are_read_at_the_mount_inside_a_container(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("5:memory:/docker/of-the-host\n4:cpu,cpuacct:/docker/of-the-host\n0::/\n")
    mount = write(
        tmp_path / "mount",
        {
            "cpu/cpu.cfs_quota_us": "150000\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "memory/memory.limit_in_bytes": "1000\n",
            "memory/memory.usage_in_bytes": "400\n",
            "memory/memory.stat": "total_inactive_file 100\n",
        },
    )
    assert read_limits(membership, mount) == Limits(cores=1.5, memory_bytes=1000, free_bytes=700)


def test_no_limits_are_found_where_none_are_set(tmp_path: Path) -> None:
    assert read_limits(tmp_path / "absent", tmp_path) == Limits()
    membership = tmp_path / "membership"
    membership.write_text("4:memory:/\n2:cpu:/\n")
    mount = write(
        tmp_path / "mount",
        {"cpu/cpu.cfs_quota_us": "-1\n", "memory/memory.limit_in_bytes": "9223372036854771712\n"},
    )
    assert read_limits(membership, mount) == Limits()
