"""A page that changed in part: only the tiles that see the change go through the model."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_models import Tensor, blurring_inside, blurring_to_the_edge, doubling

from audobon.pages.picture import Picture
from audobon.pages.picture_info import CHANNELS, PictureInfo
from audobon.pages.restore import PictureModel, restore
from audobon.pages.tile_results import TileResults
from audobon.pages.tiles import plan_axis


class Stored(NamedTuple):
    value: bytes
    seconds: float


class Shelf:
    """A store that forgets nothing, or, when it is closed, everything."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.results: dict[bytes, Stored] = {}
        self._is_open = is_open

    def get(self, key: bytes) -> Stored | None:
        return self.results.get(key)

    def put(self, key: bytes, value: bytes, *, kind: str, seconds: float) -> None:
        assert kind == "tile"
        if self._is_open:
            self.results[key] = Stored(value, seconds)


class Counted:
    """A model that counts its runs."""

    def __init__(self, model: PictureModel) -> None:
        self.runs = 0
        self._model = model
        self.model = PictureModel(model.shape, self._run)

    def _run(self, window: Tensor) -> Tensor:
        self.runs += 1
        return self._model.run(window)


def noise(mode: str, height: int, width: int, seed: int = 0) -> Picture:
    dtype = np.uint16 if mode == "I;16" else np.uint8
    pixels = np.random.default_rng(seed).integers(
        0, np.iinfo(dtype).max + 1, (height, width, CHANNELS[mode]), dtype
    )
    if mode in ("LA", "RGBA"):
        # Nothing is quite clear: what hides there is painted over, and would change with it.
        pixels[:, :, -1] = np.clip(pixels[:, :, -1], 10, 240)
    return Picture(PictureInfo(width=width, height=height, mode=mode, format="PNG"), pixels)


def restored(
    page: Picture, model: PictureModel, results: TileResults | None, *, passes: int = 1, tile_px: int = 16
) -> tuple[list[tuple[int, int]], np.ndarray]:
    told: list[tuple[int, int]] = []

    def report(done: int, total: int) -> None:
        told.append((done, total))

    bands = restore(page, model, passes=passes, tile_px=tile_px, report=report, results=results)
    return told, np.concatenate(list(bands))


def results_on(shelf: Shelf, model: str = "model") -> TileResults:
    return TileResults(shelf, (model,))


@pytest.mark.parametrize("mode", list(CHANNELS))
@pytest.mark.parametrize("passes", [1, 2])
def test_the_same_page_again_goes_through_no_model_and_is_equal(mode: str, passes: int) -> None:
    shelf, page, model = Shelf(), noise(mode, 37, 51), Counted(doubling())
    told, without = restored(page, model.model, None, passes=passes)
    runs = model.runs
    first = restored(page, model.model, results_on(shelf), passes=passes)
    assert model.runs == 2 * runs

    again = results_on(shelf)
    second = restored(page, model.model, again, passes=passes)

    assert model.runs == 2 * runs
    assert again.asked == again.found == runs
    # The bar moves as if they had been computed.
    assert first[0] == second[0] == told
    assert np.array_equal(first[1], without)
    assert np.array_equal(second[1], without)
    assert second[1].dtype == page.pixels.dtype


@settings(max_examples=40, deadline=None)
@given(st.data())
@pytest.mark.parametrize("model", [blurring_inside(), blurring_to_the_edge()], ids=["replicate", "own"])
def test_a_changed_pixel_costs_the_tiles_that_see_it_and_no_other(
    model: PictureModel, data: st.DataObject
) -> None:
    height, width = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    mode = data.draw(st.sampled_from(["L", "RGB", "I;16"]))
    page, shelf, counted = noise(mode, height, width), Shelf(), Counted(model)
    restored(page, counted.model, results_on(shelf))
    tiles = counted.runs
    changed = Picture(page.info, page.pixels.copy())
    changed.pixels[y, x] ^= 1

    results = results_on(shelf)
    _, made = restored(changed, counted.model, results)

    assert np.array_equal(made, restored(changed, model, None)[1])
    seen = [
        sum(span.read <= at < span.read + axis.window for span in axis.spans)
        for axis, at in ((plan_axis(height, 16, model.shape), y), (plan_axis(width, 16, model.shape), x))
    ]
    assert counted.runs - tiles == seen[0] * seen[1]
    assert results.found == tiles - seen[0] * seen[1]


def test_of_a_page_in_plates_only_the_changed_plate_is_made_anew() -> None:
    shelf, page, model = Shelf(), noise("RGBA", 16, 16), Counted(blurring_inside())
    restored(page, model.model, results_on(shelf))
    assert model.runs == 2
    changed = Picture(page.info, page.pixels.copy())
    changed.pixels[3, 3, 3] ^= 64

    _, made = restored(changed, model.model, results_on(shelf))

    assert model.runs == 3
    assert np.array_equal(made, restored(changed, model.model, None)[1])


def test_equal_windows_of_one_page_go_through_the_model_once() -> None:
    page = Picture(
        PictureInfo(width=64, height=64, mode="L", format="PNG"), np.full((64, 64, 1), 255, np.uint8)
    )
    model = Counted(blurring_inside())
    results = results_on(Shelf())

    restored(page, model.model, results)

    # Windows are a little larger than tiles: where the page ends they lie differently around theirs.
    assert (results.asked, results.found, model.runs) == (16, 12, 4)


def test_what_would_come_out_differently_has_another_key() -> None:
    shelf = Shelf()
    page = noise("L", 16, 16)
    grey = np.clip(page.pixels, 10, 240, out=page.pixels)
    same_bytes = {
        "another model": (page, results_on(shelf, "another model")),
        "ink": (
            Picture(PictureInfo(width=16, height=16, mode="CMYK", format="TIFF"), np.dstack([grey] * 4)),
            None,
        ),
        "transparency": (
            Picture(PictureInfo(width=16, height=16, mode="LA", format="PNG"), np.dstack([grey] * 2)),
            None,
        ),
        "more bits": (
            Picture(
                PictureInfo(width=8, height=16, mode="I;16", format="PNG"),
                grey.reshape(16, 16).view(np.uint16).reshape(16, 8, 1),
            ),
            None,
        ),
        "another shape": (
            Picture(PictureInfo(width=8, height=32, mode="L", format="PNG"), grey.reshape(32, 8, 1)),
            None,
        ),
    }
    model = blurring_inside()
    restored(page, model, results_on(shelf), tile_px=64)
    for name, (other, results) in same_bytes.items():
        _, made = restored(other, model, results or results_on(shelf), tile_px=64)
        assert np.array_equal(made, restored(other, model, None, tile_px=64)[1]), name
    # LA: its grey is the page's, its transparency another plate.
    assert len(shelf.results) == 1 + 1 + 2 + 1 + 1 + 1


def test_a_result_of_another_length_is_computed_again() -> None:
    shelf, page, model = Shelf(), noise("RGB", 16, 16), Counted(blurring_inside())
    restored(page, model.model, results_on(shelf))
    shelf.results = {key: Stored(kept.value[:-1], 1.0) for key, kept in shelf.results.items()}

    _, made = restored(page, model.model, results_on(shelf))

    assert model.runs == 2
    assert np.array_equal(made, restored(page, model.model, None)[1])


def test_a_store_that_keeps_nothing_costs_nothing_but_the_looking() -> None:
    page, model = noise("RGB", 40, 40), Counted(blurring_inside())
    results = results_on(Shelf(is_open=False))
    for _ in range(2):
        _, made = restored(page, model.model, results)
    assert (results.asked, results.found, model.runs) == (18, 0, 18)
    assert np.array_equal(made, restored(page, model.model, None)[1])
