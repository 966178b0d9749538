"""Documents: one picture, a folder, or a book; in reading order, and nothing from outside."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audobon.errors import DocumentNotFound, UnsupportedDocument
from audobon.pages.documents import ArchiveLimits, Entry, in_natural_order, is_page_name, open_document
from audobon.pages.natural_order import natural_key

StartPython = Callable[..., "Popen[str]"]

LIMITS = ArchiveLimits(max_entries=100, max_bytes=10**9, max_ratio=200)

NO_PERMISSION = """
import os, sys
from pathlib import Path
from audobon.errors import AudobonError
from audobon.pages.documents import ArchiveLimits, open_document

if os.getuid() == 0:
    os.setuid(65534)
try:
    with open_document(Path(sys.argv[1]), ArchiveLimits(1, 1, 1)):
        pass
except AudobonError as error:
    print(type(error).__name__)
"""


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def names_in(folder: Path) -> tuple[list[str], list[str], list[str]]:
    """Return pages, other files, and what was left out."""
    with open_document(folder, LIMITS) as document:
        pages = [entry.name for entry in document.entries if entry.is_page]
        others = [entry.name for entry in document.entries if not entry.is_page]
        return pages, others, document.left_out


def test_numbers_in_names_count_as_numbers() -> None:
    names = [
        "p10.png",
        "p2.png",
        "P1.png",
        "a/2.png",
        "a/10.png",
        "a10/1.png",
        "a2/1.png",
        "p2b.png",
        "p.png",
    ]
    entries = in_natural_order([Entry(name, True, 0, None) for name in names])
    assert [entry.name for entry in entries] == [
        "a/2.png",
        "a/10.png",
        "a2/1.png",
        "a10/1.png",
        "P1.png",
        "p2.png",
        "p2b.png",
        "p10.png",
        "p.png",
    ]


@given(st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=6), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_how_the_files_were_found(names: list[str], random: object) -> None:
    entries = [Entry(name, True, 0, None) for name in names]
    shuffled = entries.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert in_natural_order(shuffled) == in_natural_order(entries)


def test_numbers_of_any_length_and_with_leading_zeros_are_ordered() -> None:
    names = ["0", "1", "01", "2", "010", "9" * 5000, "1" + "0" * 5000]
    assert sorted(names, key=lambda name: (natural_key(name), name)) == [
        "0",
        "01",
        "1",
        "2",
        "010",
        "9" * 5000,
        "1" + "0" * 5000,
    ]


@pytest.mark.parametrize(
    ("name", "is_page"),
    [
        ("1.png", True),
        ("a/1.JPG", True),
        ("1.jpeg", True),
        ("1.webp", True),
        ("1.TIF", True),
        ("1.tiff", True),
        ("1.gif", False),
        ("1.txt", False),
        ("png", False),
        (".png", False),
        ("._1.png", False),
        ("a/.1.png", False),
        (".git/1.png", False),
        ("a/.thumbnails/b/1.png", False),
        ("__MACOSX/1.png", False),
        ("a/__MACOSX/b/1.png", False),
    ],
)
def test_a_page_is_a_picture_by_its_ending_and_no_hidden_double(name: str, is_page: bool) -> None:
    assert is_page_name(name) is is_page


def test_a_folder_is_taken_with_all_below_it_in_reading_order(tmp_path: Path) -> None:
    fill(tmp_path, "10.png", "2.png", "ch2/1.jpg", "ch10/1.jpg", "ComicInfo.xml", "._2.png", "ünï 3.png")
    fill(tmp_path, ".thumbnails/2.png")
    assert names_in(tmp_path) == (
        ["2.png", "10.png", "ch2/1.jpg", "ch10/1.jpg", "ünï 3.png"],
        ["._2.png", ".thumbnails/2.png", "ComicInfo.xml"],
        [],
    )


def test_a_file_of_a_folder_can_be_read_and_its_size_is_known(tmp_path: Path) -> None:
    fill(tmp_path, "ch1/1.png")
    os.utime(tmp_path / "ch1" / "1.png", (1000, 1000))
    with open_document(tmp_path, LIMITS) as document:
        assert (document.kind, document.entries) == ("folder", [Entry("ch1/1.png", True, 9, 1000.0)])
        with document.open(document.entries[0]) as file:
            assert file.read() == b"ch1/1.png"


def test_links_and_devices_are_left_out_and_named(tmp_path: Path) -> None:
    fill(tmp_path / "outside", "secret.png")
    book = tmp_path / "book"
    fill(book, "1.png")
    (book / "2.png").symlink_to(tmp_path / "outside" / "secret.png")
    (book / "chapter").symlink_to(tmp_path / "outside")
    (book / "gone.png").symlink_to("nowhere")
    os.mkfifo(book / "pipe.png")
    assert names_in(book) == (["1.png"], [], ["2.png", "chapter", "gone.png", "pipe.png"])


def test_names_that_are_no_text_are_left_out_and_named(tmp_path: Path) -> None:
    fill(tmp_path, "1.png")
    (tmp_path / os.fsdecode(b"\xff.png")).touch()
    assert names_in(tmp_path) == (["1.png"], [], ["\\udcff.png"])


def test_one_picture_is_a_document_whatever_its_ending(tmp_path: Path) -> None:
    fill(tmp_path, "scan.dat")
    os.utime(tmp_path / "scan.dat", (1000, 1000))
    with open_document(tmp_path / "scan.dat", LIMITS) as document:
        assert (document.kind, document.left_out) == ("picture", [])
        assert document.entries == [Entry("scan.dat", True, 8, 1000.0)]
        with document.open(document.entries[0]) as file:
            assert file.read() == b"scan.dat"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.cbr", "RAR"), ("a.RAR", "RAR"), ("a.cb7", "7-Zip"), ("a.cbt", "tar"), ("a.pdf", "PDF")],
)
def test_books_of_other_kinds_are_named(tmp_path: Path, name: str, kind: str) -> None:
    fill(tmp_path, name)
    with pytest.raises(UnsupportedDocument) as caught, open_document(tmp_path / name, LIMITS):
        pass
    assert caught.value.message == f"{tmp_path / name} is a {kind} file, which is not read yet"
    assert caught.value.hint == "convert it to CBZ: a ZIP of the page pictures"


def test_a_pipe_is_no_document(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnsupportedDocument), open_document(tmp_path / "pipe.png", LIMITS):
        pass


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(DocumentNotFound) as caught, open_document(tmp_path / "gone.cbz", LIMITS):
        pass
    assert caught.value.message == f"there is no file or folder {tmp_path / 'gone.cbz'}"
    assert caught.value.hint is None


@pytest.mark.parametrize(
    ("typed", "meant"), [("fox-book.cbx", "fox-book.cbz"), ("chaptr 1", "chapter 1"), ("zebra", None)]
)
def test_a_mistyped_path_is_answered_with_the_nearest_name_beside_it(
    tmp_path: Path, typed: str, meant: str | None
) -> None:
    fill(tmp_path, "fox-book.cbz", "chapter 1/1.png")
    with pytest.raises(DocumentNotFound) as caught, open_document(tmp_path / typed, LIMITS):
        pass
    assert caught.value.hint == (f"did you mean {tmp_path / meant}?" if meant else None)


def test_nothing_is_guessed_in_a_folder_that_is_not_there_or_may_not_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", closed)
    for path in (tmp_path / "gone" / "fox.cbz", tmp_path / "fox.cbz"):
        with pytest.raises(DocumentNotFound) as caught, open_document(path, LIMITS):
            pass
        assert caught.value.hint is None


@pytest.mark.parametrize("names", [(), ("readme.txt", "._1.png")])
def test_a_folder_without_pages_is_not_found(tmp_path: Path, names: tuple[str, ...]) -> None:
    fill(tmp_path, *names)
    with pytest.raises(DocumentNotFound) as caught, open_document(tmp_path, LIMITS):
        pass
    assert caught.value.message == f"{tmp_path} holds no pages"


def test_a_folder_that_may_not_be_read_is_named(start_python: StartPython) -> None:
    # Not in pytest's folder, which nobody else may even enter.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o000)
        printed, _ = start_python(NO_PERMISSION, name).communicate()
        Path(name).chmod(0o755)
    assert printed == "Denied\n"
