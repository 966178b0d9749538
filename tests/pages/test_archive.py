"""Books may be hostile: nothing outside is reached, nothing swells, and damage is told."""

import io
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audobon.errors import (
    AudobonError,
    DocumentNotFound,
    UnreadablePicture,
    UnsafeArchive,
    UnsupportedDocument,
)
from audobon.pages.documents import ArchiveLimits, Document, Entry, open_document

LIMITS = ArchiveLimits(max_entries=20, max_bytes=10**9, max_ratio=200)
MOMENT = (2020, 2, 3, 4, 5, 6)

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name")


def write_book(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, data in entries:
            item = zipfile.ZipInfo(name, MOMENT) if isinstance(name, str) else name
            if isinstance(name, str):
                item.compress_type = zipfile.ZIP_DEFLATED
            book.writestr(item, data)
    return path


def refusal(path: Path, limits: ArchiveLimits = LIMITS) -> AudobonError:
    with pytest.raises(AudobonError) as caught, open_document(path, limits):
        pass
    return caught.value


def patched(path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def read_whole(book: Document, entry: Entry) -> bytes:
    with book.open(entry) as file:
        return file.read()


def central(data: bytearray) -> int:
    """Return where the first entry of the table of contents is."""
    return data.index(b"PK\x01\x02")


def test_a_book_is_read_in_reading_order_with_all_that_goes_with_it(tmp_path: Path) -> None:
    path = write_book(
        tmp_path / "book.cbz",
        ("ch1/10.png", b"ten"),
        ("ch1/2.png", b"two"),
        ("ch1/", b""),
        ("ComicInfo.xml", b"<xml/>"),
        ("__MACOSX/ch1/2.png", b"double"),
        ("ñandú/漫画 1.png", b"names"),
    )
    with open_document(path, LIMITS) as book:
        assert (book.kind, book.left_out) == ("book", [])
        assert [(entry.name, entry.is_page) for entry in book.entries] == [
            ("__MACOSX/ch1/2.png", False),
            ("ch1/2.png", True),
            ("ch1/10.png", True),
            ("ComicInfo.xml", False),
            ("ñandú/漫画 1.png", True),
        ]
        # 2020-02-03 04:05:06, taken as UTC.
        assert book.entries[1] == Entry("ch1/2.png", True, 3, 1580702706.0)
        assert read_whole(book, book.entries[4]) == b"names"


def test_a_name_from_before_unicode_is_read_as_the_format_says(tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.zip", ("N.png", b"page"))
    patched(path, lambda data: data.__setitem__(slice(None), data.replace(b"N.png", b"\xa4.png")))
    with open_document(path, LIMITS) as book:
        assert [entry.name for entry in book.entries] == ["ñ.png"]
        assert read_whole(book, book.entries[0]) == b"page"


@pytest.mark.parametrize(
    "name",
    [
        "../1.png",
        "a/../../1.png",
        "a/..",
        "/etc/1.png",
        "//server/share/1.png",
        "C:/1.png",
        "C:1.png",
        "..\\1.png",
        "a\\1.png",
        "\\\\server\\share\\1.png",
        ".",
        "./.",
    ],
)
def test_a_name_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    path = write_book(tmp_path / "book.cbz", ("1.png", b"page"), (name, b"page"))
    error = refusal(path)
    assert isinstance(error, UnsafeArchive)
    assert error.message == f"{path} holds an entry that points outside of it: {name!r}"


def test_a_name_with_a_hidden_end_is_refused(tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.cbz", ("1.pngX.txt", b"page"))
    patched(path, lambda data: data.__setitem__(slice(None), data.replace(b"1.pngX", b"1.png\0")))
    assert isinstance(refusal(path), UnsafeArchive)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_a_link_or_device_is_refused(tmp_path: Path, kind: int) -> None:
    item = zipfile.ZipInfo("1.png", MOMENT)
    item.external_attr = (kind | 0o777) << 16
    path = write_book(tmp_path / "book.cbz", (item, b"/etc/passwd"))
    error = refusal(path)
    assert isinstance(error, UnsafeArchive)
    assert error.message == f"{path} holds an entry that is a link or device: '1.png'"


def test_an_encrypted_book_is_refused(tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.cbz", ("1.png", b"page"))
    patched(path, lambda data: data.__setitem__(central(data) + 8, 1))
    error = refusal(path)
    assert isinstance(error, UnsupportedDocument)
    assert (error.message, error.hint) == (f"{path} is encrypted ('1.png')", "remove its password first")


@pytest.mark.parametrize("names", [("a.png", "a.png"), ("./a.png", "a.png"), ("b//a.png", "b/./a.png")])
def test_two_files_of_the_same_name_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    path = write_book(tmp_path / "book.cbz", *((name, b"page") for name in names))
    error = refusal(path)
    assert isinstance(error, UnsafeArchive)
    assert error.message == f"{path} holds two files of the same name"


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.cbz", *((f"{number}.png", b"") for number in range(21)))
    assert refusal(path).message == f"{path} holds 21 files, more than 20"


def test_a_book_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.cbz", ("1.png", bytes(600)), ("2.png", bytes(600)))
    error = refusal(path, ArchiveLimits(max_entries=20, max_bytes=1000, max_ratio=200))
    assert isinstance(error, UnsafeArchive)
    assert error.message == f"{path} unpacks to 0.0 GB, more than it may"


def test_an_entry_that_unfolds_too_far_is_refused_as_a_bomb(tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.cbz", ("1.png", bytes(65 << 20)))
    error = refusal(path)
    assert isinstance(error, UnsafeArchive)
    assert error.message.endswith("times, which is how a bomb looks: '1.png'")


def test_a_small_entry_may_unfold_as_far_as_it_likes(tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.cbz", ("1.png", bytes(1 << 20)))
    with open_document(path, LIMITS) as book, book.open(book.entries[0]) as file:
        assert file.read() == bytes(1 << 20)


def test_reading_stops_at_the_size_that_was_declared(tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.cbz", ("1.png", bytes(20 << 20)))
    patched(path, lambda data: struct.pack_into("<I", data, central(data) + 24, 1000))
    with open_document(path, LIMITS) as book:
        assert book.entries[0].size_bytes == 1000
        target = io.BytesIO()
        with book.open(book.entries[0]) as file, pytest.raises(zipfile.BadZipFile):
            shutil.copyfileobj(file, target, 100)
    # The last piece is held back: it does not match the checksum.
    assert target.tell() <= 1000


def test_damage_inside_an_entry_is_told_on_reading(tmp_path: Path) -> None:
    path = tmp_path / "book.cbz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.png", b"x" * 1000)
    patched(path, lambda data: data.__setitem__(500, 0))
    with (
        open_document(path, LIMITS) as book,
        book.open(book.entries[0]) as file,
        pytest.raises(zipfile.BadZipFile),
    ):
        file.read()


def test_an_entry_whose_start_is_damaged_cannot_be_opened(tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.cbz", ("1.png", b"page"))
    patched(path, lambda data: data.__setitem__(0, 0))
    with open_document(path, LIMITS) as book, pytest.raises(UnreadablePicture) as caught:
        book.open(book.entries[0])
    assert caught.value.message.startswith("it is damaged inside the archive: ")


def test_an_entry_packed_in_an_unknown_way_cannot_be_opened(tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.cbz", ("1.png", b"page"))
    patched(path, lambda data: struct.pack_into("<H", data, central(data) + 10, 96))
    with open_document(path, LIMITS) as book, pytest.raises(UnreadablePicture):
        book.open(book.entries[0])


@pytest.mark.parametrize("data", [b"", b"Rar!\x1a\x07\x00", b"PK\x03\x04" + bytes(100), b"PK\x05\x06"])
def test_what_is_no_sound_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "book.cbz"
    path.write_bytes(data)
    assert isinstance(error := refusal(path), UnsupportedDocument)
    told = (f"{path} is not a sound ZIP archive", "open it in an archive program, and save it anew")
    assert (error.message, error.hint) == told


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 250), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_anywhere_is_refused_or_told_on_reading(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.cbz"
    data = bytearray(write_book(path, ("1.png", b"page"), ("2.png", b"page" * 9)).read_bytes())
    for position, value in damage:
        data[position % len(data)] = value
    path.write_bytes(data)
    try:
        with open_document(path, LIMITS) as book:
            for entry in book.entries:
                with suppress(UnreadablePicture, zipfile.BadZipFile, zlib.error, EOFError):
                    read_whole(book, entry)
    except (UnsafeArchive, UnsupportedDocument, DocumentNotFound):
        return


def test_a_file_without_a_name_is_refused(tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.cbz", ("1.png", b"page"))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"1.png", b"\0.png"))
    error = refusal(path)
    assert isinstance(error, UnsafeArchive)
    assert error.message == f"{path} holds a file without a name"


def test_a_book_without_pages_is_not_found(tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.cbz", ("readme.txt", b"hello"))
    error = refusal(path)
    assert isinstance(error, DocumentNotFound)
    assert error.message == f"{path} holds no pages"
