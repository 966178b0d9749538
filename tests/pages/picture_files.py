"""The bytes of pictures, sound and otherwise, for the tests that open and write them."""

import io
import struct
import zlib
from typing import Any

from PIL import Image, ImageCms

from audobon.pages.picture_limits import PictureLimits

LIMITS = PictureLimits(150_000_000, 40_000_000, 2000)
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, ARTIST = 274, 315


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return a picture as a file, lossless where the format can be."""
    if kind == "WEBP":
        options = {"lossless": True, "exact": True} | options
    target = io.BytesIO()
    image.save(target, format=kind, **options)
    return target.getvalue()


def quadrants(mode: str = "RGB", size: tuple[int, int] = (32, 16)) -> Image.Image:
    """Return a picture with four different corners, so that every turn of it looks different."""
    image = Image.new("RGB", size, (20, 30, 40))
    half = (size[0] // 2, size[1] // 2)
    image.paste((200, 40, 40), (0, 0, *half))
    image.paste((40, 200, 40), (half[0], 0, size[0], half[1]))
    image.paste((40, 40, 200), (0, half[1], half[0], size[1]))
    return image if mode == "RGB" else image.convert(mode)


def shaded(mode: str) -> Image.Image:
    """Return a picture of any mode we work in whose every channel varies."""
    width, height = 40, 24
    samples = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "I;16": 2}[mode]
    data = bytes(
        (x * 5 + y * 3 + band * 60) % 256
        for y in range(height)
        for x in range(width)
        for band in range(samples)
    )
    return Image.frombytes(mode, (width, height), data)


def exif_with(orientation: int | None = None, artist: str | None = None) -> bytes:
    """Return an EXIF block."""
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    if artist is not None:
        exif[ARTIST] = artist
    return exif.tobytes()


def png_by_hand(width: int, height: int, *, bits: int, colour: int, row_bytes: int) -> bytes:
    """Return a black PNG of any size, without ever holding its pixels."""
    packer = zlib.compressobj(9)
    rows = 100
    packed = b"".join(packer.compress(bytes(1 + row_bytes) * rows) for _ in range(height // rows))
    packed += packer.compress(bytes(1 + row_bytes) * (height % rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
