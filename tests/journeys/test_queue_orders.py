"""The orders of `audobon queue` to a real engine, and to the runs beside it."""

import json
import re
import subprocess

from audobon_command import Audobon, wait_until
from drawn_pages import book_of, drawn, picture_bytes, save_book

RUN = ("run", "upscale", "fox.cbz", "-o", "print.cbz")


def task_states(audobon: Audobon) -> list[str]:
    return [str(state) for (state,) in audobon.query("SELECT state FROM task ORDER BY id")]


def test_a_run_is_refused_while_its_queue_drains_and_leaves_nothing_behind(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 2)
    assert audobon.run("queue", "drain", "batch").status == 0

    refused = audobon.run(*RUN, "--quiet")
    jobs_then = audobon.query("SELECT count(*) FROM job")
    audobon.run("queue", "resume", "batch")
    done = audobon.run(*RUN, "--quiet")

    assert (refused.status, refused.out) == (5, "")
    assert refused.err == (
        "error: the queue batch takes no new tasks while it drains\nhint: audobon queue resume batch\n"
    )
    assert jobs_then == [(0,)]
    assert audobon.leftovers() == []
    assert done.status == 0


def test_a_drained_queue_finishes_what_it_has(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 3, 300, 400)
    run = audobon.start(*RUN, "--quiet")
    audobon.wait_for_work_after(0)

    drained = audobon.run("queue", "drain", "batch")
    outcome = audobon.outcome(run)

    assert drained.status == 0
    assert outcome.status == 0, outcome.err
    assert task_states(audobon) == ["done"] * 3


def test_a_paused_queue_holds_a_run_until_it_is_resumed(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 2)
    audobon.run("queue", "pause", "batch")
    run = audobon.start(*RUN)
    wait_until(lambda: task_states(audobon) == ["ready", "ready"], "the pages wait")

    listed = audobon.run("queue", "list")
    audobon.run("queue", "resume", "batch")
    outcome = audobon.outcome(run)

    assert re.search(r"^batch +paused +2 +0 +0 +0 ", listed.out, re.MULTILINE)
    assert outcome.status == 0, outcome.err
    assert task_states(audobon) == ["done", "done"]


def test_cancelling_a_job_ends_its_run_and_the_way_back_is_told(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 3, 1200, 1600)
    run = audobon.start(*RUN, "--quiet")
    audobon.wait_for_work_after(0)
    ((job,),) = audobon.query("SELECT id FROM job")

    cancelled = audobon.run("queue", "cancel", "--job", job, "--yes")
    outcome = audobon.outcome(run)

    assert cancelled.status == 0
    assert f"undo: audobon queue retry --job {job}\n" in cancelled.err
    assert outcome.status == 10, outcome.err
    assert outcome.err == (
        "error: 3 of 3 pages were called off: page1.png, page2.png, page3.png\n"
        "hint: run the same command again to do them; what is done is kept till then\n"
    )
    assert task_states(audobon) == ["cancelled"] * 3


def test_one_page_that_was_called_off_is_done_by_the_same_command_again(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 2)
    audobon.run("queue", "pause", "batch")
    run = audobon.start(*RUN)
    wait_until(lambda: task_states(audobon) == ["ready", "ready"], "the pages wait")
    audobon.run("queue", "cancel", "2")
    audobon.run("queue", "resume", "batch")
    outcome = audobon.outcome(run)
    again = audobon.run(*RUN, "--overwrite", "--quiet")

    assert outcome.status == 10
    assert "upscale: 1 page done, 1 called off, with waifu2x-upconv7-x2\n" in outcome.err
    assert outcome.err.endswith(
        "error: 1 of 2 pages was called off: page2.png\n"
        "hint: run the same command again with --overwrite to do them; what is done is kept till then\n"
    )
    assert again.status == 0, again.err
    assert task_states(audobon) == ["done", "done"]


def test_a_page_that_cannot_be_done_becomes_a_dead_letter_named_by_its_file(audobon: Audobon) -> None:
    # given
    good, bad = picture_bytes(drawn()), picture_bytes(drawn(seed=1))
    save_book(audobon.folder / "fox.cbz", {"1.png": good, "2.png": bad[: len(bad) // 2]})
    assert audobon.run(*RUN, "--quiet").status == 10

    # when
    dead = audobon.run("queue", "dead")
    letters = json.loads(audobon.run("queue", "dead", "--json").out)

    # then
    assert dead.status == 0
    assert [letter["page"] for letter in letters] == ["2.png"]
    assert letters[0]["error_code"] == "unreadable_picture"
    assert "upscale fox.cbz/2.png" in dead.out
    assert f"audobon queue retry {letters[0]['id']}\n" in dead.err


def test_upkeep_that_is_added_out_of_turn_is_done_by_a_running_engine(audobon: Audobon) -> None:
    add = ("queue", "schedule", "add", "nightly", "--cron", "0 3 * * *", "--kind", "sweep-blobs")
    assert audobon.run(*add).status == 0
    engine = audobon.start("up", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert engine.stderr is not None
    assert "is running" in engine.stderr.readline()

    added = audobon.run("queue", "schedule", "run", "nightly")
    wait_until(lambda: task_states(audobon) == ["done"], "the upkeep is done")
    engine.terminate()
    engine.communicate(timeout=20)

    # An engine runs, so nothing is said of one that lacks.
    assert (added.status, added.err) == (
        0,
        "added to maintenance: task 1; see: audobon queue show 1\n",
    )


def test_a_page_that_is_replayed_while_its_run_goes_on_is_part_of_what_is_published(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 2)
    audobon.run("queue", "pause", "batch")
    run = audobon.start(*RUN)
    wait_until(lambda: task_states(audobon) == ["ready", "ready"], "the pages wait")

    audobon.run("queue", "cancel", "2")
    assert run.stderr is not None
    told = ""
    while "page2.png  called off" not in told:
        told = run.stderr.readline()
    audobon.run("queue", "retry", "2")
    audobon.run("queue", "resume", "batch")
    outcome = audobon.outcome(run)

    assert told == "[1/2]  page2.png  called off: cancelled by `audobon queue cancel`\n"
    assert outcome.status == 0, outcome.err
    assert re.findall(r"^\[\S+  \S+", outcome.err, re.MULTILINE) == ["[2/2]  page1.png", "[2/2]  page2.png"]
    assert task_states(audobon) == ["done", "done"]
