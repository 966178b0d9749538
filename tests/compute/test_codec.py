"""Pictures are opened by a process of its own, which may die and be replaced, and may do little else."""

import io
import os
import resource
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import audobon
from audobon.compute import codec as codec_module
from audobon.compute.codec import Codec
from audobon.errors import PictureTooLarge, UnreadablePicture, UnsupportedPicture
from audobon.pages.picture_info import CHANNELS, PictureInfo
from audobon.pages.picture_limits import PictureLimits

StartPython = Callable[..., "Popen[str]"]
Pixels = npt.NDArray[Any]

LIMITS = PictureLimits(50_000_000, 40_000_000, 2000)
PLENTY_SECONDS = 120.0
INSPECT_AND_WAIT = """
import io, sys
from PIL import Image
from audobon.compute.codec import Codec
from audobon.pages.picture_limits import PictureLimits

target = io.BytesIO()
Image.new("L", (8, 8)).save(target, "PNG")
codec = Codec(PictureLimits(10**6, 10**6, 2000), max_seconds=60)
codec.inspect(target.getvalue())
print(codec._process.pid)
sys.stdin.read()
"""


@pytest.fixture
def codec() -> Iterator[Codec]:
    codec = Codec(LIMITS, max_seconds=PLENTY_SECONDS)
    yield codec
    codec.close()


def noise(mode: str, *, height: int = 30, width: int = 20) -> Pixels:
    dtype = np.uint16 if mode == "I;16" else np.uint8
    shape = (height, width, CHANNELS[mode])
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def info_of(pixels: Pixels, mode: str, kind: str = "PNG") -> PictureInfo:
    return PictureInfo(width=pixels.shape[1], height=pixels.shape[0], mode=mode, format=kind)


def png(height: int = 30, width: int = 20) -> bytes:
    target = io.BytesIO()
    Image.fromarray(noise("RGB", height=height, width=width)).save(target, "PNG")
    return target.getvalue()


def pid_of(codec: Codec) -> int:
    codec.start()
    assert codec._process is not None
    return codec._process.pid


def assert_it_works(codec: Codec) -> None:
    picture = codec.decode(png())
    assert picture.info == info_of(picture.pixels, "RGB")
    assert np.array_equal(picture.pixels, noise("RGB"))


@pytest.mark.parametrize(("mode", "kind"), [(mode, "TIFF" if mode == "CMYK" else "PNG") for mode in CHANNELS])
def test_a_page_goes_there_and_back_unchanged(codec: Codec, mode: str, kind: str) -> None:
    pixels = noise(mode, height=700, width=500)
    info = info_of(pixels, mode, kind)
    target = io.BytesIO()
    codec.encode(info, (pixels[top : top + 99] for top in range(0, 700, 99)), target)
    assert codec.inspect(target.getvalue()) == info
    picture = codec.decode(target.getvalue())
    assert picture.info == info
    assert picture.pixels.dtype == pixels.dtype
    assert np.array_equal(picture.pixels, pixels)


def test_a_bad_picture_is_refused_and_the_same_process_opens_the_next(codec: Codec) -> None:
    pid = pid_of(codec)
    for act in (codec.inspect, codec.decode):
        with pytest.raises(UnreadablePicture) as caught:
            act(b"Once upon a time")
        assert caught.value.message == "this is not a PNG, JPEG, WebP or TIFF picture"
    with pytest.raises(UnreadablePicture):
        codec.decode(png()[:-300])
    assert_it_works(codec)
    assert pid_of(codec) == pid


def test_hints_come_through(codec: Codec) -> None:
    codec._limits = PictureLimits(100, 100, 2000)
    with pytest.raises(PictureTooLarge) as caught:
        codec.inspect(png())
    assert caught.value.message == "20×30 is 0 megapixels, over the limit of 0"
    assert caught.value.hint == "raise pictures.max_megapixels if the picture is yours"


def test_a_process_killed_while_idle_is_replaced_and_no_picture_blamed(codec: Codec) -> None:
    for _ in range(2):
        os.kill(pid_of(codec), signal.SIGKILL)
        assert codec._process is not None
        codec._process.wait()
        assert_it_works(codec)


@pytest.mark.parametrize("act", ["inspect", "decode"])
def test_what_takes_too_long_is_ended(codec: Codec, act: str) -> None:
    codec._max_seconds = 0.1
    # A stopped process answers as late as a slow one, and surely.
    os.kill(pid_of(codec), signal.SIGSTOP)
    with pytest.raises(PictureTooLarge) as caught:
        getattr(codec, act)(png())
    assert caught.value.message == "opening or writing it took over 0.1 seconds"
    assert caught.value.hint == "raise pictures.max_seconds if the picture is yours"
    codec._max_seconds = PLENTY_SECONDS
    assert_it_works(codec)


def test_writing_that_takes_too_long_is_ended(codec: Codec) -> None:
    codec._max_seconds = 0.1
    pixels = noise("RGB")

    def bands() -> Iterator[Pixels]:
        os.kill(pid_of(codec), signal.SIGSTOP)
        yield pixels

    with pytest.raises(PictureTooLarge):
        codec.encode(info_of(pixels, "RGB"), bands(), io.BytesIO())
    codec._max_seconds = PLENTY_SECONDS
    assert_it_works(codec)


def test_a_page_that_breaks_off_while_it_is_written_leaves_the_codec_usable(codec: Codec) -> None:
    pixels = noise("RGB")

    def bands() -> Iterator[Pixels]:
        yield pixels[:10]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        codec.encode(info_of(pixels, "RGB"), bands(), io.BytesIO())
    assert_it_works(codec)


def test_memory_that_runs_out_on_this_side_leaves_the_codec_usable(
    codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*arguments: Any) -> Any:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(codec_module, "read_into", no_memory)
        with pytest.raises(MemoryError):
            codec.decode(png())
    # Without care the pixels of that page would now be read as the answer.
    assert_it_works(codec)


def test_a_page_its_format_refuses_is_told_and_leaves_the_codec_usable(codec: Codec) -> None:
    pixels = noise("RGB", height=1, width=17_000)
    target = io.BytesIO()
    with pytest.raises(UnsupportedPicture) as caught:
        codec.encode(info_of(pixels, "RGB", "WEBP"), [pixels], target)
    assert caught.value.message.startswith("WEBP refused the page: ")
    assert target.getvalue() == b""
    assert_it_works(codec)


def test_a_target_that_fails_leaves_the_codec_usable(codec: Codec) -> None:
    pixels = noise("RGB")
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        codec.encode(info_of(pixels, "RGB"), [pixels], full)
    assert_it_works(codec)


def test_the_process_may_write_no_file_and_use_no_more_memory_than_a_page_needs(codec: Codec) -> None:
    codec.inspect(png())
    pid = pid_of(codec)
    assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (0, 0)
    assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
    assert resource.prlimit(pid, resource.RLIMIT_AS)[0] == (1 << 30) + 8 * LIMITS.max_pixels


def test_modules_in_the_folder_one_works_in_are_not_run(
    codec: Codec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('taken over')")
    monkeypatch.setenv("PYTHONPATH", str(Path(audobon.__file__).parents[1]))
    monkeypatch.chdir(tmp_path)
    assert_it_works(codec)


def test_the_process_ends_when_the_one_that_started_it_is_killed(start_python: StartPython) -> None:
    parent = start_python(INSPECT_AND_WAIT)
    assert parent.stdout is not None
    handle = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    assert waiting.poll(30_000) != []
    os.close(handle)


def test_closing_is_safe_at_any_time(codec: Codec) -> None:
    for _ in range(2):
        codec.close()
        codec.close()
        assert_it_works(codec)
