"""Opens the bytes of a page, which may be hostile; meant for a process with limits."""

import io
import math
from typing import Any

from PIL import Image, ImageOps

from audobon.errors import PictureTooLarge, UnreadablePicture, UnsupportedPicture
from audobon.pages.picture_info import CHANNELS, PictureInfo
from audobon.pages.picture_limits import PictureLimits

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
# EXIF tag 274: how to turn the picture; applied on decoding, so it must not be applied again.
_ORIENTATION = 274
_BITS_PER_SAMPLE = 258


def inspect(data: bytes, limits: PictureLimits) -> PictureInfo:
    """Return what a page is from its header, without decoding its pixels.

    raises  UnreadablePicture, UnsupportedPicture, PictureTooLarge
    """
    with _open(data, limits) as image:
        return _describe(image)


def decode(data: bytes, limits: PictureLimits) -> tuple[PictureInfo, Image.Image]:
    """Return a page with its pixels, upright, in one of the modes we work in.

    raises  UnreadablePicture, UnsupportedPicture, PictureTooLarge
    """
    with _open(data, limits) as image:
        info = _describe(image)
        try:
            image.load()
        except MemoryError as error:
            raise PictureTooLarge("decoding it needs more memory than a page may take") from error
        except Exception as error:  # decoders raise whatever they like on damaged data
            raise UnreadablePicture(f"the picture is damaged or cut off: {error}") from error
        upright = ImageOps.exif_transpose(image)
        if "transparency" in image.info and upright.mode in ("L", "RGB", "P"):
            upright.info["transparency"] = image.info["transparency"]
        return info, upright if upright.mode == info.mode else upright.convert(info.mode)


def _open(data: bytes, limits: PictureLimits) -> Image.Image:
    if not data:
        raise UnreadablePicture("the file is empty")
    Image.MAX_IMAGE_PIXELS = None  # checked below, with our limits and before any pixel is decoded
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.UnidentifiedImageError as error:
        raise UnreadablePicture("this is not a PNG, JPEG, WebP or TIFF picture") from error
    except Exception as error:  # parsers raise whatever they like on damaged headers
        raise UnreadablePicture(f"the picture's header is damaged: {error}") from error
    width, height = image.size
    pixels = width * height
    if width < 1 or height < 1:
        raise UnreadablePicture(f"the picture has no pixels ({width}×{height})")
    if pixels > limits.max_pixels:
        raise PictureTooLarge(
            f"{width}×{height} is {pixels / 1e6:.0f} megapixels, over the limit of {limits.max_pixels / 1e6:.0f}",
            hint="raise pictures.max_megapixels if the picture is yours",
        )
    if pixels > limits.suspicious_pixels and pixels > limits.max_pixels_per_byte * len(data):
        raise PictureTooLarge(
            f"{len(data)} bytes unfold to {pixels / 1e6:.0f} megapixels, which is how a decompression bomb looks",
            hint="raise pictures.max_pixels_per_byte if the picture is yours",
        )
    return image


def _describe(image: Image.Image) -> PictureInfo:
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise UnsupportedPicture(
            f"it holds {getattr(image, 'n_frames', 1)} pictures (animation or several sheets)",
            hint="save each as a file of its own",
        )
    mode, notes = _working_mode(image)
    width, height = image.size
    orientation, exif = _orientation(image)
    if orientation >= 5:
        width, height = height, width
    if orientation != 1:
        notes.append("turned upright as its EXIF orientation asks")
    icc = image.info.get("icc_profile")
    return PictureInfo(
        width=width,
        height=height,
        mode=mode,
        format="JPEG" if image.format == "MPO" else str(image.format),
        icc=icc if isinstance(icc, bytes) and icc else None,
        dpi=_dpi(image),
        exif=exif,
        lossless=_is_lossless(image),
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
    if mode in ("L", "RGB") and see_through:
        return mode + "A", ["its transparent colour became an alpha channel"]
    if mode in CHANNELS:
        return mode, []
    if mode == "P":
        target = "RGBA" if see_through or image.palette is not None and image.palette.mode == "RGBA" else "RGB"
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
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,))
    return max(bits if isinstance(bits, tuple) else (bits,)) > 8


def _orientation(image: Image.Image) -> tuple[int, bytes | None]:
    try:
        exif = image.getexif()
        orientation = int(exif.get(_ORIENTATION, 1))
        if not exif:
            return 1, None
        exif.pop(_ORIENTATION, None)
        kept = exif.tobytes() if exif and image.format != "TIFF" else None
    except Exception:  # a damaged EXIF block must not cost the page
        return 1, None
    return (orientation if 1 <= orientation <= 8 else 1), kept


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    value = image.info.get("dpi")
    try:
        across, down = (float(item) for item in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not (math.isfinite(across) and math.isfinite(down) and 1 <= across <= 1e5 and 1 <= down <= 1e5):
        return None
    return across, down


def _is_lossless(image: Image.Image) -> bool:
    if image.format in ("JPEG", "MPO"):
        return False
    if image.format == "WEBP":
        # A lossless WebP starts its picture chunk with VP8L; the extended form says so later on.
        stream = image.fp
        if stream is None:
            return False
        at = stream.tell()
        stream.seek(0)
        head = stream.read(4096)
        stream.seek(at)
        return b"VP8L" in head
    return True
