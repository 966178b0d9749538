"""What people mistype is answered with what to type instead."""

import pytest
from audobon_command import Audobon
from drawn_pages import drawn


@pytest.mark.parametrize("operation", ["upscale", "clean", "letters", "panels"])
def test_an_operation_without_run_is_answered_with_the_whole_command(
    audobon: Audobon, operation: str
) -> None:
    outcome = audobon.run(operation, "page.png")

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        f"error: {operation} is an operation, not a command\nhint: audobon run {operation} ...\n"
    )


def test_an_output_without_its_option_is_answered_with_the_option(audobon: Audobon) -> None:
    drawn(48, 64).save(audobon.folder / "page.png")

    outcome = audobon.run("run", "upscale", "page.png", "print.png", "-o", "other.png")

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.endswith("hint: -o OUT names the output; several pages go in as a folder or a book\n")
    assert audobon.files() == ["page.png"]


def test_a_mistyped_input_is_answered_with_the_nearest_name(audobon: Audobon) -> None:
    drawn(48, 64).save(audobon.folder / "page-1.png")

    outcome = audobon.run("run", "panels", "page_1.png")

    assert outcome.status == 4
    assert outcome.err == "error: there is no file or folder page_1.png\nhint: did you mean page-1.png?\n"


def test_a_place_that_takes_no_files_is_refused_at_once(audobon: Audobon) -> None:
    drawn(48, 64).save(audobon.folder / "page.png")

    outcome = audobon.run("run", "upscale", "page.png", "-o", "/proc/print.png")

    assert outcome.status in (4, 6)
    assert "/proc/print.png" in outcome.err
    assert audobon.query("SELECT count(*) FROM job") in ([], [(0,)])


def test_a_single_page_is_not_made_a_book(audobon: Audobon) -> None:
    drawn(48, 64).save(audobon.folder / "page.png")

    outcome = audobon.run("run", "upscale", "page.png", "-o", "fox.cbz")

    assert (outcome.status, outcome.err) == (
        2,
        "error: page.png is one picture, and fox.cbz would be a book\n"
        "hint: name a picture, such as out.png\n",
    )
