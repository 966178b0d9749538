"""Where a result goes: checked before the work, written whole after it."""

import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Literal

import msgspec

from audobon.atomic import (
    clear_leftovers,
    disk_errors,
    exists_already,
    sync_folder,
    temporary_beside,
    writing,
)
from audobon.errors import Conflict, Denied, InvalidInput, NotFound, OutputExists, UnsupportedDocument
from audobon.pages.documents import BOOK_ENDINGS, DocumentKind, Entry
from audobon.pages.picture_formats import FORMATS

# What file systems in use allow for one name.
_MAX_NAME_BYTES = 255
TargetKind = Literal["picture", "folder", "book", "json", "text"]


class Piece(msgspec.Struct, frozen=True):
    """One file of a result.

    name         path inside the result, forward slashes
    modified_at  UTC seconds; None when unknown
    copy         writes its bytes to a stream
    """

    name: str
    modified_at: float | None
    copy: Callable[[IO[bytes]], None]


class Stale(msgspec.Struct, frozen=True):
    """Files an earlier run of the same job put into a folder.

    written_at  UTC seconds when that run ended; files changed later are not ours any more
    """

    names: Sequence[str]
    written_at: float


NOTHING_STALE = Stale((), 0.0)


class Target(msgspec.Struct, frozen=True):
    """A place for a result of one kind."""

    path: Path
    kind: TargetKind

    @property
    def picture_format(self) -> str | None:
        """Format asked for by the ending of a single picture; None keeps each page's own."""
        return FORMATS[self.path.suffix.lower()] if self.kind == "picture" else None


def picture_target(source: Path, target: Path, kind: DocumentKind) -> Target:
    """Return where restored pages go.

    raises  InvalidInput when the ending does not fit the document
    """
    ending = target.suffix.lower()
    if kind == "picture":
        if ending in BOOK_ENDINGS:
            raise InvalidInput(
                f"{source} is one picture, and {target} would be a book",
                hint="name a picture, such as out.png",
            )
        if target.is_dir():
            return (
                Target(target / source.name, "picture") if source.suffix.lower() in FORMATS else _no(target)
            )
        return Target(target, "picture") if ending in FORMATS else _no(target)
    if ending in BOOK_ENDINGS:
        return Target(target, "book")
    if ending in FORMATS:
        raise InvalidInput(
            f"{target} names one picture, but {source} holds several pages",
            hint="give a folder, or a book ending in .cbz",
        )
    return Target(target, "folder")


def findings_target(target: Path, *, with_pictures: bool) -> Target:
    """Return where findings go: a JSON or text file, or a folder when pictures go with them.

    raises  InvalidInput when the ending promises something else
    """
    ending = target.suffix.lower()
    if with_pictures:
        if not target.is_dir() and (ending in FORMATS or ending in BOOK_ENDINGS):
            raise InvalidInput(
                f"the panels of a page are several pictures, and {target} names one file",
                hint="name a folder, or a file ending in .json for their boxes alone",
            )
        return Target(target, "folder")
    if target.is_dir() or ending not in (".json", ".txt"):
        raise InvalidInput(f"{target} is no file for findings", hint="name a file ending in .json or .txt")
    return Target(target, "json" if ending == ".json" else "text")


def _no(target: Path) -> Target:
    raise InvalidInput(f"the ending of {target} is no picture format", hint=f"use one of {' '.join(FORMATS)}")


def check_target(target: Target, source: Path, *, overwrite: bool) -> None:
    """Raise before any work when the result could not be put there.

    raises  OutputExists, NotFound when its folder is missing, Denied, Conflict when it lies in the source
    """
    path = target.path
    with disk_errors(path):
        parent = path.absolute().parent
        if not parent.is_dir():
            raise NotFound(f"the folder {parent} does not exist", hint=f"mkdir -p {parent}")
        inside = path.resolve()
        if inside == source.resolve():
            raise Conflict(f"the output {path} is the input itself", hint="choose another name")
        if source.is_dir() and inside.is_relative_to(source.resolve()):
            raise Conflict(f"the output {path} lies in the document itself", hint="choose another place")
        if target.kind == "folder" and source.resolve().is_relative_to(inside):
            raise Conflict(f"the document lies in the output {path}", hint="choose another place")
        if not os.access(parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
            raise Denied(f"not allowed to write {path}", hint="check the permissions of its folder")
        if path.is_dir() and target.kind != "folder":
            raise OutputExists(f"{path} is a folder", hint="choose another name")
        if path.exists() and path.is_file() and target.kind == "folder":
            raise OutputExists(f"{path} is a file", hint="choose another name")
        occupied = os.path.lexists(path) and (target.kind != "folder" or any(path.iterdir()))
        if occupied and not overwrite:
            raise exists_already(path)
        clear_leftovers(path)
        # Permissions do not tell everything: some folders refuse for reasons of their own.
        probe = temporary_beside(path / "result" if path.is_dir() else path)
        probe.touch()
        probe.unlink()


def check_names_fit(target: Target, entries: Iterable[Entry]) -> None:
    """Raise before any work when a folder could not hold the document's names.

    raises  UnsupportedDocument naming the first that does not fit
    """
    if target.kind != "folder":
        return
    names = [PurePosixPath(entry.name) for entry in entries]
    folders = {above for name in names for above in name.parents}
    for name in names:
        if any(len(os.fsencode(part)) > _MAX_NAME_BYTES for part in name.parts):
            raise UnsupportedDocument(
                f"a name in the document is too long for a folder: {name.name[:60]}…",
                hint="write a .cbz instead",
            )
        if name in folders:
            raise UnsupportedDocument(
                f"{name} is a file and a folder in the document", hint="write a .cbz instead"
            )


def write_target(
    target: Target, pieces: Sequence[Piece], *, overwrite: bool, stale: Stale = NOTHING_STALE
) -> None:
    """Write a result; it appears whole or not at all, or file by file in a folder that exists.

    overwrite  what is there by now may be replaced; otherwise nothing is, even if it came a moment ago
    stale      what an earlier run of the same job put into the folder
    raises     DiskFull, Denied, NotFound, OutputExists, Conflict when a file stands where a folder must be
    """
    if target.kind == "folder":
        if target.path.exists():
            # Somebody's folder: replace file by file, and leave what else lies there.
            _check_no_file_in_the_way(target.path, pieces)
            _write_into_folder(target.path, pieces, overwrite=overwrite)
            _remove_stale(target.path, stale, {piece.name for piece in pieces})
        else:
            with _folder_in_the_making(target.path) as folder:
                _write_into_folder(folder, pieces, overwrite=False)
        return
    with writing(target.path, replace=overwrite) as file:
        if target.kind == "book":
            _write_book(file, pieces)
        else:
            for piece in pieces:
                piece.copy(file)


def _write_book(file: IO[bytes], pieces: Iterable[Piece]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as book:
        for piece in pieces:
            # Pictures are packed already; storing them plainly is fast and changes nothing.
            with book.open(_zip_info(piece), "w", force_zip64=True) as entry:
                piece.copy(entry)


def _zip_info(piece: Piece) -> zipfile.ZipInfo:
    moment = time.gmtime(piece.modified_at or 0)[:6]
    year = moment[0]
    info = zipfile.ZipInfo(piece.name, moment if 1980 <= year <= 2107 else (1980, 1, 1, 0, 0, 0))
    info.external_attr = 0o644 << 16
    return info


def _write_into_folder(folder: Path, pieces: Iterable[Piece], *, overwrite: bool) -> None:
    for piece in pieces:
        _write_file(folder, piece, overwrite=overwrite)


def _check_no_file_in_the_way(folder: Path, pieces: Iterable[Piece]) -> None:
    for piece in pieces:
        path = folder / piece.name
        for above in path.relative_to(folder).parents:
            if (folder / above).is_file():
                raise Conflict(
                    f"the file {folder / above} stands where a folder must be", hint="move it away"
                )
        if path.is_dir():
            raise Conflict(f"the folder {path} stands where a file must be", hint="move it away")


def _remove_stale(folder: Path, stale: Stale, kept: set[str]) -> None:
    for name in sorted(set(stale.names) - kept, reverse=True):
        path = folder / name
        with disk_errors(path):
            # Only our own file as we left it: one that was changed since belongs to whoever changed it.
            if not path.is_file() or path.is_symlink() or path.stat().st_mtime > stale.written_at:
                continue
            path.unlink()
            for above in path.relative_to(folder).parents:
                if above != Path() and (folder / above).is_dir() and not any((folder / above).iterdir()):
                    (folder / above).rmdir()


@contextmanager
def _folder_in_the_making(path: Path) -> Iterator[Path]:
    temporary = temporary_beside(path)
    with disk_errors(path):
        temporary.mkdir()
        try:
            yield temporary
            if path.exists() and any(path.iterdir()):
                raise exists_already(path)
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(path.absolute().parent)


def _write_file(folder: Path, piece: Piece, *, overwrite: bool) -> None:
    path = folder / piece.name
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path, replace=overwrite) as file:
        piece.copy(file)
    if piece.modified_at is not None:
        with disk_errors(path):
            os.utime(path, (piece.modified_at, piece.modified_at))
