"""Places in the log of a PostgreSQL server, and the names of the files it is cut into."""

import re
import struct

import msgspec

from audobon.errors import CorruptBackup, InvalidInput

SEGMENT_BYTES = 16 << 20
_SEGMENTS_PER_ID = (1 << 32) // SEGMENT_BYTES
_NAME = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})")
# magic, flags, timeline, address of the page, bytes of a record from before, filling; then of the first page
# alone: the server's identifier, and the sizes of segments and pages.
_HEAD = struct.Struct("=HHIQIIQII")
_IS_LONG = 2


class Segment(msgspec.Struct, frozen=True, order=True):
    """A file of the log: the 16 MiB of a timeline that begin at `number` times that."""

    timeline: int
    number: int

    @property
    def name(self) -> str:
        """Return the name the server gives it."""
        high, low = divmod(self.number, _SEGMENTS_PER_ID)
        return f"{self.timeline:08X}{high:08X}{low:08X}"


def segment_of(name: str) -> Segment | None:
    """Return the segment of a file name; None when it names none."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return Segment(int(match[1], 16), int(match[2], 16) * _SEGMENTS_PER_ID + int(match[3], 16))


def parse_lsn(text: str) -> int:
    """Return the place "16/B374D848" as a number. raises InvalidInput."""
    match = re.fullmatch(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})", text)
    if match is None:
        raise InvalidInput(f"{text!r} is no place in the log", hint="write it like 0/3000148")
    return (int(match[1], 16) << 32) + int(match[2], 16)


def prove_segment(data: bytes, segment: Segment, system_identifier: int | None, *, what: str) -> int:
    """Raise CorruptBackup unless bytes are the beginning of a segment; return the server's identifier.

    system_identifier  the server it must be of; None: any
    """
    if len(data) < _HEAD.size:
        raise CorruptBackup(f"{what} is too short to be a part of the log")
    _, flags, timeline, address, _, _, owner, size, _ = _HEAD.unpack(data[: _HEAD.size])
    if not flags & _IS_LONG or size != SEGMENT_BYTES:
        raise CorruptBackup(f"{what} does not begin as a part of the log does")
    # The first of a new timeline may carry on with pages of the one before.
    if address != segment.number * SEGMENT_BYTES or timeline > segment.timeline:
        raise CorruptBackup(f"{what} is another part of the log, of timeline {timeline}")
    if system_identifier is not None and owner != system_identifier:
        raise CorruptBackup(f"{what} is of another server ({owner})")
    return int(owner)
