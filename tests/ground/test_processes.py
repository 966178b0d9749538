"""Locks that die with their holder, and the memory of a family of processes."""

import os
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

from audobon.errors import AlreadyRunning
from audobon.processes import FileLock, available_bytes, family_resident_bytes, resident_bytes

StartPython = Callable[..., "Popen[str]"]

HOLD = """
import sys
from pathlib import Path
from audobon.processes import FileLock

print("waiting")
with FileLock(Path(sys.argv[1]), purpose="work", wait=True, shared=sys.argv[2] == "shared"):
    print("held")
    sys.stdin.read()
"""

GREEDY_FAMILY = """
import subprocess, sys

code = "import sys; block = bytearray(b'x') * 60_000_000; print('ready', flush=True); sys.stdin.read()"
child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
block = bytearray(b"x") * 60_000_000
print(child.pid)
sys.stdin.read()
"""


def read_line(process: "Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def hold(start_python: StartPython, path: Path, kind: str) -> "Popen[str]":
    process = start_python(HOLD, path, kind)
    assert read_line(process) == "waiting\n"
    assert read_line(process) == "held\n"
    return process


def end(process: "Popen[str]") -> None:
    process.kill()
    process.wait()


def test_a_lock_keeps_other_processes_out_and_names_its_holder(
    tmp_path: Path, start_python: StartPython
) -> None:
    holder = hold(start_python, tmp_path / "job.lock", "alone")
    with pytest.raises(AlreadyRunning) as caught, FileLock(tmp_path / "job.lock", purpose="this job"):
        pass
    assert caught.value.message == f"this job is already under way in process {holder.pid}"


def test_a_lock_is_free_once_its_holder_is_killed(tmp_path: Path, start_python: StartPython) -> None:
    end(hold(start_python, tmp_path / "job.lock", "alone"))
    with FileLock(tmp_path / "job.lock", purpose="this job"):
        pass


def test_who_waits_gets_the_lock_when_the_holder_dies(tmp_path: Path, start_python: StartPython) -> None:
    holder = hold(start_python, tmp_path / "job.lock", "alone")
    waiter = start_python(HOLD, tmp_path / "job.lock", "alone")
    assert read_line(waiter) == "waiting\n"
    end(holder)
    assert read_line(waiter) == "held\n"


def test_sharers_get_along_and_keep_out_who_wants_it_alone(tmp_path: Path, start_python: StartPython) -> None:
    path = tmp_path / "blobs.lock"
    first = hold(start_python, path, "shared")
    second = hold(start_python, path, "shared")
    with FileLock(path, purpose="sweeping", shared=True):
        pass
    for holder in (first, second):
        with pytest.raises(AlreadyRunning), FileLock(path, purpose="sweeping"):
            pass
        end(holder)
    with FileLock(path, purpose="sweeping"):
        pass


def test_a_lock_can_be_taken_again_after_it_was_given_up(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "new" / "folder" / "job.lock", purpose="this job")
    for _ in range(2):
        with lock:
            pass


def test_the_number_in_a_lock_is_written_once_by_each_holder(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    lock = FileLock(path, purpose="work")
    for _ in range(2):
        with lock:
            assert path.read_text() == str(os.getpid())
    written = path.stat().st_mtime_ns
    with lock:
        assert path.stat().st_mtime_ns == written
    path.write_text("1")
    with lock:
        assert path.read_text() == str(os.getpid())


def test_the_memory_of_a_family_counts_its_children_and_each_once(start_python: StartPython) -> None:
    parent = start_python(GREEDY_FAMILY)
    child_pid = int(read_line(parent))
    own, of_child = resident_bytes(parent.pid), resident_bytes(child_pid)
    assert min(own, of_child) > 60_000_000
    family = family_resident_bytes([parent.pid])
    assert family == pytest.approx(own + of_child, rel=0.05)
    assert family_resident_bytes([parent.pid, child_pid, parent.pid]) == pytest.approx(family, rel=0.05)


def test_a_process_that_has_ended_holds_no_memory(start_python: StartPython) -> None:
    process = start_python("")
    process.wait()
    assert resident_bytes(process.pid) == 0
    assert family_resident_bytes([process.pid]) == 0


def test_some_memory_is_available() -> None:
    assert available_bytes() > 0


def test_the_living_holder_is_known_without_trying_the_lock(
    tmp_path: Path, start_python: StartPython
) -> None:
    lock = FileLock(tmp_path / "job.lock", purpose="this job")
    assert lock.living_holder() is None
    holder = hold(start_python, tmp_path / "job.lock", "alone")
    assert lock.living_holder() == holder.pid
    # As if the machine had started anew since: the number belongs to a younger process.
    os.utime(tmp_path / "job.lock", (0, 0))
    assert lock.living_holder() is None
    end(holder)
    os.utime(tmp_path / "job.lock")
    assert lock.living_holder() is None
