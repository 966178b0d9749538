"""What a page is, without its pixels; needs no numpy, so small processes can use it."""

import msgspec

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
    def sample_bytes(self) -> int:
        """Bytes of one sample."""
        return 2 if self.mode == "I;16" else 1

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of pixels."""
        return self.width * self.channels * self.sample_bytes

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.width * self.height / 1e6
