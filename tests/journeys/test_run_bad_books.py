"""Bad books: refused whole when they could do harm, worked on in part when a page is bad."""

import io
import json
import stat
import zipfile

import pytest
from audobon_command import Audobon
from drawn_pages import book_contents, drawn, picture_bytes, save_book, size_of

PAGE = picture_bytes(drawn(48, 64))


def archive(name: str, data: bytes = PAGE, *, mode: int = 0, compression: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as book:
        book.writestr("page1.png", PAGE)
        item = zipfile.ZipInfo(name)
        item.compress_type = compression
        item.external_attr = mode << 16
        book.writestr(item, data)
    return target.getvalue()


def pages_of(count: int) -> dict[str, bytes]:
    return {f"page{n}.png": picture_bytes(drawn(48, 64, seed=n)) for n in range(1, count + 1)}


@pytest.mark.parametrize(
    ("book", "reason"),
    [
        (archive("../page2.png"), "holds an entry that points outside of it: '../page2.png'"),
        (archive("/page2.png"), "holds an entry that points outside of it: '/page2.png'"),
        (archive("c:/page2.png"), "holds an entry that points outside of it: 'c:/page2.png'"),
        (
            archive("page2.png", b"/etc/passwd", mode=stat.S_IFLNK | 0o777),
            "holds an entry that is a link or device: 'page2.png'",
        ),
        (
            archive("page2.png", b"\0" * (66 << 20), compression=zipfile.ZIP_DEFLATED),
            "holds an entry that unfolds",
        ),
        (b"", "is not a sound ZIP archive\nhint: open it in an archive program, and save it anew\n"),
        (
            b"PK\x03\x04 and then nothing",
            "is not a sound ZIP archive\nhint: open it in an archive program, and save it anew\n",
        ),
    ],
)
def test_a_harmful_book_is_refused_whole(audobon: Audobon, book: bytes, reason: str) -> None:
    (audobon.folder / "fox.cbz").write_bytes(book)

    outcome = audobon.run("run", "upscale", "fox.cbz", "-o", "print")

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: fox.cbz {reason}")
    assert audobon.files() == ["fox.cbz"]
    assert [path.name for path in audobon.folder.parent.iterdir() if path.suffix == ".png"] == []
    assert audobon.leftovers() == []


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        (
            "fox.cbr",
            2,
            "error: fox.cbr is a RAR file, which is not read yet\n"
            "hint: convert it to CBZ: a ZIP of the page pictures\n",
        ),
        (
            "fox.cbz",
            4,
            "error: fox.cbz holds no pages\nhint: pages are PNG, JPEG, WebP or TIFF pictures\n",
        ),
    ],
)
def test_a_book_without_pages_we_can_read_is_refused(
    audobon: Audobon, name: str, status: int, said: str
) -> None:
    save_book(audobon.folder / name, {"ComicInfo.xml": b"<ComicInfo/>"})

    outcome = audobon.run("run", "upscale", name, "-o", "print.cbz")

    assert (outcome.status, outcome.out, outcome.err) == (status, "", said)


def test_one_bad_page_costs_only_itself_and_mending_it_redoes_only_that_page(audobon: Audobon) -> None:
    # given
    files = pages_of(4)
    broken = files | {"page3.png": files["page3.png"][:200]}
    save_book(audobon.folder / "fox.cbz", broken)

    # when
    first = audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz")
    made = book_contents(audobon.folder / "print.cbz")
    save_book(audobon.folder / "fox.cbz", files)
    second = audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz", "--overwrite", "--json")

    # then
    assert (first.status, first.out) == (10, "")
    assert "page3.png  FAILED: the picture is damaged or cut off" in first.err
    assert first.err.endswith(
        "error: 1 of 4 pages could not be done: page3.png\n"
        "hint: mend or replace them and run the same command again with --overwrite;"
        " what is done is kept till then\n"
    )
    assert list(made) == list(files)
    assert made["page3.png"] == broken["page3.png"]
    assert size_of(made["page4.png"]) == (96, 128)
    report = json.loads(second.out)
    assert (second.status, report["pages_done"], report["pages_resumed"]) == (0, 4, 3)
    assert [page["name"] for page in report["pages"] if not page.get("is_resumed")] == ["page3.png"]
    assert audobon.done_events() == [("page3.png", 1)]
    assert all(size_of(data) == (96, 128) for data in book_contents(audobon.folder / "print.cbz").values())


def test_a_page_refused_by_a_limit_is_done_once_the_limit_is_raised(audobon: Audobon) -> None:
    files = pages_of(2) | {"page3.png": picture_bytes(drawn(1100, 1000))}
    save_book(audobon.folder / "fox.cbz", files)
    command = ("run", "panels", "fox.cbz", "-o", "fox.json", "--overwrite", "--json")

    first = audobon.run(*command, env={"AUDOBON_PICTURES_MAX_MEGAPIXELS": "1"})
    second = audobon.run(*command)

    assert first.status == 10
    assert "1100×1000 is 1 megapixels, over the limit of 1" in first.err
    assert second.status == 0, second.err
    assert [len(page["panels"]) for page in json.loads(second.out)["pages"]] == [1, 1, 1]


def test_a_book_of_nothing_but_bad_pages_makes_no_output(audobon: Audobon) -> None:
    save_book(audobon.folder / "fox.cbz", {"1.png": b"", "2.png": b"no picture"})

    outcome = audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz")

    assert outcome.status == 10
    assert outcome.err.endswith(
        "error: 2 of 2 pages could not be done: 1.png, 2.png\n"
        "hint: mend or replace them and run the same command again; what is done is kept till then\n"
    )
    assert audobon.files() == ["fox.cbz"]


def test_another_file_that_is_damaged_is_left_out_and_told_and_the_pages_are_done(audobon: Audobon) -> None:
    files = pages_of(1) | {"ComicInfo.xml": b"<ComicInfo>" + b"x" * 300 + b"</ComicInfo>"}
    book = bytearray(save_book(audobon.folder / "fox.cbz", files).read_bytes())
    book[book.index(b"<ComicInfo>") + 100] ^= 0xFF
    (audobon.folder / "fox.cbz").write_bytes(book)

    outcome = audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz")

    assert outcome.status == 0
    assert outcome.told.splitlines()[1:5] == [
        "[1/1]  page1.png  96×128  T s",
        "upscale: 1 page done, with waifu2x-upconv7-x2",
        "  the resolution noted in each file is kept; --dpi scale keeps the print size instead",
        "  left out (links, devices, damaged, or without a readable name): ComicInfo.xml",
    ]
    assert list(book_contents(audobon.folder / "print.cbz")) == ["page1.png"]


def test_a_page_damaged_inside_the_archive_is_told_and_the_others_are_done(audobon: Audobon) -> None:
    book = bytearray(save_book(audobon.folder / "fox.cbz", pages_of(3)).read_bytes())
    # Inside the stored bytes of the second page, so that its checksum no longer holds.
    book[book.index(b"page2.png") + 200] ^= 0xFF
    (audobon.folder / "fox.cbz").write_bytes(book)

    outcome = audobon.run("run", "upscale", "fox.cbz", "-o", "print")

    assert outcome.status == 10
    assert "Bad CRC-32 for file 'page2.png'" in outcome.err
    assert audobon.files() == ["fox.cbz", "print/page1.png", "print/page3.png"]
