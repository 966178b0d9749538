"""Results in folders that exist: what is ours is kept up to date, what is not ours is never touched."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from audobon.errors import AudobonError, Conflict, Denied, NotFound, OutputExists
from audobon.jobs.target import Piece, Stale, Target, check_target, write_target


def writes(data: bytes) -> Callable[[IO[bytes]], None]:
    return lambda target: target.write(data) and None


def pieces(*names: str) -> list[Piece]:
    return [Piece(name, None, writes(name.encode())) for name in names]


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"earlier " + name.encode())


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "print").mkdir()
    return tmp_path / "print"


def rewrite(folder: Path, *names: str, stale: tuple[str, ...]) -> None:
    target = Target(folder, "folder")
    write_target(target, pieces(*names), overwrite=True, stale=Stale(stale, time.time() + 1))


def test_files_of_an_earlier_result_that_are_no_longer_part_of_it_go_with_their_empty_folders(
    folder: Path,
) -> None:
    earlier = ("1.png", "2.png", "a/b/3.png", "c/4.png")
    fill(folder, *earlier, "c/mine.txt", "mine.png")

    rewrite(folder, "1.png", "5.png", stale=earlier)

    assert names_in(folder) == ["1.png", "5.png", "c", "c/mine.txt", "mine.png"]
    assert (folder / "1.png").read_bytes() == b"1.png"
    assert (folder / "mine.png").read_bytes() == b"earlier mine.png"


def test_what_somebody_put_in_the_place_of_an_earlier_file_stays(folder: Path, tmp_path: Path) -> None:
    fill(tmp_path, "elsewhere/3.png")
    (folder / "1.png").mkdir()
    fill(folder, "1.png/mine.txt", "2")
    (folder / "3.png").symlink_to(tmp_path / "elsewhere" / "3.png")

    rewrite(folder, "9.png", stale=("1.png", "2/under.png", "3.png", "gone.png", "gone/too.png"))

    assert names_in(folder) == ["1.png", "1.png/mine.txt", "2", "3.png", "9.png"]
    assert (folder / "3.png").read_bytes() == b"earlier elsewhere/3.png"


def test_an_earlier_file_that_was_changed_since_belongs_to_whoever_changed_it(folder: Path) -> None:
    fill(folder, "ours.png", "edited.png")
    os.utime(folder / "ours.png", (1000, 1000))
    os.utime(folder / "edited.png", (3000, 3000))

    stale = Stale(("ours.png", "edited.png"), 2000.0)
    write_target(Target(folder, "folder"), pieces("1.png"), overwrite=True, stale=stale)

    assert names_in(folder) == ["1.png", "edited.png"]


@pytest.mark.parametrize(
    ("there", "wanted", "said"),
    [
        ("a", "a/b/1.png", "the file {}/a stands where a folder must be"),
        ("a/b", "a/b/1.png", "the file {}/a/b stands where a folder must be"),
        ("1.png/mine.txt", "1.png", "the folder {}/1.png stands where a file must be"),
    ],
)
def test_what_stands_in_the_way_is_named_before_anything_is_written(
    folder: Path, there: str, wanted: str, said: str
) -> None:
    fill(folder, there, "old.png")
    before = names_in(folder)

    with pytest.raises(Conflict) as caught:
        rewrite(folder, "0.png", wanted, stale=("old.png",))

    assert (caught.value.message, caught.value.hint) == (said.format(folder), "move it away")
    assert names_in(folder) == before


def test_without_leave_to_overwrite_a_file_that_came_meanwhile_is_kept(folder: Path, tmp_path: Path) -> None:
    fill(folder, "1.png")
    fill(tmp_path, "fox.cbz")

    for target in (Target(folder, "folder"), Target(tmp_path / "fox.cbz", "book")):
        with pytest.raises(OutputExists):
            write_target(target, pieces("1.png"), overwrite=False)

    assert (folder / "1.png").read_bytes() == b"earlier 1.png"
    assert (tmp_path / "fox.cbz").read_bytes() == b"earlier fox.cbz"
    assert names_in(tmp_path) == ["fox.cbz", "print", "print/1.png"]


@pytest.mark.parametrize("path", ["/proc/print.png", "/proc/self/print.png"])
def test_a_folder_that_refuses_for_reasons_of_its_own_is_found_out_before_any_work(
    tmp_path: Path, path: str
) -> None:
    with pytest.raises(AudobonError) as caught:
        check_target(Target(Path(path), "picture"), tmp_path / "page.png", overwrite=False)

    assert isinstance(caught.value, Denied | NotFound)
    assert path in caught.value.message


@pytest.mark.parametrize("kind", ["picture", "book", "json", "folder"])
def test_trying_a_place_leaves_nothing_there(folder: Path, tmp_path: Path, kind: str) -> None:
    path = folder if kind == "folder" else folder / "out"

    check_target(Target(path, kind), tmp_path / "page.png", overwrite=False)  # type: ignore[arg-type]

    assert names_in(tmp_path) == ["print"]


def test_the_input_itself_is_never_the_output(tmp_path: Path) -> None:
    fill(tmp_path, "page.png", "book/1.png")
    (tmp_path / "other name.png").symlink_to(tmp_path / "page.png")

    for name, source, kind in (
        ("page.png", "page.png", "picture"),
        ("other name.png", "page.png", "picture"),
        ("book", "book", "folder"),
    ):
        target = Target(tmp_path / name, kind)  # type: ignore[arg-type]
        with pytest.raises(Conflict) as caught:
            check_target(target, tmp_path / source, overwrite=True)
        assert caught.value.message == f"the output {tmp_path / name} is the input itself"
        assert caught.value.hint == "choose another name"
