"""How sessions may be opened: the answers are the same, and the process is left as it was."""

import os
from pathlib import Path

import numpy as np
import pytest

from audobon.models.card import Card
from audobon.models.preparing import prepare_apart
from audobon.models.running import Running, opening
from audobon.models.runtime import LoadedModel, session_options
from audobon.models.store import is_prepared, prepared_path


@pytest.fixture
def graph(default_card: Card, models_folder: Path) -> Path:
    if not is_prepared(default_card, models_folder):
        prepare_apart(default_card, models_folder)
    return prepared_path(default_card, models_folder)


@pytest.mark.parametrize(
    "running",
    [
        Running(spinning=True),
        Running(weights="read"),
        Running(read_ahead=True),
        Running(cores=(0,)),
        Running(spinning=True, cores=(0,), weights="read", read_ahead=True),
        # Processors of another machine: the file was copied.
        Running(cores=(4095,)),
    ],
)
def test_every_way_to_run_gives_the_same_pixels(graph: Path, running: Running) -> None:
    plain = LoadedModel(graph, threads=2, arena=True)
    other = LoadedModel(graph, threads=2, arena=True, running=running)
    random = np.random.default_rng(1)
    for side in (24, 24, 40, 24):
        tensor = random.random((1, 3, side, side), dtype=np.float32)
        np.testing.assert_array_equal(other(tensor), plain(tensor))
    plain.close()
    other.close()


def test_the_thread_that_opens_a_model_may_run_where_it_could_before(graph: Path) -> None:
    before = os.sched_getaffinity(0)
    options = session_options(threads=1, arena=True, optimise=False)

    with opening(graph, options, Running(cores=(min(before),))):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before

    with pytest.raises(ZeroDivisionError), opening(graph, options, Running(cores=(min(before),))):
        raise ZeroDivisionError
    assert os.sched_getaffinity(0) == before


def test_reading_ahead_needs_no_weights_beside_the_graph(tmp_path: Path) -> None:
    options = session_options(threads=1, arena=True, optimise=False)
    with opening(tmp_path / "model.onnx", options, Running(weights="read", read_ahead=True)):
        assert list(tmp_path.iterdir()) == []
