"""The small files of a data folder that are neither blobs nor database, and where they lie."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from audobon.backup.manifest import FileRole
from audobon.backup.places import PLACES_FILE


class SmallFile(msgspec.Struct, frozen=True):
    """A file to keep; `path` is where it lies in the data folder, with forward slashes."""

    role: FileRole
    path: str
    source: Path


SETTINGS_PATH = "audobon.toml"
"""Where restored settings lie: as a proposal, for they may name folders of another machine."""


def small_files(folder: Path, settings_file: Path | None) -> Iterator[SmallFile]:
    """Yield what a backup holds besides database and packs.

    settings_file  None when there is none
    """
    if settings_file is not None and settings_file.is_file():
        yield SmallFile("settings", SETTINGS_PATH, settings_file)
    for path in sorted((folder / "user-models").rglob("*")):
        # Removed models wait in .trash for their end, and parts of names for their whole.
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            yield SmallFile("model", relative.as_posix(), path)
    # A fresh machine must know every place: who is erased there must be erased in each of them.
    if (folder / PLACES_FILE).is_file():
        yield SmallFile("places", PLACES_FILE, folder / PLACES_FILE)
    if (folder / "tuning.json").is_file():
        yield SmallFile("tuning", "tuning.json", folder / "tuning.json")
    for path in sorted((folder / "logs").glob("audobon.jsonl*")):
        if path.is_file():
            yield SmallFile("log", path.relative_to(folder).as_posix(), path)
