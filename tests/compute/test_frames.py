"""Messages arrive whole or not at all."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audobon.compute.frames import read_frame, read_into, write_frame


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_messages_arrive_one_by_one_as_they_were_sent(messages: list[bytes]) -> None:
    stream = io.BytesIO()
    for message in messages:
        write_frame(stream, message[:3], memoryview(message)[3:])
    stream.seek(0)
    assert [read_frame(stream) for _ in messages] == messages
    with pytest.raises(EOFError):
        read_frame(stream)


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 12])
def test_a_stream_that_ends_inside_a_message_is_told(kept: int) -> None:
    stream = io.BytesIO()
    write_frame(stream, b"hello")
    with pytest.raises(EOFError):
        read_frame(io.BytesIO(stream.getvalue()[:kept]))


def test_a_length_beyond_reason_means_the_stream_is_out_of_step() -> None:
    with pytest.raises(EOFError):
        read_frame(io.BytesIO(b"\xff" * 100))


def test_a_buffer_is_filled_or_the_end_told() -> None:
    target = bytearray(5)
    read_into(io.BytesIO(b"hello!"), memoryview(target))
    assert target == b"hello"
    with pytest.raises(EOFError):
        read_into(io.BytesIO(b"hell"), memoryview(target))
