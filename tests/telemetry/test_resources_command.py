"""What `audobon resources` prints: rows with bars, curves of the past, and JSON."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from audobon.cli import resources as command
from audobon.cli.resources_words import bar, curve, in_words, line_of, rows_of
from audobon.telemetry.history import FIGURES, Point, ResourceHistory
from audobon.telemetry.resources import DiskUse, GpuUse, MemoryUse, ProcessorUse, Sample

MB, GB = 1 << 20, 1 << 30
BUSY = Sample(
    at=1_800_000_000.0,
    processor=ProcessorUse(cores=8, percent=75.0, ours_percent=50.0, load=6.5),
    memory=MemoryUse(16 * GB, 4 * GB, 8 * GB, 4 * GB, 2 * GB, GB),
    gpus=(GpuUse("NVIDIA [8 GB]", 8 * GB, 4 * GB, 2 * GB, 2 * GB, 30.0),),
    gpu_problem=None,
    disk=DiskUse(1000 * GB, 250 * GB, 10.0 * MB, 20.0 * MB, 1.0 * MB, 2.0 * MB),
    processes=3,
)
QUIET = Sample(
    at=1_800_000_000.0,
    processor=ProcessorUse(cores=1, percent=None, ours_percent=None, load=None),
    memory=MemoryUse(16 * GB, 12 * GB, 0, 4 * GB, 0, 0),
    gpus=(),
    gpu_problem="no NVIDIA GPU found: no NVIDIA driver answers",
    disk=DiskUse(1000 * GB, 250 * GB, None, None, None, None),
    processes=0,
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDOBON_STORAGE_FOLDER", str(tmp_path))
    monkeypatch.setattr(command, "_FIRST_SECONDS", 0.0)
    return tmp_path


def run(*options: str) -> Result:
    return CliRunner().invoke(command.resources, options, catch_exceptions=False)


def test_a_busy_machine_is_told_in_one_line_a_resource() -> None:
    assert [line_of(row, width=8) for row in rows_of(BUSY)] == [
        "processor     ████▒▒··  75 % of 8 cores, Audobon 50 %, load 6.50",
        "memory        ████▒▒··  12 GB of 16 GB, Audobon 8.0 GB in 3 processes",
        "swap          ▒▒▒▒····  1.0 GB of 2.0 GB",
        "graphics      ██▒▒····  4.0 GB of 8.0 GB, Audobon 2.0 GB, 30 % busy (NVIDIA [8 GB])",
        "disk          ▒▒▒▒▒▒··  250 GB free of 1000 GB, where the data folder lies",
        "disk traffic            10.0 MB/s read, 20.0 MB/s written; Audobon 1.0 MB/s and 2.0 MB/s",
    ]


def test_what_is_not_there_or_not_known_is_said_in_words() -> None:
    assert [line_of(row, width=8) for row in rows_of(QUIET)] == [
        "processor               not known yet; 1 core",
        "memory        ▒▒······  4.0 GB of 16 GB, no engine runs",
        "swap                    none",
        "graphics                no NVIDIA GPU found: no NVIDIA driver answers",
        "disk          ▒▒▒▒▒▒··  250 GB free of 1000 GB, where the data folder lies",
        "disk traffic            not known",
    ]


@pytest.mark.parametrize(
    ("used", "ours", "shown"),
    [(0, 0, "····"), (1, 1, "████"), (1.5, 2, "████"), (0.5, 0.75, "██··"), (0.5, 0.25, "█▒··")],
)
def test_a_bar_never_leaves_its_frame(used: float, ours: float, shown: str) -> None:
    assert bar(used, ours, width=4) == shown


def test_a_curve_reaches_its_most_and_leaves_gaps() -> None:
    points = [Point(0, 1.0, 1.0, 1), Point(10, 4.0, 8.0, 1), Point(30, 0.0, 0.0, 1)]
    assert curve(points, since=0, until=40, width=4) == "▂█ ▁"
    assert curve([], since=0, until=40, width=4) == "    "


def test_values_have_their_units() -> None:
    assert in_words("processor_percent", 12.3) == "12 %"
    assert in_words("memory_ours_bytes", 3 * GB) == "3.0 GB"
    assert in_words("disk_read_bytes_per_second", MB / 2) == "0.5 MB/s"
    assert in_words("load", 1.234) == "1.23"


def test_a_look_at_this_machine_has_every_row_and_the_key() -> None:
    lines = run().output.splitlines()
    assert [line.split("  ")[0] for line in lines[:-1]] == [
        "processor",
        "memory",
        "swap",
        *["graphics"] * (len(lines) - 6),
        "disk",
        "disk traffic",
    ]
    assert lines[-1] == "█ Audobon  ▒ other programs  · free"


def test_json_holds_a_whole_sample() -> None:
    sample = msgspec.json.decode(run("--json").output, type=Sample)
    assert sample.processes == 0
    assert sample.memory.ours_bytes == 0
    assert sample.disk.total_bytes > 0


def test_watching_goes_on_with_a_sample_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def two(_pause_seconds: float) -> Iterator[Sample]:
        yield from (BUSY, QUIET)

    monkeypatch.setattr(command, "_samples", two)
    lines = run("--watch", "--json").output.splitlines()
    assert [msgspec.json.decode(line, type=Sample) for line in lines] == [BUSY, QUIET]
    assert run("--watch").output.count("█ Audobon") == 2


def test_without_a_past_it_says_who_records_it() -> None:
    result = run("--history", "1h")
    assert result.stdout == ""
    assert result.stderr == "nothing was recorded in the last 1 h; `audobon up` records while it runs\n"


def test_the_past_is_a_curve_a_figure_with_mean_and_most(folder: Path) -> None:
    history = ResourceHistory(folder)
    now = time.time()
    for ago, percent in ((500, 20.0), (250, 40.0), (10, 60.0)):
        history.record(now - ago, {"processor_percent": percent, "memory_ours_bytes": percent * MB})
    history.close()

    lines = run("--history", "10m").output.splitlines()

    assert lines[0] == "the last 10 min; each curve reaches up to its most"
    assert [line.split("  ")[0] for line in lines[1:]] == ["processor percent", "memory ours"]
    assert lines[1].endswith("mean 40 %, most 60 %")
    assert lines[2].endswith("mean 40 MB, most 60 MB")
    assert {"▃", "▆", "█"} <= set(lines[1])

    figures = msgspec.json.decode(run("--history", "10m", "--json").output)["figures"]
    assert set(figures) == set(FIGURES)
    assert [point["most"] for point in figures["processor_percent"]] == [20, 40, 60]
