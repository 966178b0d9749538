"""Any process may be killed at any instant: no finished page is lost, and none is done twice."""

import json
import os
import signal

import pytest
from audobon_command import Audobon, wait_until
from broken_processes import broken_in
from drawn_pages import book_of, drawn, picture_bytes, save_book

COMMAND = ("run", "upscale", "fox.cbz", "-o", "print.cbz")
PAGES = [f"page{number}.png" for number in range(1, 7)]

# Python runs a module of this name at its start: here it breaks workers in a chosen place.
WORKER_DIES_AT_A_PAGE = """
import os, signal, sys
if "audobon.jobs.worker" in sys.orig_argv:
    from audobon.compute.codec import Codec
    decode = Codec.decode
    def decode_and_die(self, data):
        picture = decode(self, data)
        if picture.info.width == 77:
            os.kill(os.getpid(), signal.SIGKILL)
        return picture
    Codec.decode = decode_and_die
"""
PICTURE_PROCESS_DIES_WHILE_WRITING = """
import os, pathlib, signal, sys
if "audobon.jobs.worker" in sys.orig_argv:
    from audobon.compute.codec import Codec
    send = Codec.send
    mark = pathlib.Path(__file__).with_name("died once")
    def send_and_die_once(self, info, bands):
        def killing():
            for band in bands:
                yield band
                if not mark.exists():
                    mark.touch()
                    os.kill(self._process.pid, signal.SIGKILL)
        send(self, info, killing())
    Codec.send = send_and_die_once
"""
WORKER_CANNOT_START = """
import sys
if "audobon.jobs.worker" in sys.orig_argv:
    raise SystemExit("the worker finds no room")
"""


@pytest.fixture
def undisturbed(audobon: Audobon) -> bytes:
    """A book of six pages on the desk, and its print as an undisturbed run makes it."""
    book_of(audobon.folder / "fox.cbz", 6, 150, 200)
    other = audobon.folder.parent / "undisturbed"
    other.mkdir()
    quiet = Audobon(other, audobon.data / "models")
    outcome = quiet.run("run", "upscale", audobon.folder / "fox.cbz", "-o", "print.cbz", "--quiet")
    assert (outcome.status, outcome.err) == (0, "")
    return (quiet.folder / "print.cbz").read_bytes()


def test_after_a_killed_command_the_next_one_finishes_what_was_left(
    audobon: Audobon, undisturbed: bytes
) -> None:
    # given
    process = audobon.start(*COMMAND)
    audobon.wait_for_work_after(2)

    # when
    process.kill()
    process.communicate()
    audobon.wait_until_all_ended()
    kept = audobon.finished_pages()
    before = audobon.files()
    outcome = audobon.run(*COMMAND, "--json")

    # then
    assert before == ["fox.cbz"]
    assert 2 <= kept < 6
    assert outcome.status == 0, outcome.err
    assert f": {kept} of 6 pages were done before\n" in outcome.err
    assert json.loads(outcome.out)["pages_resumed"] == kept
    assert audobon.done_events() == [(name, 1) for name in PAGES]
    assert (audobon.folder / "print.cbz").read_bytes() == undisturbed


def test_a_command_killed_while_it_takes_the_book_in_leaves_no_half_job(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 6)
    process = audobon.start(*COMMAND)
    wait_until(lambda: list((audobon.data / "blobs").rglob("*.pack")), "a page is stored")

    process.kill()
    process.communicate()
    audobon.wait_until_all_ended()
    outcome = audobon.run(*COMMAND)

    assert outcome.status == 0, outcome.err
    assert audobon.done_events() == [(name, 1) for name in PAGES]
    assert len(json.loads(audobon.run("jobs", "list", "--json").out)) == 1


def test_after_a_killed_worker_the_command_goes_on_by_itself(audobon: Audobon, undisturbed: bytes) -> None:
    process = audobon.start(*COMMAND)
    audobon.wait_for_work_after(1)

    (worker,) = audobon.workers()
    os.kill(worker, signal.SIGKILL)
    outcome = audobon.outcome(process)

    assert outcome.status == 0, outcome.err
    assert audobon.done_events() == [(name, 1) for name in PAGES]
    assert audobon.query("SELECT count(*) FROM task_event WHERE kind = 'given back'") == [(1,)]
    assert (audobon.folder / "print.cbz").read_bytes() == undisturbed


def test_when_a_picture_process_is_killed_in_the_middle_of_a_page_that_page_is_tried_again(
    audobon: Audobon, undisturbed: bytes
) -> None:
    env = broken_in(audobon.folder.parent / "broken", PICTURE_PROCESS_DIES_WHILE_WRITING)

    outcome = audobon.run(*COMMAND, env=env)

    assert outcome.status == 0, outcome.err
    assert audobon.done_events() == [(name, 1) for name in PAGES]
    assert audobon.event_details("retried") == [
        "the process that handles pictures was ended (exit status -9)"
    ]
    assert (audobon.folder / "print.cbz").read_bytes() == undisturbed


def test_a_page_that_kills_every_worker_fails_after_three_attempts_and_costs_only_itself(
    audobon: Audobon,
) -> None:
    sizes = {"page1.png": 48, "page2.png": 77, "page3.png": 48}
    files = {name: picture_bytes(drawn(width, 64, seed=width)) for name, width in sizes.items()}
    save_book(audobon.folder / "fox.cbz", files)
    env = broken_in(audobon.folder.parent / "broken", WORKER_DIES_AT_A_PAGE)

    outcome = audobon.run(*COMMAND, "--json", env=env)
    mended = audobon.run(*COMMAND, "--overwrite", "--json")

    first, second, third = json.loads(outcome.out)["pages"]
    assert outcome.status == 10
    assert (first["state"], third["state"]) == ("done", "done")
    assert second == {
        "name": "page2.png",
        "state": "failed",
        "code": "worker_died",
        "message": "the worker ended with signal 9",
    }
    assert outcome.err.endswith(
        "error: 1 of 3 pages could not be done: page2.png\n"
        "hint: mend or replace them and run the same command again with --overwrite;"
        " what is done is kept till then\n"
    )
    assert (mended.status, json.loads(mended.out)["pages_resumed"]) == (0, 2)
    assert audobon.query("SELECT kind, detail FROM task_event ORDER BY id") == [
        ("given back", "the worker ended with signal 9"),
        ("given back", "the worker ended with signal 9"),
        ("failed", "the worker ended with signal 9"),
        ("replayed", ""),
    ]


def test_a_worker_that_cannot_start_is_told_with_its_last_words(audobon: Audobon) -> None:
    drawn(48, 64).save(audobon.folder / "page.png")
    env = broken_in(audobon.folder.parent / "broken", WORKER_CANNOT_START)

    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.png", env=env)

    assert (outcome.status, outcome.out) == (8, "")
    assert outcome.err == (
        "error: no worker process can run here: several in a row ended before taking up a page, the last"
        " with status 1. Its last words: SystemExit: the worker finds no room\n"
        "hint: audobon doctor\n"
    )
    assert audobon.files() == ["page.png"]
