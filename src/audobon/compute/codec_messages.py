"""What a picture process is asked, and what it answers."""

import msgspec

from audobon.pages.picture_info import PictureInfo
from audobon.pages.picture_limits import PictureLimits


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to do next; the bytes or rows follow as frames of their own."""

    act: str
    limits: PictureLimits
    info: PictureInfo | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: what the picture is, or the code and words of an error."""

    info: PictureInfo | None = None
    code: str | None = None
    message: str = ""
    hint: str | None = None
