"""A decoded page: its pixels and what must survive beside them."""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]

CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "I;16": 1}
"""Modes a picture may have (Pillow's names) and their channels."""


class PictureInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a page is, without its pixels.

    mode      one of CHANNELS
    format    PNG, JPEG, WEBP or TIFF
    icc       colour profile, as found
    dpi       horizontal and vertical resolution, pixels per inch
    exif      EXIF block with its orientation already applied and removed
    lossless  the file kept every pixel exactly
    notes     what changed on decoding, for the user ("palette became RGB")
    """

    width: int
    height: int
    mode: str
    format: str
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    lossless: bool = True
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Samples per pixel."""
        return CHANNELS[self.mode]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one sample."""
        return np.dtype(np.uint16 if self.mode == "I;16" else np.uint8)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of pixels."""
        return self.width * self.channels * self.dtype.itemsize


class Picture(msgspec.Struct, frozen=True):
    """A page in memory.

    pixels  [height, width, channels], uint8 or uint16; not to be modified
    """

    info: PictureInfo
    pixels: Pixels

    def rgb8(self) -> npt.NDArray[np.uint8]:
        """Return uint8 [height, width, 3] RGB for looking at, transparency over white."""
        pixels, mode = self.pixels, self.info.mode
        if mode == "I;16":
            pixels = (pixels >> 8).astype(np.uint8)
        if mode in ("LA", "RGBA"):
            alpha = pixels[:, :, -1:].astype(np.uint16)
            colour = pixels[:, :, :-1].astype(np.uint16)
            pixels = ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        elif mode == "CMYK":
            ink = 255 - pixels[:, :, :3].astype(np.uint16)
            pixels = ((ink * (255 - pixels[:, :, 3:].astype(np.uint16)) + 127) // 255).astype(np.uint8)
        if pixels.shape[2] == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        return np.ascontiguousarray(pixels, dtype=np.uint8)
