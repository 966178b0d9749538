"""Pages that are refused: damaged, cut off, too large, or of a kind that would be harmed."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import FORMATS, ICC, LIMITS, ORIENTATION, exif_with, png_by_hand, quadrants, saved
from PIL import Image

from audobon.errors import AudobonError, PictureTooLarge, UnreadablePicture, UnsupportedPicture
from audobon.pages.decode import decode, inspect
from audobon.pages.picture_info import PictureInfo


@pytest.mark.parametrize(("ending", "channels"), [(".png", 3), (".png", 4), (".tiff", 3), (".tiff", 4)])
def test_sixteen_bit_colour_is_refused_rather_than_cut_down(ending: str, channels: int) -> None:
    data = cv2.imencode(ending, np.full((9, 9, channels), 12_345, np.uint16))[1].tobytes()
    for act in (inspect, decode):
        with pytest.raises(UnsupportedPicture) as caught:
            act(data, LIMITS)
        assert caught.value.message == "it has 16 bits per colour, and working on it would cut them to 8"
        assert caught.value.hint is not None


def test_sixteen_bit_grey_with_transparency_is_refused() -> None:
    with pytest.raises(UnsupportedPicture):
        inspect(png_by_hand(10, 10, bits=16, colour=4, row_bytes=40), LIMITS)


@pytest.mark.parametrize("mode", ["LAB", "F", "I"])
def test_kinds_of_pictures_that_would_be_harmed_are_refused(mode: str) -> None:
    with pytest.raises(UnsupportedPicture):
        decode(saved(Image.new(mode, (8, 8)), "TIFF"), LIMITS)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_animations_and_several_sheets_are_refused(kind: str) -> None:
    sheets = [quadrants(), quadrants().rotate(180), Image.new("RGB", (32, 16))]
    data = saved(sheets[0], kind, save_all=True, append_images=sheets[1:])
    for act in (inspect, decode):
        with pytest.raises(UnsupportedPicture) as caught:
            act(data, LIMITS)
        assert caught.value.message == "it holds 3 pictures (animation or several sheets)"


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(UnreadablePicture) as caught:
        inspect(b"", LIMITS)
    assert caught.value.message == "the file is empty"


@pytest.mark.parametrize("data", [b"Once upon a time.\n" * 50, bytes(500), b"GIF89a" + bytes(500)])
def test_what_is_no_picture_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadablePicture) as caught:
        inspect(data, LIMITS)
    assert caught.value.message == "this is not a PNG, JPEG, WebP or TIFF picture"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_page_that_was_cut_off_is_refused(kind: str) -> None:
    noise = Image.effect_noise((200, 200), 90).convert("RGB")
    data = saved(noise, kind)
    for part in (0.1, 0.5, 0.9):
        with pytest.raises(UnreadablePicture):
            decode(data[: int(len(data) * part)], LIMITS)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=80, deadline=None)
@given(st.sampled_from(FORMATS), st.data())
def test_damage_anywhere_is_refused_or_harmless_but_never_a_surprise(kind: str, draw: st.DataObject) -> None:
    options = {} if kind == "WEBP" else {"dpi": (300, 300)}
    exif = exif_with(6, "Ann Author")
    data = bytearray(saved(quadrants("RGB"), kind, exif=exif, icc_profile=ICC[:200], **options))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, min(len(data) - 1, 700)))] = draw.draw(st.integers(0, 255))
    try:
        info, image = decode(bytes(data), LIMITS)
    except AudobonError:
        return
    assert (image.mode, image.size) == (info.mode, (info.width, info.height))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0garbage of no known kind", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40, b"Exif\0\0MM"],
)
def test_damaged_exif_does_not_cost_the_page(kind: str, exif: bytes) -> None:
    info, image = decode(saved(quadrants(), kind, exif=exif), LIMITS)
    assert (info.width, info.height) == image.size == (32, 16)
    assert ORIENTATION not in (image.getexif() if info.exif else {})


def test_a_page_over_the_limit_is_refused_from_its_header() -> None:
    bomb = png_by_hand(16_000, 16_000, bits=1, colour=0, row_bytes=2000)
    assert len(bomb) < 40_000
    for act in (inspect, decode):
        with pytest.raises(PictureTooLarge) as caught:
            act(bomb, LIMITS)
        assert caught.value.message == "16000×16000 is 256 megapixels, over the limit of 150"
        assert caught.value.hint == "raise pictures.max_megapixels if the picture is yours"


def test_a_thin_file_that_unfolds_far_is_refused_as_a_bomb() -> None:
    bomb = png_by_hand(10_000, 10_000, bits=1, colour=0, row_bytes=1250)
    with pytest.raises(PictureTooLarge) as caught:
        inspect(bomb, LIMITS)
    assert caught.value.message == (
        f"{len(bomb)} bytes unfold to 100 megapixels, which is how a decompression bomb looks"
    )


def test_an_empty_page_of_usual_size_is_no_bomb() -> None:
    info = inspect(png_by_hand(6000, 6000, bits=1, colour=0, row_bytes=750), LIMITS)
    assert info == PictureInfo(
        width=6000, height=6000, mode="L", format="PNG", notes=("black and white became greyscale",)
    )
