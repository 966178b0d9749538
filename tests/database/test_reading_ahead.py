"""A stream read ahead is the same stream, and what goes wrong in it arrives where it went wrong."""

import io
import threading
from functools import partial

import pytest

from audobon.database.reading_ahead import ReadingAhead
from audobon.errors import Corrupt

PIECE_BYTES = 1 << 18


class Breaking(io.BytesIO):
    """Raises where it ends."""

    def read(self, count: int | None = -1, /) -> bytes:
        if data := super().read(count):
            return data
        raise Corrupt("it is not as it was written")


def test_all_of_a_stream_arrives_in_order_however_much_is_asked_for() -> None:
    data = bytes(range(256)) * 20_000
    for count in (-1, 1000, PIECE_BYTES, PIECE_BYTES + 1):
        with ReadingAhead(io.BytesIO(data)) as stream:
            found = b"".join(iter(partial(stream.read, count), b""))
            assert (found, stream.read(count)) == (data, b"")


def test_what_was_read_before_an_error_arrives_and_then_the_error_each_time() -> None:
    with ReadingAhead(Breaking(b"before")) as stream:
        assert stream.read(100) == b"before"
        for _ in range(2):
            with pytest.raises(Corrupt, match="not as it was written"):
                stream.read(100)


def test_a_reader_who_leaves_early_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with ReadingAhead(io.BytesIO(bytes(100 * PIECE_BYTES))) as stream:
        stream.read(1)
    assert set(threading.enumerate()) <= before
