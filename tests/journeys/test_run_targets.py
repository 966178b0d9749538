"""Where a result may go, and what is said when it may not; the output is never half there."""

import os
import resource

import numpy as np
import pytest
from audobon_command import Audobon, Outcome, without_privileges
from drawn_pages import book_contents, drawn, picture_bytes, save_book
from PIL import Image


@pytest.fixture(autouse=True)
def _page(audobon: Audobon) -> None:
    (audobon.folder / "page.png").write_bytes(picture_bytes(drawn(48, 64)))


def refusal(audobon: Audobon, source: str, target: object, **options: object) -> Outcome:
    """Run upscale where it must refuse; nothing on the desk may have changed."""
    before = {name: (audobon.folder / name).read_bytes() for name in audobon.files()}
    outcome = audobon.run("run", "upscale", source, "-o", target, **options)
    assert outcome.out == ""
    assert {name: (audobon.folder / name).read_bytes() for name in audobon.files()} == before
    assert audobon.leftovers() == []
    return outcome


def test_an_existing_output_is_kept_unless_overwriting_is_asked_for(audobon: Audobon) -> None:
    (audobon.folder / "print.png").write_bytes(b"precious")

    refused = refusal(audobon, "page.png", "print.png")
    replaced = audobon.run("run", "upscale", "page.png", "-o", "print.png", "--overwrite")

    said = "error: print.png exists already\nhint: add --overwrite to replace it\n"
    assert (refused.status, refused.err) == (5, said)
    assert replaced.status == 0
    assert (audobon.folder / "print.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_folder_is_named_with_the_command_that_makes_it(audobon: Audobon) -> None:
    outcome = refusal(audobon, "page.png", "no/such/print.png")

    parent = audobon.folder / "no" / "such"
    assert outcome.status == 4
    assert outcome.err == f"error: the folder {parent} does not exist\nhint: mkdir -p {parent}\n"


def test_the_output_may_not_lie_inside_the_document_nor_be_it(audobon: Audobon) -> None:
    (audobon.folder / "book").mkdir()
    (audobon.folder / "book" / "1.png").write_bytes(picture_bytes(drawn(48, 64)))

    inside = refusal(audobon, "book", "book/print")
    itself = refusal(audobon, "page.png", "../desk/page.png")

    assert (inside.status, inside.err) == (
        5,
        "error: the output book/print lies in the document itself\nhint: choose another place\n",
    )
    assert (itself.status, itself.err) == (
        5,
        "error: the output ../desk/page.png is the input itself\nhint: choose another name\n",
    )


def test_a_folder_that_may_not_be_written_to_is_refused_before_any_work(audobon: Audobon) -> None:
    closed = audobon.folder / "closed"
    closed.mkdir(mode=0o555)

    outcome = refusal(audobon, "page.png", "closed/print.png", preexec_fn=without_privileges)

    said = "error: not allowed to write closed/print.png\nhint: check the permissions of its folder\n"
    assert (outcome.status, outcome.err) == (6, said)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            "print.gif",
            "error: the ending of print.gif is no picture format\n"
            "hint: use one of .png .jpg .jpeg .webp .tif .tiff\n",
        ),
        ("print", "error: the ending of print is no picture format\n"),
    ],
)
def test_an_ending_that_is_no_picture_is_refused(audobon: Audobon, target: str, said: str) -> None:
    outcome = refusal(audobon, "page.png", target)

    assert outcome.status == 2
    assert outcome.err.startswith(said)


def test_a_book_does_not_fit_into_one_picture(audobon: Audobon) -> None:
    save_book(audobon.folder / "fox.cbz", {"1.png": picture_bytes(drawn(48, 64))})

    outcome = refusal(audobon, "fox.cbz", "print.png")

    assert outcome.status == 2
    assert outcome.err == (
        "error: print.png names one picture, but fox.cbz holds several pages\n"
        "hint: give a folder, or a book ending in .cbz\n"
    )


def test_a_full_disk_loses_no_finished_page_and_the_next_run_only_assembles(audobon: Audobon) -> None:
    # given: a book whose files fit the limit one by one, but not together
    limit = 8 << 20
    extras = {f"extra{number}.bin": os.urandom(limit // 2) for number in range(3)}
    pages = {f"page{number}.png": picture_bytes(drawn(48, 64, seed=number)) for number in (1, 2)}
    save_book(audobon.folder / "fox.cbz", pages | extras)

    # when
    full = refusal(
        audobon,
        "fox.cbz",
        "print.cbz",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    again = audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz")

    # then
    assert full.status == 7
    assert full.err.endswith(
        "error: no room left for print.cbz: File too large\n"
        "hint: free some space and run the same command again\n"
    )
    assert again.status == 0
    assert again.told.startswith("reading 5 files\njob JOB: 2 of 2 pages were done before\n")
    assert audobon.done_events() == [("page1.png", 1), ("page2.png", 1)]
    made = book_contents(audobon.folder / "print.cbz")
    assert {name: made[name] for name in extras} == extras


def test_a_disk_that_fills_up_during_the_work_makes_no_output_and_keeps_the_finished_pages(
    audobon: Audobon,
) -> None:
    # given: a page whose print is larger than any file may be
    limit = 1 << 20
    noise = np.random.default_rng(1).integers(0, 255, (400, 400, 3), np.uint8)
    pages = {f"page{number}.png": picture_bytes(drawn(48, 64, seed=number)) for number in (1, 3)}
    pages["page2.png"] = picture_bytes(Image.fromarray(noise))
    save_book(audobon.folder / "fox.cbz", pages)

    # when
    full = refusal(
        audobon,
        "fox.cbz",
        "print.cbz",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    again = audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz")

    # then
    assert full.status == 7
    assert full.err.endswith(
        f"error: no room left for {audobon.data / 'blobs'}: File too large\n"
        "hint: free some space and run the same command again\n"
    )
    assert again.status == 0, again.err
    assert audobon.done_events() == [("page1.png", 1), ("page2.png", 1), ("page3.png", 1)]
