"""Files appear whole or not at all: through kills, full disks and closed folders."""

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from audobon.atomic import clear_leftovers, disk_error, write_bytes, writing
from audobon.errors import AudobonError, Denied, DiskFull, NotFound, OutputExists

StartPython = Callable[..., "Popen[str]"]

HALF_WRITTEN = """
import sys
from pathlib import Path
from audobon.atomic import clear_leftovers, writing

with writing(Path(sys.argv[1])) as file:
    file.write(b"new" * 100_000)
    file.flush()
    print("half")
    sys.stdin.read()
"""

# A limit on the size of files fails a write just as a full disk does, and needs no disk of its own.
NO_ROOM = """
import resource, sys
from pathlib import Path
from audobon.atomic import clear_leftovers, write_bytes
from audobon.errors import AudobonError

resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_bytes(Path(sys.argv[1]), bytes(100_000))
except AudobonError as error:
    print(type(error).__name__, error.message)
"""

NO_PERMISSION = """
import os, sys
from pathlib import Path
from audobon.atomic import clear_leftovers, write_bytes
from audobon.errors import AudobonError

if os.getuid() == 0:
    os.setuid(65534)
try:
    write_bytes(Path(sys.argv[1]), b"new")
except AudobonError as error:
    print(type(error).__name__, error.message)
"""


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder that all may enter and none may write to; pytest's own could not even be entered."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "page.png").write_bytes(b"old")
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    write_bytes(tmp_path / "page.png", b"old")
    write_bytes(tmp_path / "page.png", b"new")
    assert contents(tmp_path) == {"page.png": b"new"}


def test_until_the_block_ends_the_old_file_is_what_others_read(tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(b"old")
    with writing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(b"old")

    def stopped() -> None:
        with writing(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert contents(tmp_path) == {"page.png": b"old"}


def test_a_kill_in_the_middle_leaves_the_old_file_whole(tmp_path: Path, start_python: StartPython) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(b"old")
    process = start_python(HALF_WRITTEN, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.kill()
    process.wait()
    found = contents(tmp_path)
    assert found.pop("page.png") == b"old"
    # What a kill leaves is hidden, so that nobody takes it for a page.
    assert [(name[0], name[-5:]) for name in found] == [(".", ".part")]


def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path: Path, start_python: StartPython) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(b"old")
    printed, _ = start_python(NO_ROOM, path).communicate()
    assert printed == f"DiskFull no room left for {path}: File too large\n"
    assert contents(tmp_path) == {"page.png": b"old"}


def test_a_folder_that_may_not_be_written_to_is_named(closed_folder: Path, start_python: StartPython) -> None:
    path = closed_folder / "page.png"
    printed, _ = start_python(NO_PERMISSION, path).communicate()
    assert printed == f"Denied not allowed: {path}: Permission denied\n"
    assert contents(closed_folder) == {"page.png": b"old"}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "page.png"
    with pytest.raises(NotFound) as caught:
        write_bytes(path, b"new")
    assert caught.value.message == f"no such file or folder: {path}"


def test_a_very_long_name_still_leaves_room_for_the_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".png")
    write_bytes(path, b"new")
    assert contents(tmp_path) == {path.name: b"new"}


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EFBIG, DiskFull),
        (errno.EACCES, Denied),
        (errno.EROFS, Denied),
        (errno.EIO, Denied),
        (errno.ENOENT, NotFound),
        (errno.ENOTDIR, NotFound),
    ],
)
def test_each_complaint_of_the_system_has_its_own_error(number: int, kind: type[AudobonError]) -> None:
    assert type(disk_error(OSError(number, os.strerror(number)), Path("page.png"))) is kind


def test_what_a_killed_process_left_beside_the_target_can_be_cleared(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True)
    dead = int(ended.stdout)
    (tmp_path / f".out.png.{dead}-00000000.part").write_bytes(b"half")
    (tmp_path / f".out.png.{os.getpid()}-00000000.part").write_bytes(b"at work")
    (tmp_path / f".other.png.{dead}-00000000.part").write_bytes(b"not ours")
    clear_leftovers(tmp_path / "out.png")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        f".out.png.{os.getpid()}-00000000.part": b"at work",
        f".other.png.{dead}-00000000.part": b"not ours",
    }


def test_a_file_that_came_meanwhile_is_not_replaced_unless_that_was_asked(tmp_path: Path) -> None:
    target = tmp_path / "out.png"

    def write_while_another_comes() -> None:
        with writing(target, replace=False) as file:
            file.write(b"ours")
            target.write_bytes(b"theirs")

    with pytest.raises(OutputExists):
        write_while_another_comes()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"out.png": b"theirs"}
    with writing(target) as file:
        file.write(b"ours")
    assert target.read_bytes() == b"ours"


def test_a_name_of_many_bytes_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("雲" * 83 + ".png")
    write_bytes(target, b"page")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
