"""Checks an export against its manifest, with nothing but the export itself."""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import IO

import msgspec

from audobon.atomic import disk_errors
from audobon.data.bundle import WrittenFile
from audobon.data.names import is_safe_path
from audobon.errors import Corrupt, NewerFormat, NotFound

FORMAT = 1
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
_PIECE_BYTES = 1 << 20


class Manifest(msgspec.Struct, frozen=True):
    """What an export holds, besides the manifest itself and SHA256SUMS.

    made_at  UTC seconds
    """

    format: int
    subject: str
    name: str
    made_at: float
    made_by: str
    files: list[WrittenFile]


class CheckedExport(msgspec.Struct, frozen=True):
    """What checking an export found; all well when `faults` is empty."""

    files: int
    size_bytes: int
    faults: list[str]


def check_export(place: Path, *, on_file: Callable[[], None] = lambda: None) -> CheckedExport:
    """Compare every file of an export, a folder or a ZIP file, with its manifest.

    raises  NotFound, Corrupt when there is no manifest that can be read, NewerFormat
    """
    with disk_errors(place), ExitStack() as held:
        open_file, names = _opened(place, held)
        manifest = _manifest(place, open_file)
        faults: list[str] = []
        size_bytes = 0
        known = {MANIFEST, SUMS}
        for file in manifest.files:
            known.add(file.path)
            if not is_safe_path(file.path):
                faults.append(f"{file.path!r} would lie outside of the export")
                continue
            fault = _compared(open_file, file)
            if fault is not None:
                faults.append(fault)
            size_bytes += file.size_bytes
            on_file()
        faults += [f"{name} is not in the manifest" for name in names() if name not in known]
        return CheckedExport(len(manifest.files), size_bytes, faults)


def demand_whole(place: Path, checked: CheckedExport) -> None:
    """Raise Corrupt when checking an export found faults."""
    if checked.faults:
        more = "" if len(checked.faults) == 1 else f", and {len(checked.faults) - 1} more"
        raise Corrupt(
            f"{place} is not as it was written: {checked.faults[0]}{more}", hint="make the export anew"
        )


_OpenFile = Callable[[str], AbstractContextManager[IO[bytes]]]


def _opened(place: Path, held: ExitStack) -> tuple[_OpenFile, Callable[[], Iterator[str]]]:
    if place.is_dir():
        return lambda path: (place / path).open("rb"), lambda: _files_of(place)
    if not place.exists():
        raise NotFound(f"there is no export at {place}")
    try:
        archive = held.enter_context(zipfile.ZipFile(place))
    except zipfile.BadZipFile as error:
        raise Corrupt(f"{place} is no export: {error}") from error
    return lambda path: archive.open(path), lambda: iter(archive.namelist())


def _files_of(folder: Path) -> Iterator[str]:
    for above, _, files in os.walk(folder):
        for name in files:
            yield Path(above, name).relative_to(folder).as_posix()


def _manifest(place: Path, open_file: _OpenFile) -> Manifest:
    try:
        with open_file(MANIFEST) as file:
            data = file.read()
    except (FileNotFoundError, KeyError) as error:
        raise Corrupt(f"{place} has no {MANIFEST}", hint="it is no export, or not a whole one") from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise Corrupt(f"{MANIFEST} of {place} is not as it was written") from error
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise Corrupt(f"{MANIFEST} of {place} is not as it was written: {error}") from error
    if manifest.format > FORMAT:
        raise NewerFormat(f"{place} was written by a newer Audobon", hint="upgrade Audobon")
    return manifest


def _compared(open_file: _OpenFile, file: WrittenFile) -> str | None:
    found, size = hashlib.sha256(), 0
    try:
        with open_file(file.path) as source:
            while piece := source.read(_PIECE_BYTES):
                found.update(piece)
                size += len(piece)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, KeyError):
        return f"{file.path} is missing"
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        return f"{file.path} cannot be read: {error}"
    if size != file.size_bytes:
        return f"{file.path} has {size} bytes, not {file.size_bytes}"
    return None if found.hexdigest() == file.sha256 else f"{file.path} is not as it was written"
