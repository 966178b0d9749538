"""Real models behind the result cache: every page comes out bit by bit as without it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from audobon.config import keyrings_folder
from audobon.keys.unlocking import open_keys
from audobon.models.card import Card, built_in_card
from audobon.models.golden import pattern
from audobon.models.runtime import LoadedModel
from audobon.models.service import Models
from audobon.pages.picture import Picture, Pixels
from audobon.pages.picture_info import PictureInfo
from audobon.pages.restore import PictureModel, restore
from audobon.pages.tile_results import TileResults
from audobon.storage.result_cache import ResultCache

CARDS = ["waifu2x-upconv7-x2", "waifu2x-upconv7-x2-draft", "waifu2x-cunet-clean1"]
HEIGHT, WIDTH = 150, 170


class Runs:
    """A loaded model that counts its runs."""

    def __init__(self, card: Card, model: LoadedModel) -> None:
        assert card.picture is not None
        self.count = 0
        self._model = model
        self.fed = PictureModel(card.picture, self._run)

    def _run(self, window: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.count += 1
        return self._model(window)


@pytest.fixture(params=CARDS)
def runs(request: pytest.FixtureRequest, models_folder: Path) -> Iterator[Runs]:
    card = built_in_card(request.param)
    models = Models(models_folder, threads=2)
    with models.lease(card.name, lean=True) as model:
        yield Runs(card, model)
    models.close()


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ResultCache]:
    cache = ResultCache(
        tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=256 << 20
    )
    yield cache
    cache.close()


def page(mode: str) -> Picture:
    samples = pattern((1, 3, HEIGHT, WIDTH))[0].transpose(1, 2, 0)
    if mode == "I;16":
        pixels: Pixels = np.rint(samples[:, :, :1] * 65_535).astype(np.uint16)
    else:
        pixels = np.rint(samples * 255).astype(np.uint8)
        if mode == "RGBA":
            alpha = np.clip(pixels[:, :, :1], 1, 254)
            pixels = np.dstack([pixels, alpha])
    return Picture(PictureInfo(width=WIDTH, height=HEIGHT, mode=mode, format="PNG"), pixels)


def restored(picture: Picture, runs: Runs, cache: ResultCache | None) -> tuple[bytes, int]:
    """Return the page's pixels and how often the model ran for it."""
    before = runs.count
    results = None if cache is None else TileResults(cache, ("the model",))
    bands = restore(
        picture, runs.fed, passes=1, tile_px=64, report=lambda _done, _total: None, results=results
    )
    made = b"".join(band.tobytes() for band in bands)
    return made, runs.count - before


@pytest.mark.parametrize("mode", ["RGB", "I;16", "RGBA"])
def test_a_page_again_runs_no_model_and_a_changed_corner_runs_its_tiles(
    runs: Runs, cache: ResultCache, mode: str
) -> None:
    picture = page(mode)
    without, all_runs = restored(picture, runs, None)
    assert restored(picture, runs, cache) == (without, all_runs)
    assert restored(picture, runs, cache) == (without, 0)

    changed = Picture(picture.info, picture.pixels.copy())
    changed.pixels[:20, :20, 0] ^= 1
    expected, _ = restored(changed, runs, None)
    made, some_runs = restored(changed, runs, cache)

    assert made == expected != without
    # One tile sees the corner; of a page with transparency in one of its two plates.
    assert some_runs == 1
