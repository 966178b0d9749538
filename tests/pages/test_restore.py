"""A page goes through a model in tiles, and nobody can tell from its pixels."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_models import PADDING_PX, blurring_inside, blurring_to_the_edge, box_mean, doubling

from audobon.errors import CorruptModel
from audobon.pages.picture import Picture
from audobon.pages.picture_info import CHANNELS, PictureInfo
from audobon.pages.plates import count_runs
from audobon.pages.restore import PictureModel, restore

Pixels = npt.NDArray[Any]


def picture(mode: str, height: int, width: int, *, alpha: int | None = None) -> Picture:
    """Return a page of noise; with `alpha`, one whose transparency is the same everywhere."""
    dtype = np.uint16 if mode == "I;16" else np.uint8
    random = np.random.default_rng(height * width)
    pixels = random.integers(0, np.iinfo(dtype).max + 1, (height, width, CHANNELS[mode]), dtype)
    if mode in ("LA", "RGBA"):
        # Nearly clear and nearly solid film is made quite so; see the test of that.
        pixels[:, :, -1] = np.clip(pixels[:, :, -1], 10, 240) if alpha is None else alpha
    return Picture(PictureInfo(width=width, height=height, mode=mode, format="PNG"), pixels)


def restored(page: Picture, model: PictureModel, *, passes: int = 1, tile_px: int = 16) -> Pixels:
    return np.concatenate(
        list(restore(page, model, passes=passes, tile_px=tile_px, report=lambda done, total: None))
    )


def doubled(pixels: Pixels) -> Pixels:
    return pixels.repeat(2, axis=0).repeat(2, axis=1)


@pytest.mark.parametrize("mode", list(CHANNELS))
def test_every_kind_of_page_keeps_its_channels_and_depth(mode: str) -> None:
    page = picture(mode, 37, 51)
    result = restored(page, doubling())
    # Nearest-neighbour changes no value, so neither may the way to the model and back.
    assert result.dtype == page.pixels.dtype
    assert np.array_equal(result, doubled(page.pixels))


def test_film_that_is_nearly_solid_or_clear_comes_out_so() -> None:
    page = picture("LA", 4, 4)
    page.pixels[:, :, 1] = np.array([[0, 2, 3, 4], [128] * 4, [251, 252, 254, 255], [200] * 4])
    result = restored(page, doubling())[::2, ::2, 1]
    assert result.tolist() == [[0, 0, 0, 4], [128] * 4, [251, 255, 255, 255], [200] * 4]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (17, 1), (10, 3000), (10, 20_000)])
@pytest.mark.parametrize("multiple_px", [1, 4])
def test_pages_of_any_size_come_out_whole(size: tuple[int, int], multiple_px: int) -> None:
    for height, width in (size, size[::-1]):
        page = picture("RGB", height, width)
        result = restored(page, doubling(multiple_px=multiple_px), tile_px=64)
        assert np.array_equal(result, doubled(page.pixels))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 70), st.sampled_from(["RGB", "CMYK", "RGBA"]))
@pytest.mark.parametrize("model", [blurring_inside(), blurring_to_the_edge()], ids=["replicate", "own"])
def test_the_size_of_tiles_changes_no_pixel(
    model: PictureModel, height: int, width: int, tile_px: int, mode: str
) -> None:
    page = picture(mode, height, width)
    in_one_piece = restored(page, model, tile_px=4000)
    assert np.array_equal(restored(page, model, tile_px=tile_px), in_one_piece)


@pytest.mark.parametrize("tile_px", [5, 16, 100])
def test_beyond_the_page_its_border_repeats_for_models_that_eat_their_padding(tile_px: int) -> None:
    page = picture("RGB", 30, 41)
    edges = ((PADDING_PX, PADDING_PX), (PADDING_PX, PADDING_PX), (0, 0))
    padded = np.pad(page.pixels, edges, mode="edge").transpose(2, 0, 1)[None].astype(np.float32) / 255
    expected = np.rint(box_mean(padded, PADDING_PX)[0].transpose(1, 2, 0) * 255)
    assert np.array_equal(restored(page, blurring_inside(), tile_px=tile_px), expected)


def test_ink_is_fed_as_its_negative() -> None:
    seen: list[float] = []

    def run(window: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        seen.append(float(window.max()))
        return window

    model = PictureModel(blurring_to_the_edge().shape, run)
    page = Picture(
        PictureInfo(width=4, height=4, mode="CMYK", format="TIFF"),
        np.full((4, 4, 4), (255, 255, 255, 0), np.uint8),
    )
    assert np.array_equal(restored(page, model), page.pixels)
    # Full ink is dark to the model, no black plate is bright.
    assert seen == [0.0, 1.0]


def test_a_grey_page_is_fed_three_times_over_and_averaged() -> None:
    def run(window: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        assert np.array_equal(window[0, 0], window[0, 2])
        return window + np.array([-0.1, 0.0, 0.1], np.float32)[None, :, None, None]

    page = picture("L", 9, 9)
    assert np.array_equal(restored(page, PictureModel(blurring_to_the_edge().shape, run)), page.pixels)


@pytest.mark.parametrize("offset", [-2.0, 2.0])
def test_answers_out_of_range_end_at_black_and_white(offset: float) -> None:
    model = PictureModel(blurring_to_the_edge().shape, lambda window: window + np.float32(offset))
    assert set(restored(picture("I;16", 5, 5), model).flat) == {0 if offset < 0 else 65_535}


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "I;16"])
def test_an_answer_with_a_number_that_is_not_finite_ends_the_page(mode: str, wrong: float) -> None:
    def run(window: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        answer = window.copy()
        answer[0, 1, 5, 4] = wrong
        return answer

    with pytest.raises(CorruptModel, match="answered with numbers that are not finite"):
        restored(picture(mode, 20, 20), PictureModel(blurring_to_the_edge().shape, run))


@pytest.mark.parametrize("change", [(0, 0, 1, 0), (0, 0, 0, -1), (0, -2, 0, 0), (1, 0, 0, 0)])
def test_an_answer_of_another_shape_ends_the_page(change: tuple[int, ...]) -> None:
    def run(window: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.resize(window, np.add(window.shape, change))

    with pytest.raises(CorruptModel, match=r"answered 1×3×16×16 with .*; it should be 1×3×16×16"):
        restored(picture("RGB", 20, 20), PictureModel(blurring_to_the_edge().shape, run))


@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_a_transparency_that_is_the_same_everywhere_costs_nothing_and_is_kept(alpha: int) -> None:
    page = picture("RGBA", 20, 20, alpha=alpha)
    reports: list[tuple[int, int]] = []
    bands = restore(page, doubling(), passes=1, tile_px=64, report=lambda *state: reports.append(state))
    result = np.concatenate(list(bands))
    assert (result[:, :, 3] == alpha).all()
    assert reports == [(1, 1)]


def test_a_transparency_that_varies_is_restored_like_a_drawing() -> None:
    page = picture("LA", 20, 20)
    alone = Picture(
        PictureInfo(width=20, height=20, mode="L", format="PNG"), np.ascontiguousarray(page.pixels[:, :, 1:])
    )
    result = restored(page, blurring_inside())
    assert np.array_equal(result[:, :, 1:], restored(alone, blurring_inside()))
    assert not np.array_equal(result[:, :, 1:], alone.pixels)


def test_what_hides_under_clear_film_does_not_smear() -> None:
    page = picture("RGBA", 30, 30, alpha=255)
    page.pixels[:, :, :3] = 0
    page.pixels[:, 15:] = (255, 0, 0, 0)
    result = restored(page, blurring_inside())
    assert (result[:, :15, :3] == 0).all()
    assert (page.pixels[:, 15:] == (255, 0, 0, 0)).all()


@pytest.mark.parametrize("mode", list(CHANNELS))
def test_two_passes_are_one_after_the_other(mode: str) -> None:
    page = picture(mode, 21, 13)
    result = restored(page, doubling(), passes=2)
    assert np.array_equal(result, doubled(doubled(page.pixels)))


@pytest.mark.parametrize(("mode", "passes"), [("RGB", 1), ("CMYK", 2), ("RGBA", 1), ("LA", 2)])
def test_progress_only_rises_and_ends_at_its_total(mode: str, passes: int) -> None:
    page = picture(mode, 50, 70)
    reports: list[tuple[int, int]] = []
    bands = restore(page, doubling(), passes=passes, tile_px=16, report=lambda *state: reports.append(state))
    list(bands)
    assert [done for done, _ in reports] == list(range(1, len(reports) + 1))
    totals = [total for _, total in reports]
    assert totals == sorted(totals)
    assert reports[-1][0] == reports[-1][1]
    expected = count_runs(page.info, doubling().shape, tile_px=16, passes=passes)
    assert totals[-1] == (expected * 2 if mode in ("LA", "RGBA") else expected)


def test_the_page_comes_in_bands_so_that_it_never_has_to_be_whole() -> None:
    bands = restore(
        picture("RGB", 100, 30), doubling(), passes=1, tile_px=16, report=lambda done, total: None
    )
    heights = [len(band) for band in bands]
    assert max(heights) <= 32
    assert sum(heights) == 200
