"""What is somebody's stays theirs, and odd circumstances end in words rather than in harm."""

import os
from contextlib import closing

import pytest
from audobon_command import Audobon
from drawn_pages import book_of, drawn, picture_bytes

from audobon.sqlite import connect


@pytest.fixture(autouse=True)
def _page(audobon: Audobon) -> None:
    (audobon.folder / "page.png").write_bytes(picture_bytes(drawn(48, 64)))


def test_a_book_into_the_folder_of_another_takes_nothing_of_it_away(audobon: Audobon) -> None:
    for name in ("first", "second"):
        (audobon.folder / name).mkdir()
        (audobon.folder / name / f"{name}.png").write_bytes(picture_bytes(drawn(48, 64)))
    assert audobon.run("run", "upscale", "first", "-o", "out").status == 0
    retouched = audobon.folder / "out" / "first.png"
    retouched.write_bytes(b"retouched by hand")

    assert audobon.run("run", "upscale", "second", "-o", "out", "--overwrite").status == 0

    assert retouched.read_bytes() == b"retouched by hand"
    assert sorted(path.name for path in (audobon.folder / "out").iterdir()) == ["first.png", "second.png"]


def test_an_output_that_came_while_the_work_went_on_is_kept(audobon: Audobon) -> None:
    book_of(audobon.folder / "book.cbz", 2, 600, 800)
    process = audobon.start("run", "upscale", "book.cbz", "-o", "print.cbz")
    audobon.wait_for_work_after(0)
    (audobon.folder / "print.cbz").write_bytes(b"mine")

    outcome = audobon.outcome(process)

    assert outcome.status == 5
    assert outcome.err.endswith("error: print.cbz exists already\nhint: add --overwrite to replace it\n")
    assert (audobon.folder / "print.cbz").read_bytes() == b"mine"
    again = audobon.run("run", "upscale", "book.cbz", "-o", "print.cbz", "--overwrite", "--json")
    assert '"pages_resumed": 2' in again.out


def test_a_document_inside_its_output_is_refused(audobon: Audobon) -> None:
    inner = audobon.folder / "shelf" / "book"
    inner.mkdir(parents=True)
    (inner / "p.png").write_bytes(picture_bytes(drawn(48, 64)))

    refused = audobon.run("run", "upscale", "shelf/book", "-o", "shelf", "--overwrite")

    said = "error: the document lies in the output shelf\nhint: choose another place\n"
    assert (refused.status, refused.err) == (5, said)


def test_a_clock_that_was_set_back_keeps_no_page_waiting(audobon: Audobon) -> None:
    book_of(audobon.folder / "book.cbz", 2, 600, 800)
    process = audobon.start("run", "upscale", "book.cbz", "-o", "print.cbz")
    audobon.wait_for_work_after(0)
    process.terminate()
    audobon.outcome(process)
    with closing(connect(audobon.data / "audobon.db")) as connection:
        connection.execute("UPDATE task SET run_at = run_at + 7200 WHERE state = 'ready'")

    assert audobon.run("run", "upscale", "book.cbz", "-o", "print.cbz").status == 0


def test_pages_of_very_different_size_share_one_budget(audobon: Audobon) -> None:
    (audobon.folder / "mix").mkdir()
    for name, size in (("a.png", (300, 300)), ("b.png", (1500, 1000))):
        (audobon.folder / "mix" / name).write_bytes(picture_bytes(drawn(*size)))
    outcome = audobon.run("run", "upscale", "mix", "-o", "out", "--memory", "260MB", "--json", "--quiet")

    assert outcome.status == 0
    peak = int(outcome.out.split('"peak_memory_bytes": ')[1].split(",")[0])
    assert peak <= 260 << 20


@pytest.mark.parametrize("given", ["source", "target"])
def test_a_name_that_is_no_text_is_told_in_words(audobon: Audobon, given: str) -> None:
    strange = os.fsdecode(b"caf\xe9.png")
    (audobon.folder / strange).write_bytes(picture_bytes(drawn(48, 64)))
    names = (strange, "o.png") if given == "source" else ("page.png", strange)

    refused = audobon.run("run", "upscale", names[0], "-o", names[1], "--overwrite")

    assert refused.status == 2
    assert refused.err.startswith(r"error: the name caf\udce9.png is not readable text")


def test_a_page_whose_file_is_larger_than_its_memory_is_refused_unread(audobon: Audobon) -> None:
    page = audobon.folder / "page.png"
    with page.open("ab") as file:
        file.truncate(300 << 20)

    refused = audobon.run("run", "upscale", "page.png", "-o", "o.png", "--memory", "200MB")

    assert refused.status == 2
    assert "page.png: its file is over 34 MB, too large for the memory budget" in refused.err


def test_findings_leave_other_files_of_the_document_alone(audobon: Audobon) -> None:
    (audobon.folder / "book").mkdir()
    (audobon.folder / "book" / "p.png").write_bytes(picture_bytes(drawn(48, 64)))
    with (audobon.folder / "book" / "film.mkv").open("wb") as film:
        film.truncate(10 << 30)  # would fill the disk if it were copied

    assert audobon.run("run", "panels", "book").status == 0
