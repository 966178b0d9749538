"""`audobon plan`: what a run would do, before it is done; nothing on disk changes."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from audobon_command import Audobon, Outcome, wait_until
from drawn_pages import book_of, drawn, picture_bytes, save_book

MODEL = "waifu2x-upconv7-x2"


def everything(*folders: Path) -> dict[str, bytes | str]:
    """Return every file and folder with its contents; links are not followed.

    All but what readers of SQLite tell each other by (-shm), which outlasts no restart and says nothing.
    """
    found: dict[str, bytes | str] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            if path.name.endswith("-shm"):
                continue
            is_plain = path.is_file() and not path.is_symlink()
            found[str(path)] = path.read_bytes() if is_plain else "a folder or a link"
    return found


def planned(audobon: Audobon, *arguments: object) -> tuple[Outcome, dict[str, Any]]:
    """Plan with --json; whatever comes of it, nothing on disk changes."""
    before = everything(audobon.folder, audobon.data, audobon.home)
    outcome = audobon.run("plan", *arguments, "--json", "--quiet")
    assert everything(audobon.folder, audobon.data, audobon.home) == before
    return outcome, json.loads(outcome.out or "null")


def shown(audobon: Audobon, *arguments: object) -> Outcome:
    before = everything(audobon.folder, audobon.data, audobon.home)
    outcome = audobon.run("plan", *arguments)
    assert everything(audobon.folder, audobon.data, audobon.home) == before
    return outcome


def without_figures(text: str) -> str:
    """Return a plan as printed with its times and sizes made equal."""
    text = re.sub(r"about \d+\.\d-\d+\.\d|\b\d+\.\d(?= +\d+ MB)|\d+\.\d(?= s,)", "T", text)
    text = re.sub(r"of \d+ MB", "of N MB", text)
    return re.sub(r" +", " ", re.sub(r"\b\d+ MB", "N MB", text))


def test_a_picture_is_told_where_and_how_it_would_run(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")

    outcome = shown(audobon, "upscale", "page.png")

    assert (outcome.status, outcome.err) == (0, "")
    assert without_figures(outcome.out) == (
        "page size where seconds peak\n"
        "page.png 96×128 here T N MB tiles of 128 px at full speed fit the budget\n"
        "\n"
        f"pages 1 to do, with {MODEL}\n"
        "time T s, on the processor\n"
        "memory N MB of N MB\n"
        "price 0.00 US dollars; everything stays here\n"
        "engine would start with the run\n"
    )


def test_a_plan_and_its_run_agree(audobon: Audobon) -> None:
    drawn(300, 200).save(audobon.folder / "page.png")

    outcome, plan = planned(audobon, "upscale", "page.png", "-o", "print.png", "--memory", "400MB")
    run = audobon.run(
        "run", "upscale", "page.png", "-o", "print.png", "--memory", "400MB", "--json", "--quiet"
    )

    assert (outcome.status, run.status) == (0, 0)
    (page,), (done,) = plan["pages"], json.loads(run.out)["pages"]
    assert (page["name"], page["state"]) == ("page.png", "runs")
    assert page["placement"]["tile_px"] == done["tile_px"]
    assert page["placement"]["where"] == "here"
    assert page["placement"]["model"] == MODEL
    assert page["placement"]["budget_bytes"] == plan["budget_bytes"] == 400 << 20
    assert page["placement"]["peak_bytes"] == plan["peak_bytes"] <= 400 << 20
    assert (plan["price_micros"], plan["privacy"]) == ([0, 0], "stays here")
    assert plan["output"] == "print.png"
    assert plan["seconds"]["pages_seen"] == 0
    assert 0 < plan["seconds"]["low"] < plan["seconds"]["likely"] < plan["seconds"]["high"]


def test_pages_done_before_teach_how_long_others_take(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 3)
    assert audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz").status == 0
    book_of(audobon.folder / "longer.cbz", 4)

    outcome, plan = planned(audobon, "upscale", "longer.cbz")

    assert outcome.status == 0
    # What the finished job made is in the result cache.
    assert (plan["pages_adopted"], plan["pages_to_run"]) == (3, 1)
    assert plan["seconds"]["pages_seen"] == 3


def test_what_is_in_the_result_cache_is_adopted_until_that_is_cleared(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")
    assert audobon.run("run", "upscale", "page.png", "-o", "print.png").status == 0
    assert audobon.run("jobs", "discard", "--finished").status == 0

    _, before = planned(audobon, "upscale", "page.png")
    assert audobon.run("cache", "clear").status == 0
    _, after = planned(audobon, "upscale", "page.png")

    assert [plan["pages_adopted"] for plan in (before, after)] == [1, 0]


def test_what_an_interrupted_run_finished_is_adopted(audobon: Audobon) -> None:
    save_book(audobon.folder / "fox.cbz", {"1.png": picture_bytes(drawn()), "2.png": cut_off()})
    assert audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz").status == 10

    outcome, plan = planned(audobon, "upscale", "fox.cbz", "-o", "print.cbz", "--overwrite")

    assert outcome.status == 10
    assert [page["state"] for page in plan["pages"]] == ["adopted", "faulty"]
    assert plan["seconds"] == {"likely": 0.0, "low": 0.0, "high": 0.0, "pages_seen": 0}
    row = shown(audobon, "upscale", "fox.cbz").out.splitlines()[1]
    assert re.sub(" +", " ", row) == "1.png 96×128 done equal work was done before, and is taken over"


def test_a_folder_names_its_bad_pages_and_what_is_carried_over(audobon: Audobon) -> None:
    pages = audobon.folder / "pages"
    pages.mkdir()
    drawn().save(pages / "page2.png")
    drawn(seed=1).save(pages / "page10.png")
    (pages / "page3.png").write_bytes(cut_off())
    (pages / "old.gif").write_bytes(b"GIF89a")

    outcome = shown(audobon, "upscale", "pages")

    assert outcome.status == 10
    assert outcome.err == (
        "reading 3 pages\n"
        "error: 1 of 3 pages would fail: page3.png\n"
        "hint: mend or replace them\n"
    )  # fmt: skip
    rows = [re.sub(" +", " ", row) for row in outcome.out.splitlines()]
    assert [row.split(" ")[0] for row in rows[1:4]] == ["page2.png", "page3.png", "page10.png"]
    assert rows[2].startswith("page3.png fails ")
    assert f"pages 2 to do, 1 faulty, with {MODEL}" in rows
    assert " not a format that is worked on, carried over: old.gif" in rows


def test_a_faulty_picture_ends_as_its_run_would(audobon: Audobon) -> None:
    (audobon.folder / "page.png").write_bytes(cut_off())

    outcome, plan = planned(audobon, "upscale", "page.png")
    run = audobon.run("run", "upscale", "page.png", "-o", "print.png")

    assert (outcome.status, run.status) == (2, 2)
    assert outcome.err == run.err
    assert [page["state"] for page in plan["pages"]] == ["faulty"]


@pytest.mark.parametrize("operation", ["upscale", "clean", "letters", "panels"])
def test_too_small_a_memory_refuses_with_an_amount_that_is_enough(audobon: Audobon, operation: str) -> None:
    drawn().save(audobon.folder / "page.png")

    outcome, plan = planned(audobon, operation, "page.png", "--memory", "60MB")

    assert outcome.status == 7
    advice = re.search(r"--memory (\d+MB)", outcome.err)
    assert advice is not None
    (page,) = plan["pages"]
    assert (page["state"], page["placement"]["where"]) == ("refused", "refused")
    assert page["placement"]["advice"] == f"--memory {advice[1]}"
    assert planned(audobon, operation, "page.png", "--memory", advice[1])[0].status == 0


def test_a_book_with_one_page_too_large_tells_what_is_enough_for_all(audobon: Audobon) -> None:
    files = {"1.png": picture_bytes(drawn()), "2.png": picture_bytes(drawn(1500, 2000))}
    save_book(audobon.folder / "fox.cbz", files)

    outcome, plan = planned(audobon, "upscale", "fox.cbz", "--memory", "180MB")

    assert outcome.status == 10
    assert [page["state"] for page in plan["pages"]] == ["runs", "refused"]
    told = re.fullmatch(
        r"error: 1 of 2 pages would fail: 2\.png\n"
        r"hint: a run does nothing until every page fits; --memory (\d+MB) is enough for all\n",
        outcome.err,
    )
    assert told is not None, outcome.err
    assert planned(audobon, "upscale", "fox.cbz", "--memory", told[1])[0].status == 0
    assert planned(audobon, "upscale", "fox.cbz", "--memory", "70MB")[0].status == 7


def test_a_long_book_is_told_by_its_ways_to_run_and_its_trouble(audobon: Audobon) -> None:
    page, other = picture_bytes(drawn()), picture_bytes(drawn(64, 64))
    files = {f"{number}.png": page if number % 2 else other for number in range(1, 101)}
    save_book(audobon.folder / "fox.cbz", {**files, "50.png": cut_off()})

    outcome = shown(audobon, "upscale", "fox.cbz", "--quiet")

    assert outcome.status == 10
    rows = [re.sub(" +", " ", row) for row in outcome.out.splitlines()]
    assert [row.split(" here ")[0].split(" fails ")[0] for row in rows[1:4]] == [
        "1.png and 49 like it 96×128",
        "2.png and 48 like it 64×64",
        "50.png",
    ]
    assert f"pages 99 to do, 1 faulty, with {MODEL}" in rows


def test_a_book_of_many_ways_stays_within_a_screen_and_keeps_its_trouble(audobon: Audobon) -> None:
    files = {f"{number}.png": picture_bytes(drawn(16 + number, 16)) for number in range(1, 41)}
    save_book(audobon.folder / "fox.cbz", {**files, "40.png": cut_off()})

    outcome = shown(audobon, "panels", "fox.cbz", "--quiet")

    table = outcome.out.split("\n\n")[0].splitlines()
    assert len(table) == 1 + 30 + 1
    assert table[-2].startswith("40.png")
    assert table[-1] == "… and 10 more pages in 10 other ways; --json names every page"


def test_planning_asks_for_the_engine_that_runs(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")
    engine = audobon.start("up", "--memory", "300MB")
    try:
        wait_until(lambda: audobon.query("SELECT ram_bytes FROM pool"), "the engine has its budget")
        outcome = audobon.run("plan", "upscale", "page.png", "--json")
        plan = json.loads(outcome.out)
    finally:
        engine.terminate()
        audobon.outcome(engine)

    assert (outcome.status, plan["engine_pid"], plan["budget_bytes"]) == (0, engine.pid, 300 << 20)


def test_a_model_that_was_not_prepared_is_named(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")

    _, plan = planned(audobon, "upscale", "page.png", "--model", "waifu2x-cunet-x2")

    assert plan["to_prepare"] == ["waifu2x-cunet-x2"]
    assert planned(audobon, "upscale", "page.png")[1]["to_prepare"] == []


def test_what_a_run_would_refuse_at_once_is_refused_at_once(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")

    unknown = shown(audobon, "upscal", "page.png")
    missing = shown(audobon, "upscale", "pag.png")
    taken = shown(audobon, "upscale", "page.png", "-o", "page.png")

    assert (unknown.status, unknown.out) == (2, "")
    assert unknown.err.endswith("hint: did you mean upscale?\n")
    assert (missing.status, missing.out) == (4, "")
    assert (taken.status, taken.out) == (5, "")


def test_a_paused_queue_is_told_and_a_draining_one_ends_the_plan_as_its_run(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")
    audobon.run("queue", "pause", "interactive")
    paused = shown(audobon, "panels", "page.png")
    audobon.run("queue", "drain", "interactive")
    draining, plan = planned(audobon, "panels", "page.png")
    run = audobon.run("run", "panels", "page.png")

    told = "queue    interactive is paused: pages wait until audobon queue resume interactive"
    assert (paused.status, told in paused.out.splitlines()) == (0, True)
    assert (plan["queue"], plan["queue_state"], plan["pages_to_run"]) == ("interactive", "drain", 1)
    assert (draining.status, draining.err) == (run.status, run.err)
    assert run.status == 5


def test_an_output_that_is_there_is_told_as_its_run_tells_it(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")
    drawn().save(audobon.folder / "print.png")

    outcome = shown(audobon, "upscale", "page.png", "-o", "print.png")
    run = audobon.run("run", "upscale", "page.png", "-o", "print.png")

    assert (outcome.status, outcome.out, outcome.err) == (run.status, "", run.err)
    assert shown(audobon, "upscale", "page.png", "-o", "print.png", "--overwrite").status == 0


def test_times_are_at_most_those_when_tiles_may_be_kept(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")
    drawn(seed=1).save(audobon.folder / "other.png")
    _, before = planned(audobon, "upscale", "other.png")
    assert audobon.run("run", "upscale", "page.png", "-o", "print.png").status == 0

    _, after = planned(audobon, "upscale", "other.png")
    _, fresh = planned(audobon, "upscale", "other.png", "--no-cache")

    assert [plan["is_at_most"] for plan in (before, after, fresh)] == [False, True, False]
    assert "\ntime     at most " in shown(audobon, "upscale", "other.png").out
    assert "\n         some tiles may be in the result cache\n" in shown(audobon, "upscale", "other.png").out


def cut_off() -> bytes:
    """Return a PNG that ends too early for its header to be read."""
    target = io.BytesIO()
    drawn().save(target, "PNG")
    return target.getvalue()[:20]
