"""What was found amiss and mended, kept as a list that a person can look at later."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from audobon.atomic import disk_errors, make_private_folder, write_bytes
from audobon.clock import utc_now
from audobon.errors import NotFound
from audobon.ids import new_id

_MOST = 500

What = Literal[
    "unclean stop",
    "database restored",
    "database rolled back",
    "database lost",
    "index rebuilt",
    "storage mended",
    "packs fetched",
    "packs lost",
    "pages lost",
    "keyring imported",
    "keyring older",
    "erased again",
    "clock behind",
]


class Mended(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was found amiss, and what was done.

    what     for programs; stable
    at       UTC seconds
    words    for people, sentences without a full stop at the end
    is_grave whether a person should read it now
    facts    the same for programs
    """

    id: str
    at: float
    what: What
    words: str
    is_grave: bool
    facts: dict[str, Any] = {}


Tell = Callable[[Mended], None]


def mended(what: What, words: str, *, is_grave: bool = True, **facts: Any) -> Mended:
    """Return what is told of something just mended."""
    return Mended(id=new_id(), at=utc_now(), what=what, words=words, is_grave=is_grave, facts=facts)


class RecoveryBook:
    """The list of what was mended in a data folder, in recoveries.json; the oldest are forgotten."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "recoveries.json"

    def add(self, new: list[Mended]) -> None:
        """Note more. raises DiskFull, Denied."""
        if not new:
            return
        with disk_errors(self._path):
            make_private_folder(self._path.parent)
        write_bytes(self._path, msgspec.json.encode([*self.list(), *new][-_MOST:]))

    def list(self) -> list[Mended]:
        """Return all that is noted, oldest first; a damaged list is begun anew."""
        with disk_errors(self._path):
            try:
                data = self._path.read_bytes()
            except FileNotFoundError:
                return []
        try:
            return msgspec.json.decode(data, type=list[Mended])
        except msgspec.MsgspecError:
            return []

    def find(self, name: str) -> Mended:
        """Return one by its id, or the "latest". raises NotFound."""
        found = [each for each in self.list() if name in (each.id, "latest")]
        if not found:
            raise NotFound(f"nothing was mended under {name}", hint="audobon recovery list")
        return found[-1]
