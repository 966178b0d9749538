"""The history of resources: fine and coarse, of fixed size, and whole after any death of its writer."""

import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audobon.errors import AlreadyRunning, DiskFull, InvalidInput
from audobon.telemetry.history import FIGURES, RINGS, Point, ResourceHistory, Ring

NOON = 1_800_000_000
SMALL = (Ring(2, 4), Ring(10, 6))

WRITER = """
import itertools, sys
from pathlib import Path
from audobon.telemetry.history import FIGURES, ResourceHistory
history = ResourceHistory(Path(sys.argv[1]))
for number in itertools.chain(range(500), itertools.cycle(range(500, 800))):
    history.record(1_800_000_000 + number, dict.fromkeys(FIGURES, float(number)))
    if number == 500:
        print("writing", flush=True)
"""


OpenHistory = Callable[..., ResourceHistory]


@pytest.fixture
def open_history() -> Iterator[OpenHistory]:
    """Open histories that are closed when the test ends."""
    opened: list[ResourceHistory] = []

    def open_one(folder: Path, *, rings: tuple[Ring, ...] = RINGS) -> ResourceHistory:
        opened.append(ResourceHistory(folder, rings=rings))
        return opened[-1]

    yield open_one
    for history in opened:
        history.close()


def load(points: list[Point]) -> list[tuple[int, float, float, int]]:
    return [(point.at - NOON, point.mean, point.most, point.samples) for point in points]


def test_samples_of_one_step_become_their_mean_and_their_most(
    open_history: OpenHistory, tmp_path: Path
) -> None:
    history = open_history(tmp_path, rings=SMALL)

    for second, value in enumerate([1.0, 3.0, 8.0, 8.0, 5.0]):
        history.record(NOON + second, {"load": value})

    assert load(history.history("load", NOON, NOON + 4)) == [(0, 2, 3, 2), (2, 8, 8, 2), (4, 5, 5, 1)]
    assert load(history.history("load", NOON, NOON + 4, resolution_seconds=10)) == [(0, 5, 8, 5)]


def test_the_finest_steps_that_reach_back_far_enough_are_chosen(
    open_history: OpenHistory, tmp_path: Path
) -> None:
    history = open_history(tmp_path, rings=SMALL)
    for second in range(0, 40, 2):
        history.record(NOON + second, {"load": second})

    assert [point.at - NOON for point in history.history("load", NOON + 30, NOON + 38)] == [32, 34, 36, 38]
    assert [point.at - NOON for point in history.history("load", NOON, NOON + 38)] == [0, 10, 20, 30]
    # Nothing reaches back a day here: what there is, is told.
    assert [point.at - NOON for point in history.history("load", NOON - 86_400, NOON + 38)] == [0, 10, 20, 30]


def test_the_oldest_steps_make_room_and_the_file_stays_as_large_as_it_was(
    open_history: OpenHistory, tmp_path: Path
) -> None:
    history = open_history(tmp_path, rings=SMALL)
    history.record(NOON, {"load": 1})
    path = tmp_path / "telemetry" / "resources.rings"
    first_bytes = path.stat().st_size

    for second in range(0, 600, 2):
        history.record(NOON + second, {"load": second})

    assert path.stat().st_size == first_bytes == history.file_bytes
    assert [point.at - NOON for point in history.history("load", NOON, NOON + 600, resolution_seconds=2)] == [
        592,
        594,
        596,
        598,
    ]


def test_a_month_fits_into_less_than_a_megabyte() -> None:
    assert [ring.span_seconds for ring in RINGS] == [15 * 60, 86_400, 30 * 86_400]
    assert ResourceHistory(Path()).file_bytes < 1_000_000


def test_figures_that_are_not_known_leave_gaps_and_do_not_pull_the_mean_down(
    open_history: OpenHistory, tmp_path: Path
) -> None:
    history = open_history(tmp_path, rings=SMALL)
    for second, value in enumerate([None, 4.0, None, None, 6.0]):
        history.record(NOON + second, {"load": value, "processor_percent": 50.0})

    assert load(history.history("load", NOON, NOON + 4)) == [(0, 4, 4, 2), (4, 6, 6, 1)]
    assert load(history.history("load", NOON, NOON + 4, resolution_seconds=10)) == [(0, 5, 6, 5)]
    assert len(history.history("processor_percent", NOON, NOON + 4)) == 3


def test_the_next_writer_goes_on_with_the_step_under_way(open_history: OpenHistory, tmp_path: Path) -> None:
    first = open_history(tmp_path, rings=SMALL)
    first.record(NOON, {"load": 2})
    first.close()

    second = open_history(tmp_path, rings=SMALL)
    second.record(NOON + 1, {"load": 4})

    assert load(second.history("load", NOON, NOON + 1)) == [(0, 3, 4, 2)]


def test_only_one_process_writes_and_others_read_meanwhile(open_history: OpenHistory, tmp_path: Path) -> None:
    writer, other = open_history(tmp_path, rings=SMALL), open_history(tmp_path, rings=SMALL)
    writer.record(NOON, {"load": 2})

    with pytest.raises(AlreadyRunning, match="recording resources"):
        other.record(NOON, {"load": 3})
    assert load(other.history("load", NOON, NOON)) == [(0, 2, 2, 1)]

    writer.close()
    other.record(NOON, {"load": 4})
    assert load(other.history("load", NOON, NOON)) == [(0, 3, 4, 2)]
    other.close()


def test_a_record_that_was_half_written_is_left_out_and_the_others_stay(
    open_history: OpenHistory, tmp_path: Path
) -> None:
    history = open_history(tmp_path, rings=SMALL)
    for second in (0, 2, 4):
        history.record(NOON + second, {"load": second})
    path = tmp_path / "telemetry" / "resources.rings"
    data = bytearray(path.read_bytes())
    torn = data.index((NOON + 2).to_bytes(8, "little"))
    data[torn + 20 : torn + 40] = b"\xff" * 20
    path.write_bytes(data)

    assert [point.at - NOON for point in history.history("load", NOON, NOON + 4)] == [0, 4]


@pytest.mark.parametrize("damage", ["other layout", "cut short", "empty"])
def test_a_file_that_is_not_of_this_layout_is_empty_and_begun_anew(
    open_history: OpenHistory, tmp_path: Path, damage: str
) -> None:
    before = open_history(tmp_path, rings=SMALL)
    before.record(NOON, {"load": 1})
    before.close()
    path = tmp_path / "telemetry" / "resources.rings"
    data = path.read_bytes()
    path.write_bytes({"other layout": b"x" + data[1:], "cut short": data[:-1], "empty": b""}[damage])

    history = open_history(tmp_path, rings=SMALL)
    assert history.history("load", NOON, NOON) == []
    history.record(NOON + 2, {"load": 7})
    assert load(history.history("load", NOON, NOON + 2)) == [(2, 7, 7, 1)]


def test_without_a_file_there_is_no_history_and_asking_makes_none(tmp_path: Path) -> None:
    assert ResourceHistory(tmp_path).history("load", NOON, NOON + 60) == []
    assert list(tmp_path.iterdir()) == []


def test_what_there_is_no_history_of_is_told_with_what_there_is(tmp_path: Path) -> None:
    history = ResourceHistory(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        history.history("coffee", NOON, NOON)  # type: ignore[arg-type]
    assert caught.value.hint == f"one of {', '.join(FIGURES)}"
    with pytest.raises(InvalidInput) as caught:
        history.history("load", NOON, NOON, resolution_seconds=7)
    assert caught.value.hint == "one of 2, 60, 900"


def test_a_writer_killed_in_the_middle_of_its_writing_leaves_whole_records(
    open_history: OpenHistory, tmp_path: Path, start_python: "Callable[..., subprocess.Popen[str]]"
) -> None:
    for _ in range(3):
        writer = start_python(WRITER, tmp_path)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        writer.kill()
        writer.wait()

        points = open_history(tmp_path).history("load", NOON, NOON + 900, resolution_seconds=2)

        written = [point for point in points if point.at < NOON + 500]
        assert [point.at - NOON for point in written] == list(range(0, 500, 2))
        assert all(point.samples >= 2 for point in written)
        assert all(point.at - NOON <= point.mean <= point.most <= point.at - NOON + 1 for point in points)
    history = open_history(tmp_path)
    history.record(NOON, {"load": 1})
    assert (tmp_path / "telemetry" / "resources.rings").stat().st_size == history.file_bytes
    history.close()


def test_a_disk_without_room_is_told_and_leaves_the_lock_free(
    open_history: OpenHistory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _data: bytes) -> None:
        raise DiskFull("no room left")

    history = open_history(tmp_path, rings=SMALL)
    with monkeypatch.context() as patch:
        patch.setattr("audobon.telemetry.history.write_bytes", full)
        with pytest.raises(DiskFull):
            history.record(NOON, {"load": 1})
    history.record(NOON, {"load": 1})
    assert load(history.history("load", NOON, NOON)) == [(0, 1, 1, 1)]


def test_recording_for_long_takes_no_more_memory(open_history: OpenHistory, tmp_path: Path) -> None:
    history = open_history(tmp_path)
    history.record(NOON, dict.fromkeys(FIGURES, 1.0))
    tracemalloc.start()
    for second in range(5000):
        history.record(NOON + second, dict.fromkeys(FIGURES, 1.0))
    grown_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown_bytes < 20_000
