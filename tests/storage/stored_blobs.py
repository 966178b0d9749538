"""A storage for the tests, and ways to harm it."""

import os
from pathlib import Path

from audobon.config import keyrings_folder
from audobon.keys.unlocking import open_keys
from audobon.storage.facts import BlobInfo
from audobon.storage.pack_format import HEAD_BYTES
from audobon.storage.service import Storage

OPENED = """
import sys
from pathlib import Path
from audobon.config import keyrings_folder
from audobon.keys.unlocking import open_keys
from audobon.storage.service import Storage

folder = Path(sys.argv[1])
storage = Storage(folder, open_keys(folder, unlock_folder=keyrings_folder()))
"""
"""How a process of a test begins: with `storage` in the folder of its first argument."""


def storage_in(folder: Path, *, keep_removed_days: float = 0.0, told: list[str] | None = None) -> Storage:
    """Return a storage; what it tells goes into a list."""
    keys = open_keys(folder, unlock_folder=keyrings_folder())
    tell = (lambda words: None) if told is None else told.append
    return Storage(folder, keys, keep_removed_days=keep_removed_days, tell=tell)


def pack_files(folder: Path) -> list[Path]:
    """Return the packs of a data folder."""
    return sorted((folder / "blobs").rglob("*.pack"))


def place_of(storage: Storage, key: str) -> tuple[Path, BlobInfo]:
    """Return the pack that a blob lies in, and what is known of it."""
    info = storage.stat(key)
    return storage.store.path(info.pack), info


def flip_a_byte(storage: Storage, key: str) -> None:
    """Change one bit in the middle of a blob's stream."""
    flip_back(*place_of(storage, key))


def flip_back(path: Path, info: BlobInfo) -> None:
    """Change that bit back."""
    place = info.offset + HEAD_BYTES + info.stored_bytes // 2
    with path.open("r+b") as file:
        before = os.pread(file.fileno(), 1, place)
        os.pwrite(file.fileno(), bytes([before[0] ^ 1]), place)
        assert os.pread(file.fileno(), 1, place) != before
