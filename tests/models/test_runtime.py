"""Memory comes back: measured in processes of their own, whose heap nobody else has touched."""

import subprocess
import sys
from pathlib import Path

import pytest

from audobon.errors import CorruptModel
from audobon.models.card import Card
from audobon.models.preparing import prepare_apart
from audobon.models.runtime import LoadedModel, usable_threads
from audobon.models.store import is_prepared, prepared_path

MEGABYTE = 1 << 20

CYCLES = """
import os, sys
from pathlib import Path
from audobon.models.golden import pattern
from audobon.models.runtime import LoadedModel, return_memory_at_once
from audobon.processes import resident_bytes

return_memory_at_once()
grown = []
for cycle in range(33):
    model = LoadedModel(Path(sys.argv[1]), threads=1, arena=sys.argv[2] == "arena")
    model(pattern((1, 3, 62, 62)))
    model.close()
    del model
    grown.append(resident_bytes(os.getpid()))
# The first three also load libraries and fill caches that stay.
print(max(grown[3:]) - grown[2])
"""

SHAPES = """
import os, sys
from pathlib import Path
from audobon.models.golden import pattern
from audobon.models.runtime import LoadedModel, return_memory_at_once
from audobon.processes import resident_bytes

return_memory_at_once()
model = LoadedModel(Path(sys.argv[1]), threads=1, arena=True)
grown = []
for cycle in range(8):
    for side in (62, 94, 110, 142):
        model(pattern((1, 3, side, side)))
    grown.append(resident_bytes(os.getpid()))
print(max(grown[1:]) - grown[0])
"""


@pytest.fixture
def graph(default_card: Card, models_folder: Path) -> Path:
    if not is_prepared(default_card, models_folder):
        prepare_apart(default_card, models_folder)
    return prepared_path(default_card, models_folder)


def grown_bytes(code: str, *arguments: object) -> int:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("way", ["arena", "lean"])
def test_thirty_times_loading_running_and_closing_leave_the_memory_as_it_was(graph: Path, way: str) -> None:
    assert grown_bytes(CYCLES, graph, way) < 16 * MEGABYTE


def test_changing_shapes_do_not_pile_up_in_the_arena(graph: Path) -> None:
    assert grown_bytes(SHAPES, graph) < 16 * MEGABYTE


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")

    with pytest.raises(CorruptModel) as caught:
        LoadedModel(tmp_path / "model.onnx", threads=1, arena=False)

    assert caught.value.message.startswith(f"{tmp_path / 'model.onnx'} cannot be loaded: ")
    assert caught.value.hint == "audobon models verify"


def test_an_input_the_model_cannot_take_is_told_with_its_shape(graph: Path) -> None:
    from audobon.models.golden import pattern

    model = LoadedModel(graph, threads=usable_threads(), arena=False)

    with pytest.raises(CorruptModel, match=r"the model failed on an input of shape \(1, 4, 20, 20\)"):
        model(pattern((1, 4, 20, 20)))
    model.close()
