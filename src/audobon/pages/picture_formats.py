"""The file formats of pages, and what each can hold; needs no Pillow."""

from audobon.errors import UnsupportedPicture
from audobon.pages.picture_info import PictureInfo

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""File name endings of pages, and the format each stands for."""

_UNREAD = {".gif", ".bmp", ".avif", ".jxl", ".heic", ".heif", ".jp2", ".psd", ".tga", ".svg", ".kra", ".clip"}


def is_unread_picture(name: str) -> bool:
    """Tell whether a file is a picture of a format that is not worked on."""
    return any(name.lower().endswith(ending) for ending in _UNREAD)


_MAX_SIDE = {"WEBP": 16_383, "JPEG": 65_500}
_MODES = {
    "PNG": {"L", "LA", "RGB", "RGBA", "I;16"},
    "JPEG": {"L", "RGB", "CMYK"},
    "WEBP": {"L", "LA", "RGB", "RGBA"},
    "TIFF": {"L", "LA", "RGB", "RGBA", "CMYK", "I;16"},
}


_MEANING = {
    "L": "greyscale",
    "LA": "transparency",
    "RGB": "colour",
    "RGBA": "transparency",
    "CMYK": "CMYK separations",
    "I;16": "16-bit greyscale",
}


def check_encodable(info: PictureInfo) -> None:
    """Raise UnsupportedPicture when a page cannot be written in its format without harm."""
    if info.mode not in _MODES[info.format]:
        able = " or ".join(sorted(name for name, modes in _MODES.items() if info.mode in modes))
        raise UnsupportedPicture(
            f"{info.format} cannot keep {_MEANING[info.mode]}", hint=f"write it as {able}"
        )
    limit = _MAX_SIDE.get(info.format)
    if limit is not None and max(info.width, info.height) > limit:
        raise UnsupportedPicture(
            f"{info.format} pages end at {limit} pixels; this one is {info.width}×{info.height}",
            hint="write it as PNG or TIFF",
        )
