"""What Cloud Tasks brings to a worker service, and what is answered."""

from typing import Annotated, Literal

import msgspec

from audobon.errors import InvalidInput

TASK_PATH = "/tasks/run"
"""Where a worker service takes deliveries."""

MOST_BODY_BYTES = 1000
"""A longer delivery is none of ours."""

Turned = Literal["stale", "paused", "busy"]
"""Why a delivered task was not handed out.

stale: it was taken up, ended or changed since; paused: its queue hands out nothing, and it is released again
when it does; busy: it does not fit now, or its queue has enough at work.
"""

_BUSY_SECONDS = 10


class Delivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a delivery: which task, and by what right. What it is about stays in our tables."""

    task: Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
    token: Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)]


class Response(msgspec.Struct, frozen=True):
    """What is answered; anything but 2xx has Cloud Tasks deliver it again, after `retry_after_seconds`."""

    status: int
    retry_after_seconds: int = 0


TAKEN = Response(200)
"""The task was taken up and is done with, well or badly: what becomes of it is written in our tables."""


def body_of(task_id: int, token: int) -> bytes:
    """Return the body of a delivery."""
    return msgspec.json.encode(Delivery(task_id, token))


def read_delivery(body: bytes) -> Delivery:
    """Return what a body says; InvalidInput when it is none of ours."""
    if len(body) > MOST_BODY_BYTES:
        raise InvalidInput(f"a delivery of {len(body)} bytes is none of ours")
    try:
        return msgspec.json.decode(body, type=Delivery, strict=True)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"the body is no delivery: {error}") from error


def response_to(turned: Turned) -> Response:
    """Return what is answered when a task was not handed out."""
    if turned == "busy":
        return Response(503, retry_after_seconds=_BUSY_SECONDS)
    return Response(200)
