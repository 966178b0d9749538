"""Reads books: ZIP archives that may be hostile."""

import calendar
import os
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from audobon.atomic import disk_errors
from audobon.errors import UnreadablePicture, UnsafeArchive, UnsupportedDocument
from audobon.pages.documents import ArchiveLimits, DocumentKind, Entry, in_natural_order, is_page_name

# Below this size even an empty page may unfold enormously, and does no harm.
_RATIO_MATTERS_ABOVE_BYTES = 64 << 20
_ENCRYPTED = 0x1
# source: ZIP application note 6.3.10, sections 4.3.14 and 4.3.16; a comment may follow the end record
_END_RECORD, _WIDE_END_RECORD = b"PK\x05\x06", b"PK\x06\x06"
_END_SEARCH_BYTES = 22 + 0xFFFF + 100
# An entry with a long name and extra fields.
_ENTRY_BYTES = 512


@contextmanager
def open_archive(path: Path, limits: ArchiveLimits) -> Iterator["BookDocument"]:
    """Open a book; every name, size and kind in it is checked first.

    raises  UnsupportedDocument when it is no sound ZIP, UnsafeArchive when an entry could do harm, Denied
    """
    with disk_errors(path):
        file = path.open("rb")
    with file:
        _check_directory_size(path, file, limits)
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise UnsupportedDocument(
                f"{path} is not a sound ZIP archive", hint="open it in an archive program, and save it anew"
            ) from error
        with archive:
            yield BookDocument(path, archive, limits)


def _check_directory_size(path: Path, file: IO[bytes], limits: ArchiveLimits) -> None:
    """Refuse a table of contents that would fill the memory before its entries can be counted."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END_SEARCH_BYTES))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(_END_RECORD)
    if at < 0 or at + 22 > len(tail):
        return  # no ZIP at all: opening it says so
    directory = int.from_bytes(tail[at + 12 : at + 16], "little")
    wide = tail.rfind(_WIDE_END_RECORD, 0, at)
    if wide >= 0 and wide + 48 <= len(tail):
        directory = max(int.from_bytes(tail[wide + 40 : wide + 48], "little"), directory % 0xFFFFFFFF)
    if directory > limits.max_entries * _ENTRY_BYTES:
        raise UnsafeArchive(
            f"the table of contents of {path} is {directory / 1e6:.0f} MB, more than it may be"
        )


class BookDocument:
    """A ZIP archive of pages and whatever goes with them."""

    kind: DocumentKind = "book"

    def __init__(self, path: Path, archive: zipfile.ZipFile, limits: ArchiveLimits) -> None:
        self._archive = archive
        self.left_out: list[str] = []
        # Python's `is_dir` looks at the last character of a name, and a damaged one may have none.
        files = [item for item in archive.infolist() if not item.filename.endswith("/")]
        if not all(item.filename for item in files):
            raise UnsafeArchive(f"{path} holds a file without a name")
        if len(files) > limits.max_entries:
            raise UnsafeArchive(f"{path} holds {len(files)} files, more than {limits.max_entries}")
        self._files = {_safe_name(path, item): item for item in files}
        if len(self._files) != len(files):
            raise UnsafeArchive(f"{path} holds two files of the same name")
        total = sum(item.file_size for item in files)
        if total > limits.max_bytes:
            raise UnsafeArchive(f"{path} unpacks to {total / 1e9:.1f} GB, more than it may")
        for item in files:
            _check_ratio(path, item, limits.max_ratio)
        self.entries = in_natural_order(
            [
                Entry(name, is_page_name(name), item.file_size, _instant(item))
                for name, item in self._files.items()
            ]
        )

    def open(self, entry: Entry) -> IO[bytes]:
        """Open one file of the book; it yields no more bytes than were declared.

        raises  UnreadablePicture when it cannot be opened; reading damage raises BadZipFile,
                zlib.error or EOFError
        """
        item = self._files[entry.name]
        if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # The others unfold without any bound on what one reading step gives.
            raise UnreadablePicture(f"it is packed by a method that books do not use ({item.compress_type})")
        try:
            return self._archive.open(item)
        except (zipfile.BadZipFile, RuntimeError, ValueError, OSError, EOFError, zlib.error) as error:
            raise UnreadablePicture(f"it is damaged inside the archive: {error}") from error


def _safe_name(path: Path, item: zipfile.ZipInfo) -> str:
    """Return the entry's name; UnsafeArchive when it points outside, or is not a plain file."""
    name = item.filename
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    escapes = (
        not name
        or "\0" in item.orig_filename
        or "\\" in item.orig_filename
        or posix.is_absolute()
        or windows.is_absolute()
        or bool(windows.drive)
        or ".." in posix.parts
        or posix.name in ("", ".")
    )
    if escapes:
        raise UnsafeArchive(f"{path} holds an entry that points outside of it: {name!r}")
    kind = stat.S_IFMT(item.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise UnsafeArchive(f"{path} holds an entry that is a link or device: {name!r}")
    if item.flag_bits & _ENCRYPTED:
        raise UnsupportedDocument(f"{path} is encrypted ({name!r})", hint="remove its password first")
    return posix.as_posix()


def _check_ratio(path: Path, item: zipfile.ZipInfo, max_ratio: int) -> None:
    if item.file_size > _RATIO_MATTERS_ABOVE_BYTES and item.file_size > max_ratio * max(
        1, item.compress_size
    ):
        raise UnsafeArchive(
            f"{path} holds an entry that unfolds {item.file_size // max(1, item.compress_size)} times,"
            f" which is how a bomb looks: {item.filename!r}"
        )


def _instant(item: zipfile.ZipInfo) -> float | None:
    # ZIP keeps local time without a zone; read and written as UTC it stays what it was.
    try:
        return float(calendar.timegm(time.struct_time((*item.date_time, 0, 0, 0))))
    except (ValueError, OverflowError):
        return None
