"""What a picture may cost to open."""

import msgspec


class PictureLimits(msgspec.Struct, frozen=True):
    """What a picture may cost.

    max_pixels            larger ones are refused
    suspicious_pixels     above this size, thin files are refused as bombs
    max_pixels_per_byte   what makes a file thin
    """

    max_pixels: int
    suspicious_pixels: int
    max_pixels_per_byte: int
