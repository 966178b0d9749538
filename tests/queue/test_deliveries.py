"""What Cloud Tasks may bring, and what is answered."""

import pytest

from audobon.errors import InvalidInput
from audobon.queue.deliveries import Delivery, Response, body_of, read_delivery, response_to


def test_a_body_says_which_task_and_by_what_right_and_nothing_else() -> None:
    assert body_of(7, 3) == b'{"task":7,"token":3}'
    assert read_delivery(body_of(7, 3)) == Delivery(7, 3)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"task":7}',
        b'{"task":"7","token":3}',
        b'{"task":7.5,"token":3}',
        b'{"task":7,"token":3,"payload":"rm"}',
        b'{"task":7,"token":3}{}',
        b'{"task":99999999999999999999,"token":3}',
        b'{"task":7,"token":3' + b" " * 1000 + b"}",
        b"\xff\xfe",
    ],
    ids=lambda body: repr(body)[:40],
)
def test_anything_else_is_none_of_ours(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_delivery(body)


def test_only_what_does_not_fit_now_is_to_come_again() -> None:
    assert response_to("stale") == Response(200)
    assert response_to("paused") == Response(200)
    assert response_to("busy") == Response(503, retry_after_seconds=10)
