"""Opening pages: what is kept, what is turned, what is refused, and never a wrong picture in silence."""

import io
import zlib

import numpy as np
import pytest
from picture_files import (
    FORMATS,
    ICC,
    LIMITS,
    exif_with,
    quadrants,
    saved,
    shaded,
)
from PIL import Image, ImageChops, ImageFile

from audobon.pages.decode import decode, inspect
from audobon.pages.picture_info import PictureInfo

Transpose = Image.Transpose
# What was done to an upright picture before it was stored with this orientation.
STORED_AS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


def difference(one: Image.Image, other: Image.Image) -> int:
    assert (one.mode, one.size) == (other.mode, other.size)
    extrema = np.array(ImageChops.difference(one, other).getextrema())
    return int(extrema.max())


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", mode) for mode in ("L", "LA", "RGB", "RGBA", "I;16")),
        *(("TIFF", mode) for mode in ("L", "LA", "RGB", "RGBA", "CMYK", "I;16")),
        *(("WEBP", mode) for mode in ("RGB", "RGBA")),
    ],
)
def test_lossless_pages_come_out_as_they_went_in(kind: str, mode: str) -> None:
    data = saved(shaded(mode), kind)
    info, image = decode(data, LIMITS)
    assert info == PictureInfo(width=40, height=24, mode=mode, format=kind)
    assert image.mode == mode
    assert image.tobytes() == shaded(mode).tobytes()
    assert inspect(data, LIMITS) == info


@pytest.mark.parametrize(("mode", "tolerance"), [("L", 4), ("RGB", 12), ("CMYK", 12)])
def test_jpeg_pages_keep_their_mode(mode: str, tolerance: int) -> None:
    original = quadrants(mode)
    info, image = decode(saved(original, "JPEG", quality=95, subsampling=0), LIMITS)
    assert info == PictureInfo(width=32, height=16, mode=mode, format="JPEG", lossless=False)
    assert difference(image, original) <= tolerance


def test_sixteen_bit_grey_is_kept_from_the_other_byte_order_too() -> None:
    values = np.arange(0, 60_000, 1000, dtype=">u2").reshape(6, 10)
    data = io.BytesIO()
    Image.frombytes("I;16B", (10, 6), values.tobytes()).save(data, "TIFF")
    info, image = decode(data.getvalue(), LIMITS)
    assert (info.mode, image.mode) == ("I;16", "I;16")
    assert np.array_equal(np.asarray(image), values)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_palette_becomes_colour(kind: str) -> None:
    info, image = decode(saved(quadrants("P"), kind), LIMITS)
    assert (info.mode, info.notes) == ("RGB", ("palette became RGB",))
    assert image.tobytes() == quadrants("P").convert("RGB").tobytes()


@pytest.mark.parametrize("transparency", [0, bytes([0, 128, 255])])
def test_a_palette_with_transparency_becomes_colour_with_alpha(transparency: int | bytes) -> None:
    data = saved(quadrants("P"), "PNG", transparency=transparency)
    info, image = decode(data, LIMITS)
    assert (info.mode, info.notes) == ("RGBA", ("palette became RGBA",))
    assert image.tobytes() == Image.open(io.BytesIO(data)).convert("RGBA").tobytes()
    assert image.getextrema()[3][0] == 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("mode", "transparency", "becomes"), [("RGB", (200, 40, 40), "RGBA"), ("L", 0, "LA"), ("1", 0, "LA")]
)
def test_a_transparent_colour_becomes_alpha(
    mode: str, transparency: int | tuple[int, ...], becomes: str
) -> None:
    original = quadrants("RGB") if mode == "RGB" else Image.new(mode, (8, 8), 1)
    original.paste((200, 40, 40) if mode == "RGB" else 0, (0, 0, 4, 4))
    info, image = decode(saved(original, "PNG", transparency=transparency), LIMITS)
    assert (info.mode, image.mode) == (becomes, becomes)
    assert image.getpixel((0, 0))[-1] == 0  # type: ignore[index]
    assert image.getpixel((image.width - 1, 7))[-1] == 255  # type: ignore[index]
    assert any("alpha" in note for note in info.notes)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_black_and_white_becomes_grey(kind: str) -> None:
    original = quadrants("L").point(lambda value: 255 * (value > 60)).convert("1")
    info, image = decode(saved(original, kind), LIMITS)
    assert (info.mode, info.notes) == ("L", ("black and white became greyscale",))
    assert image.tobytes() == original.convert("L").tobytes()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright_and_untagged(kind: str, orientation: int) -> None:
    stored = quadrants()
    if orientation != 1:
        stored = stored.transpose(STORED_AS[orientation])
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    data = saved(stored, kind, exif=exif_with(orientation, "Ann Author"), **options)
    info, image = decode(data, LIMITS)
    assert inspect(data, LIMITS) == info
    assert (info.width, info.height) == image.size == (32, 16)
    assert difference(image, quadrants()) <= (12 if kind == "JPEG" else 0)
    assert info.notes == (() if orientation == 1 else ("turned upright as its EXIF orientation asks",))
    if kind != "TIFF":
        assert info.exif == exif_with(artist="Ann Author")


def test_an_orientation_in_xmp_turns_a_page_once(subtests: pytest.Subtests) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    stored = quadrants().transpose(STORED_AS[6])
    for kind, options in (("WEBP", {"xmp": xmp}), ("TIFF", {"tiffinfo": {700: xmp}})):
        with subtests.test(kind=kind):
            info, image = decode(saved(stored, kind, **options), LIMITS)
            assert (info.width, info.height) == (32, 16)
            assert difference(image, quadrants()) == 0


@pytest.mark.parametrize("kind", FORMATS)
def test_profile_and_resolution_are_kept(kind: str) -> None:
    options = {} if kind == "WEBP" else {"dpi": (300, 150)}
    info = inspect(saved(quadrants(), kind, icc_profile=ICC, **options), LIMITS)
    assert info.icc == ICC
    if options:
        assert info.dpi == pytest.approx((300, 150), abs=0.02)
    else:
        assert info.dpi is None


@pytest.mark.parametrize("dpi", [(0, 0), (300, 0), (1e6, 1e6)])
def test_a_resolution_that_cannot_be_meant_is_left_out(dpi: tuple[float, float]) -> None:
    assert inspect(saved(quadrants(), "PNG", dpi=dpi), LIMITS).dpi is None


@pytest.mark.parametrize(
    ("options", "lossless"),
    [
        ({"lossless": True}, True),
        ({"lossless": True, "icc_profile": ICC + bytes(9000)}, True),
        ({"lossless": False}, False),
        ({"lossless": False, "icc_profile": b"VP8L" * 100}, False),
    ],
)
def test_a_webp_page_says_whether_it_is_lossless(options: dict[str, object], lossless: bool) -> None:
    assert inspect(saved(quadrants("RGBA"), "WEBP", **options), LIMITS).lossless is lossless


def test_of_a_camera_file_with_previews_the_picture_itself_is_opened() -> None:
    data = saved(quadrants(), "MPO", save_all=True, append_images=[quadrants("L")], subsampling=0)
    info, image = decode(data, LIMITS)
    assert (info.format, info.mode, image.size) == ("JPEG", "RGB", (32, 16))
    assert difference(image, quadrants()) <= 40


def test_inspecting_decodes_no_pixels(subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {kind: saved(quadrants(), kind, exif=exif_with(6)) for kind in FORMATS}
    files["PNG without EXIF"] = saved(quadrants(), "PNG")
    monkeypatch.setattr(Image.Image, "load", None)
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    for name, data in files.items():
        with subtests.test(name):
            inspect(data, LIMITS)


def test_exif_behind_the_pixels_turns_a_page_too() -> None:
    exif = exif_with(6)[6:]
    chunk = len(exif).to_bytes(4, "big") + b"eXIf" + exif + zlib.crc32(b"eXIf" + exif).to_bytes(4, "big")
    data = saved(quadrants().transpose(STORED_AS[6]), "PNG")
    data = data[:-12] + chunk + data[-12:]
    info, image = decode(data, LIMITS)
    assert inspect(data, LIMITS) == info
    assert difference(image, quadrants()) == 0
