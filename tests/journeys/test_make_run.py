"""`make run`: the sample again and again, one's own pages never replaced unasked; `make clean` keeps them."""

import subprocess
from pathlib import Path

import pytest
from audobon_command import PROGRAM, Audobon, Outcome
from drawn_pages import drawn, lettered_page, panelled_page

ROOT = Path(__file__).parents[2]


@pytest.fixture
def desk(audobon: Audobon) -> Audobon:
    """The command on a desk with a small sample page."""
    sample = audobon.folder / "samples" / "the-wren" / "page-1.png"
    sample.parent.mkdir(parents=True)
    drawn(48, 64).save(sample)
    return audobon


def run_script(desk: Audobon, *arguments: str) -> Outcome:
    """Run the script of `make run` on the desk: operation, input, output, options."""
    environment = desk.environment | {"PATH": f"{PROGRAM.parent}:{desk.environment['PATH']}"}
    command = ["sh", str(ROOT / "scripts" / "run.sh"), *arguments]
    ended = subprocess.run(
        command, cwd=desk.folder, env=environment, capture_output=True, encoding="utf-8", timeout=60
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def test_without_an_input_the_sample_is_done_as_often_as_one_likes(desk: Audobon) -> None:
    outcomes = [run_script(desk, "upscale", "", "") for _ in range(2)]

    assert [outcome.status for outcome in outcomes] == [0, 0], outcomes[1].err
    assert all("result       out/page-1-upscale.png\n" in outcome.err for outcome in outcomes)


def test_ones_own_page_is_not_replaced_unless_one_says_so(desk: Audobon) -> None:
    drawn(48, 64).save(desk.folder / "my.page.png")

    outcomes = [
        run_script(desk, "upscale", "my.page.png", ""),
        run_script(desk, "upscale", "my.page.png", ""),
        run_script(desk, "upscale", "my.page.png", "", "--overwrite"),
    ]

    assert [outcome.status for outcome in outcomes] == [0, 5, 0]
    assert "error: out/my.page-upscale.png exists already\n" in outcomes[1].err


def test_the_output_is_taken_as_it_is(desk: Audobon) -> None:
    panelled_page().save(desk.folder / "page.png")
    (desk.folder / "v1.0").mkdir()

    named = run_script(desk, "panels", "page.png", "cut.v2")
    folder = run_script(desk, "upscale", "samples", "")

    assert (named.status, folder.status) == (0, 0), named.err + folder.err
    assert (desk.folder / "cut.v2" / "panel-04.png").is_file()
    assert (desk.folder / "out" / "samples-upscale" / "the-wren" / "page-1.png").is_file()


def test_letters_are_written_as_json_and_their_text_is_shown_in_the_order_asked_for(desk: Audobon) -> None:
    desk.prepare("ppocr-v6-detector", "ppocr-v2-classifier", "ppocr-v6-recogniser")
    lettered_page().save(desk.folder / "page.png")

    outcome = run_script(desk, "letters", "page.png", "", "--order", "rtl")

    assert outcome.status == 0, outcome.err
    assert outcome.out == "page.png\n   1. [speech] BEHIND THE DOOR\n   2. [speech] WHERE IS THE CAT\n"
    assert '"BEHIND THE DOOR"' in (desk.folder / "out" / "page-letters.json").read_text()


def test_cleaning_up_keeps_what_was_made() -> None:
    said = subprocess.run(
        ["make", "-n", "-C", str(ROOT), "clean"], capture_output=True, encoding="utf-8", check=True
    ).stdout

    (line,) = [line for line in said.splitlines() if line.startswith("rm ")]
    assert "out" not in line.split()
    assert ".venv" in line.split()
