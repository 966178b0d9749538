"""Which trials are made, in what ways, and what becomes of them; the measuring itself is made up."""

from pathlib import Path

import pytest

from audobon.compute.core_kinds import CoreKinds
from audobon.compute.tuning import Tuning, machine_digest
from audobon.compute.tuning_trials import DEFAULT_MODEL, Tuner
from audobon.models.card import built_in_card
from audobon.models.preparing import prepare_apart
from audobon.models.running import Running
from audobon.models.store import runtime_version
from audobon.models.tuning_runs import Timing, Trial

ALIKE = CoreKinds((0, 1, 2, 3), ())


class MadeUpTimes:
    """Times a way by what the test says of its name; everything else takes one second."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = {name.replace("_", " "): value for name, value in seconds.items()}
        self.trials: list[Trial] = []
        self.now = 0.0
        self.takes_seconds = 1.0
        self.is_broken = False

    def __call__(self, trial: Trial) -> list[Timing]:
        self.trials.append(trial)
        self.now += self.takes_seconds
        if self.is_broken:
            return []
        return [
            Timing(way.name, (self.seconds.get(way.name, 1.0),) * trial.rounds, (1.0,) * trial.rounds)
            for way in trial.ways
        ]

    def ways(self, number: int) -> list[str]:
        return [way.name for way in self.trials[number].ways]


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    prepare_apart(built_in_card(DEFAULT_MODEL), folder)
    return folder


def tuned(
    folder: Path,
    times: MadeUpTimes,
    *,
    threads: int = 4,
    kinds: CoreKinds = ALIKE,
    free_bytes: int = 64 << 30,
) -> tuple[Tuning, list[str]]:
    told: list[str] = []
    tuner = Tuner(
        folder,
        tell=told.append,
        measure=times,
        threads=threads,
        kinds=kinds,
        free_bytes=free_bytes,
        clock=lambda: times.now,
    )
    return tuner.run(), told


def test_where_nothing_is_better_the_defaults_are_kept(models_folder: Path) -> None:
    times = MadeUpTimes()

    tuning, told = tuned(models_folder, times)

    assert [times.ways(number) for number in range(4)] == [
        ["4 threads", "3 threads", "2 threads", "1 thread"],
        ["sleeping", "spinning"],
        ["mapped", "mapped", "mapped, read ahead", "mapped, read ahead", "read at once", "read at once"],
        ["192 px", "48 px", "64 px", "96 px", "128 px", "256 px"],
    ]
    assert [trial.measure for trial in times.trials] == ["run", "run", "open", "run"]
    assert len(told) == 4
    assert (tuning.machine, tuning.runtime) == (machine_digest(), runtime_version())
    assert (tuning.threads, tuning.running, tuning.tiles_px) == (0, Running(), {})
    assert [(decision.subject, decision.chosen) for decision in tuning.decisions] == [
        ("threads", "4 threads"),
        ("cores", "any core"),
        ("waiting threads", "sleeping"),
        (f"opening, measured on {DEFAULT_MODEL}", "mapped"),
        (f"tiles of {DEFAULT_MODEL}", "192 px"),
    ]
    assert all(decision.is_default for decision in tuning.decisions)


def test_what_is_better_is_taken_and_the_next_trials_are_made_with_it(models_folder: Path) -> None:
    times = MadeUpTimes(**{"2_threads": 0.5, "fast_cores": 0.5, "spinning": 0.5, "96_px": 0.5})
    times.seconds["mapped, read ahead"] = 0.5

    tuning, _ = tuned(models_folder, times, kinds=CoreKinds((0, 1), (2, 3)))

    assert tuning.threads == 2
    assert tuning.running == Running(spinning=True, cores=(0, 1), read_ahead=True)
    assert tuning.tiles_px == {DEFAULT_MODEL: 96}
    assert {way.threads for trial in times.trials[1:] for way in trial.ways} == {2}


def test_a_page_is_the_unit_whatever_the_tiles(models_folder: Path) -> None:
    times = MadeUpTimes()
    tuned(models_folder, times)
    pixels = [way.window[0] * way.window[1] * way.repeats for way in times.trials[3].ways]
    # More than the page's own pixels: tiles overlap, small ones most.
    assert all(1400 * 2000 < count < 2 * 1400 * 2000 for count in pixels)
    assert max(pixels) == pixels[1]


@pytest.mark.parametrize(
    ("threads", "counts"),
    [
        (1, []),
        (8, [8, 7, 6, 5, 4, 3, 2, 1]),
        (12, [12, 9, 6, 3, 1]),
        (64, [64, 48, 32, 16, 8, 4, 2, 1]),
    ],
)
def test_many_cores_are_not_tried_one_by_one(models_folder: Path, threads: int, counts: list[int]) -> None:
    times = MadeUpTimes()
    tuning, _ = tuned(models_folder, times, threads=threads)
    tried = [way.threads for way in times.trials[0].ways] if counts else []
    assert tried == counts
    if not counts:
        assert tuning.decisions[0].reason == "kept, not measured: there is nothing else to choose from"


def test_tiles_that_would_not_fit_beside_each_other_are_left_out(models_folder: Path) -> None:
    times = MadeUpTimes()
    tuned(models_folder, times, free_bytes=800 << 20)
    assert times.ways(3) == ["192 px", "48 px", "64 px", "96 px"]


def test_when_the_time_is_up_the_rest_is_not_measured(models_folder: Path) -> None:
    times = MadeUpTimes()
    times.takes_seconds = 47.9
    tuning, _ = tuned(models_folder, times)
    assert [trial.measure for trial in times.trials] == ["run", "open"]
    assert [decision.reason.partition(":")[0] for decision in tuning.decisions] == [
        "kept",
        "kept, not measured",
        "kept, not measured",
        "kept",
        "kept, not measured",
    ]


def test_trials_that_fail_change_nothing(models_folder: Path) -> None:
    times = MadeUpTimes()
    times.is_broken = True
    tuning, _ = tuned(models_folder, times)
    assert all(decision.is_default for decision in tuning.decisions)
    assert tuning.decisions[0].reason == "kept: there was no time for 3 rounds"
