"""Placement: the fastest way that fits the budget, and advice that works when none does."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audobon.compute.placement import (
    PageLoad,
    Placement,
    _way,
    card_peak,
    least_bytes,
    place_picture,
)
from audobon.compute.work import least_budget, model_names, place, units
from audobon.config import parse_bytes
from audobon.errors import MemoryTooSmall
from audobon.models.card import Card, built_in_card, built_in_cards
from audobon.pages.operations import CleanSettings, LettersSettings, PanelsSettings, UpscaleSettings
from audobon.pages.operations import Settings as OperationSettings
from audobon.pages.picture_info import PictureInfo

GIGABYTE = 1 << 30
DEFAULT = built_in_card("waifu2x-upconv7-x2")
SETTINGS: list[OperationSettings] = [
    UpscaleSettings(),
    UpscaleSettings(scale=4),
    CleanSettings(),
    LettersSettings(),
    PanelsSettings(),
]


def page(
    width: int = 1600,
    height: int = 2400,
    mode: str = "RGB",
    *,
    file_bytes: int = 0,
    target_format: str = "PNG",
) -> PageLoad:
    info = PictureInfo(width=width, height=height, mode=mode, format="PNG")
    return PageLoad(info, file_bytes, target_format)


def picture_cards() -> list[Card]:
    return [card for card in built_in_cards().values() if card.picture is not None]


def budgets_from(least: int) -> list[int]:
    """Return ever larger budgets, the first of which is just enough."""
    return [least + step * (8 << 20) for step in range(60)]


def seconds_of(placement: Placement, load: PageLoad, card: Card) -> float:
    """Return the relative time predicted for a way to run."""
    return _way(load, card, 1, placement.tile_px, placement.lean)[0]


def test_with_memory_to_spare_a_page_runs_at_full_speed() -> None:
    placement = place_picture(page(), DEFAULT, passes=1, budget_bytes=64 * GIGABYTE)

    assert (placement.where, placement.lean) == ("here", False)
    assert placement.reason == f"here: tiles of {placement.tile_px} px at full speed fit the budget"
    assert placement.tile_px in DEFAULT.picture.tiles_px if DEFAULT.picture else False


def test_with_little_memory_a_page_runs_in_small_pieces() -> None:
    least = least_bytes(page(), DEFAULT, passes=1)

    placement = place_picture(page(), DEFAULT, passes=1, budget_bytes=least)

    assert (placement.lean, placement.peak_bytes) == (True, least)
    assert placement.reason == f"here: tiles of {placement.tile_px} px at small memory fit the budget"


@pytest.mark.parametrize("card", picture_cards(), ids=lambda card: card.name)
def test_no_way_chosen_exceeds_the_budget_and_more_memory_never_makes_it_slower(card: Card) -> None:
    load = page()
    budgets = budgets_from(least_bytes(load, card, passes=1))

    chosen = [place_picture(load, card, passes=1, budget_bytes=budget) for budget in budgets]

    for budget, placement in zip(budgets, chosen, strict=True):
        assert placement.peak_bytes <= budget
    seconds = [seconds_of(placement, load, card) for placement in chosen]
    assert seconds == sorted(seconds, reverse=True)


def test_a_model_whose_result_depends_on_its_tiles_keeps_their_one_size() -> None:
    pinned = [card for card in picture_cards() if card.picture is not None and not card.picture.tile_exact]
    assert pinned
    for card in pinned:
        assert card.picture is not None
        least = least_bytes(page(), card, passes=1)
        for budget in (least, 64 * GIGABYTE):
            placement = place_picture(page(), card, passes=1, budget_bytes=budget)
            assert placement.tile_px == card.picture.tile_px


def test_a_second_pass_and_more_channels_take_more_memory() -> None:
    once = least_bytes(page(), DEFAULT, passes=1)

    assert least_bytes(page(), DEFAULT, passes=2) > once
    assert least_bytes(page(mode="L"), DEFAULT, passes=1) < once
    assert least_bytes(page(3200, 2400), DEFAULT, passes=1) > once


def test_a_large_file_and_a_hungry_encoder_take_more_memory() -> None:
    plain = least_bytes(page(), DEFAULT, passes=1)

    assert least_bytes(page(target_format="WEBP"), DEFAULT, passes=1) > plain
    assert least_bytes(page(target_format="TIFF"), DEFAULT, passes=1) > plain
    assert least_bytes(page(file_bytes=GIGABYTE), DEFAULT, passes=1) > 3 * GIGABYTE
    with_pictures = least_budget(page(), PanelsSettings(pictures=True))
    assert with_pictures > least_budget(page(), PanelsSettings())


@pytest.mark.parametrize("settings_", SETTINGS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("size", [(1, 1), (900, 1300), (5000, 7000)])
def test_a_budget_too_small_is_refused_with_an_amount_that_is_enough(
    settings_: OperationSettings, size: tuple[int, int]
) -> None:
    load = page(*size)

    with pytest.raises(MemoryTooSmall) as caught:
        place(load, settings_, 60 << 20)

    advice = re.fullmatch(r"--memory (\d+MB)", caught.value.hint or "")
    assert advice is not None, caught.value.hint
    assert f"a page of {size[0]}×{size[1]} needs " in caught.value.message
    assert ", the budget is 60 MB" in caught.value.message
    assert place(load, settings_, parse_bytes(advice[1])).peak_bytes <= parse_bytes(advice[1])


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 8000),
    st.integers(1, 8000),
    st.sampled_from(["L", "LA", "RGB", "RGBA", "CMYK", "I;16"]),
    st.sampled_from(SETTINGS),
)
def test_the_least_budget_is_enough_and_one_byte_less_is_not(
    width: int, height: int, mode: str, settings_: OperationSettings
) -> None:
    load = page(width, height, mode)
    least = least_budget(load, settings_)

    assert place(load, settings_, least).peak_bytes == least
    with pytest.raises(MemoryTooSmall):
        place(load, settings_, least - 1)


@pytest.mark.parametrize("settings_", SETTINGS, ids=lambda value: type(value).__name__)
def test_memory_is_predicted_by_what_was_seen_here(settings_: OperationSettings) -> None:
    more = 100 << 20

    def seen(card: Card, pixels: int, *, lean: bool) -> int:
        return card_peak(card, pixels, lean=lean) + more

    load = page()
    by_card, corrected = (place(load, settings_, 64 * GIGABYTE, peaks=peaks) for peaks in (card_peak, seen))

    grown = more if model_names(settings_) else 0
    assert corrected.model_bytes == by_card.model_bytes + grown
    assert corrected.peak_bytes == by_card.peak_bytes + grown
    least = least_budget(load, settings_, peaks=seen)
    assert place(load, settings_, least, peaks=seen).peak_bytes == least
    with pytest.raises(MemoryTooSmall):
        place(load, settings_, least - 1, peaks=seen)


def test_a_placement_carries_what_it_had_to_fit_and_what_it_costs() -> None:
    placement = place(page(), UpscaleSettings(), 64 * GIGABYTE)

    told = (placement.model, placement.device, placement.budget_bytes, placement.price_micros)
    assert told == (DEFAULT.name, "cpu", 64 * GIGABYTE, (0, 0))
    assert placement.privacy == "stays here"


def test_units_count_model_runs_and_findings_count_as_one() -> None:
    info = page(100, 100).info
    whole = place(page(100, 100), UpscaleSettings(), 64 * GIGABYTE)

    assert units(info, UpscaleSettings(), whole) == 1
    # The second pass sees the page at twice its size.
    assert units(info, UpscaleSettings(scale=4), Placement("here", 100, False, 0, "")) == 1 + 4
    assert units(page(100, 100, "CMYK").info, UpscaleSettings(), whole) == 2
    assert units(info, PanelsSettings(), whole) == 1
    assert units(None, UpscaleSettings(), None) == 1
