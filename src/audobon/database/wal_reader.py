"""Reads what is committed in the log of a database that others are writing to."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from audobon.atomic import disk_errors
from audobon.database.wal_checksums import Frame, sound_frames
from audobon.database.wal_format import (
    FRAME_HEADER_BYTES,
    HEADER_BYTES,
    INDEX_BYTES,
    Checksum,
    LogHeader,
    LogIndex,
    next_salt,
    parse_header,
    parse_index,
)
from audobon.sqlite import kept_open

_BATCH_BYTES = 4 << 20
_LOOKS = 1000
# Behind how far the log is copied, five marks of readers and a byte for each of eight locks.
# source  sqlite.org/walformat.html section 2.1 (nBackfillAttempted)
_BEGUN_AT = 32


class LogPlace(msgspec.Struct, frozen=True):
    """A place in a log, behind the last frame of a commit.

    frame     frames before it in this round
    checksum  that of the last of them; that of the head when there is none
    """

    salts: bytes
    frame: int
    checksum: Checksum


class Broken(Exception):
    """The frames that follow a place are not there any more, or not those that were."""


class LogReader:
    """The log of a database to which a connection of ours stays open meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._log = -1

    def close(self) -> None:
        """Close the file of the log."""
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def index(self) -> LogIndex | None:
        """Return what is committed now; None when there is no log.

        What it counts stays where it is in the log until the next round begins, which has other salts.
        """
        try:
            descriptor = kept_open(f"{self._path}-shm", database=self._path)
        except FileNotFoundError:
            return None
        for _ in range(_LOOKS):
            # Somebody is writing it just now; that takes less than this look.
            if (index := parse_index(os.pread(descriptor, INDEX_BYTES, 0))) is not None:
                return index
        return None

    def copied_frames(self) -> int:
        """Return how many frames of the log are in the database already."""
        descriptor = kept_open(f"{self._path}-shm", database=self._path)
        return int.from_bytes(os.pread(descriptor, 4, INDEX_BYTES), sys.byteorder)

    def begun_frames(self) -> int:
        """Return up to which frame anybody has begun to copy the log into the database."""
        descriptor = kept_open(f"{self._path}-shm", database=self._path)
        return int.from_bytes(os.pread(descriptor, 4, INDEX_BYTES + _BEGUN_AT), sys.byteorder)

    def header(self) -> LogHeader | None:
        """Return the head of the log; None when there is none yet."""
        return parse_header(os.pread(self._opened(), HEADER_BYTES, 0))

    def sync(self) -> None:
        """Return when all that is in the log is on the disk; DiskFull or Denied when it cannot be."""
        with disk_errors(Path(f"{self._path}-wal")):
            os.fdatasync(self._opened()) if hasattr(os, "fdatasync") else os.fsync(self._opened())

    def frames(self, place: LogPlace, index: LogIndex) -> Iterator[tuple[memoryview, list[Frame]]]:
        """Yield the frames from a place up to what an index tells, in batches.

        raises  Broken when they do not follow the place, or a new round began meanwhile
        """
        header = self.header()
        if header is None or header.salts != index.salts or place.salts != index.salts:
            raise Broken("a new round of the log began")
        frame_bytes = FRAME_HEADER_BYTES + index.page_bytes
        batch = max(1, _BATCH_BYTES // frame_bytes)
        at, checksum = place.frame, place.checksum
        while at < index.frames:
            wanted = min(batch, index.frames - at)
            raw = memoryview(os.pread(self._opened(), wanted * frame_bytes, HEADER_BYTES + at * frame_bytes))
            found = sound_frames(
                raw,
                index.page_bytes,
                salts=index.salts,
                byte_order=header.byte_order,
                start=checksum,
            )
            if len(found) != wanted:
                raise Broken(f"frame {at + len(found) + 1} of the log does not follow what was shipped")
            yield raw, found
            at += wanted
            checksum = found[-1][2]
        if checksum != index.checksum:
            raise Broken("the log ends otherwise than its index tells")

    def next_round(self, place: LogPlace, index: LogIndex) -> LogPlace:
        """Return where the round after that of a place begins, of which an index tells.

        A round overwrites the log from its beginning: beyond what it has reached still lies how the one
        before ended, so whoever died just when it was begun need not have told.
        raises  Broken unless that shows that nothing was committed behind the place
        """
        header = self.header()
        if header is None or header.salts != index.salts or index.salts[:4] != next_salt(place.salts):
            raise Broken("the log was begun anew by others")
        if not place.frame:
            raise Broken("the log was begun anew before anything of it was shipped")
        size = FRAME_HEADER_BYTES + header.page_bytes
        at, checksum = place.frame, place.checksum
        while len(raw := os.pread(self._opened(), size, HEADER_BYTES + at * size)) == size:
            if (salts := raw[8:16]) not in (place.salts, index.salts):
                break
            found = sound_frames(
                memoryview(raw),
                header.page_bytes,
                salts=place.salts,
                byte_order=header.byte_order,
                start=checksum,
            )
            # Torn, or of the new round, of which a power cut may have left only later frames.
            if salts != place.salts or not found or found[0][1]:
                raise Broken("the log was begun anew, and more may have been written before")
            at, checksum = at + 1, found[0][2]
        # Looked at last: as long as this one is not overwritten, none behind it was.
        expected = place.salts + b"".join(half.to_bytes(4, "big") for half in place.checksum)
        head = os.pread(self._opened(), FRAME_HEADER_BYTES, HEADER_BYTES + (place.frame - 1) * size)
        if head[8:] != expected:
            raise Broken("the log was begun anew, and how it ended before is overwritten")
        return LogPlace(header.salts, 0, header.checksum)

    def page_offsets(self, index: LogIndex) -> dict[int, int]:
        """Return where in the log the last version of each page lies, as of an index."""
        frame_bytes = FRAME_HEADER_BYTES + index.page_bytes
        offsets = {}
        for number in range(index.frames):
            at = HEADER_BYTES + number * frame_bytes
            offsets[int.from_bytes(os.pread(self._opened(), 4, at), "big")] = at + FRAME_HEADER_BYTES
        return offsets

    def page(self, offset: int, page_bytes: int) -> bytes:
        """Return a page that lies in the log."""
        return os.pread(self._opened(), page_bytes, offset)

    def _opened(self) -> int:
        # No lock of SQLite's lies on the log itself, so it may be closed and opened at will.
        if self._log >= 0:
            try:
                if os.path.samestat(os.fstat(self._log), Path(f"{self._path}-wal").stat()):
                    return self._log
            except FileNotFoundError:
                pass
            self.close()
        try:
            self._log = os.open(f"{self._path}-wal", os.O_RDONLY)
        except FileNotFoundError:
            raise Broken("the log is gone") from None
        return self._log
