"""The models of the user's own that were removed and can be had back, as they lie in the trash."""

import secrets
from pathlib import Path

import msgspec

from audobon.models.own_cards import is_name

_TRASH = ".trash"


class RemovedModel(msgspec.Struct, frozen=True):
    """A model that can be had back.

    removed_at  seconds since 1970, UTC
    """

    name: str
    removed_at: float
    size_bytes: int
    path: str


def trash_folder(folder: Path) -> Path:
    """Return where removed models lie within the folder of own models."""
    return folder / _TRASH


def trash_name(name: str, removed_at: float) -> str:
    """Return the name under which a removed model lies in the trash; removed_at is in seconds, UTC."""
    return f"{name}.{int(removed_at * 1000)}-{secrets.token_hex(4)}"


def removed_models(folder: Path) -> list[RemovedModel]:
    """Return what of a folder of own models can be had back, the last removed first."""
    try:
        entries = list(trash_folder(folder).iterdir())
    except OSError:
        # Nothing was ever removed.
        return []
    found = []
    for entry in entries:
        name, _, rest = entry.name.partition(".")
        milliseconds = rest.partition("-")[0]
        if is_name(name) and milliseconds.isascii() and milliseconds.isdecimal():
            try:
                size_bytes = folder_bytes(entry)
            except OSError:
                # No folder of ours, or purged by another process since we looked.
                continue
            found.append(RemovedModel(name, int(milliseconds) / 1000, size_bytes, str(entry)))
    return sorted(found, key=lambda item: (-item.removed_at, item.path))


def folder_bytes(folder: Path) -> int:
    """Return how large the files of a model's folder are together."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
