"""Compression in pieces of a mebibyte: large blobs are read in little memory and at any place.

Each piece is a Zstandard frame of its own; the lengths of all frames follow the last one, and their count.
Level 1, and only where it helps (docs/decisions/0019).
"""

import io
import struct
import threading
from functools import cached_property
from typing import IO, TYPE_CHECKING

from audobon.errors import Corrupt
from audobon.seeking import SeekingReader

if TYPE_CHECKING:
    from zstandard import ZstdCompressor, ZstdDecompressor

PIECE_BYTES = 1 << 20

_LEVEL = 1
_TRIAL_BYTES = 64 << 10
_WORTH = 0.9
_NUMBER = struct.Struct(">I")


def helps(start: bytes | bytearray | memoryview) -> bool:
    """Tell by the first bytes of a blob whether compressing it is worth the while."""
    trial = start[:_TRIAL_BYTES]
    return len(trial) > _NUMBER.size and len(compressed(trial)) < len(trial) * _WORTH


def compressed(piece: bytes | bytearray | memoryview) -> bytes:
    """Return one piece as a frame."""
    return _local.compressor.compress(piece)


def table(lengths: list[int]) -> bytes:
    """Return what follows the last frame."""
    return b"".join(_NUMBER.pack(length) for length in [*lengths, len(lengths)])


def compressed_if_it_helps(data: bytes | memoryview) -> bytes | None:
    """Return a whole blob compressed; None when that is not worth the while."""
    if len(data) > _TRIAL_BYTES:
        return compress(data) if helps(data) else None
    frame = compressed(data)
    whole = frame + table([len(frame)])
    return whole if len(whole) < len(data) * _WORTH else None


def compress(data: bytes | memoryview) -> bytes:
    """Return a whole blob compressed."""
    view = memoryview(data)
    frames = [compressed(view[at : at + PIECE_BYTES]) for at in range(0, len(view), PIECE_BYTES)]
    return b"".join(frames) + table([len(frame) for frame in frames])


def decompress(data: bytes, size_bytes: int) -> bytes:
    """Return what `compress` was given; Corrupt when it was nothing of the kind."""
    reader = PiecesReader(io.BytesIO(data), len(data), size_bytes)
    pieces = [reader.piece(number) for number in range(reader.count)]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class PiecesReader(SeekingReader):
    """Reads a compressed blob from a stream of it; may be moved to any place.

    stored_bytes  of the compressed stream
    size_bytes    of the blob
    """

    def __init__(self, stream: IO[bytes], stored_bytes: int, size_bytes: int) -> None:
        super().__init__()
        self._stream = stream
        self.size_bytes = size_bytes
        self._starts = [0]
        self.count = -(-size_bytes // PIECE_BYTES)
        table_bytes = (self.count + 1) * _NUMBER.size
        if table_bytes > stored_bytes:
            raise Corrupt("a compressed blob is not as it was written")
        stream.seek(stored_bytes - table_bytes)
        raw = stream.read(table_bytes)
        numbers = [number for (number,) in _NUMBER.iter_unpack(raw)]
        for length in numbers[:-1]:
            self._starts.append(self._starts[-1] + length)
        if numbers[-1:] != [self.count] or self._starts[-1] + table_bytes != stored_bytes:
            raise Corrupt("a compressed blob is not as it was written")
        self._held: tuple[int, bytes] | None = None

    def readinto(self, buffer: object) -> int:
        """Fill a buffer as far as the piece at hand goes."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if self._at >= self.size_bytes:
            return 0
        number, offset = divmod(self._at, PIECE_BYTES)
        if self._held is None or self._held[0] != number:
            self._held = number, self.piece(number)
        piece = self._held[1]
        count = min(len(view), len(piece) - offset)
        view[:count] = piece[offset : offset + count]
        self._at += count
        return count

    def piece(self, number: int) -> bytes:
        """Return a piece."""
        import zstandard

        start, end = self._starts[number], self._starts[number + 1]
        size_bytes = min(PIECE_BYTES, self.size_bytes - number * PIECE_BYTES)
        self._stream.seek(start)
        frame = self._stream.read(end - start)
        try:
            # What a frame says of itself would be believed, however much memory it is.
            if zstandard.frame_content_size(frame) != size_bytes:
                raise Corrupt("a compressed blob is not as it was written")
            plain = _local.decompressor.decompress(frame, max_output_size=size_bytes)
        except zstandard.ZstdError as error:
            raise Corrupt("a compressed blob is not as it was written") from error
        if len(plain) != size_bytes:
            raise Corrupt("a compressed blob is not as it was written")
        return plain


class _Local(threading.local):
    """What one thread compresses with; imported late, since most commands compress nothing."""

    @cached_property
    def compressor(self) -> "ZstdCompressor":
        from zstandard import ZstdCompressor

        return ZstdCompressor(_LEVEL)

    @cached_property
    def decompressor(self) -> "ZstdDecompressor":
        from zstandard import ZstdDecompressor

        return ZstdDecompressor()


_local = _Local()
