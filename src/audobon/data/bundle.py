"""Where an export is written: a folder, or one ZIP file; it appears whole or not at all."""

import hashlib
import os
import shutil
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from audobon.atomic import (
    clear_leftovers,
    disk_errors,
    exists_already,
    sync_folder,
    temporary_beside,
    writing,
)
from audobon.errors import NotFound


class WrittenFile(msgspec.Struct, frozen=True):
    """A file of an export.

    path    inside the export, forward slashes
    sha256  of its bytes, in hexadecimal
    """

    path: str
    size_bytes: int
    sha256: str


class Counting:
    """Passes bytes on, counting and hashing them."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: Any) -> int:
        """Append bytes."""
        self._hash.update(data)
        self.size_bytes += len(data)
        self._target.write(data)
        return len(data)

    def written(self, path: str) -> WrittenFile:
        """Return what is known of the file by now."""
        return WrittenFile(path, self.size_bytes, self._hash.hexdigest())


class Bundle(ABC):
    """An export being written, file after file; no file is held in memory."""

    @abstractmethod
    @contextmanager
    def adding(self, path: str, *, modified_at: float | None = None) -> Iterator[Counting]:
        """Write one file in pieces; `path` is safe already."""

    def add(self, path: str, data: bytes) -> WrittenFile:
        """Write one small file."""
        with self.adding(path) as file:
            file.write(data)
        return file.written(path)


@contextmanager
def bundle_at(target: Path) -> Iterator[Bundle]:
    """Write an export to a folder, or to a ZIP file when the name ends in .zip; whole, or not at all.

    What a killed export left beside it is removed first.
    raises  OutputExists, NotFound when its folder is missing, DiskFull, Denied
    """
    parent = target.absolute().parent
    with disk_errors(target):
        if not parent.is_dir():
            raise NotFound(f"the folder {parent} does not exist", hint=f"mkdir -p {parent}")
        clear_leftovers(target)
        if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
            raise exists_already(target)
    if target.suffix.lower() == ".zip":
        with (
            writing(target, replace=False) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
        ):
            yield _ZipBundle(archive)
        return
    temporary = temporary_beside(target)
    with disk_errors(target):
        # What was private in the data folder stays so.
        temporary.mkdir(mode=0o700)
        try:
            yield _FolderBundle(temporary)
            _sync_all(temporary)
            temporary.rename(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(parent)


class _FolderBundle(Bundle):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def adding(self, path: str, *, modified_at: float | None = None) -> Iterator[Counting]:
        """Write one file in pieces."""
        place = self._folder / path
        with disk_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as file:
                yield Counting(file)
                file.flush()
                os.fsync(file.fileno())
            if modified_at is not None:
                os.utime(place, (modified_at, modified_at))


class _ZipBundle(Bundle):
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    @contextmanager
    def adding(self, path: str, *, modified_at: float | None = None) -> Iterator[Counting]:
        """Write one file in pieces."""
        info = zipfile.ZipInfo(path, zip_moment(modified_at))
        info.external_attr = 0o600 << 16
        with self._archive.open(info, "w", force_zip64=True) as file:
            yield Counting(file)


def zip_moment(at: float | None) -> tuple[int, int, int, int, int, int]:
    """Return an instant as ZIP can hold it; 1980 when it cannot, or there is none."""
    import time

    try:
        moment = time.gmtime(at or 0)
    except (OverflowError, ValueError, OSError):
        return 1980, 1, 1, 0, 0, 0
    if not 1980 <= moment.tm_year <= 2107:
        return 1980, 1, 1, 0, 0, 0
    return moment.tm_year, moment.tm_mon, moment.tm_mday, moment.tm_hour, moment.tm_min, moment.tm_sec


def _sync_all(folder: Path) -> None:
    for above, _, _ in os.walk(folder):
        sync_folder(Path(above))
