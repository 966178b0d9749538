"""Files that appear whole or not at all."""

import errno
import glob
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from audobon.errors import AudobonError, Denied, DiskFull, NotFound, OutputExists

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_LEFTOVER = re.compile(r"\..*\.([0-9]{1,10})-[0-9a-f]{8}\.part", re.ASCII)


@contextmanager
def writing(path: Path, *, replace: bool = True) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` when the block ends well.

    Until then it has a hidden temporary name beside it; when the block fails it is removed.
    Written through to the disk before the rename, and the folder after it.
    replace  whether a file that is there by then may be replaced
    raises   DiskFull, Denied, NotFound, OutputExists
    """
    temporary = temporary_beside(path)
    with disk_errors(path):
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                take_free_name(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def take_free_name(temporary: Path, path: Path) -> None:
    """Give a file its final name unless something has that name, even something that came just now."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise exists_already(path) from None
    except OSError:
        # Some file systems know no second names: there a moment remains in which another could take it.
        if os.path.lexists(path):
            raise exists_already(path) from None
        temporary.rename(path)
    else:
        temporary.unlink()


def free_name(stem: str) -> Path:
    """Return a path that nothing has: this one, or with a number behind it."""
    found = Path(stem)
    number = 1
    while os.path.lexists(found):
        number += 1
        found = Path(f"{stem}-{number}")
    return found


def exists_already(path: Path) -> OutputExists:
    """Return the error for a result whose place is taken."""
    return OutputExists(f"{path} exists already", hint="add --overwrite to replace it")


def temporary_beside(path: Path) -> Path:
    """Return a hidden name beside `path` for what will take its place.

    The name carries the process that uses it: so what a killed one left differs from work in progress.
    """
    return path.with_name(f"{_stem(path)}{os.getpid()}-{secrets.token_hex(4)}.part")


def clear_leftovers(path: Path) -> None:
    """Remove what killed processes left beside `path` under temporary names."""
    for leftover in leftovers(path):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def leftovers(path: Path) -> list[Path]:
    """Return what killed processes left beside `path` under temporary names."""
    stem = _stem(path)
    found = []
    for leftover in path.parent.glob(f"{glob.escape(stem)}*.part"):
        owner = leftover.name.removeprefix(stem).split("-")[0]
        if owner.isdecimal() and not is_alive(int(owner)):
            found.append(leftover)
    return found


def clear_leftovers_in(folder: Path) -> None:
    """Remove the files that killed processes left in a folder under temporary names."""
    for leftover in folder.glob(".*.part"):
        match = _LEFTOVER.fullmatch(leftover.name)
        if match is not None and not is_alive(int(match[1])) and not leftover.is_dir():
            leftover.unlink(missing_ok=True)


def _stem(path: Path) -> str:
    # Names may hold 255 bytes; characters may take four of them.
    return f".{os.fsdecode(os.fsencode(path.name)[:100]).encode('utf-8', 'ignore').decode()}."


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; true when that cannot be known."""
    if os.name == "nt" or pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone; one that is there stays."""
    if not folder.is_dir():
        make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a small file whole, and sweep what a killed writer of it left; see `writing`."""
    with disk_errors(path):
        clear_leftovers(path)
    with writing(path) as file:
        file.write(data)


def sync_folder(folder: Path) -> None:
    """Make renames and new names in a folder last through a power cut."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's complaints about a file into ours, naming the file."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, path) from error


def disk_error(error: OSError, path: Path) -> AudobonError:
    """Return our error for one of the system's about `path`."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return DiskFull(
            f"no room left for {path}: {reason}", hint="free some space and run the same command again"
        )
    if error.errno in _REFUSED:
        return Denied(
            f"not allowed: {path}: {reason}", hint="check the permissions of the file and its folder"
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFound(f"no such file or folder: {path}")
    return Denied(f"the system refused {path}: {reason}")
