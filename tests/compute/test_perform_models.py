"""A page is done with the model it was planned with, or not at all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from audobon.compute.codec import Codec
from audobon.compute.perform import Performer
from audobon.compute.results import Results
from audobon.compute.work import Work, check_settings, model_identities, model_names, work_key
from audobon.config import keyrings_folder
from audobon.errors import Conflict, UnknownOperation
from audobon.keys.unlocking import open_keys
from audobon.models.card import Card
from audobon.models.cuda import CUDA
from audobon.models.devices import Choice, Devices, Wanted
from audobon.models.loading import load
from audobon.models.service import Models
from audobon.pages.operations import OPERATIONS, CleanSettings, UpscaleSettings, settings_identity
from audobon.pages.picture_limits import PictureLimits
from audobon.storage.result_cache import ResultCache
from audobon.storage.service import Storage
from audobon.telemetry.gpus import Gpu

LIMITS = PictureLimits(150_000_000, 40_000_000, 2000)


class Plenty:
    """As much memory as anybody wants."""

    def __init__(self) -> None:
        self.graphics: list[int] = []

    def room_bytes(self) -> int:
        return 4 << 30

    def pool_bytes(self) -> int:
        return 4 << 30

    def hold(self, ram_bytes: int) -> None:
        return

    def hold_graphics(self, vram_bytes: int) -> None:
        self.graphics.append(vram_bytes)

    def held_bytes(self) -> int:
        return 1 << 30


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()))


@pytest.fixture
def performer(tmp_path: Path, storage: Storage) -> Iterator[Performer]:
    codecs = (Codec(LIMITS, max_seconds=20), Codec(LIMITS, max_seconds=20))
    results = Results(ResultCache(tmp_path, budget_bytes=0), storage, device="cpu")
    yield Performer(storage, Models(tmp_path / "models", threads=1), codecs, results)
    for codec in codecs:
        codec.close()


def test_a_page_whose_model_was_replaced_since_it_was_planned_fails_before_it_is_loaded(
    performer: Performer, storage: Storage, tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "page.png")
    blob = storage.put((tmp_path / "page.png").read_bytes())
    work = Work("upscale", "{}", blob, models=("the digest of an earlier one",))

    with pytest.raises(Conflict) as caught:
        performer.perform(
            work, report=print, publish=lambda _blob, _result: None, memory=Plenty(), alone=lambda: None
        )

    assert caught.value.message == "the model waifu2x-upconv7-x2 was replaced meanwhile"
    assert caught.value.hint == "run the same command again"
    assert performer.loaded_models() == frozenset()


def test_the_models_a_task_was_planned_with_do_not_change_what_it_is() -> None:
    work = Work("upscale", "{}", "b" * 64)
    planned = msgspec.structs.replace(work, models=model_identities(UpscaleSettings()))

    assert work_key(planned, OPERATIONS["upscale"]) == work_key(work, OPERATIONS["upscale"])


def test_cleaning_with_an_own_model_is_other_work_and_without_one_what_it_always_was() -> None:
    assert settings_identity(CleanSettings(level=2)) == '{"level":2}'
    assert settings_identity(CleanSettings(model="tidy")) == '{"level":1,"model":"tidy"}'
    assert model_names(CleanSettings(model="tidy")) == ("tidy",)


def test_a_model_that_enlarges_does_not_clean() -> None:
    with pytest.raises(UnknownOperation, match="waifu2x-cunet-x2 makes pages ×2, it does not clean"):
        check_settings(CleanSettings(model="waifu2x-cunet-x2"))


class OneCard(Devices):
    """A machine with one card, of which 1 GB is free."""

    def __init__(self) -> None:
        card = Gpu("large", 2 << 30, 1 << 30, uuid="GPU-large")
        super().__init__(
            providers=lambda: [CUDA], gpus=lambda: ((card,), None), cuda_uuids=lambda: ["GPU-large"]
        )


@pytest.mark.parametrize(("device", "kinds"), [("auto", {"cpu", "cuda"}), ("cpu", {"cpu"})])
def test_a_page_whose_model_runs_on_a_card_holds_what_it_may_take_of_it(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: Wanted, kinds: set[str]
) -> None:
    def load_here(card: Card, folder: Path, *, devices: Devices | None, wanted: Wanted, **how: Any) -> Any:
        """Load on the processor, and say that it is where the devices chose."""
        model = load(card, folder, **how)
        model.choice = Choice() if devices is None else devices.choose(wanted, need_bytes=300 << 20)
        return model

    monkeypatch.setattr("audobon.models.service.Devices", OneCard)
    monkeypatch.setattr("audobon.models.service.load", load_here)
    Image.new("RGB", (8, 8)).save(tmp_path / "page.png")
    work = Work("upscale", "{}", storage.put((tmp_path / "page.png").read_bytes()), use_cache=False)
    models = Models(tmp_path / "models", threads=1, device=device)
    codecs = (Codec(LIMITS, max_seconds=20), Codec(LIMITS, max_seconds=20))
    results = Results(ResultCache(tmp_path, budget_bytes=0), storage, device=device)
    performer = Performer(storage, models, codecs, results)
    memory = Plenty()

    step = performer.perform(
        work,
        report=lambda _done, _total: None,
        publish=lambda _blob, _result: None,
        memory=memory,
        alone=lambda: None,
    )
    assert step is not None
    step.run()
    for codec in codecs:
        codec.close()

    assert performer.devices() == kinds
    assert memory.graphics == ([600 << 20] if device == "auto" else [])
