"""Files and folders of a store of objects: second names, copies that are proved, folders that last."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import blake3

from audobon.atomic import sync_folder
from audobon.errors import CorruptBlob

NO_SECOND_NAMES = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What the system answers where a file can have one name only."""

_PIECE_BYTES = 1 << 20


def duplicate(source: Path, target: Path) -> None:
    """Give an object a second name, or copy it to another disk with the instant of its creation."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV and error.errno not in NO_SECOND_NAMES:
            raise
    else:
        return
    copied = blake3.blake3()
    with source.open("rb") as file, target.open("xb") as copy:
        status = os.fstat(file.fileno())
        while piece := file.read(_PIECE_BYTES):
            copied.update(piece)
            copy.write(piece)
        copy.flush()
        os.utime(copy.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(copy.fileno())
        if hasattr(os, "posix_fadvise"):
            # So that what is compared comes from the disk, not from memory.
            os.posix_fadvise(copy.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    found = blake3.blake3()
    with target.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            found.update(piece)
    if found.digest() != copied.digest():
        raise CorruptBlob(
            f"the copy of {source} in {target.parent} is not what was written",
            hint="the object stays where it was; check the other disk",
        )


def files_below(
    folder: Path, *, unfinished: bool = False, follows_links: bool = False
) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files below a folder that are objects, or else those that were to become one."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        is_hidden = entry.name.startswith(".")
        # What goes away while this looks is left out.
        with suppress(FileNotFoundError):
            if entry.is_dir(follow_symlinks=False):
                if not is_hidden:
                    yield from files_below(
                        Path(entry.path), unfinished=unfinished, follows_links=follows_links
                    )
            elif (
                entry.is_file(follow_symlinks=follows_links)
                and is_hidden == unfinished
                and (not unfinished or entry.name.endswith(".part"))
            ):
                yield Path(entry.path), entry.stat()


def make_folder(folder: Path, *, is_private: bool = False) -> None:
    """Create a folder, and those above it, so that it lasts through a power cut.

    is_private  for this user alone; otherwise as the system has it for this user
    """
    new = []
    while not folder.is_dir():
        new.append(folder)
        folder = folder.parent
    for each in reversed(new):
        each.mkdir(mode=0o700 if is_private else 0o777, exist_ok=True)
        sync_folder(each.parent)
