"""Models on cards that are not there: what is opened, what is given back, and what takes a card's place."""

from pathlib import Path

import pytest
from made_up_cards import GIB, MadeUpMachine, RecordedSessions, gpu

from audobon.errors import CorruptModel
from audobon.models.card import Card
from audobon.models.cuda import CPU, cuda_providers
from audobon.models.devices import PROCESSOR, Choice, Device, Devices, predict_vram
from audobon.models.golden import check, pattern
from audobon.models.loading import load
from audobon.models.runtime import LoadedModel
from audobon.models.service import Models
from audobon.models.store import is_prepared, prepared_path

LARGE = Device("cuda", 0, "large", 8 * GIB)
NEED = "large has 80 MB left for models at this moment, and this one is thought to take"


@pytest.fixture
def machine() -> MadeUpMachine:
    return MadeUpMachine(gpu("large", free_bytes=7 * GIB))


def opened_with(monkeypatch: pytest.MonkeyPatch, record: RecordedSessions) -> RecordedSessions:
    monkeypatch.setattr("audobon.models.sessions._open_session", record)
    return record


def need_bytes(card: Card) -> int:
    return predict_vram(card, max(card.memory.lean.peak_bytes_by_pixels))


def load_here(card: Card, folder: Path, devices: Devices, *, arena: bool = True) -> LoadedModel:
    return load(card, folder, threads=1, arena=arena, devices=devices, wanted="auto")


@pytest.mark.parametrize("arena", [True, False])
def test_a_model_is_opened_on_the_card_with_what_was_prepared_for_it_and_its_limit(
    monkeypatch: pytest.MonkeyPatch,
    default_card: Card,
    models_folder: Path,
    machine: MadeUpMachine,
    *,
    arena: bool,
) -> None:
    record = opened_with(monkeypatch, RecordedSessions())

    model = load_here(default_card, models_folder, machine.devices(), arena=arena)

    limit_bytes = 2 * need_bytes(default_card)
    assert model.choice == Choice(LARGE, limit_bytes=limit_bytes)
    assert is_prepared(default_card, models_folder, "cuda")
    graph = str(prepared_path(default_card, models_folder, "cuda"))
    providers = cuda_providers(0, limit_bytes=limit_bytes, lean=not arena)
    assert record.calls == [("open", graph, providers, {"enable_fallback": 0})]
    tensor = pattern((1, 3, 8, 8))
    assert (model(tensor) == tensor * 2).all()
    # What is seen of the process says nothing of a card.
    assert model.take_observations() == []


def test_closing_a_model_gives_its_part_of_the_card_back_once(
    monkeypatch: pytest.MonkeyPatch, default_card: Card, models_folder: Path, machine: MadeUpMachine
) -> None:
    opened_with(monkeypatch, RecordedSessions())
    machine.gpus[0] = gpu("large", free_bytes=4 * need_bytes(default_card))
    devices = machine.devices()
    first = load_here(default_card, models_folder, devices)
    second = load_here(default_card, models_folder, devices)

    third = devices.choose("auto", need_bytes=need_bytes(default_card))
    assert (first.choice.device, second.choice.device, third.device) == (LARGE, LARGE, PROCESSOR)

    first.close()
    first.close()
    second.close()
    assert devices.choose("auto", need_bytes=need_bytes(default_card)).limit_bytes == first.choice.limit_bytes


def test_cuda_that_does_not_start_is_given_up_and_the_processor_does_the_work(
    monkeypatch: pytest.MonkeyPatch, default_card: Card, models_folder: Path, machine: MadeUpMachine
) -> None:
    record = opened_with(monkeypatch, RecordedSessions(starts=False))
    devices = machine.devices()

    models = [load_here(default_card, models_folder, devices) for _ in range(2)]

    for model in models:
        assert (model.choice.device, model.choice.is_fallback) == (PROCESSOR, True)
        assert str(model.choice.reason).startswith("ONNX Runtime could not start CUDA")
    graph = str(prepared_path(default_card, models_folder))
    # Tried once, and not again for the second model.
    assert [call[2] == [CPU] for call in record.calls] == [False, True, True]
    assert [call[1] for call in record.calls[1:]] == [graph, graph]


def test_a_card_that_refuses_one_model_is_asked_again_for_the_next(
    monkeypatch: pytest.MonkeyPatch, default_card: Card, models_folder: Path, machine: MadeUpMachine
) -> None:
    record = opened_with(monkeypatch, RecordedSessions(fails_open="CUDA failure 2: out of memory"))
    devices = machine.devices()

    first = load_here(default_card, models_folder, devices)
    record.fails_open = None
    second = load_here(default_card, models_folder, devices)

    reason = "large did not take the model: CUDA failure 2: out of memory"
    assert first.choice == Choice(PROCESSOR, reason, is_fallback=True)
    assert second.choice == Choice(LARGE, limit_bytes=2 * need_bytes(default_card))


def test_a_full_card_leaves_the_model_to_the_processor_with_the_figures(
    default_card: Card, models_folder: Path
) -> None:
    devices = MadeUpMachine(gpu("large", free_bytes=100 << 20)).devices()

    model = load_here(default_card, models_folder, devices)

    assert str(model.choice.reason).startswith(NEED)
    assert check(default_card, model) <= default_card.golden.tolerance
    model.close()


def test_a_model_that_cannot_be_loaded_at_all_leaves_the_card_as_it_was(
    monkeypatch: pytest.MonkeyPatch, default_card: Card, models_folder: Path, machine: MadeUpMachine
) -> None:
    opened_with(monkeypatch, RecordedSessions())
    monkeypatch.setattr("audobon.models.loading.is_intact", lambda *_: False)
    devices = machine.devices()

    with pytest.raises(CorruptModel, match="damaged already"):
        load_here(default_card, models_folder, devices)

    assert devices._granted_bytes == {0: 0}


def test_the_service_runs_on_the_processor_unless_it_is_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, default_card: Card, models_folder: Path, machine: MadeUpMachine
) -> None:
    monkeypatch.setattr("audobon.models.service.Devices", machine.devices)
    with Models(models_folder, threads=1).lease(default_card.name) as model:
        assert model.choice == Choice()
    assert machine.asked == []

    record = opened_with(monkeypatch, RecordedSessions())
    with Models(models_folder, threads=1, device="auto").lease(default_card.name) as model:
        assert model.choice.device == LARGE
    assert len(record.calls) == 1
