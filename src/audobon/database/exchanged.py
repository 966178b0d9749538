"""Finds out whether the file of a database is still the one that its log belongs to.

SQLite lays the log over whatever file lies beside it, so one that was put there by hand, as an older copy,
would show as a mixture of both, or not at all. Nothing in its format tells; what was shipped does, and what
was noted of the file when the log was copied into it last.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from audobon.atomic import disk_errors
from audobon.database.checkpoints import TURN_FRAMES
from audobon.database.generations import Position
from audobon.database.restoring import restore_database
from audobon.database.shipping_state import ShippingState, StateFile, mark_of
from audobon.database.wal_checksums import sound_frames
from audobon.database.wal_format import FRAME_HEADER_BYTES, HEADER_BYTES, LOCK_BYTE, parse_header
from audobon.errors import BackupNotFound, CorruptBackup, ObjectNotFound
from audobon.keys.service import Keys
from audobon.sqlite import files_held, kept_open
from audobon.storage.port import ObjectStore

_READ_BYTES = 1 << 20

EXCHANGED = "another file lies where the database was, beside the log of that"
"""In words, what `is_exchanged` finds."""


class _Log(msgspec.Struct):
    """The log up to what was shipped of it.

    frames  in all of it
    pages   the last version of each page in it
    later   pages that are in it behind that too
    """

    frames: int
    pages: dict[int, bytes]
    later: set[int]


def is_exchanged(path: Path, state: ShippingState, store: ObjectStore, keys: Keys) -> bool:
    """Tell whether another file was put in the place of a database whose log lies there still.

    False as well when that cannot be told: the log is not the one that was shipped, or so long that SQLite
    may have copied it by itself; the copy has nothing to compare with; or others ship meanwhile.
    state   how far it is shipped
    raises  DiskFull, Denied
    """
    with disk_errors(path):
        if not path.exists() or (log := _log_up_to(path, state)) is None:
            return False
        with tempfile.TemporaryDirectory(prefix=".comparing-", dir=path.parent) as folder:
            shipped = Path(folder) / "shipped.db"
            try:
                restore_database(store, keys, shipped, to=Position(state.generation, state.commit, state.at))
            except (BackupNotFound, CorruptBackup, ObjectNotFound):
                return False
            is_other = any(_other_pages(path, shipped, log, state.page_bytes)) or (
                # Its log hides all of it that is not as it was.
                log.frames < TURN_FRAMES and _is_marked_otherwise(path, state) and not _is_copied(path, log)
            )
        return is_other and StateFile(path).read() == state


def faults_of_file(path: Path, store: ObjectStore, keys: Keys) -> Iterator[str]:
    """Yield whether another file lies where a database was, in words. raises DiskFull, Denied."""
    state = StateFile(path).read()
    if state is not None and state.is_changed(path) and is_exchanged(path, state, store, keys):
        yield f"{path}: {EXCHANGED}; audobon recovery mend"


def _log_up_to(path: Path, state: ShippingState) -> _Log | None:
    """Return what the log holds of what was shipped; None when it does not show that it is the same log."""
    try:
        raw = Path(f"{path}-wal").read_bytes()
    except FileNotFoundError:
        return None
    place, header = state.place, parse_header(raw)
    if header is None or header.salts != place.salts or header.page_bytes != state.page_bytes:
        return None
    body = memoryview(raw)[HEADER_BYTES:]
    frames = sound_frames(
        body, header.page_bytes, salts=header.salts, byte_order=header.byte_order, start=header.checksum
    )
    if place.frame and (len(frames) < place.frame or frames[place.frame - 1][2] != place.checksum):
        return None
    pages = {}
    for at, frame in enumerate(frames[: place.frame]):
        start = at * (FRAME_HEADER_BYTES + header.page_bytes) + FRAME_HEADER_BYTES
        pages[frame[0]] = bytes(body[start : start + header.page_bytes])
    return _Log(len(frames), pages, {frame[0] for frame in frames[place.frame :]})


def _other_pages(path: Path, shipped: Path, log: _Log, page_bytes: int) -> Iterator[int]:
    """Yield the numbers of the pages that are not as they were shipped."""
    run = max(1, _READ_BYTES // page_bytes)
    first = 1
    # Where SQLite's locks lie there is no page; what lies behind what was shipped may be in the file already.
    passed_over = log.later | {LOCK_BYTE // page_bytes + 1}
    with files_held(path), shipped.open("rb") as file:
        ours = kept_open(str(path), database=str(path))
        while theirs := file.read(run * page_bytes):
            data = os.pread(ours, len(theirs), (first - 1) * page_bytes)
            there = range(first, first + len(theirs) // page_bytes)
            for number in there if data != theirs else log.pages.keys() & there:
                piece = slice((number - first) * page_bytes, (number - first + 1) * page_bytes)
                if log.pages.get(number, data[piece]) != theirs[piece] and number not in passed_over:
                    yield number
            first += run


def _is_marked_otherwise(path: Path, state: ShippingState) -> bool:
    now = mark_of(path)
    return now is None or state.file is None or now.digest != state.file.digest


def _is_copied(path: Path, log: _Log) -> bool:
    """Tell whether the file holds all that the log does, as when another program copied it."""
    with files_held(path):
        file = kept_open(str(path), database=str(path))
        return all(
            number in log.later or os.pread(file, len(page), (number - 1) * len(page)) == page
            for number, page in log.pages.items()
        )
