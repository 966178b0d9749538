"""Writing pages: the pixels, the profile, the resolution and the EXIF block arrive."""

import io

import pytest
from picture_files import FORMATS, ICC, LIMITS, exif_with, quadrants, saved, shaded
from PIL import Image

from audobon.errors import UnsupportedPicture
from audobon.pages.decode import decode
from audobon.pages.encode import encode
from audobon.pages.picture_formats import check_encodable
from audobon.pages.picture_info import PictureInfo


def written(image: Image.Image, info: PictureInfo) -> bytes:
    target = io.BytesIO()
    encode(image, info, target)
    return target.getvalue()


def info_of(image: Image.Image, kind: str, **more: object) -> PictureInfo:
    return PictureInfo(width=image.width, height=image.height, mode=image.mode, format=kind, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", mode) for mode in ("L", "LA", "RGB", "RGBA", "I;16")),
        *(("TIFF", mode) for mode in ("L", "LA", "RGB", "RGBA", "CMYK", "I;16")),
        *(("WEBP", mode) for mode in ("RGB", "RGBA")),
    ],
)
def test_lossless_pages_are_written_pixel_for_pixel(kind: str, mode: str) -> None:
    image = shaded(mode)
    info = info_of(image, kind)
    check_encodable(info)
    found, again = decode(written(image, info), LIMITS)
    assert found == info
    assert again.tobytes() == image.tobytes()


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_webp_has_no_grey_but_shows_the_same(mode: str) -> None:
    image = shaded(mode)
    found, again = decode(written(image, info_of(image, "WEBP")), LIMITS)
    assert found.mode == {"L": "RGB", "LA": "RGBA"}[mode]
    assert again.tobytes() == image.convert(found.mode).tobytes()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_pages_are_written_nearly_as_they_are(mode: str) -> None:
    image = quadrants(mode)
    found, again = decode(written(image, info_of(image, "JPEG", lossless=False)), LIMITS)
    assert found == info_of(image, "JPEG", lossless=False)
    pairs = zip(image.tobytes(), again.tobytes(), strict=True)
    assert max(abs(one - other) for one, other in pairs) <= 12


@pytest.mark.parametrize("kind", FORMATS)
def test_what_goes_with_a_page_survives_opening_and_writing(kind: str) -> None:
    lossless = kind != "JPEG"
    dpi = None if kind == "WEBP" else (300.0, 300.0)
    exif = None if kind == "TIFF" else exif_with(artist="Ann Author")
    options = ({} if dpi is None else {"dpi": dpi}) | ({} if exif is None else {"exif": exif})
    first, image = decode(saved(quadrants(), kind, icc_profile=ICC, **options), LIMITS)
    second, _ = decode(written(image, first), LIMITS)
    assert second == first
    assert (second.icc, second.exif, second.lossless) == (ICC, exif, lossless)
    assert second.dpi == (None if dpi is None else pytest.approx(dpi, abs=0.02))


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_a_page_that_was_turned_stays_upright_in_every_format(source: str, target: str) -> None:
    stored = quadrants().transpose(Image.Transpose.ROTATE_90)
    data = saved(stored, source, exif=exif_with(6), icc_profile=ICC)
    info, image = decode(data, LIMITS)
    written_as = PictureInfo(width=32, height=16, mode="RGB", format=target, icc=info.icc, exif=info.exif)
    found, again = decode(written(image, written_as), LIMITS)
    assert (found.width, found.height, found.notes, found.icc) == (32, 16, (), ICC)
    left, right = again.getpixel((2, 2)), again.getpixel((29, 13))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    # Red stays at the top left, the dark corner at the bottom right.
    assert left[0] > 150 > max(left[1:])
    assert max(right) < 80


@pytest.mark.parametrize("dpi", [(1.4, 2.6), (72.0, 96.0), (65_535.0, 65_535.0)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_every_resolution_we_take_can_be_written(kind: str, dpi: tuple[float, float]) -> None:
    image = quadrants()
    found, _ = decode(written(image, info_of(image, kind, dpi=dpi)), LIMITS)
    # JPEG states whole numbers, PNG whole pixels per metre.
    assert found.dpi is None or found.dpi == pytest.approx(dpi, abs=0.5)


def test_a_webp_page_that_was_lossy_is_written_lossy() -> None:
    image = Image.effect_noise((100, 100), 60).convert("RGB")
    lossy, lossless = (written(image, info_of(image, "WEBP", lossless=kept)) for kept in (False, True))
    assert len(lossy) < len(lossless)
    assert [decode(data, LIMITS)[0].lossless for data in (lossy, lossless)] == [False, True]


def test_colours_under_clear_film_are_kept() -> None:
    image = Image.new("RGBA", (8, 8), (10, 20, 30, 0))
    for kind in ("PNG", "WEBP", "TIFF"):
        assert decode(written(image, info_of(image, kind)), LIMITS)[1].getpixel((3, 3)) == (10, 20, 30, 0)


@pytest.mark.parametrize(
    ("kind", "mode", "lost", "able"),
    [
        ("JPEG", "RGBA", "transparency", "PNG or TIFF or WEBP"),
        ("JPEG", "LA", "transparency", "PNG or TIFF or WEBP"),
        ("JPEG", "I;16", "16-bit greyscale", "PNG or TIFF"),
        ("PNG", "CMYK", "CMYK separations", "JPEG or TIFF"),
        ("WEBP", "CMYK", "CMYK separations", "JPEG or TIFF"),
        ("WEBP", "I;16", "16-bit greyscale", "PNG or TIFF"),
    ],
)
def test_a_format_that_would_harm_a_page_is_refused(kind: str, mode: str, lost: str, able: str) -> None:
    with pytest.raises(UnsupportedPicture) as caught:
        check_encodable(PictureInfo(width=8, height=8, mode=mode, format=kind))
    assert caught.value.message == f"{kind} cannot keep {lost}"
    assert caught.value.hint == f"write it as {able}"


@pytest.mark.parametrize(("kind", "limit"), [("WEBP", 16_383), ("JPEG", 65_500)])
def test_a_page_longer_than_its_format_allows_is_refused(kind: str, limit: int) -> None:
    check_encodable(PictureInfo(width=10, height=limit, mode="RGB", format=kind))
    for width, height in ((10, limit + 1), (limit + 1, 10)):
        with pytest.raises(UnsupportedPicture) as caught:
            check_encodable(PictureInfo(width=width, height=height, mode="RGB", format=kind))
        assert caught.value.message == f"{kind} pages end at {limit} pixels; this one is {width}×{height}"


@pytest.mark.parametrize(("kind", "limit"), [("WEBP", 16_383), ("JPEG", 65_500)])
def test_a_page_as_long_as_its_format_allows_can_be_written(kind: str, limit: int) -> None:
    image = Image.new("RGB", (2, limit))
    assert decode(written(image, info_of(image, kind)), LIMITS)[0].height == limit
