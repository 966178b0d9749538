"""Jobs that are under way or were killed: told as they are, page by page."""

import json
import signal

from audobon_command import Audobon
from drawn_pages import book_of, drawn

COMMAND = ("run", "upscale", "fox.cbz", "-o", "print.cbz")


def test_a_job_is_running_while_it_runs_and_interrupted_once_it_was_killed(audobon: Audobon) -> None:
    # given: a finished job, and one under way
    drawn(48, 64).save(audobon.folder / "page.png")
    assert audobon.run("run", "panels", "page.png", "--quiet").status == 0
    book_of(audobon.folder / "fox.cbz", 6, 150, 200)
    process = audobon.start(*COMMAND)
    # The finished job counts as one page.
    audobon.wait_for_work_after(3)

    # when
    meanwhile = json.loads(audobon.run("jobs", "list", "--unfinished", "--json").out)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    audobon.wait_until_all_ended()
    listed = json.loads(audobon.run("jobs", "list", "--json").out)
    (unfinished,) = json.loads(audobon.run("jobs", "list", "--unfinished", "--json").out)
    words = audobon.run("jobs", "list", "--unfinished").out
    shown = audobon.run("jobs", "show", unfinished["id"]).out.splitlines()

    # then
    assert [job["state"] for job in meanwhile] == ["running"]
    assert [(job["operation"], job["state"]) for job in listed] == [
        ("upscale", "interrupted"),
        ("panels", "done"),
    ]
    assert unfinished["id"] == meanwhile[0]["id"]
    route = f"{audobon.folder / 'fox.cbz'}  {audobon.folder / 'print.cbz'}"
    assert words.splitlines()[1].startswith(unfinished["id"])
    assert words.endswith(f"  {route}\n")
    assert "state      interrupted" in shown
    assert "settings   scale 2, model waifu2x-upconv7-x2, dpi keep, quality full" in shown
    pages = [line.split() for line in shown[-6:]]
    assert [name for _, name in pages] == [f"page{number}.png" for number in range(1, 7)]
    assert [state for state, _ in pages[:2]] == ["done", "done"]
    assert pages[-1][0] == "ready"


def test_an_unfinished_job_is_not_forgotten_with_the_finished_ones(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 6, 150, 200)
    process = audobon.start(*COMMAND)
    audobon.wait_for_work_after(1)
    process.send_signal(signal.SIGINT)
    assert audobon.outcome(process).status == 130

    discarded = audobon.run("jobs", "discard", "--finished")

    assert discarded.err == "0 finished jobs are forgotten\n"
    assert [job["state"] for job in json.loads(audobon.run("jobs", "list", "--json").out)] == ["interrupted"]
