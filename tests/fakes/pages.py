"""Lists in pages, as every API of Google gives them."""

from collections.abc import Sequence
from typing import TypeVar

from fakes.refusal import invalid

_Item = TypeVar("_Item")


def page_of(
    items: Sequence[_Item], *, size: int, token: str, usual: int = 100, most: int = 1000
) -> tuple[list[_Item], str]:
    """Return a page of a list, and the token of the next one; empty: this was the last.

    size   as asked for; 0: the usual
    usual  how many when nobody asks
    most   a larger page is never given, and that is no error
    """
    if size < 0:
        raise invalid("page_size must not be negative")
    if token and (not token.startswith("from-") or not token[5:].isdigit()):
        raise invalid(f"page_token {token!r} is invalid")
    first = int(token[5:]) if token else 0
    after = first + min(size or usual, most)
    return list(items[first:after]), f"from-{after}" if after < len(items) else ""
