"""Ctrl-C and a polite request to end: at once, with what was finished kept."""

import json
import re
import signal
import time

import pytest
from audobon_command import Audobon
from drawn_pages import book_of, drawn

COMMAND = ("run", "upscale", "fox.cbz", "-o", "print.cbz")
PAGES = [f"page{number}.png" for number in range(1, 7)]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_within_a_second_and_says_how_to_go_on(
    audobon: Audobon, how: signal.Signals
) -> None:
    # given
    book_of(audobon.folder / "fox.cbz", 6, 150, 200)
    process = audobon.start(*COMMAND)
    audobon.wait_for_work_after(2)

    # when
    asked = time.monotonic()
    process.send_signal(how)
    stopped = audobon.outcome(process)
    seconds = time.monotonic() - asked
    kept = audobon.finished_pages()
    again = audobon.run(*COMMAND, "--json")

    # then
    assert (stopped.status, stopped.out) == (130, "")
    assert seconds < 1
    said = re.search(
        r"stopped; (\d+) finished (?:page is|pages are) kept\. Run the same command again to go on\.\n$",
        stopped.err,
    )
    assert said is not None, stopped.err
    assert "Traceback" not in stopped.err
    # A page may be finished in the moment between the last look and the end.
    assert kept - 1 <= int(said[1]) <= kept
    assert again.status == 0
    assert json.loads(again.out)["pages_resumed"] == kept
    assert audobon.done_events() == [(name, 1) for name in PAGES]


def test_a_run_stopped_before_its_first_page_is_finished_says_so(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 1, 1200, 1600)
    process = audobon.start(*COMMAND)
    audobon.wait_for_work_after(0)

    process.send_signal(signal.SIGINT)
    stopped = audobon.outcome(process)

    assert (stopped.status, stopped.out) == (130, "")
    said = "stopped; no page was finished yet. Run the same command again to go on."
    assert stopped.err.rstrip("\n").endswith(said)


def test_a_stopped_run_leaves_neither_processes_nor_half_files(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 6, 150, 200)
    process = audobon.start(*COMMAND)
    audobon.wait_for_work_after(1)

    process.send_signal(signal.SIGINT)
    audobon.outcome(process)

    audobon.wait_until_all_ended()
    assert audobon.files() == ["fox.cbz"]
    assert [job["state"] for job in json.loads(audobon.run("jobs", "list", "--json").out)] == ["interrupted"]


def test_a_stopped_run_that_nobody_resumes_can_be_discarded_with_its_pages(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 6, 150, 200)
    process = audobon.start(*COMMAND)
    audobon.wait_for_work_after(1)
    process.send_signal(signal.SIGINT)
    audobon.outcome(process)
    (job,) = json.loads(audobon.run("jobs", "list", "--json").out)

    outcome = audobon.run("jobs", "discard", job["id"])

    assert (outcome.status, outcome.out) == (0, "")
    assert re.fullmatch(rf"job {job['id']} is forgotten; \d+\.\d MB came free\n", outcome.err)
    assert audobon.run("jobs", "list", "--json").out == "[]\n"
    assert list((audobon.data / "blobs").rglob("*.pack")) == []


def test_the_same_command_twice_at_once_is_refused_and_the_first_goes_on(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 4, 150, 200)
    process = audobon.start(*COMMAND)
    audobon.wait_for_work_after(1)

    second = audobon.run(*COMMAND)
    first = audobon.outcome(process)

    assert (second.status, second.out) == (5, "")
    assert second.err == (
        f"error: this very job is already under way in process {process.pid}\n"
        "hint: wait for it to end, or stop that process\n"
    )
    assert first.status == 0, first.err
    assert audobon.done_events() == [(name, 1) for name in PAGES[:4]]


def test_a_job_under_way_cannot_be_discarded(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 4, 150, 200)
    process = audobon.start(*COMMAND)
    audobon.wait_for_work_after(1)
    (job,) = json.loads(audobon.run("jobs", "list", "--json").out)

    refused = audobon.run("jobs", "discard", job["id"])

    assert refused.status == 5
    assert refused.err.startswith(f"error: job {job['id']} is already under way in process {process.pid}\n")
    assert audobon.outcome(process).status == 0


def test_two_different_commands_at_once_both_succeed(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 3)
    drawn(seed=9).save(audobon.folder / "page.png")

    book = audobon.start(*COMMAND)
    page = audobon.start("run", "upscale", "page.png", "-o", "print.png")
    outcomes = [audobon.outcome(process) for process in (book, page)]

    assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
    assert audobon.files() == ["fox.cbz", "page.png", "print.cbz", "print.png"]
    assert audobon.leftovers() == []


def test_a_run_past_its_deadline_gives_its_pages_up_and_the_same_command_goes_on(audobon: Audobon) -> None:
    book_of(audobon.folder / "book.cbz", 3)
    command = ("run", "upscale", "book.cbz", "-o", "big.cbz")
    late = audobon.run(*command, "--deadline", "0.001s")
    assert late.status == 10
    assert "its deadline passed" in late.err
    again = audobon.run(*command, "--deadline", "2h")
    assert (again.status, again.err.count("deadline")) == (0, 0), again.err
    refused = audobon.run(*command, "--deadline", "soon", "--overwrite")
    assert (refused.status, "is not a span of time" in refused.err) == (2, True)
