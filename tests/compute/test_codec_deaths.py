"""The death of the picture process: a crash is the picture's doing, being killed is not."""

import io
import os
import signal
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audobon.compute import codec as codec_module
from audobon.compute.codec import Codec
from audobon.errors import AudobonError, UnreadablePicture, WorkerDied
from audobon.pages.picture_limits import PictureLimits


def png(side: int) -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
    target = io.BytesIO()
    Image.fromarray(noise).save(target, "PNG")
    return target.getvalue()


def ending_first(codec: Codec, name: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the process ended by a signal when the other side is about to read from it."""
    codec.start()
    first, read = codec._process, getattr(codec_module, name)
    assert first is not None

    def end_and_read(*arguments: Any) -> Any:
        if codec._process is first:
            os.kill(first.pid, number)
            first.wait()
        return read(*arguments)

    monkeypatch.setattr(codec_module, name, end_and_read)


@pytest.mark.parametrize("moment", ["read_frame", "read_into"])
@pytest.mark.parametrize(
    ("number", "kind", "said", "may_be_tried_again"),
    [
        (
            signal.SIGSEGV,
            UnreadablePicture,
            "the picture brought its decoder down (exit status -11)",
            False,
        ),
        (
            signal.SIGKILL,
            WorkerDied,
            "the process that handles pictures was ended (exit status -9)",
            True,
        ),
    ],
)
def test_a_crash_is_blamed_on_the_picture_and_a_kill_is_not_and_the_next_picture_works(
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    number: int,
    kind: type[AudobonError],
    said: str,
    may_be_tried_again: bool,
) -> None:
    codec = Codec(PictureLimits(50_000_000, 40_000_000, 2000), max_seconds=120.0)
    # Far more pixels than a pipe holds, so that the process cannot have sent them all.
    data = png(1000)
    ending_first(codec, moment, number, monkeypatch)
    try:
        with pytest.raises(kind) as caught:
            codec.decode(data)
        assert (caught.value.message, caught.value.retry) == (said, may_be_tried_again)
        assert codec.decode(png(20)).pixels.shape == (20, 20, 3)
    finally:
        codec.close()
