"""`audobon up`: one engine for a data folder, joined by runs, replaced when it dies, ended in a moment."""

import json
import re
import signal
import time
from pathlib import Path

import pytest
from audobon_command import Audobon, parent_of, wait_until
from drawn_pages import book_of, drawn
from running_engine import engine_up

COMMAND = ("run", "upscale", "fox.cbz", "-o", "print.cbz")
PAGES = [f"page{number}.png" for number in range(1, 7)]


def test_a_second_engine_is_refused_and_told_which_process_has_the_folder(audobon: Audobon) -> None:
    with engine_up(audobon) as engine:
        second = audobon.run("up")
        assert engine.poll() is None

    assert (second.status, second.out) == (5, "")
    assert second.err == (
        f"error: an engine for {audobon.data} is already under way in process {engine.pid}\n"
        "hint: wait for it to end, or stop that process\n"
    )


def test_a_run_joins_a_running_engine_and_its_pages_are_done_there(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 6, 150, 200)
    with engine_up(audobon, "--memory", "2GB") as engine:
        run = audobon.start(*COMMAND)
        audobon.wait_for_work_after(1)
        parents = {parent_of(worker) for worker in audobon.workers()}
        outcome = audobon.outcome(run)
        assert engine.poll() is None

    assert outcome.status == 0, outcome.err
    assert f"joining the engine in process {engine.pid}, with 2048 MB for its work\n" in outcome.err
    assert parents == {engine.pid}
    assert audobon.done_events() == [(name, 1) for name in PAGES]


def test_a_page_too_large_for_the_engine_is_refused_before_it_is_tried_with_a_remedy_that_works(
    audobon: Audobon,
) -> None:
    drawn(96, 128).save(audobon.folder / "page.png")
    refused = audobon.run("run", "letters", "page.png", "--memory", "60MB")
    found = re.search(r"hint: --memory (\d+MB)\n", refused.err)
    assert found is not None, refused.err
    enough = found[1]
    command = ("letters", "page.png", "--memory", enough)
    with engine_up(audobon, "--memory", "150MB") as engine:
        run, plan = audobon.run("run", *command), audobon.run("plan", *command)

    hint = (
        f"hint: start `audobon up` with --memory {enough}, or stop it and run again with --memory {enough}\n"
    )
    assert (run.status, plan.status) == (7, 7)
    assert run.err.startswith(
        f"joining the engine in process {engine.pid}, with 150 MB for its work;"
        f" the {enough[:-2]} MB asked for have no effect beyond that\n"
    )
    assert run.err.endswith(", the budget is 150 MB\n" + hint)
    assert plan.err.endswith(", the budget is 150 MB\n" + hint)
    assert audobon.query("SELECT count(*) FROM task") == [(0,)]
    with engine_up(audobon, "--memory", enough):
        assert audobon.run("run", *command).status == 0


def test_when_the_engine_is_killed_in_the_middle_the_run_takes_over_and_nothing_is_done_twice_or_lost(
    audobon: Audobon,
) -> None:
    book_of(audobon.folder / "fox.cbz", 6, 150, 200)
    with engine_up(audobon) as engine:
        run = audobon.start(*COMMAND)
        audobon.wait_for_work_after(2)
        (worker,) = audobon.workers()

        engine.kill()
        engine.communicate()
        wait_until(lambda: not Path(f"/proc/{worker}").exists(), "the dead engine's worker is gone")
        outcome = audobon.outcome(run)

    assert outcome.status == 0, outcome.err
    assert outcome.err.count("the engine ended; this run goes on as the engine\n") == 1
    assert outcome.err.endswith(" MB in all processes, the engine's included\n")
    assert audobon.done_events() == [(name, 1) for name in PAGES]
    assert audobon.query("SELECT kind, detail FROM task_event") == [("given back", "its engine ended")]
    assert audobon.query("SELECT max(attempt) FROM task") == [(1,)]
    audobon.wait_until_all_ended()
    assert audobon.leftovers() == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_engine_that_is_asked_to_end_does_so_within_a_second_and_leaves_nothing_behind(
    audobon: Audobon, how: signal.Signals
) -> None:
    book_of(audobon.folder / "fox.cbz", 6, 150, 200)
    with engine_up(audobon) as engine:
        run = audobon.start(*COMMAND)
        audobon.wait_for_work_after(1)
        run.kill()
        run.communicate()

        asked = time.monotonic()
        engine.send_signal(how)
        out, err = engine.communicate()
        seconds = time.monotonic() - asked

    assert (engine.returncode, out) == (0, "")
    assert seconds < 1
    assert err.endswith("the engine was stopped\n")
    audobon.wait_until_all_ended()
    assert audobon.query("SELECT count(*) FROM task WHERE state = 'leased'") == [(0,)]
    assert audobon.query("SELECT count(*) FROM owner") == [(0,)]
    assert audobon.leftovers() == []


def test_what_happens_is_said_in_lines_of_json(audobon: Audobon) -> None:
    drawn(48, 64).save(audobon.folder / "page.png")
    with engine_up(audobon, "--json", env={"AUDOBON_COMPUTE_IDLE_SECONDS": "0.1"}) as engine:
        assert audobon.run("run", "upscale", "page.png", "-o", "print.png", "--quiet").status == 0
        assert engine.stdout is not None
        said = [engine.stdout.readline(), engine.stdout.readline()]
        engine.send_signal(signal.SIGTERM)
        out, err = engine.communicate()

    lines = [json.loads(line) for line in [*said, *out.splitlines()]]
    assert err == ""
    assert [line["event"] for line in lines] == ["worker started", "worker ended", "engine stopped"]
    assert all(line.pop("at") > 0 for line in lines)
    pid = lines[0]["pid"]
    assert lines[1] == {
        "event": "worker ended",
        "words": f"worker {pid} ended for want of work",
        "pid": pid,
        "status": "status 0",
        "tasks": 0,
    }


def test_what_a_killed_run_left_does_not_go_before_a_new_one(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 6, 600, 800)
    drawn(48, 64).save(audobon.folder / "page.png")
    with engine_up(audobon):
        killed = audobon.start(*COMMAND)
        audobon.wait_for_work_after(0)
        killed.kill()
        killed.communicate()

        assert audobon.run("run", "upscale", "page.png", "-o", "print.png", "--quiet").status == 0

    reasons = audobon.query("SELECT DISTINCT state, error_message FROM task WHERE error_code IS NOT NULL")
    assert reasons == [("cancelled", "its run was killed")]
    assert audobon.query("SELECT count(*) FROM task WHERE state = 'ready'") == [(0,)]


def test_a_run_stopped_beside_an_engine_and_repeated_at_once_goes_on_with_the_page_at_work(
    audobon: Audobon,
) -> None:
    book_of(audobon.folder / "fox.cbz", 3, 300, 400)
    with engine_up(audobon):
        stopped = audobon.start(*COMMAND)
        audobon.wait_for_work_after(0)
        stopped.send_signal(signal.SIGINT)
        assert audobon.outcome(stopped).status == 130
        again = audobon.run(*COMMAND, "--json")

    assert again.status == 0, again.err
    assert [page["state"] for page in json.loads(again.out)["pages"]] == ["done"] * 3
    assert audobon.done_events() == [(name, 1) for name in PAGES[:3]]


def test_two_workers_do_two_pages_at_once_within_the_budget(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 4, 200, 300)
    most = {"at once": 0}
    with engine_up(audobon, "--memory", "2GB", env={"AUDOBON_COMPUTE_WORKERS": "2"}):
        run = audobon.start(*COMMAND)
        figures = "SELECT count(DISTINCT owner), coalesce(sum(ram_bytes), 0) FROM task WHERE state = 'leased'"
        while run.poll() is None:
            for owners, held_bytes in audobon.query(figures):
                most["at once"] = max(most["at once"], owners)
                assert held_bytes <= 2 << 30
        outcome = audobon.outcome(run)

    assert outcome.status == 0, outcome.err
    assert most == {"at once": 2}
    assert audobon.done_events() == [(name, 1) for name in PAGES[:4]]


def test_two_workers_whose_budget_holds_one_page_take_turns(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 3, 200, 300)
    refused = audobon.run(*COMMAND, "--memory", "60MB")
    found = re.search(r"hint: --memory (\d+)MB", refused.err)
    assert found is not None, refused.err
    budget = int(found[1]) + 20
    most_bytes = 0
    with engine_up(audobon, "--memory", f"{budget}MB", env={"AUDOBON_COMPUTE_WORKERS": "2"}):
        run = audobon.start(*COMMAND)
        while run.poll() is None:
            held = audobon.query("SELECT coalesce(sum(ram_bytes), 0) FROM task WHERE state = 'leased'")
            most_bytes = max([most_bytes, *(bytes_ for (bytes_,) in held)])
        outcome = audobon.outcome(run)

    assert outcome.status == 0, outcome.err
    assert 0 < most_bytes <= budget << 20
    assert audobon.done_events() == [(name, 1) for name in PAGES[:3]]
