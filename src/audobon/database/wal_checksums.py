"""SQLite's rolling checksum over the frames of a log, many at once.

Each step adds two words to a state of two. That is linear, so what a whole frame adds is one sum of its words
times Fibonacci numbers, and what it makes of the state before is another: frames can be summed beside each
other, and only four products a frame need follow one another.
"""

import struct
import sys
from functools import lru_cache
from operator import mul
from typing import Any

from audobon.database.wal_format import FRAME_HEADER_BYTES, Checksum

_MASK = 0xFFFFFFFF
# So many frames, at once or one after the other, and loading numpy (0.1 s, 20 MB) saves more than it costs.
_MANY_FRAMES = 64
_MANY_FRAMES_IN_ALL = 1000
# So many are worth it even to one who did not `get_ready`.
_TOO_MANY_FRAMES = 1000
_SALTED_WORDS = 2

_summed_slowly = 0


class Frame(tuple[int, int, Checksum]):
    """Number of its page, pages of the database when it ends a commit (else 0), and its checksum."""

    __slots__ = ()


def get_ready(frames: int) -> None:
    """Load what so many frames are summed with; to be called while nobody waits for them."""
    if frames >= _MANY_FRAMES or _summed_slowly >= _MANY_FRAMES_IN_ALL:
        import numpy  # noqa: F401


def sound_frames(
    raw: memoryview, page_bytes: int, *, salts: bytes, byte_order: str, start: Checksum
) -> list[Frame]:
    """Return the frames up to the first that does not belong to this round, or does not follow.

    raw    whole frames, one after the other
    start  checksum of the frame before the first
    """
    frame_bytes = FRAME_HEADER_BYTES + page_bytes
    count = len(raw) // frame_bytes
    ahead = [struct.unpack_from(">II8sII", raw, number * frame_bytes) for number in range(count)]
    for number, head in enumerate(ahead):
        if head[2] != salts or not head[0]:
            count = number
            break
    sums = _sums(raw[: count * frame_bytes], page_bytes, byte_order)
    carry = _carry((page_bytes >> 2) + _SALTED_WORDS)
    first, second = start
    found = []
    for head, (own_first, own_second) in zip(ahead, sums, strict=False):
        first, second = (
            (carry[0] * first + carry[1] * second + own_first) & _MASK,
            (carry[1] * first + carry[2] * second + own_second) & _MASK,
        )
        if (first, second) != head[3:]:
            break
        found.append(Frame((head[0], head[1], (first, second))))
    return found


def _sums(raw: memoryview, page_bytes: int, byte_order: str) -> list[tuple[int, int]]:
    """Return what each frame adds to the state: its page number, its commit mark and its page."""
    global _summed_slowly
    frame_bytes = FRAME_HEADER_BYTES + page_bytes
    count = len(raw) // frame_bytes
    if count >= _TOO_MANY_FRAMES or "numpy" in sys.modules:
        return _sums_at_once(raw, frame_bytes, byte_order)
    _summed_slowly += count
    firsts, seconds = _factors((page_bytes >> 2) + _SALTED_WORDS)
    layout = struct.Struct(f"{byte_order}2I16x{page_bytes >> 2}I")
    found = []
    for at in range(0, len(raw), frame_bytes):
        words = layout.unpack_from(raw, at)
        found.append((sum(map(mul, words, firsts)), sum(map(mul, words, seconds))))
    return found


def _sums_at_once(raw: memoryview, frame_bytes: int, byte_order: str) -> list[tuple[int, int]]:
    import numpy as np

    factors = _factors_as_array((frame_bytes - FRAME_HEADER_BYTES >> 2) + _SALTED_WORDS)
    words = np.frombuffer(raw, dtype=f"{byte_order}u4").reshape(-1, frame_bytes >> 2)
    words = words.astype(np.uint32, copy=False)
    sums = words[:, :_SALTED_WORDS] @ factors[:_SALTED_WORDS]
    sums += words[:, FRAME_HEADER_BYTES >> 2 :] @ factors[_SALTED_WORDS:]
    return [(first, second) for first, second in sums.tolist()]


@lru_cache(maxsize=4)
def _factors_as_array(words: int) -> Any:
    import numpy as np

    return np.array(list(zip(*_factors(words), strict=True)), dtype=np.uint32)


@lru_cache(maxsize=4)
def _factors(words: int) -> tuple[list[int], list[int]]:
    """Return what each word of a frame counts for in both halves of the state."""
    numbers = _fibonacci(words)
    return [numbers[words - 1 - at] for at in range(words)], [numbers[words - at] for at in range(words)]


@lru_cache(maxsize=4)
def _carry(words: int) -> tuple[int, int, int]:
    """Return what the state before a frame counts for after it."""
    numbers = _fibonacci(words + 1)
    return numbers[words - 1], numbers[words], numbers[words + 1]


def _fibonacci(last: int) -> list[int]:
    numbers = [0, 1]
    while len(numbers) <= last:
        numbers.append((numbers[-1] + numbers[-2]) & _MASK)
    return numbers
