"""Samples of a made-up machine, a real one, and the thread that takes them."""

import os
import threading
from pathlib import Path

import msgspec
import pytest

from audobon.errors import DiskFull
from audobon.telemetry.figures import figures_of
from audobon.telemetry.gpus import Gpu, GpuDriver
from audobon.telemetry.history import FIGURES, ResourceHistory
from audobon.telemetry.probes import MachineReading, ProcessReading, SystemProbe
from audobon.telemetry.recorder import ResourceRecorder
from audobon.telemetry.resources import (
    DiskUse,
    GpuUse,
    MemoryUse,
    ProcessorUse,
    ResourceMonitor,
    Sample,
)

NOON = 1_800_000_000.0
BEGINNING = MachineReading(
    cores=4,
    busy_seconds=100.0,
    total_seconds=1000.0,
    memory_total_bytes=1000,
    memory_available_bytes=400,
    swap_total_bytes=50,
    swap_used_bytes=5,
    disk_total_bytes=9000,
    disk_free_bytes=3000,
    read_bytes=10_000,
    written_bytes=20_000,
    load=1.5,
)


def process(
    seconds: float, resident_bytes: int = 100, read: int | None = 0, written: int | None = 0
) -> ProcessReading:
    return ProcessReading(
        processor_seconds=seconds, resident_bytes=resident_bytes, read_bytes=read, written_bytes=written
    )


class MadeUpProbe(SystemProbe):
    """A machine whose readings a test sets."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.reading = BEGINNING
        self.processes: dict[int, ProcessReading] = {}

    def machine(self) -> MachineReading:
        return self.reading

    def process(self, pid: int) -> ProcessReading | None:
        return self.processes.get(pid)


class MadeUpDriver(GpuDriver):
    """A driver that knows the given cards, and counts the questions."""

    def __init__(self, *gpus: Gpu) -> None:
        super().__init__()
        self.gpus = gpus
        self.questions = 0

    def read(self) -> tuple[tuple[Gpu, ...], str | None]:
        self.questions += 1
        return self.gpus, None if self.gpus else "no NVIDIA GPU found: no NVIDIA driver answers"


class World:
    """A monitor over a made-up machine, with a clock that moves when told to."""

    def __init__(self, *gpus: Gpu, family: tuple[int, ...] = (7, 8)) -> None:
        self.seconds = 50.0
        self.probe = MadeUpProbe()
        self.driver = MadeUpDriver(*gpus)
        self.family = set(family)
        self.monitor = ResourceMonitor(
            Path(),
            lambda: self.family,
            probe=self.probe,
            driver=self.driver,
            clock=lambda: self.seconds,
            now=lambda: NOON,
        )

    def later(self, seconds: float, **changes: float) -> Sample:
        self.seconds += seconds
        self.probe.reading = msgspec.structs.replace(self.probe.reading, **changes)
        return self.monitor.sample()


def test_the_first_sample_knows_amounts_and_no_rates() -> None:
    world = World()
    world.probe.processes = {7: process(3.0, 150), 8: process(1.0, 50)}

    assert world.monitor.sample() == Sample(
        at=NOON,
        processor=ProcessorUse(cores=4, percent=None, ours_percent=None, load=1.5),
        memory=MemoryUse(1000, 400, ours_bytes=200, others_bytes=400, swap_total_bytes=50, swap_used_bytes=5),
        gpus=(),
        gpu_problem="no NVIDIA GPU found: no NVIDIA driver answers",
        disk=DiskUse(9000, 3000, None, None, None, None),
        processes=2,
    )


def test_the_second_sample_tells_rates_of_the_machine_and_our_part() -> None:
    world = World()
    world.probe.processes = {7: process(3.0, read=100, written=10), 8: process(1.0)}
    world.monitor.sample()
    world.probe.processes = {7: process(4.0, read=500, written=110), 8: process(1.5, written=100)}

    sample = world.later(
        2.0, busy_seconds=104.0, total_seconds=1008.0, read_bytes=14_000, written_bytes=20_600
    )

    assert sample.processor == ProcessorUse(cores=4, percent=50.0, ours_percent=18.75, load=1.5)
    assert sample.disk == DiskUse(9000, 3000, 2000.0, 300.0, 200.0, 100.0)


def test_processes_come_and_go_and_numbers_are_used_again() -> None:
    world = World(family=(7, 8, 9))
    world.probe.processes = {7: process(3.0), 8: process(90.0)}
    world.monitor.sample()
    # 7 ended; under 8 runs another process now; 9 is new.
    world.probe.processes = {8: process(1.0), 9: process(1.0)}

    sample = world.later(2.0, busy_seconds=104.0, total_seconds=1008.0)

    assert (sample.processor.ours_percent, sample.processes) == (25.0, 2)


def test_without_processes_of_ours_everything_is_others() -> None:
    world = World(family=())
    world.monitor.sample()

    sample = world.later(2.0, busy_seconds=108.0, total_seconds=1008.0)

    assert (sample.processor.percent, sample.processor.ours_percent) == (100.0, 0.0)
    assert (sample.memory.ours_bytes, sample.memory.others_bytes, sample.processes) == (0, 600, 0)
    assert sample.disk.ours_read_bytes_per_second == 0.0


def test_what_the_system_does_not_tell_stays_open() -> None:
    world = World()
    world.probe.processes = {7: process(1.0, read=None, written=None)}
    world.probe.reading = msgspec.structs.replace(BEGINNING, read_bytes=None, written_bytes=None, load=None)
    world.monitor.sample()

    sample = world.later(2.0)

    assert sample.disk == DiskUse(9000, 3000, None, None, None, None)
    assert sample.processor == ProcessorUse(cores=4, percent=None, ours_percent=None, load=None)


def test_counters_that_run_backwards_are_no_rates_below_nothing() -> None:
    world = World()
    world.monitor.sample()

    sample = world.later(2.0, read_bytes=5, written_bytes=5, busy_seconds=90.0, total_seconds=1001.0)

    assert (sample.disk.read_bytes_per_second, sample.disk.written_bytes_per_second) == (0.0, 0.0)
    assert sample.processor.percent == 0.0


def test_a_card_is_told_with_our_part_where_the_driver_knows_it() -> None:
    told = Gpu("told", 8000, 5000, "GPU-0", {7: 1000, 99: 500}, 30.0)
    untold = Gpu("untold", 4000, 4000)
    world = World(told, untold)
    world.probe.processes = {7: process(1.0)}

    sample = world.monitor.sample()

    assert sample.gpus == (
        GpuUse("told", 8000, 3000, ours_bytes=1000, others_bytes=2000, percent=30.0),
        GpuUse("untold", 4000, 0, ours_bytes=None, others_bytes=None, percent=None),
    )
    assert sample.gpu_problem is None


def test_a_driver_that_is_not_there_is_asked_for_once_a_minute() -> None:
    world = World()
    for _ in range(30):
        assert world.later(2.0).gpu_problem == "no NVIDIA GPU found: no NVIDIA driver answers"
    assert world.driver.questions == 1
    world.driver.gpus = (Gpu("new", 8000, 5000),)

    assert [gpu.name for gpu in world.later(2.0).gpus] == ["new"]
    assert world.later(2.0).gpus
    assert world.driver.questions == 3


def test_every_figure_of_the_history_is_taken_from_a_sample() -> None:
    gpus = (Gpu("one", 8000, 5000, "GPU-0", {7: 1000}, 30.0), Gpu("two", 4000, 3500))
    world = World(*gpus)
    world.probe.processes = {7: process(1.0, 70)}

    figures = figures_of(world.monitor.sample())

    assert tuple(figures) == FIGURES
    assert {name: value for name, value in figures.items() if value is not None} == {
        "load": 1.5,
        "memory_used_bytes": 600,
        "memory_ours_bytes": 70,
        "swap_used_bytes": 5,
        "vram_used_bytes": 3500,
        "vram_ours_bytes": 1000,
        "gpu_percent": 30.0,
        "disk_used_bytes": 6000,
    }
    assert figures_of(World().monitor.sample())["vram_used_bytes"] is None


def test_a_sample_of_the_real_machine_is_sane(tmp_path: Path) -> None:
    monitor = ResourceMonitor(tmp_path / "not" / "there", lambda: [os.getpid(), 1 << 22])
    monitor.sample()
    sum(number * number for number in range(200_000))

    sample = monitor.sample()

    assert sample.at > NOON - 10 * 365 * 86_400
    assert sample.processes == 1
    assert sample.processor.percent is None or 0 <= sample.processor.percent <= 100
    assert 0 < sample.memory.available_bytes < sample.memory.total_bytes
    assert 1 << 20 < sample.memory.ours_bytes < sample.memory.total_bytes
    assert 0 < sample.disk.free_bytes < sample.disk.total_bytes
    assert sample.gpus or sample.gpu_problem
    monitor.close()


def test_a_process_that_ended_is_no_reading(tmp_path: Path) -> None:
    assert SystemProbe(tmp_path).process(1 << 22) is None


class TestRecorder:
    def test_it_samples_from_entering_to_leaving_and_keeps_what_it_saw(self, tmp_path: Path) -> None:
        world, seen = World(), threading.Event()
        history = ResourceHistory(tmp_path)
        kept = history.record
        world.probe.processes = {7: process(1.0, 70)}

        def record(*arguments: object) -> None:
            kept(*arguments)  # type: ignore[arg-type]
            seen.set()

        history.record = record  # type: ignore[method-assign, assignment]
        with ResourceRecorder(world.monitor, history, every_seconds=60.0) as recorder:
            assert seen.wait(10)
        assert recorder.latest is not None
        assert recorder.problem is None
        [point] = ResourceHistory(tmp_path).history("memory_ours_bytes", NOON, NOON)
        assert point.mean == 70
        # The lock is free again.
        other = ResourceHistory(tmp_path)
        other.record(NOON, {"load": 1.0})
        other.close()

    def test_a_full_disk_ends_the_history_and_not_the_samples(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_path: Path, _data: bytes) -> None:
            raise DiskFull("no room left")

        monkeypatch.setattr("audobon.telemetry.history.write_bytes", full)
        recorder = ResourceRecorder(World().monitor, ResourceHistory(tmp_path))

        recorder.step()
        recorder.step()

        assert recorder.problem == "no room left"
        assert recorder.latest is not None
