"""Books pack their pages in two ways only, and their table of contents has a size."""

import zipfile
from pathlib import Path

import pytest

from audobon.errors import UnreadablePicture, UnsafeArchive
from audobon.pages.documents import ArchiveLimits, open_document

LIMITS = ArchiveLimits(max_entries=20, max_bytes=10**9, max_ratio=200)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_page_packed_by_a_method_without_bounds_is_never_unpacked(tmp_path: Path, method: int) -> None:
    book = tmp_path / "b.cbz"
    with zipfile.ZipFile(book, "w") as made:
        made.writestr("1.png", b"x", zipfile.ZIP_STORED)
        made.writestr("2.png", bytes(1_000_000), method)
    with open_document(book, LIMITS) as document:
        first, second = document.entries
        with document.open(first) as file:
            assert file.read() == b"x"
        with pytest.raises(UnreadablePicture, match="packed by a method that books do not use"):
            document.open(second)


@pytest.mark.parametrize("entries", [300, 66_000])
def test_a_table_of_contents_beyond_all_measure_is_refused_before_it_is_read(
    tmp_path: Path, entries: int
) -> None:
    # More than 65,535 entries need the wide form of the end record.
    book = tmp_path / "b.cbz"
    with zipfile.ZipFile(book, "w") as made:
        for number in range(entries):
            made.writestr(f"{number}.png", b"")
    with pytest.raises(UnsafeArchive, match="the table of contents of"), open_document(book, LIMITS):
        pass
