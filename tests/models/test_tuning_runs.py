"""Measuring in turns: real models, whole rounds, a process of its own."""

import subprocess
from pathlib import Path

import pytest

from audobon.models import tuning_runs
from audobon.models.card import Card
from audobon.models.preparing import prepare_apart
from audobon.models.running import Running
from audobon.models.store import is_prepared
from audobon.models.tuning_runs import Timing, Trial, Way, measure, measure_apart


@pytest.fixture
def prepared(default_card: Card, models_folder: Path) -> Path:
    if not is_prepared(default_card, models_folder):
        prepare_apart(default_card, models_folder)
    return models_folder


def trial(prepared: Path, *ways: Way, measure: str = "run", rounds: int = 2, seconds: float = 60.0) -> Trial:
    return Trial(
        measure="open" if measure == "open" else "run",
        model="waifu2x-upconv7-x2",
        models_folder=str(prepared),
        ways=ways,
        rounds=rounds,
        most_seconds=seconds,
    )


def test_runs_are_timed_for_the_unit_that_is_asked_for(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning_runs, "_LEAST_SECONDS", 0.001)
    monkeypatch.setattr(tuning_runs, "_REST_SECONDS", 0.0)
    one = Way(name="one", threads=1, window=(48, 48))
    many = Way(name="many", threads=1, window=(48, 48), repeats=1000, running=Running(spinning=True))

    found = measure(trial(prepared, one, many))

    assert [timing.name for timing in found] == ["one", "many"]
    assert [(len(timing.seconds), len(timing.processor_seconds)) for timing in found] == [(2, 2), (2, 2)]
    assert max(found[0].seconds) < min(found[1].seconds)


def test_openings_are_timed_cold_and_warm_in_every_way(prepared: Path) -> None:
    ways = [
        Way(name=f"{weights} {is_cold}", threads=1, is_cold=is_cold, running=Running(weights=weights))
        for weights in ("mapped", "read")
        for is_cold in (True, False)
    ]

    found = measure(trial(prepared, *ways, measure="open"))

    assert [timing.name for timing in found] == [way.name for way in ways]
    assert all(0 < second < 60 for timing in found for second in timing.seconds)


def test_without_time_there_is_no_round_and_a_round_is_never_cut(prepared: Path) -> None:
    ways = [Way(name=name, threads=1) for name in ("a", "b")]
    assert measure(trial(prepared, *ways, seconds=-1.0)) == [Timing("a", (), ()), Timing("b", (), ())]


def test_a_process_of_its_own_gives_the_same_account(prepared: Path) -> None:
    [timing] = measure_apart(trial(prepared, Way(name="only", threads=1), measure="open", rounds=1))
    assert (timing.name, len(timing.seconds)) == ("only", 1)


def test_a_trial_that_fails_or_takes_too_long_is_none(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Way(name="only", threads=1)
    assert measure_apart(trial(tmp_path, way)) == []

    def too_long(command: list[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(command, 1.0)

    monkeypatch.setattr(subprocess, "run", too_long)
    assert measure_apart(trial(prepared, way)) == []
