"""A key-encryption key on this machine, in a file that only its user can read."""

import os
from collections.abc import Callable
from pathlib import Path

from audobon.atomic import (
    clear_leftovers,
    clear_leftovers_in,
    disk_errors,
    make_private_folder,
    sync_folder,
    temporary_beside,
)
from audobon.keys.versions import KeptVersions, decode_versions, encode_versions


class UnlockFile(KeptVersions):
    """A KEK in a file of mode 0600, outside the folder it protects, made when it is first needed."""

    def __init__(self, path: Path, *, is_new: Callable[[], bool]) -> None:
        super().__init__(str(path), is_new=is_new)
        self._path = path

    def discard(self) -> None:
        """Remove the file."""
        remove_private(self._path)

    def _load(self) -> dict[str, bytes] | None:
        data = read_private(self._path)
        return None if data is None else decode_versions(data, self._where)

    def _save(self, versions: dict[str, bytes]) -> None:
        write_private(self._path, encode_versions(versions))


def read_private(path: Path) -> bytes | None:
    """Return what a file holds; None when there is none."""
    with disk_errors(path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def write_private(path: Path, data: bytes) -> None:
    """Write a file whole, which nobody but its user may read at any instant."""
    temporary = temporary_beside(path)
    with disk_errors(path):
        make_private_folder(path.parent)
        # Under whatever name: a key-encryption key that was never used has one of its own.
        clear_leftovers_in(path.parent)
        try:
            with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def remove_private(path: Path) -> None:
    """Overwrite a file and remove it; what the disk moved elsewhere by itself is out of reach."""
    with disk_errors(path):
        clear_leftovers(path)
        try:
            with path.open("r+b") as file:
                file.write(bytes(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
        except FileNotFoundError:
            return
        finally:
            path.unlink(missing_ok=True)
