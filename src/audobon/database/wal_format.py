"""The log of an SQLite database (WAL), and the index that tells how much of it is committed.

source  sqlite.org/fileformat2.html section 4, sqlite.org/walformat.html section 2
"""

import struct
import sys

import msgspec

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
INDEX_BYTES = 96
FORMAT = 3_007_000

LOCK_BYTE = 1 << 30
"""Where SQLite locks a database: the page that holds this byte is never used."""

Checksum = tuple[int, int]

_MAGIC = 0x377F0682
_BYTE_ORDER = "<" if sys.byteorder == "little" else ">"
_INDEX = struct.Struct(f"{_BYTE_ORDER}IIIBBHII2I8s2I")
_INDEX_BYTES = 48


class LogHeader(msgspec.Struct, frozen=True):
    """The head of a log: which round it is in, and how its frames are checked.

    salts       new in each round; they stand in each of its frames
    byte_order  of the words that are summed: "<" or ">"
    checksum    of the head, from which that of the first frame goes on
    """

    page_bytes: int
    salts: bytes
    byte_order: str
    checksum: Checksum


class LogIndex(msgspec.Struct, frozen=True):
    """What is committed in a log.

    changes   commits since the index was made
    frames    frames up to the end of the last commit
    pages     of the database, as of then
    checksum  that of the last of the frames
    """

    changes: int
    page_bytes: int
    frames: int
    pages: int
    checksum: Checksum
    salts: bytes


def parse_header(raw: bytes) -> LogHeader | None:
    """Return the head of a log; None when there is none, or not a whole one."""
    if len(raw) < HEADER_BYTES:
        return None
    magic, version, page_bytes, _, salts, first, second = struct.unpack(">IIII8sII", raw[:HEADER_BYTES])
    if magic & ~1 != _MAGIC or version != FORMAT:
        return None
    byte_order = ">" if magic & 1 else "<"
    if rolled_slowly((0, 0), raw[:24], byte_order) != (first, second):
        return None
    return LogHeader(page_bytes, salts, byte_order, (first, second))


def parse_index(raw: bytes) -> LogIndex | None:
    """Return what the head of an index tells; None while it is being written, or when it is torn."""
    head = raw[:_INDEX_BYTES]
    # Who writes it writes it twice; whoever reads the same twice has read it whole.
    if len(raw) < INDEX_BYTES or head != raw[_INDEX_BYTES:INDEX_BYTES]:
        return None
    version, _, changes, is_made, _, size, frames, pages, *sums = _INDEX.unpack(head)
    first, second, salts, *own = sums
    if version != FORMAT or not is_made or rolled_slowly((0, 0), head[:40], _BYTE_ORDER) != tuple(own):
        return None
    page_bytes = (size & 0xFE00) + ((size & 1) << 16)
    return LogIndex(changes, page_bytes, frames, pages, (first, second), salts)


def next_salt(salts: bytes) -> bytes:
    """Return the first half of the salts of the round that follows."""
    return ((int.from_bytes(salts[:4], "big") + 1) & 0xFFFFFFFF).to_bytes(4, "big")


def rolled_slowly(start: Checksum, data: bytes, byte_order: str) -> Checksum:
    """Return SQLite's rolling checksum over a few bytes, as its documentation tells it."""
    first, second = start
    words = struct.unpack(f"{byte_order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
