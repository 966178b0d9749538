"""Documents: one picture, a folder of pictures, or a book (CBZ, ZIP)."""

import difflib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Literal, Protocol

import msgspec

from audobon.atomic import disk_error, disk_errors
from audobon.errors import DocumentNotFound, UnsupportedDocument
from audobon.pages.natural_order import natural_key
from audobon.pages.picture_formats import FORMATS

DocumentKind = Literal["picture", "folder", "book"]
BOOK_ENDINGS = (".cbz", ".zip")
_OTHER_BOOKS = {".cbr": "RAR", ".rar": "RAR", ".cb7": "7-Zip", ".7z": "7-Zip", ".cbt": "tar", ".pdf": "PDF"}


class Entry(msgspec.Struct, frozen=True):
    """One file of a document.

    name         path inside the document, forward slashes
    is_page      its ending says it is a picture we handle
    size_bytes   as declared; what is read is counted again
    modified_at  UTC seconds; None when unknown
    """

    name: str
    is_page: bool
    size_bytes: int
    modified_at: float | None


class ArchiveLimits(msgspec.Struct, frozen=True):
    """What a book may hold; see `config.ArchiveSettings`."""

    max_entries: int
    max_bytes: int
    max_ratio: int


class Document(Protocol):
    """A document open for reading: its files in natural order, pages and others."""

    kind: DocumentKind
    entries: list[Entry]
    left_out: list[str]

    def open(self, entry: Entry) -> IO[bytes]:
        """Open one file of the document for reading from its start."""
        ...


def is_page_name(name: str) -> bool:
    """Tell whether a file name stands for a page: a picture, not hidden, not a system's double."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return path.suffix.lower() in FORMATS and not hidden


def in_natural_order(entries: list[Entry]) -> list[Entry]:
    """Return the files of a document in the order people read them, whatever order they came in."""
    return sorted(entries, key=lambda entry: (natural_key(entry.name), entry.name))


@contextmanager
def open_document(path: Path, limits: ArchiveLimits) -> Iterator[Document]:
    """Open a picture, a folder or a book.

    raises  DocumentNotFound, Denied, UnsupportedDocument, UnsafeArchive
    """
    ending = path.suffix.lower()
    with disk_errors(path):
        if not path.exists():
            near = difflib.get_close_matches(path.name, _names_beside(path), n=1)
            hint = f"did you mean {path.with_name(near[0])}?" if near else None
            raise DocumentNotFound(f"there is no file or folder {path}", hint=hint)
        is_folder = path.is_dir()
    document: Document
    if is_folder:
        document = FolderDocument(path)
        _require_pages(path, document)
        yield document
    elif ending in BOOK_ENDINGS:
        from audobon.pages.archive import open_archive

        with open_archive(path, limits) as document:
            _require_pages(path, document)
            yield document
    elif ending in _OTHER_BOOKS:
        raise UnsupportedDocument(
            f"{path} is a {_OTHER_BOOKS[ending]} file, which is not read yet",
            hint="convert it to CBZ: a ZIP of the page pictures",
        )
    else:
        # Whatever it is called: the decoder says whether it is a picture.
        yield PictureDocument(path)


def _names_beside(path: Path) -> list[str]:
    # Only for a hint: a folder that may not be listed changes nothing about the error.
    with suppress(OSError):
        return [other.name for other in path.parent.iterdir()]
    return []


def _require_pages(path: Path, document: Document) -> None:
    if not any(entry.is_page for entry in document.entries):
        raise DocumentNotFound(f"{path} holds no pages", hint="pages are PNG, JPEG, WebP or TIFF pictures")


class PictureDocument:
    """One picture file."""

    kind: DocumentKind = "picture"

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk_errors(path):
            status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnsupportedDocument(f"{path} is not a regular file")
        self.entries = [Entry(path.name, True, status.st_size, status.st_mtime)]
        self.left_out: list[str] = []

    def open(self, entry: Entry) -> IO[bytes]:
        """Open the picture."""
        with disk_errors(self._path):
            return self._path.open("rb")


class FolderDocument:
    """A folder with everything below it.

    Links are left out, so nothing outside is reached; so are names that are not Unicode text, which
    neither the database nor a book could hold.
    """

    kind: DocumentKind = "folder"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.left_out: list[str] = []
        found: list[Entry] = []
        for folder, folders, names in os.walk(path, onerror=_refuse):
            links = [name for name in folders if (Path(folder) / name).is_symlink()]
            for name in links + names:
                file = Path(folder) / name
                inside = file.relative_to(path).as_posix()
                readable = inside.encode(errors="backslashreplace").decode()
                with disk_errors(file):
                    status = file.lstat()
                if stat.S_ISREG(status.st_mode) and readable == inside:
                    found.append(Entry(inside, is_page_name(inside), status.st_size, status.st_mtime))
                else:
                    self.left_out.append(readable)
        self.entries = in_natural_order(found)
        self.left_out.sort()

    def open(self, entry: Entry) -> IO[bytes]:
        """Open one file of the folder."""
        path = self._path / entry.name
        with disk_errors(path):
            return path.open("rb")


def _refuse(error: OSError) -> None:
    raise disk_error(error, Path(error.filename or "?")) from error
