"""Opens the bytes of a page, which may be hostile; meant for a process with limits."""

import io
import math
from typing import Any, NamedTuple

from PIL import Image, UnidentifiedImageError

from audobon.errors import AudobonError, PictureTooLarge, UnreadablePicture, UnsupportedPicture
from audobon.pages.picture_info import CHANNELS, PictureInfo
from audobon.pages.picture_limits import PictureLimits

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
# EXIF tag 274: how to turn the picture; applied on decoding, so it must not be applied again.
_ORIENTATION = 274
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS_PER_SAMPLE = 258
# Modes in which one colour may stand for "nothing here", and what they become then.
_WITH_ALPHA = {"1": "LA", "L": "LA", "RGB": "RGBA"}
# The most that JPEG can state.
_MAX_DPI = 65_535


class _Exif(NamedTuple):
    """What a picture's EXIF block says.

    turn  how the pixels must be turned after decoding; None when they need not be
    kept  the block without its orientation
    """

    turn: Image.Transpose | None
    kept: bytes | None


def inspect(data: bytes, limits: PictureLimits) -> PictureInfo:
    """Return what a page is from its header, without decoding its pixels.

    raises  UnreadablePicture, UnsupportedPicture, PictureTooLarge
    """
    with _open(data, limits) as image:
        return _described(image, data, _exif(image, data))


def decode(data: bytes, limits: PictureLimits) -> tuple[PictureInfo, Image.Image]:
    """Return a page with its pixels, upright, in one of the modes we work in.

    raises  UnreadablePicture, UnsupportedPicture, PictureTooLarge
    """
    with _open(data, limits) as image:
        exif = _exif(image, data)
        info = _described(image, data, exif)
        try:
            image.load()
        except MemoryError as error:
            raise PictureTooLarge("decoding it needs more memory than a page may take") from error
        except Exception as error:  # decoders raise whatever they like on damaged data
            raise UnreadablePicture(f"the picture is damaged or cut off: {error}") from error
        # Pillow turns TIFF pictures by itself while loading.
        turn = None if image.format == "TIFF" else exif.turn
        upright = image if turn is None else image.transpose(turn)
        return info, _converted(upright, info.mode)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if mode == "I;16":
        # Straight from the other byte order, Pillow would cut the values off at 255.
        return image.convert("I").convert(mode)
    if image.mode == "1" and mode == "LA":
        grey = image.convert("L")
        grey.info["transparency"] = 255 * image.info["transparency"]
        return grey.convert(mode)
    return image.convert(mode)


def _open(data: bytes, limits: PictureLimits) -> Image.Image:
    if not data:
        raise UnreadablePicture("the file is empty")
    Image.MAX_IMAGE_PIXELS = None  # checked below, with our limits and before any pixel is decoded
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadablePicture("this is not a PNG, JPEG, WebP or TIFF picture") from error
    except Exception as error:  # parsers raise whatever they like on damaged headers
        raise UnreadablePicture(f"the picture's header is damaged: {error}") from error
    width, height = image.size
    pixels = width * height
    if width < 1 or height < 1:
        raise UnreadablePicture(f"the picture has no pixels ({width}×{height})")
    if pixels > limits.max_pixels:
        raise PictureTooLarge(
            f"{width}×{height} is {pixels / 1e6:.0f} megapixels,"
            f" over the limit of {limits.max_pixels / 1e6:.0f}",
            hint="raise pictures.max_megapixels if the picture is yours",
        )
    if pixels > limits.suspicious_pixels and pixels > limits.max_pixels_per_byte * len(data):
        raise PictureTooLarge(
            f"{len(data)} bytes unfold to {pixels / 1e6:.0f} megapixels,"
            " which is how a decompression bomb looks",
            hint="raise pictures.max_pixels_per_byte if the picture is yours",
        )
    return image


def _described(image: Image.Image, data: bytes, exif: _Exif) -> PictureInfo:
    try:
        return _describe(image, data, exif)
    except AudobonError:
        raise
    except Exception as error:  # parsers raise whatever they like on damaged headers
        raise UnreadablePicture(f"the picture's header is damaged: {error}") from error


def _describe(image: Image.Image, data: bytes, exif: _Exif) -> PictureInfo:
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise UnsupportedPicture(
            f"it holds {getattr(image, 'n_frames', 1)} pictures (animation or several sheets)",
            hint="save each as a file of its own",
        )
    mode, notes = _working_mode(image)
    width, height = _upright_size(image, exif)
    if exif.turn is not None:
        notes.append("turned upright as its EXIF orientation asks")
    icc = image.info.get("icc_profile")
    return PictureInfo(
        width=width,
        height=height,
        mode=mode,
        format="JPEG" if image.format == "MPO" else str(image.format),
        icc=icc if isinstance(icc, bytes) and icc else None,
        dpi=_dpi(image),
        exif=exif.kept,
        lossless=_is_lossless(image, data),
        notes=tuple(notes),
    )


def _working_mode(image: Image.Image) -> tuple[str, list[str]]:
    mode = image.mode
    if _is_deep(image):
        raise UnsupportedPicture(
            "it has 16 bits per colour, and working on it would cut them to 8",
            hint="save it with 8 bits per colour, or as 16-bit greyscale, which is kept",
        )
    see_through = "transparency" in image.info
    if mode in _WITH_ALPHA and see_through:
        return _WITH_ALPHA[mode], ["its transparent colour became an alpha channel"]
    if mode.startswith("I;16") and see_through:
        raise UnsupportedPicture(
            "it is 16-bit greyscale with a transparent colour, and nothing we write can hold both",
            hint="save it with 8 bits, or without transparency",
        )
    if mode in CHANNELS:
        return mode, []
    if mode == "P":
        target = (
            "RGBA" if see_through or (image.palette is not None and image.palette.mode == "RGBA") else "RGB"
        )
        return target, [f"palette became {target}"]
    if mode == "1":
        return "L", ["black and white became greyscale"]
    if mode in ("I;16B", "I;16L", "I;16N"):
        return "I;16", []
    if mode == "YCbCr":
        return "RGB", ["YCbCr became RGB"]
    raise UnsupportedPicture(
        f"pictures of mode {mode} are not handled", hint="save it as RGB, greyscale or CMYK"
    )


def _is_deep(image: Image.Image) -> bool:
    """Tell whether a colour picture has more than 8 bits per sample, which Pillow drops in silence."""
    if image.mode.startswith("I;16"):
        return False
    tiles: list[Any] = getattr(image, "tile", None) or []
    raw_modes = [tile[3] if isinstance(tile[3], str) else (tile[3] or [""])[0] for tile in tiles]
    if any(";16" in str(raw) for raw in raw_modes):
        return True
    found: Any = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,))
    bits: tuple[int, ...] = found if isinstance(found, tuple) else (found,)
    return max(bits) > 8


def _exif(image: Image.Image, data: bytes) -> _Exif:
    try:
        if image.format == "PNG" and "exif" not in image.info:
            late = _chunk(data, b"eXIf", is_png=True)
            if late is not None:
                image.info["exif"] = b"Exif\0\0" + late
        # Not the method of PNG pictures, which decodes all pixels to find a block behind them.
        exif = Image.Image.getexif(image)
        turn = _TURNS.get(exif.get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - a damaged EXIF block must not cost the page
        return _Exif(None, None)
    if image.format == "TIFF" or not exif:
        return _Exif(turn, None)
    try:
        exif.pop(_ORIENTATION, None)
        return _Exif(turn, exif.tobytes() if exif else None)
    except Exception:  # noqa: BLE001 - nor must one that cannot be written again
        return _Exif(turn, None)


def _upright_size(image: Image.Image, exif: _Exif) -> tuple[int, int]:
    width, height = image.size
    # Pillow states the upright size of a TIFF picture, if its own tag turns it.
    is_stated = image.format == "TIFF" and _ORIENTATION in getattr(image, "tag_v2", {})
    lies = exif.turn in (_TURNS[5], _TURNS[6], _TURNS[7], _TURNS[8])
    return (height, width) if lies and not is_stated else (width, height)


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    value: Any = image.info.get("dpi")
    try:
        across, down = (float(item) for item in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not all(math.isfinite(item) and 1 < item <= _MAX_DPI for item in (across, down)):
        return None
    return across, down


def _is_lossless(image: Image.Image, data: bytes) -> bool:
    if image.format == "WEBP":
        return _chunk(data, b"VP8L", is_png=False) is not None
    return image.format not in ("JPEG", "MPO")


def _chunk(data: bytes, kind: bytes, *, is_png: bool) -> bytes | None:
    """Return the content of the first chunk of a kind in a PNG or WebP file; None when there is none."""
    at = 8 if is_png else 12
    while at + 8 <= len(data):
        one, two = data[at : at + 4], data[at + 4 : at + 8]
        found, size = (two, int.from_bytes(one, "big")) if is_png else (one, int.from_bytes(two, "little"))
        if found == kind:
            return data[at + 8 : at + 8 + size]
        if found == b"IEND":
            # What lies behind the picture is not part of it, and may be long.
            return None
        # PNG puts a checksum behind each chunk; WebP fills up to an even length.
        at += 8 + size + (4 if is_png else size % 2)
    return None
