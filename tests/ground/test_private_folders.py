"""A data folder is its owner's alone, whatever is done in it first and whatever the umask."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from audobon.atomic import make_private_folder
from audobon.cli.doctor_folder import is_open_to_others

PROGRAM = Path(sys.executable).with_name("audobon")

FIRST = [
    ("keys", "status"),
    ("storage", "put", "page"),
    ("queue", "pause", "batch"),
    ("jobs", "list"),
    ("database", "migrate"),
    ("backup", "add", "place"),
    ("data", "subjects"),
    ("models", "list"),
    ("recovery", "mend"),
]


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0o002)
    yield
    os.umask(before)


def audobon(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROGRAM, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(root), "AUDOBON_STORAGE_FOLDER": str(root / "new/data")},
        cwd=root,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("command", FIRST, ids=" ".join)
def test_a_data_folder_is_made_for_its_owner_alone(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "page").write_bytes(b"a page")
    done = audobon(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "new" / "data"
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent) if path.exists()] in (
        [0o700, 0o700],
        [],
    )


def test_a_folder_that_is_there_is_left_as_it_is_and_the_doctor_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    folder.mkdir(parents=True)
    assert audobon(tmp_path, "keys", "status").returncode == 0
    assert folder.stat().st_mode & 0o777 == 0o775
    told = f"privacy: others can look into the data folder; to close it: chmod 700 {shlex.quote(str(folder))}"
    assert told in audobon(tmp_path, "doctor").stdout.splitlines()
    folder.chmod(0o700)
    assert not is_open_to_others(folder)
    assert not is_open_to_others(tmp_path / "not there yet")


def test_a_place_for_backups_is_made_as_the_system_has_it(tmp_path: Path) -> None:
    """Another account may prune there."""
    assert audobon(tmp_path, "backup", "add", "place").returncode == 0
    assert (tmp_path / "place").stat().st_mode & 0o777 == 0o775


def test_folders_above_are_made_too_and_those_there_left(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for _ in range(2):
        make_private_folder(tmp_path / "there" / "one" / "two")
    assert [(tmp_path / "there" / each).stat().st_mode & 0o777 for each in ("", "one", "one/two")] == [
        0o775,
        0o700,
        0o700,
    ]
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_private_folder(tmp_path / "file")
