"""`--memory`: less of it changes the time, never the pixels."""

import re
import signal

import pytest
from audobon_command import Audobon
from drawn_pages import book_of, drawn


def least_memory(audobon: Audobon, source: str) -> str:
    """Return the amount the command advises when asked for an impossible one."""
    outcome = audobon.run("run", "upscale", source, "-o", "never.png", "--memory", "60MB")
    assert (outcome.status, outcome.out) == (7, "")
    found = re.fullmatch(
        r"(?:reading \d+ files\n)?error: a page of \d+×\d+ needs (\d+) MB, the budget is 60 MB\n"
        r"hint: --memory (\d+MB)\n",
        outcome.err,
    )
    assert found is not None, outcome.err
    return found[2]


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_small_tiles_give_the_same_file(audobon: Audobon, mode: str) -> None:
    drawn(300, 200, mode=mode).save(audobon.folder / "page.png")

    wide = audobon.run("run", "upscale", "page.png", "-o", "wide.png", "--json", "--memory", "4GB")
    narrow = audobon.run(
        *("run", "upscale", "page.png", "-o", "narrow.png", "--json", "--memory", "200MB", "--no-cache")
    )

    assert (wide.status, narrow.status) == (0, 0)
    sides = [int(re.findall(r'"tile_px": (\d+)', outcome.out)[0]) for outcome in (wide, narrow)]
    assert sides[0] > sides[1]
    assert (audobon.folder / "wide.png").read_bytes() == (audobon.folder / "narrow.png").read_bytes()


def test_an_impossible_budget_is_refused_with_advice_that_works(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")

    advice = least_memory(audobon, "page.png")
    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.png", "--memory", advice)

    assert outcome.status == 0, outcome.err
    assert audobon.files() == ["page.png", "print.png"]
    assert audobon.leftovers() == []


def test_a_run_stopped_with_much_memory_goes_on_with_little(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 3, 300, 200)
    command = ("run", "upscale", "fox.cbz", "-o", "print.cbz")
    process = audobon.start(*command, "--memory", "4GB")
    audobon.wait_for_work_after(1)
    process.send_signal(signal.SIGINT)
    assert audobon.outcome(process).status == 130

    drawn(300, 200).save(audobon.folder / "page.png")
    advice = least_memory(audobon, "page.png")
    outcome = audobon.run(*command, "--memory", advice)

    assert outcome.status == 0, outcome.err
    assert [count for _, count in audobon.done_events()] == [1, 1, 1]
