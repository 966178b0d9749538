"""Tiles cover a page exactly once, all of one shape, each with the surroundings it needs."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audobon.pages.tiles import Axis, PictureShape, Span, plan_axis, tile_count, window_pixels


def shape(
    *, edges: str = "replicate", padding_px: int = 7, multiple_px: int = 1, tile_exact: bool = True
) -> PictureShape:
    return PictureShape(
        scale=2,
        colour="RGB",
        padding_px=padding_px,
        edges=edges,  # type: ignore[arg-type]
        multiple_px=multiple_px,
        tile_exact=tile_exact,
        tile_px=256,
        tiles_px=(64, 256),
    )


shapes = st.builds(
    shape,
    padding_px=st.integers(0, 40),
    multiple_px=st.sampled_from([1, 2, 4, 6, 8, 32]),
    tile_exact=st.booleans(),
) | st.builds(shape, edges=st.just("own"), padding_px=st.integers(0, 40), tile_exact=st.booleans())
lengths = st.integers(1, 4000)
tiles = st.integers(1, 700)


def test_a_model_that_pads_itself_may_not_ask_for_multiples() -> None:
    with pytest.raises(ValueError, match="multiple_px 1 only"):
        shape(edges="own", multiple_px=2)


@given(lengths, tiles, shapes)
def test_the_tiles_cover_the_side_once_without_gap_or_overlap(
    length: int, tile_px: int, shape: PictureShape
) -> None:
    spans = plan_axis(length, tile_px, shape).spans
    assert [span.start for span in spans] == [0, *(span.stop for span in spans[:-1])]
    assert spans[-1].stop == length
    assert all(span.start < span.stop for span in spans)


@given(lengths, tiles, shapes)
def test_no_tile_is_larger_than_allowed(length: int, tile_px: int, shape: PictureShape) -> None:
    assert max(span.stop - span.start for span in plan_axis(length, tile_px, shape).spans) <= tile_px


@given(lengths, tiles, shapes)
def test_the_window_is_a_multiple_of_what_the_model_wants(
    length: int, tile_px: int, shape: PictureShape
) -> None:
    assert plan_axis(length, tile_px, shape).window % shape.multiple_px == 0


@given(lengths, tiles, shapes)
def test_a_window_holds_its_tile_and_the_surroundings_it_needs(
    length: int, tile_px: int, shape: PictureShape
) -> None:
    axis = plan_axis(length, tile_px, shape)
    for span in axis.spans:
        before, after = span.start - span.read, span.read + axis.window - span.stop
        if shape.edges == "replicate":
            assert before >= shape.padding_px
            assert after >= shape.padding_px
        else:
            # The model pads by itself where the page ends, so the window must end there as well.
            assert before >= min(shape.padding_px, span.start)
            assert after >= min(shape.padding_px, length - span.stop)
            assert span.read >= 0


@given(lengths, tiles, shapes)
def test_a_window_reaches_beyond_the_page_only_for_padding_and_rounding(
    length: int, tile_px: int, shape: PictureShape
) -> None:
    axis = plan_axis(length, tile_px, shape)
    padding = shape.padding_px if shape.edges == "replicate" else 0
    most = padding + (axis.window if len(axis.spans) == 1 else 0)
    for span in axis.spans:
        assert span.read >= -padding
        rounding = max(shape.multiple_px + 8, math.lcm(shape.multiple_px, 8))
        assert span.read + axis.window - length <= max(most, padding + rounding)


@given(lengths, tiles, shapes)
def test_tiles_of_exact_models_are_nearly_equal_so_that_little_is_done_twice(
    length: int, tile_px: int, shape: PictureShape
) -> None:
    spans = plan_axis(length, tile_px, shape).spans
    sides = [span.stop - span.start for span in spans]
    assert len(set(sides[:-1])) <= 1
    if shape.tile_exact:
        assert len(spans) == -(-length // tile_px)
    elif len(spans) > 1:
        assert set(sides[:-1]) == {tile_px}


@settings(max_examples=30)
@given(lengths, lengths, tiles, shapes)
def test_counts_and_sizes_are_those_of_the_plan(
    width: int, height: int, tile_px: int, shape: PictureShape
) -> None:
    across, down = plan_axis(width, tile_px, shape), plan_axis(height, tile_px, shape)
    assert tile_count(width, height, tile_px, shape) == len(across.spans) * len(down.spans)
    assert window_pixels(width, height, tile_px, shape) == across.window * down.window


def test_a_side_that_fits_is_one_tile_with_its_padding() -> None:
    assert plan_axis(100, 256, shape()) == Axis(100, 114, (Span(-7, 0, 100),))
    assert plan_axis(100, 256, shape(edges="own")) == Axis(100, 100, (Span(0, 0, 100),))


def test_a_longer_side_is_cut_evenly_and_rounded_up_to_what_vector_code_likes() -> None:
    assert plan_axis(300, 256, shape()) == Axis(300, 168, (Span(-7, 0, 150), Span(139, 150, 300)))
    assert plan_axis(300, 256, shape(edges="own")) == Axis(300, 168, (Span(0, 0, 150), Span(132, 150, 300)))


def test_a_model_whose_pixels_depend_on_its_tiles_always_gets_the_pinned_size() -> None:
    pinned = plan_axis(300, 256, shape(tile_exact=False, multiple_px=2))
    assert pinned == Axis(300, 270, (Span(-7, 0, 256), Span(37, 256, 300)))
