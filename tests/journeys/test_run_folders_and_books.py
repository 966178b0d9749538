"""`audobon run` on folders and books: everything comes along, in order."""

import os
import zipfile

from audobon_command import Audobon
from drawn_pages import book_contents, drawn, picture_bytes, save_book, size_of

COMIC_INFO = '<?xml version="1.0"?>\r\n<ComicInfo><Title>Füchse &amp; Co</Title></ComicInfo>\n'.encode()


def pages(*names: str) -> dict[str, bytes]:
    return {name: picture_bytes(drawn(48, 64, seed=seed)) for seed, name in enumerate(names)}


def test_a_folder_is_mirrored_with_all_it_holds_except_links(audobon: Audobon) -> None:
    source = audobon.folder / "book"
    (source / "chapter 1").mkdir(parents=True)
    for name, data in pages("cover.png", "chapter 1/page2.png", "chapter 1/page10.png").items():
        (source / name).write_bytes(data)
    (source / "notes.txt").write_bytes(b"draw more foxes\r\n")
    os.utime(source / "notes.txt", (1_600_000_000, 1_600_000_000))
    (source / "empty.bin").write_bytes(b"")
    (audobon.folder / "secret.txt").write_text("keep out")
    (source / "link.txt").symlink_to(audobon.folder / "secret.txt")
    (source / "way out").symlink_to(audobon.folder, target_is_directory=True)

    outcome = audobon.run("run", "upscale", "book", "-o", "print")

    assert (outcome.status, outcome.out) == (0, "")
    assert outcome.told == (
        "reading 5 files\n"
        "[1/3]  chapter 1/page2.png  96×128  T s\n"
        "[2/3]  chapter 1/page10.png  96×128  T s\n"
        "[3/3]  cover.png  96×128  T s\n"
        "upscale: 3 pages done, with waifu2x-upconv7-x2\n"
        "  the resolution noted in each file is kept; --dpi scale keeps the print size instead\n"
        "  left out (links, devices, damaged, or without a readable name): link.txt, way out\n"
        "result       print\n"
        "time         T s, on this machine\n"
        "peak memory  N MB in all processes\n"
    )
    target = audobon.folder / "print"
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*")) == [
        "chapter 1",
        "chapter 1/page10.png",
        "chapter 1/page2.png",
        "cover.png",
        "empty.bin",
        "notes.txt",
    ]
    assert (target / "notes.txt").read_bytes() == b"draw more foxes\r\n"
    assert (target / "notes.txt").stat().st_mtime == 1_600_000_000
    assert size_of((target / "chapter 1" / "page10.png").read_bytes()) == (96, 128)


def test_a_book_stays_a_book_with_its_metadata_byte_for_byte_and_pages_in_natural_order(
    audobon: Audobon,
) -> None:
    files = {**pages("page10.png", "page2.png", "page1.jpg"), "ComicInfo.xml": COMIC_INFO}
    save_book(audobon.folder / "fox.cbz", files)

    outcome = audobon.run("run", "upscale", "fox.cbz", "-o", "fox-print.cbz")

    assert outcome.status == 0, outcome.err
    made = book_contents(audobon.folder / "fox-print.cbz")
    assert list(made) == ["ComicInfo.xml", "page1.jpg", "page2.png", "page10.png"]
    assert made["ComicInfo.xml"] == COMIC_INFO
    assert {size_of(data) for name, data in made.items() if name != "ComicInfo.xml"} == {(96, 128)}
    with zipfile.ZipFile(audobon.folder / "fox-print.cbz") as book:
        assert {item.date_time for item in book.infolist()} == {(2020, 2, 3, 4, 5, 6)}


def test_the_order_of_work_is_the_order_of_reading(audobon: Audobon) -> None:
    save_book(audobon.folder / "fox.cbz", pages("page10.png", "page2.png"))

    outcome = audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz")

    lines = [line for line in outcome.told.splitlines() if line.startswith("[")]
    assert lines == ["[1/2]  page2.png  96×128  T s", "[2/2]  page10.png  96×128  T s"]


def test_a_folder_becomes_a_book_and_a_book_a_folder_with_the_same_pages(audobon: Audobon) -> None:
    (audobon.folder / "book").mkdir()
    for name, data in {**pages("a/1.png", "b.png"), "ComicInfo.xml": COMIC_INFO}.items():
        (audobon.folder / "book" / name).parent.mkdir(exist_ok=True)
        (audobon.folder / "book" / name).write_bytes(data)
    save_book(audobon.folder / "fox.zip", {**pages("a/1.png", "b.png"), "ComicInfo.xml": COMIC_INFO})

    to_book = audobon.run("run", "upscale", "book", "-o", "print.cbz")
    to_folder = audobon.run("run", "upscale", "fox.zip", "-o", "print")

    assert (to_book.status, to_folder.status) == (0, 0)
    folder = audobon.folder / "print"
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    assert files == book_contents(audobon.folder / "print.cbz")
    assert sorted(files) == ["ComicInfo.xml", "a/1.png", "b.png"]


def test_names_in_any_script_are_kept(audobon: Audobon) -> None:
    names = ("第1話/頁 2.png", "Ä&ö'1.png", "🦊.png")
    save_book(audobon.folder / "狐.cbz", pages(*names))

    to_book = audobon.run("run", "upscale", "狐.cbz", "-o", "狐 – print.cbz")
    to_folder = audobon.run("run", "upscale", "狐.cbz", "-o", "頁")

    assert (to_book.status, to_folder.status) == (0, 0)
    assert sorted(book_contents(audobon.folder / "狐 – print.cbz")) == sorted(names)
    assert all((audobon.folder / "頁" / name).is_file() for name in names)
    assert "第1話/頁 2.png  96×128" in to_book.err


def test_a_names_control_characters_never_reach_the_terminal(audobon: Audobon) -> None:
    save_book(audobon.folder / "fox.cbz", pages("a\x1b[2Jb.png"))

    outcome = audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz")

    assert outcome.status == 0
    assert "\x1b" not in outcome.err
    assert "a\ufffd[2Jb.png" in outcome.err


def test_overwriting_a_folder_replaces_file_by_file_and_leaves_what_else_lies_there(audobon: Audobon) -> None:
    (audobon.folder / "book").mkdir()
    (audobon.folder / "book" / "1.png").write_bytes(picture_bytes(drawn(48, 64)))
    (audobon.folder / "print").mkdir()
    (audobon.folder / "print" / "1.png").write_bytes(b"old")
    (audobon.folder / "print" / "mine.txt").write_bytes(b"mine")

    outcome = audobon.run("run", "upscale", "book", "-o", "print", "--overwrite")

    assert outcome.status == 0
    assert audobon.files() == ["book/1.png", "print/1.png", "print/mine.txt"]
    assert (audobon.folder / "print" / "mine.txt").read_bytes() == b"mine"
    assert size_of((audobon.folder / "print" / "1.png").read_bytes()) == (96, 128)
