"""Where results go: chosen by the ending, checked before the work, written whole."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from audobon.errors import DiskFull, InvalidInput, OutputExists
from audobon.jobs.target import (
    Piece,
    Target,
    check_target,
    findings_target,
    picture_target,
    write_target,
)


def writes(data: bytes) -> Callable[[IO[bytes]], None]:
    return lambda target: target.write(data) and None


def pieces(*named: tuple[str, bytes]) -> list[Piece]:
    return [Piece(name, 1_600_000_000.0, writes(data)) for name, data in named]


def half(target: IO[bytes]) -> None:
    """Write half a file, then fail as a full disk does."""
    target.write(b"ne")
    raise DiskFull("no room left")


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    ("kind", "name", "wanted"),
    [
        ("picture", "print.JPG", "picture"),
        ("book", "print.cbz", "book"),
        ("book", "print.ZIP", "book"),
        ("book", "print", "folder"),
        ("folder", "print.v2", "folder"),
        ("folder", "print.cbz", "book"),
    ],
)
def test_the_document_and_the_ending_choose_the_kind_of_result(kind: str, name: str, wanted: str) -> None:
    assert picture_target(Path("in"), Path(name), kind) == Target(Path(name), wanted)  # type: ignore[arg-type]


def test_a_picture_put_into_a_folder_keeps_its_name(tmp_path: Path) -> None:
    made = picture_target(Path("somewhere/page.png"), tmp_path, "picture")

    assert made == Target(tmp_path / "page.png", "picture")
    assert made.picture_format == "PNG"
    with pytest.raises(InvalidInput):
        picture_target(Path("somewhere/page"), tmp_path, "picture")


def test_findings_go_to_one_file_or_with_pictures_to_a_folder(tmp_path: Path) -> None:
    assert findings_target(tmp_path / "a.json", with_pictures=False).kind == "json"
    assert findings_target(tmp_path / "a.TXT", with_pictures=False).kind == "text"
    assert findings_target(tmp_path / "a", with_pictures=True).kind == "folder"
    with pytest.raises(InvalidInput) as caught:
        findings_target(tmp_path, with_pictures=False)
    assert caught.value.hint == "name a file ending in .json or .txt"


@pytest.mark.parametrize("name", ["panels.png", "panels.JPG", "panels.cbz", "panels.zip"])
def test_panels_with_pictures_refuse_a_name_that_promises_one_file_unless_it_is_a_folder(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        findings_target(tmp_path / name, with_pictures=True)
    said = f"the panels of a page are several pictures, and {tmp_path / name} names one file"
    assert caught.value.message == said
    assert caught.value.hint == "name a folder, or a file ending in .json for their boxes alone"

    (tmp_path / name).mkdir()
    assert findings_target(tmp_path / name, with_pictures=True) == Target(tmp_path / name, "folder")


def test_one_picture_does_not_become_a_book() -> None:
    with pytest.raises(InvalidInput) as caught:
        picture_target(Path("page.png"), Path("fox.cbz"), "picture")
    assert caught.value.message == "page.png is one picture, and fox.cbz would be a book"
    assert caught.value.hint == "name a picture, such as out.png"


def test_a_file_where_a_folder_should_go_and_the_other_way_round_are_never_replaced(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder.cbz"
    file.touch()
    folder.mkdir()

    for target in (Target(file, "folder"), Target(folder, "book")):
        with pytest.raises(OutputExists):
            check_target(target, tmp_path / "in", overwrite=True)


def test_an_empty_folder_is_free_to_be_filled(tmp_path: Path) -> None:
    (tmp_path / "print").mkdir()

    check_target(Target(tmp_path / "print", "folder"), tmp_path / "in", overwrite=False)


def test_an_output_that_reaches_the_document_through_a_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "way").symlink_to(tmp_path / "book", target_is_directory=True)

    with pytest.raises(Exception, match="lies in the document itself"):
        check_target(Target(tmp_path / "way" / "print", "folder"), tmp_path / "book", overwrite=True)


def test_a_book_holds_its_files_in_order_stored_plainly_with_their_dates(tmp_path: Path) -> None:
    undated = Piece("c.png", None, writes(b"C"))

    made = [*pieces(("b/1.png", b"B"), ("a.png", b"A")), undated]
    write_target(Target(tmp_path / "b.cbz", "book"), made, overwrite=False)

    with zipfile.ZipFile(tmp_path / "b.cbz") as book:
        found = [(item.filename, item.date_time, item.compress_type) for item in book.infolist()]
        assert book.testzip() is None
    assert found == [
        ("b/1.png", (2020, 9, 13, 12, 26, 40), zipfile.ZIP_STORED),
        ("a.png", (2020, 9, 13, 12, 26, 40), zipfile.ZIP_STORED),
        ("c.png", (1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED),
    ]


def test_equal_pieces_make_equal_books(tmp_path: Path) -> None:
    for name in ("one.cbz", "two.cbz"):
        write_target(Target(tmp_path / name, "book"), pieces(("1.png", b"1")), overwrite=False)

    assert (tmp_path / "one.cbz").read_bytes() == (tmp_path / "two.cbz").read_bytes()


@pytest.mark.parametrize("kind", ["book", "folder", "picture"])
def test_a_result_that_breaks_off_leaves_nothing(tmp_path: Path, kind: str) -> None:
    target = Target(tmp_path / "print", kind)  # type: ignore[arg-type]

    with pytest.raises(DiskFull):
        write_target(target, [*pieces(("1.png", b"1")), Piece("2.png", None, half)], overwrite=False)

    assert list(tmp_path.iterdir()) == []


def test_a_result_that_breaks_off_leaves_the_old_book_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "b.cbz").write_bytes(b"old")

    with pytest.raises(DiskFull):
        write_target(
            Target(tmp_path / "b.cbz", "book"),
            [*pieces(("1.png", b"1")), Piece("2.png", None, half)],
            overwrite=True,
        )

    assert files_in(tmp_path) == {"b.cbz": b"old"}


def test_a_folder_that_exists_keeps_what_else_lies_there_and_never_holds_half_a_file(tmp_path: Path) -> None:
    (tmp_path / "print").mkdir()
    (tmp_path / "print" / "mine.txt").write_bytes(b"mine")
    (tmp_path / "print" / "2.png").write_bytes(b"old")

    broken = [*pieces(("a/1.png", b"new")), Piece("2.png", None, half)]
    with pytest.raises(DiskFull):
        write_target(Target(tmp_path / "print", "folder"), broken, overwrite=True)

    assert files_in(tmp_path / "print") == {"a/1.png": b"new", "mine.txt": b"mine", "2.png": b"old"}
    assert (tmp_path / "print" / "a" / "1.png").stat().st_mtime == 1_600_000_000
