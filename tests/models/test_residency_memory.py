"""Real models in memory: in processes of their own, whose heap nobody else has touched."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

from audobon.errors import MemoryTooSmall, ModelNotFound
from audobon.models.card import Card, built_in_card
from audobon.models.golden import pattern
from audobon.models.observed import FILE
from audobon.models.preparing import prepare_apart
from audobon.models.service import Models, ResidentModel
from audobon.models.store import is_prepared

MEGABYTE = 1 << 20
NAMES = ("waifu2x-upconv7-x2", "ppocr-v2-classifier", "ppocr-v6-detector")

CYCLES = """
import os, sys
from pathlib import Path
from audobon.models.golden import pattern
from audobon.models.runtime import return_memory_at_once
from audobon.models.service import Models
from audobon.processes import resident_bytes

return_memory_at_once()
folder, way, *names = sys.argv[1:]
models = Models(Path(folder), threads=1, budget_bytes=1 << 30)
grown = []
for cycle in range(33):
    with models.lease(names[cycle % len(names)], lean=way == "lean") as model:
        model(pattern(models.card(names[cycle % len(names)]).golden.input_shape))
    models.set_budget(0)
    assert models.resident() == []
    models.set_budget(1 << 30)
    grown.append(resident_bytes(os.getpid()))
# The first three also load libraries and fill caches that stay.
assert not models.needs_recycling, models.recycling_reason
print(max(grown[3:]) - grown[2])
"""

LEAKING = """
import sys
from pathlib import Path
import numpy as np
from audobon.models import service
from audobon.models.loading import load

lost = []

def leaking(*arguments, **options):
    model = load(*arguments, **options)
    lost.append(np.ones((48 << 20) // 8))
    model.opened_bytes += 48 << 20
    return model

service.load = leaking
models = service.Models(Path(sys.argv[1]), threads=1)
found = []
for cycle in range(4):
    with models.lease(sys.argv[2], lean=True):
        pass
    models.close()
    found.append(models.needs_recycling)
print(found, models.recycling_reason)
"""


@pytest.fixture
def folder(models_folder: Path) -> Path:
    for name in NAMES:
        if not is_prepared(built_in_card(name), models_folder):
            prepare_apart(built_in_card(name), models_folder)
    return models_folder


def output(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("way", ["fast", "lean"])
def test_thirty_evictions_of_three_models_leave_the_memory_as_it_was(folder: Path, way: str) -> None:
    assert int(output(CYCLES, folder, way, *NAMES)) <= 16 * MEGABYTE


def test_a_loader_that_loses_memory_calls_for_a_new_process(folder: Path) -> None:
    found, _, reason = output(LEAKING, folder, NAMES[0]).strip().partition("] ")
    assert found == "[False, True, True, True"
    assert reason.endswith(" MB did not come back from evicted models")


def test_what_is_in_memory_can_be_listed(folder: Path) -> None:
    # given
    models = Models(folder, threads=1)
    with models.lease(NAMES[1], lean=True) as model:
        model(pattern(models.card(NAMES[1]).golden.input_shape))
    # when
    with models.lease(NAMES[0]):
        found = models.resident()
    # then
    assert [(m.name, m.lean, m.in_use, m.uses) for m in found] == [
        (NAMES[1], True, False, 1),
        (NAMES[0], False, True, 1),
    ]
    assert all(isinstance(m, ResidentModel) and m.loaded_seconds > 0 for m in found)
    assert found[0].last_used_at < found[1].last_used_at
    models.close()
    assert models.resident() == []


def test_real_models_take_turns_within_a_budget_and_answer_as_ever(folder: Path) -> None:
    # given: room for the largest alone, and the answers of models that never left
    cards = [built_in_card(name) for name in NAMES]
    inputs = {card.name: pattern(card.golden.input_shape) for card in cards}
    free = Models(folder, threads=1)
    answers = {}
    for name in NAMES:
        with free.lease(name, lean=True) as model:
            answers[name] = model(inputs[name])
    free.close()
    models = Models(folder, threads=1, budget_bytes=64 * MEGABYTE)

    def run(name: str) -> bool:
        with models.lease(name, lean=True, peak_bytes=60 * MEGABYTE) as model:
            return np.array_equal(model(inputs[name]), answers[name])

    # when
    with ThreadPoolExecutor(3) as pool:
        equal = list(pool.map(run, NAMES * 5))

    # then
    assert equal == [True] * 15
    models.close()


def test_a_model_larger_than_the_budget_is_refused_before_it_is_loaded(folder: Path) -> None:
    models = Models(folder, threads=1, budget_bytes=8 * MEGABYTE)
    with pytest.raises(MemoryTooSmall, match=r"the models' budget is 8 MB"), models.lease(NAMES[0]):
        pass
    assert models.resident() == []


def test_a_model_nobody_has_is_refused(folder: Path) -> None:
    with pytest.raises(ModelNotFound):
        Models(folder).lease("nobody")


def test_shrinking_gives_back_what_runs_left_and_the_answers_stay(folder: Path) -> None:
    models = Models(folder, threads=1)
    tensor = pattern((1, 3, 110, 110))
    with models.lease(NAMES[0]) as model:
        before = model(tensor)
        held = model.held_bytes
        model.shrink()
        shrunk = model.held_bytes
        after = model(tensor)
    models.close()

    assert np.array_equal(before, after)
    assert held is not None
    assert shrunk is not None
    assert held - shrunk > 10 * MEGABYTE


def test_runs_are_observed_and_what_exceeds_the_card_is_remembered(
    folder: Path, default_card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a card that claims too little
    (folder / FILE).unlink(missing_ok=True)
    lean = msgspec.structs.replace(default_card.memory.lean, peak_bytes_by_pixels={3844: MEGABYTE})
    memory = msgspec.structs.replace(default_card.memory, lean=lean)
    card = msgspec.structs.replace(default_card, memory=memory)
    monkeypatch.setattr(Models, "card", lambda _models, _name: card)
    models = Models(folder, threads=1)
    assert models.predict_peak(card.name, 3844, lean=True) == MEGABYTE

    # when
    with models.lease(card.name, lean=True) as model:
        model(pattern((1, 3, 62, 62)))
    models.close()

    # then
    predicted = Models(folder, threads=1).predict_peak(card.name, 3844, lean=True)
    assert 2 * MEGABYTE < predicted < 60 * MEGABYTE
    assert (folder / FILE).is_file()


SECOND_RUN = """
import sys
from pathlib import Path
from audobon.models.golden import pattern
from audobon.models.runtime import return_memory_at_once
from audobon.models.service import Models

return_memory_at_once()
models = Models(Path(sys.argv[1]), threads=2)
shape = (1, 3, 640, 480)
with models.lease("ppocr-v6-detector", lean=True) as model:
    for _ in range(3):
        model(pattern(shape))
    (first, first_settled), (second, settled) = [seen[1:] for seen in model.take_observations()]
    model(pattern((1, 3, 320, 320)))
    model(pattern(shape))
    later = [seen[0] for seen in model.take_observations()]
print(first < second, first_settled, settled, later == [320 * 320])
"""


def test_a_lean_model_is_watched_until_its_memory_is_planned(folder: Path) -> None:
    assert output(SECOND_RUN, folder).split() == ["True", "False", "True", "True"]
