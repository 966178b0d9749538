"""Where what is to go into a bucket lies on this machine until it is whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from audobon.atomic import clear_leftovers, disk_errors, temporary_beside
from audobon.storage.folder_files import files_below, make_folder
from audobon.storage.gcp_uploading import crc32c_of

_STEM = "object"


class Spooled(msgspec.Struct, frozen=True):
    """A whole file, to be read from its beginning; `crc32c` in base64."""

    file: IO[bytes]
    size_bytes: int
    crc32c: str


class Spool:
    """A folder of files that are written; of many processes at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def file(self) -> Iterator[IO[bytes]]:
        """Open a new file to write and read, which is gone after the block. raises DiskFull, Denied."""
        path = temporary_beside(self._folder / _STEM)
        with disk_errors(path):
            make_folder(self._folder)
            try:
                with path.open("x+b") as file:
                    # Sealed by whoever writes it; and nobody else's business.
                    path.chmod(0o600)
                    yield file
            finally:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def whole(self, file: IO[bytes]) -> Spooled:
        """Return a file as it is now, with its sum. raises DiskFull."""
        with disk_errors(self._folder):
            file.flush()
            size_bytes = file.seek(0, os.SEEK_END)
            crc32c = crc32c_of(file)
            file.seek(0)
        return Spooled(file, size_bytes, crc32c)

    def clear(self, *, before: float) -> int:
        """Remove files last written before a UTC instant; return the bytes that came free."""
        freed = 0
        with disk_errors(self._folder):
            for path, status in files_below(self._folder, unfinished=True):
                if status.st_mtime < before:
                    path.unlink(missing_ok=True)
                    freed += status.st_size
        return freed

    def clear_abandoned(self) -> None:
        """Remove the files of processes that were killed."""
        with disk_errors(self._folder):
            clear_leftovers(self._folder / _STEM)
