"""PSNR, SSIM and edit distance against figures worked out otherwise."""

import cv2
import numpy as np
import pytest

from audobon.errors import InvalidInput
from audobon.pages.likeness import EQUAL_DB, Bytes, edit_distance, psnr_db, ssim


def noise(*shape: int, seed: int = 1) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def ssim_by_opencv(a: Bytes, b: Bytes) -> float:
    """Return the same with OpenCV's blur, only where the window lies inside."""
    x, y = a.astype(np.float64), b.astype(np.float64)

    def blurred(plane: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(plane, (11, 11), 1.5)[5:-5, 5:-5]

    mean_x, mean_y = blurred(x), blurred(y)
    var_x, var_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    both = blurred(x * y) - mean_x * mean_y
    c1, c2 = 2.55**2, 7.65**2
    found = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    return float(np.mean(found / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))))


def test_ssim_is_that_of_opencv_for_any_size_and_likeness() -> None:
    for height, width in ((11, 11), (40, 31), (300, 20), (530, 70)):
        a = noise(height, width)
        for strength in (3, 30, 200):
            b = np.clip(a.astype(int) + noise(height, width, seed=2) % strength, 0, 255).astype(np.uint8)
            assert ssim(a, b) == pytest.approx(ssim_by_opencv(a, b), abs=1e-9)


def test_ssim_of_flat_pictures_is_what_the_formula_gives_by_hand() -> None:
    a, b = np.full((16, 16), 100, np.uint8), np.full((16, 16), 150, np.uint8)
    # no structure: (2·100·150 + 6.5025) / (100² + 150² + 6.5025)
    assert ssim(a, b) == pytest.approx(30006.5025 / 32506.5025)


def test_ssim_looks_at_brightness() -> None:
    colours = noise(40, 40, 3)
    assert ssim(colours, colours) == pytest.approx(1)
    assert ssim(colours, noise(40, 40, 3, seed=3)) < 0.1


def test_psnr_is_what_the_formula_gives_by_hand() -> None:
    a = np.zeros((300, 10, 3), np.uint8)
    b = a.copy()
    b[0, 0] = 10
    # three samples of 9000 are off by 10: 10·log10(255² / (300 / 9000))
    assert psnr_db(a, b) == pytest.approx(62.9020, abs=1e-4)
    assert psnr_db(a, np.full_like(a, 255)) == pytest.approx(0)
    assert psnr_db(a, a) == EQUAL_DB


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InvalidInput, match="different shapes"):
        psnr_db(noise(20, 20), noise(20, 21))
    with pytest.raises(InvalidInput, match="too small for SSIM"):
        ssim(noise(20, 10), noise(20, 10))


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("BIG!", "BIG!", 0), ("no", "on", 2)],
)
def test_edit_distance_counts_letters_put_in_left_out_or_replaced(a: str, b: str, distance: int) -> None:
    assert edit_distance(a, b) == edit_distance(b, a) == distance
