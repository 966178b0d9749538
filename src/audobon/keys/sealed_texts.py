"""How a sealed text is written: a mark, whose it is, and the sealed bytes."""

import base64
import re

from audobon.errors import CorruptKeyring

# Nothing shorter was ever sealed: a version, a nonce and a tag take 32 bytes.
_SEALED_TEXT = re.compile(r"s1\.([a-z0-9]{1,32})\.([A-Za-z0-9_-]{43,}={0,2})", re.ASCII)


def joined(subject: str, sealed: bytes) -> str:
    """Return the text of what was sealed for a subject."""
    return f"s1.{subject}.{base64.urlsafe_b64encode(sealed).decode()}"


def parted(text: str) -> tuple[str, bytes] | None:
    """Return the subject and the sealed bytes of a text; None when it is not sealed.

    raises  CorruptKeyring
    """
    found = _SEALED_TEXT.fullmatch(text)
    if found is None:
        return None
    try:
        sealed = base64.urlsafe_b64decode(found[2])
    except ValueError as error:
        raise CorruptKeyring("a sealed text is not as it was written") from error
    if base64.urlsafe_b64encode(sealed).decode() != found[2]:
        # Its last character may have more bits than are used.
        raise CorruptKeyring("a sealed text is not as it was written")
    return found[1], sealed
