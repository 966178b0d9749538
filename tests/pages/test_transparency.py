"""What hides under clear film must not smear into what is seen."""

import numpy as np
import numpy.typing as npt

from audobon.pages.transparency import fill_transparent

Pixels = npt.NDArray[np.uint8]


def film(value: int, *, size: int = 60) -> tuple[Pixels, Pixels]:
    """Return a grey square of 20 pixels amid garbage that is fully transparent."""
    colour = np.full((size, size, 3), (255, 0, 255), np.uint8)
    alpha = np.zeros((size, size), np.uint8)
    middle = slice(20, 40)
    colour[middle, middle] = value
    alpha[middle, middle] = 255
    return colour, alpha


def test_a_page_without_clear_pixels_is_handed_back_as_it_is() -> None:
    colour = np.zeros((4, 4, 3), np.uint8)
    assert fill_transparent(colour, np.full((4, 4), 1, np.uint8)) is colour


def test_visible_pixels_are_never_changed_however_faint() -> None:
    random = np.random.default_rng(1)
    colour = random.integers(0, 256, (50, 50, 3), np.uint8)
    alpha = random.choice(np.array([0, 1, 128, 255], np.uint8), (50, 50))
    filled = fill_transparent(colour, alpha)
    assert np.array_equal(filled[alpha > 0], colour[alpha > 0])


def test_what_was_handed_in_is_not_modified() -> None:
    colour, alpha = film(90)
    before = colour.copy(), alpha.copy()
    fill_transparent(colour, alpha)
    assert np.array_equal(colour, before[0])
    assert np.array_equal(alpha, before[1])


def test_clear_pixels_beside_an_outline_get_its_colour() -> None:
    colour, alpha = film(90)
    filled = fill_transparent(colour, alpha).astype(int)
    around = filled[17:43, 17:43]
    assert np.abs(around - 90).max() <= 3


def test_clear_pixels_far_from_all_that_is_seen_are_white() -> None:
    colour, alpha = film(90)
    filled = fill_transparent(colour, alpha)
    assert (filled[:5] == 255).all()
    assert (filled[:, -5:] == 255).all()


def test_a_page_that_is_all_clear_is_white() -> None:
    filled = fill_transparent(np.zeros((5, 7, 1), np.uint8), np.zeros((5, 7), np.uint8))
    assert filled.shape == (5, 7, 1)
    assert (filled == 255).all()


def test_no_clear_pixel_within_reach_is_darker_than_its_neighbours() -> None:
    # A dark rim is what a model would draw as an outline.
    colour, alpha = film(200)
    filled = fill_transparent(colour, alpha)
    assert filled.min() >= 185
