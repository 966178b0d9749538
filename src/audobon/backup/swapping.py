"""A data folder put in the place of another, whatever dies in between."""

import ctypes
import errno
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from audobon.atomic import clear_leftovers, disk_errors, free_name, is_alive, sync_folder, write_bytes

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# Told by systems and file systems that cannot exchange two names.
_UNABLE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


class _Swap(msgspec.Struct, frozen=True):
    """What is under way, noted beside the folder until it is over.

    pid    the process that does it
    new    the name of the new folder
    inode  of the new folder, by which it is known under either name
    kept   the name that the old folder gets
    """

    pid: int
    new: str
    inode: int
    kept: str


def swap_in(new: Path, folder: Path) -> Path | None:
    """Put a folder in the place of one beside it; return where that lies now, None when there was none.

    Where the system can (Linux), one of the two has the name at any instant. Whatever a kill leaves undone,
    `finish_swap` does.
    raises  DiskFull, Denied; then the old folder is in its place
    """
    with disk_errors(folder):
        if not folder.exists():
            new.rename(folder)
            sync_folder(folder.parent)
            return None
        kept = free_name(f"{folder}.before-{datetime.now(UTC):%Y%m%d-%H%M%S}")
        swap = _Swap(os.getpid(), new.name, new.stat().st_ino, kept.name)
        journal = _journal(folder)
        clear_leftovers(journal)
        write_bytes(journal, msgspec.json.encode(swap))
        try:
            if not _exchange(new, folder):
                folder.rename(kept)
                new.rename(folder)
            sync_folder(folder.parent)
        except OSError:
            if not folder.exists():
                kept.rename(folder)
            if not _is(folder, swap.inode):
                journal.unlink()
                raise
    # The new one is in its place: what is left is done now or by the next command.
    with suppress(OSError):
        _finish(folder, swap)
    return kept if kept.exists() else new


def finish_swap(folder: Path) -> None:
    """Bring to an end what a killed process began with `swap_in`; seldom there is anything to do."""
    journal = _journal(folder)
    if not journal.exists():
        return
    with disk_errors(folder):
        try:
            swap = msgspec.json.decode(journal.read_bytes(), type=_Swap)
        except FileNotFoundError:
            return
        except msgspec.DecodeError:
            # Written whole or not at all: somebody else's.
            return
        if swap.pid != os.getpid() and is_alive(swap.pid):
            return
        _finish(folder, swap)


def _finish(folder: Path, swap: _Swap) -> None:
    new, kept = folder.with_name(swap.new), folder.with_name(swap.kept)
    if not folder.exists() and _is(new, swap.inode):
        new.rename(folder)
    elif _is(folder, swap.inode) and new.exists() and not kept.exists():
        new.rename(kept)
    sync_folder(folder.parent)
    _journal(folder).unlink(missing_ok=True)


def _journal(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.swap.json")


def _is(folder: Path, inode: int) -> bool:
    return folder.exists() and folder.stat().st_ino == inode


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names at once; False where that cannot be done."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        return False
    names = os.fsencode(one), os.fsencode(other)
    if library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNABLE:
        return False
    raise OSError(number, os.strerror(number), str(other))
