"""Names for the files of an export: whatever a name was, its file lies inside, and alone."""

import re
import unicodedata
from collections.abc import Callable
from pathlib import PurePosixPath

_MOST_PART_BYTES = 120
_MOST_PARTS = 12
# What Windows keeps for devices, with any ending; and what no file system or shell should have to meet.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)", re.IGNORECASE)
_FORBIDDEN = set('<>:"|?*')
_NOTHING = "unnamed"


class SafeNames:
    """Gives each file of an export a path that every system can hold and none takes for another.

    Paths are told apart without regard to case or to how accents are composed, as some file systems do. The
    names a file had stand in the export's JSON.
    """

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def take(self, folder: str, name: str, *, ending: str = "") -> str:
        """Return a path below a folder of the export, like a name that may be hostile.

        ending  what the file's name shall end with, such as ".png"; "" leaves it as it is
        """
        parts = [_safe_part(part) for part in re.split(r"[/\\]", name) if part not in ("", ".", "..")]
        parts = parts[-_MOST_PARTS:] or [_NOTHING]
        *above, last = parts
        if ending and PurePosixPath(last).suffix.lower() != ending:
            last += ending
        for part in above:
            # Where a file has the name of the folder, the folder gets a number.
            folder = _free(folder, part, lambda path: path in self._files)
            self._folders.add(_folded(folder))
        path = _free(folder, last, lambda path: path in self._files or path in self._folders)
        self._files.add(_folded(path))
        return path


def _free(folder: str, name: str, is_taken: Callable[[str], bool]) -> str:
    path, number = f"{folder}/{name}", 1
    while is_taken(_folded(path)):
        number += 1
        path = f"{folder}/{_numbered(name, number)}"
    return path


def is_safe_path(path: str) -> bool:
    """Tell whether a path of a manifest stays inside the export."""
    parts = path.split("/")
    return bool(path) and "\\" not in path and all(part == _safe_part(part) for part in parts)


def _safe_part(part: str) -> str:
    text = unicodedata.normalize("NFC", part.encode("utf-8", "replace").decode())
    text = "".join(_harmless(char) for char in text).strip().rstrip(". ")
    if not text:
        return _NOTHING
    if _RESERVED.fullmatch(text.split(".")[0].rstrip()):
        text = f"_{text}"
    if text.startswith(("-", "~")):
        # It would read as an option, or as a home folder, in a shell.
        text = f"_{text}"
    return _cut(text)


def _harmless(char: str) -> str:
    if char in _FORBIDDEN or char in "/\\":
        return "_"
    # Among these are marks that turn the direction of writing, so that an ending looks like another.
    return "_" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") else char


def _cut(text: str) -> str:
    if len(text.encode()) <= _MOST_PART_BYTES:
        return text
    path = PurePosixPath(text)
    ending = path.suffix if len(path.suffix.encode()) <= 12 else ""
    stem = text[: len(text) - len(ending)] if ending else text
    room = _MOST_PART_BYTES - len(ending.encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + ending


def _numbered(name: str, number: int) -> str:
    path = PurePosixPath(name)
    return f"{path.stem} ({number}){path.suffix}"


def _folded(path: str) -> str:
    return unicodedata.normalize("NFKC", path).casefold()
