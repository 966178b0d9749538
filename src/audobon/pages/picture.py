"""A decoded page: its pixels and what must survive beside them."""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from audobon.pages.picture_info import PictureInfo

Pixels = npt.NDArray[Any]


class Picture(msgspec.Struct, frozen=True):
    """A page in memory.

    pixels  [height, width, channels], uint8, or uint16 for mode I;16; not to be modified
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
            if alpha.min() == 255:
                pixels = pixels[:, :, :-1]
            else:
                colour = pixels[:, :, :-1].astype(np.uint16)
                pixels = ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        elif mode == "CMYK":
            ink = 255 - pixels[:, :, :3].astype(np.uint16)
            pixels = ((ink * (255 - pixels[:, :, 3:].astype(np.uint16)) + 127) // 255).astype(np.uint8)
        if pixels.shape[2] == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        return np.ascontiguousarray(pixels, dtype=np.uint8)
