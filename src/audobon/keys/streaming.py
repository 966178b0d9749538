"""Encryption of streams in Tink's wire format AES256-GCM-HKDF-1MB, which Tink itself reads.

A stream is a header (its length, a salt, the prefix of all nonces) and segments of one mebibyte, each sealed
with its number and whether it is the last: so nothing can be changed, moved, dropped or cut off unnoticed.
source  developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming
"""

import io
import os
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from audobon.errors import Corrupt
from audobon.seeking import SeekingReader

KEY_BYTES = 32
SEGMENT_BYTES = 1 << 20
HEADER_BYTES = 40
TAG_BYTES = 16

_SALT_BYTES = 32
_PREFIX_BYTES = 7
_ROOM_BYTES = SEGMENT_BYTES - TAG_BYTES
_FIRST_ROOM_BYTES = _ROOM_BYTES - HEADER_BYTES


def encrypted_bytes(plain_bytes: int) -> int:
    """Return how long a stream of so many bytes becomes."""
    beyond_first = max(0, plain_bytes - _FIRST_ROOM_BYTES)
    segments = 1 + -(-beyond_first // _ROOM_BYTES)
    return HEADER_BYTES + plain_bytes + segments * TAG_BYTES


def encrypt(key: bytes, plain: bytes | memoryview, *, context: bytes) -> bytes:
    """Return a whole stream; `context` is not in it, and must be the same to decrypt it."""
    target = io.BytesIO()
    writer = EncryptingWriter(target, key, context=context)
    writer.write(plain)
    writer.finish()
    return target.getvalue()


def decrypt(key: bytes, stream: bytes | memoryview, *, context: bytes) -> bytes:
    """Return what a whole stream holds; Corrupt when a bit of it, its key or its context differs."""
    view = memoryview(stream)
    cipher, prefix = _opened(key, bytes(view[:HEADER_BYTES]), context)
    pieces = []
    at, number = HEADER_BYTES, 0
    while True:
        end = (number + 1) * SEGMENT_BYTES
        is_last = end >= len(view)
        pieces.append(_unsealed(cipher, prefix, number, view[at:end], is_last=is_last))
        if is_last:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        at, number = end, number + 1


class EncryptingWriter:
    """Encrypts what is written into another stream; call `finish` after the last byte."""

    def __init__(self, target: IO[bytes], key: bytes, *, context: bytes) -> None:
        salt, self._prefix = os.urandom(_SALT_BYTES), os.urandom(_PREFIX_BYTES)
        self._target = target
        self._cipher = _cipher(key, salt, context)
        self._pending = bytearray()
        self._number = 0
        target.write(bytes([HEADER_BYTES]) + salt + self._prefix)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes."""
        self._pending += data
        # A full segment waits for the next byte: until then it may be the last.
        taken = 0
        while len(self._pending) - taken > (room := self._room()):
            self._put(memoryview(self._pending)[taken : taken + room], is_last=False)
            taken += room
        if taken:
            del self._pending[:taken]

    def finish(self) -> None:
        """Seal the last segment; the target stays open."""
        self._put(memoryview(self._pending), is_last=True)
        self._pending = bytearray()

    def _room(self) -> int:
        return _FIRST_ROOM_BYTES if self._number == 0 else _ROOM_BYTES

    def _put(self, plain: memoryview, *, is_last: bool) -> None:
        with plain:
            self._target.write(self._cipher.encrypt(_nonce(self._prefix, self._number, is_last), plain, None))
        self._number += 1


class DecryptingReader(SeekingReader):
    """Reads the plain bytes of a stream that lies in a file; may be moved to any place in it.

    start, length  where the stream lies in the file
    raises         Corrupt from the read that meets a changed segment
    """

    def __init__(self, file: IO[bytes], key: bytes, *, context: bytes, start: int, length: int) -> None:
        super().__init__()
        self._file = file
        self._start = start
        self._length = length
        file.seek(start)
        self._cipher, self._prefix = _opened(key, file.read(min(HEADER_BYTES, length)), context)
        segments = max(1, -(-length // SEGMENT_BYTES))
        self._segments = segments
        self.size_bytes = length - HEADER_BYTES - segments * TAG_BYTES
        if self.size_bytes < 0:
            raise _not_as_written()
        self._held: tuple[int, bytes] | None = None

    def readinto(self, buffer: object) -> int:
        """Fill a buffer as far as the segment at hand goes."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if self._at >= self.size_bytes or not len(view):
            # The last segment proves that the stream ends here.
            self._segment(self._segments - 1)
            return 0
        number, offset = _place(self._at)
        segment = self._segment(number)
        count = min(len(view), len(segment) - offset)
        view[:count] = segment[offset : offset + count]
        self._at += count
        return count

    def _segment(self, number: int) -> bytes:
        if self._held is None or self._held[0] != number:
            at = HEADER_BYTES if number == 0 else number * SEGMENT_BYTES
            end = min((number + 1) * SEGMENT_BYTES, self._length)
            self._file.seek(self._start + at)
            sealed = self._file.read(end - at)
            is_last = number == self._segments - 1
            plain = _unsealed(self._cipher, self._prefix, number, memoryview(sealed), is_last=is_last)
            self._held = number, plain
        return self._held[1]


def _place(at: int) -> tuple[int, int]:
    if at < _FIRST_ROOM_BYTES:
        return 0, at
    number, offset = divmod(at - _FIRST_ROOM_BYTES, _ROOM_BYTES)
    return number + 1, offset


def _opened(key: bytes, header: bytes, context: bytes) -> tuple[AESGCM, bytes]:
    if len(header) < HEADER_BYTES or header[0] != HEADER_BYTES:
        raise _not_as_written()
    return _cipher(key, header[1 : 1 + _SALT_BYTES], context), header[1 + _SALT_BYTES :]


def _cipher(key: bytes, salt: bytes, context: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, context).derive(key))


def _nonce(prefix: bytes, number: int, is_last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([is_last])


def _unsealed(cipher: AESGCM, prefix: bytes, number: int, sealed: memoryview, *, is_last: bool) -> bytes:
    try:
        return cipher.decrypt(_nonce(prefix, number, is_last), sealed, None)
    except (InvalidTag, ValueError) as error:
        raise _not_as_written() from error


def _not_as_written() -> Corrupt:
    return Corrupt("an encrypted stream is not as it was written, or another key or context made it")
