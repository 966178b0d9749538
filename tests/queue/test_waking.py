"""The bell: a ring reaches all who wait, is never lost, and the dead are forgotten."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from audobon.queue.waking import Bell

# Far longer than anything here takes: whoever really waits that long was not woken.
LONG_SECONDS = 10.0

WAIT_AND_TELL = """
import sys
from pathlib import Path
from audobon.queue.waking import Bell

bell = Bell(Path(sys.argv[1]))
bell.wait(0.0)
print("listening")
bell.wait(60.0)
print("woken")
sys.stdin.read()
"""


@pytest.fixture
def bell(tmp_path: Path) -> Iterator[Bell]:
    """A bell that listens already."""
    bell = Bell(tmp_path / "wake")
    bell.wait(0.0)
    yield bell
    bell.close()


def waited_seconds(bell: Bell, timeout_seconds: float) -> float:
    began = time.monotonic()
    bell.wait(timeout_seconds)
    return time.monotonic() - began


def test_who_is_not_rung_waits_to_the_end(bell: Bell) -> None:
    assert waited_seconds(bell, 0.05) >= 0.045


def test_a_ring_before_the_wait_is_not_lost_and_counts_once(bell: Bell, tmp_path: Path) -> None:
    for _ in range(5000):
        Bell(tmp_path / "wake").ring()
    assert waited_seconds(bell, LONG_SECONDS) < LONG_SECONDS / 2
    assert waited_seconds(bell, 0.05) >= 0.045


def test_the_first_wait_returns_at_once_since_what_was_before_is_not_known(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "wake")
    assert waited_seconds(bell, LONG_SECONDS) < LONG_SECONDS / 2
    bell.close()


def test_on_a_disk_without_pipes_whoever_waits_looks_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no pipes here")

    monkeypatch.setattr("audobon.queue.waking.os.mkfifo", refuse)
    bell = Bell(tmp_path / "wake")
    waits = [waited_seconds(bell, LONG_SECONDS) for _ in range(2)]
    assert all(0.045 <= seconds < LONG_SECONDS / 2 for seconds in waits)
    assert waited_seconds(bell, 0.0) < 0.045
    bell.ring()
    bell.close()


def test_all_who_wait_are_rung(bell: Bell, tmp_path: Path) -> None:
    other = Bell(tmp_path / "wake")
    other.wait(0.0)
    bell.ring()
    assert waited_seconds(bell, LONG_SECONDS) + waited_seconds(other, LONG_SECONDS) < LONG_SECONDS / 2
    other.close()


def test_more_rings_than_a_pipe_holds_do_no_harm(bell: Bell, tmp_path: Path) -> None:
    (pipe,) = (tmp_path / "wake").iterdir()
    descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)

    def fill() -> None:
        while True:
            os.write(descriptor, b"!" * 4096)

    with pytest.raises(BlockingIOError):
        fill()
    os.close(descriptor)
    bell.ring()
    assert waited_seconds(bell, LONG_SECONDS) < LONG_SECONDS / 2
    assert waited_seconds(bell, 0.05) >= 0.045


def test_ringing_where_nobody_ever_waited_does_nothing(tmp_path: Path) -> None:
    Bell(tmp_path / "wake").ring()
    assert list(tmp_path.iterdir()) == []


def test_who_stops_listening_leaves_nothing_and_may_listen_again(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "wake")
    for _ in range(2):
        bell.wait(0.0)
        bell.close()
        bell.close()
        assert list((tmp_path / "wake").iterdir()) == []
        bell.ring()


def test_a_process_is_woken_by_another(tmp_path: Path, start_python: Callable[..., "Popen[str]"]) -> None:
    process = start_python(WAIT_AND_TELL, tmp_path / "wake")
    assert process.stdout is not None
    assert process.stdout.readline() == "listening\n"
    began = time.monotonic()
    Bell(tmp_path / "wake").ring()
    assert process.stdout.readline() == "woken\n"
    assert time.monotonic() - began < LONG_SECONDS


def test_the_pipe_of_a_process_that_was_killed_is_removed_by_who_rings(
    tmp_path: Path, start_python: Callable[..., "Popen[str]"]
) -> None:
    process = start_python(WAIT_AND_TELL, tmp_path / "wake")
    assert process.stdout is not None
    assert process.stdout.readline() == "listening\n"
    process.kill()
    process.wait()
    (pipe,) = (tmp_path / "wake").iterdir()
    Bell(tmp_path / "wake").ring()
    assert pipe.exists(), "it may belong to one that is just about to listen"
    os.utime(pipe, (0, 0))
    Bell(tmp_path / "wake").ring()
    assert list((tmp_path / "wake").iterdir()) == []


def test_one_that_stops_listening_at_the_very_moment_of_the_ring_does_no_harm(
    bell: Bell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def close_and_write(descriptor: int, data: bytes) -> int:
        bell.close()
        return write(descriptor, data)

    monkeypatch.setattr("audobon.queue.waking.os.write", close_and_write)
    Bell(tmp_path / "wake").ring()


def test_a_pipe_that_cannot_be_opened_for_another_reason_is_told(
    bell: Bell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, flags: int) -> int:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr("audobon.queue.waking.os.open", refuse)
    with pytest.raises(OSError, match="broken"):
        Bell(tmp_path / "wake").ring()
    monkeypatch.undo()
    assert bell is not None
