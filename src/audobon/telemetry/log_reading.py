"""Reads the log for its owner: line by line, with what is sealed opened."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec

from audobon.errors import CorruptKeyring, SubjectErased, SubjectNotFound
from audobon.telemetry.logs import ERASED, log_context, log_files

UNREADABLE = "unreadable"
"""What stands for words that this keyring never sealed, or that were changed."""

_LOOK_SECONDS = 0.25


class Unseal(Protocol):
    """Opens a sealed text; see `Keys.unseal_text`."""

    def __call__(self, text: str, *, context: bytes) -> str:
        """Return the text."""


def read_log(
    folder: Path, unseal: Unseal, *, follow: bool = False, rest: Callable[[float], None] = time.sleep
) -> Iterator[dict[str, Any]]:
    """Return the events of a log, oldest first.

    follow  go on for ever with what is written from now on
    rest    called between two looks, with seconds
    """
    place = (0, 0)
    for path in log_files(folder):
        with path.open("rb") as file:
            place = path.stat().st_ino, 0
            for line in file:
                place = place[0], place[1] + len(line)
                yield from _event(line, unseal)
    while follow:
        rest(_LOOK_SECONDS)
        path = folder / "logs" / "audobon.jsonl"
        if not path.exists():
            continue
        inode, at = place
        with path.open("rb") as file:
            now = path.stat().st_ino
            # The file was turned: the new one is read from its beginning.
            at = at if now == inode else 0
            file.seek(at)
            for line in file:
                if not line.endswith(b"\n"):
                    # Half written; the rest comes.
                    break
                at += len(line)
                yield from _event(line, unseal)
        place = now, at


def _event(line: bytes, unseal: Unseal) -> Iterator[dict[str, Any]]:
    try:
        facts = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        # Torn by a power cut.
        return
    if facts:
        yield {field: _opened(field, value, unseal) for field, value in facts.items()}


def _opened(field: str, value: Any, unseal: Unseal) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return unseal(value, context=log_context(field))
    except SubjectErased:
        return ERASED
    except (CorruptKeyring, SubjectNotFound):
        return UNREADABLE
