"""Messages between processes: a length, then that many bytes."""

import struct
from typing import IO

_LENGTH = struct.Struct("<Q")
# Larger than any page we open; a length beyond it means the stream is out of step.
_MAX_BYTES = 1 << 36


def write_frame(stream: IO[bytes], *parts: bytes | memoryview) -> None:
    """Write one message made of the parts, and flush it."""
    stream.write(_LENGTH.pack(sum(len(part) for part in parts)))
    for part in parts:
        stream.write(part)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes:
    """Return the next message; EOFError when the stream has ended or ends inside it."""
    length = read_length(stream)
    data = stream.read(length)
    if len(data) != length:
        raise EOFError
    return data


def read_length(stream: IO[bytes]) -> int:
    """Return the length of the next message, leaving its bytes to be read; EOFError at the end."""
    head = stream.read(_LENGTH.size)
    if len(head) != _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    if length > _MAX_BYTES:
        raise EOFError
    return int(length)


def read_into(stream: IO[bytes], target: memoryview) -> None:
    """Fill a buffer with the bytes that follow; EOFError when they end early."""
    at = 0
    while at < len(target):
        count = stream.readinto(target[at:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        at += count
