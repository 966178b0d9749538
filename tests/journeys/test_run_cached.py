"""A page made before is not made again, a changed one only where it changed; and how to be rid of that."""

import json
import os
import re
import signal
from typing import Any

import pytest
from audobon_command import Audobon, Outcome, wait_until
from drawn_pages import book_contents, book_of, drawn, panelled_page, picture_bytes, save_book
from PIL import Image

# Tiles of 64 pixels: the pages here are cut into several.
SMALL_TILES = ("--memory", "221MB")


def upscale(audobon: Audobon, source: str, target: str, *options: str) -> Outcome:
    outcome = audobon.run("run", "upscale", source, "-o", target, "--json", *options)
    assert outcome.status == 0, outcome.err
    return outcome


def report(outcome: Outcome) -> dict[str, Any]:
    found = json.loads(outcome.out)
    assert isinstance(found, dict)
    return found


def cached(outcome: Outcome) -> tuple[int, int, int]:
    """Return the pages that were in the cache, and of the tiles of the others how many."""
    told = report(outcome)
    return told["pages_cached"], told["tiles_cached"], told["tiles"]


def shown(audobon: Audobon) -> dict[str, int]:
    found = json.loads(audobon.run("cache", "show", "--json").out)
    return {name: found[name] for name in ("pages", "tiles")}


def data_of(audobon: Audobon, name: str) -> bytes:
    return (audobon.folder / name).read_bytes()


def test_the_same_page_under_another_name_and_in_a_book_runs_no_model(audobon: Audobon) -> None:
    # given
    drawn(150, 200).save(audobon.folder / "page.png")
    first = upscale(audobon, "page.png", "print.png")
    work_done = audobon.done_events()

    # when
    (audobon.folder / "again.png").write_bytes(data_of(audobon, "page.png"))
    second = upscale(audobon, "again.png", "again-print.png")
    audobon.run("jobs", "discard", "--finished")
    book = book_of(audobon.folder / "book.cbz", 2)
    files = {"1.png": data_of(audobon, "page.png"), **book_contents(book)}
    save_book(book, files)
    third = upscale(audobon, "book.cbz", "book-print.cbz")

    # then
    assert cached(first)[0] == 0
    assert (cached(second), cached(third)[0]) == ((1, 0, 0), 1)
    assert work_done == [("page.png", 1)]
    assert audobon.done_events() == [("page1.png", 1), ("page2.png", 1)]
    assert data_of(audobon, "again-print.png") == data_of(audobon, "print.png")
    assert book_contents(audobon.folder / "book-print.cbz")["1.png"] == data_of(audobon, "print.png")
    assert second.told == (
        "job JOB: 1 of 1 pages were done before\n"
        "upscale: 1 page done, 1 of them before this run, with waifu2x-upconv7-x2\n"
        "  from the result cache: 1 page\n"
        "  the resolution noted in each file is kept; --dpi scale keeps the print size instead\n"
        "result       again-print.png\n"
        "time         T s, on this machine\n"
        "peak memory  N MB in all processes\n"
    )


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_of_a_page_with_a_changed_corner_one_tile_is_made_anew(audobon: Audobon, mode: str) -> None:
    drawn(300, 200, mode=mode).save(audobon.folder / "page.png")
    with Image.open(audobon.folder / "page.png") as page:
        page.paste(250 if mode == "L" else (250, 250, 250), (0, 0, 12, 12))
        page.save(audobon.folder / "changed.png")
    _, _, tiles = cached(upscale(audobon, "page.png", "print.png", *SMALL_TILES))

    made = upscale(audobon, "changed.png", "changed-print.png", *SMALL_TILES)
    anew = upscale(audobon, "changed.png", "anew.png", *SMALL_TILES, "--no-cache")

    assert tiles > 4
    assert cached(made) == (0, tiles - 1, tiles)
    assert f"\n  from the result cache: {tiles - 1} of {tiles} tiles\n" in made.err
    assert cached(anew) == (0, 0, 0)
    assert data_of(audobon, "changed-print.png") == data_of(audobon, "anew.png")
    assert data_of(audobon, "changed-print.png") != data_of(audobon, "print.png")


def test_without_the_cache_nothing_is_used_and_nothing_kept(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")
    env = {"AUDOBON_CACHE_BUDGET": "0"}

    upscale(audobon, "page.png", "one.png", "--no-cache")
    assert shown(audobon) == {"pages": 0, "tiles": 0}
    audobon.run("run", "upscale", "page.png", "-o", "two.png", env=env)
    assert not (audobon.data / "cache.db").exists()
    words = audobon.run("cache", "show", env=env)
    upscale(audobon, "page.png", "three.png")
    fourth = upscale(audobon, "page.png", "four.png", "--no-cache")

    assert words.out == "pages   0\ntiles   0\nsize    0.0 MB\nbudget  off\n"
    assert cached(fourth) == (0, 0, 0)
    # All four were made; nothing was taken over from a job that has ended.
    assert audobon.query("SELECT count(*) FROM task WHERE attempt = 1") == [(4,)]
    names = ("one.png", "two.png", "three.png", "four.png")
    assert len({data_of(audobon, name) for name in names}) == 1


def test_findings_and_cut_out_panels_are_kept_too(audobon: Audobon) -> None:
    panelled_page().save(audobon.folder / "page.png")
    first = audobon.run("run", "panels", "page.png", "-o", "panels", "--json")

    (audobon.folder / "again.png").write_bytes(data_of(audobon, "page.png"))
    second = audobon.run("run", "panels", "again.png", "-o", "again", "--json")

    assert "\n  from the result cache: 1 page\n" in second.err
    assert json.loads(second.out)["pages"][0]["panels"] == json.loads(first.out)["pages"][0]["panels"]
    for name in ("overview.png", "panel-01.png"):
        assert data_of(audobon, f"again/{name}") == data_of(audobon, f"panels/{name}")


@pytest.mark.parametrize("way_out", ["clear", "delete", "discard", "budget"])
def test_findings_are_made_anew_once_they_are_kept_no_more(audobon: Audobon, way_out: str) -> None:
    panelled_page().save(audobon.folder / "page.png")
    audobon.run("run", "panels", "page.png", "-o", "one.json")
    if way_out == "clear":
        audobon.run("cache", "clear")
    elif way_out == "delete":
        (audobon.data / "cache.db").unlink()
    elif way_out == "discard":
        audobon.run("jobs", "discard", json.loads(audobon.run("jobs", "list", "--json").out)[0]["id"])

    env = {"AUDOBON_CACHE_BUDGET": "0"} if way_out == "budget" else {}
    plan = json.loads(audobon.run("plan", "panels", "page.png", "--json", env=env).out)
    again = audobon.run("run", "panels", "page.png", "-o", "two.json", env=env)

    # The job that found them stands on record still, but nobody knows what version of what it ran.
    assert (plan["pages_to_run"], plan["pages_adopted"]) == (1, 0)
    assert "done before" not in again.err
    assert data_of(audobon, "one.json") == data_of(audobon, "two.json")


@pytest.mark.parametrize("operation", ["upscale", "panels"])
def test_without_the_cache_no_job_but_the_one_gone_on_with_counts(audobon: Audobon, operation: str) -> None:
    # given: a job with one page done and one that failed, which can be gone on with
    book = audobon.folder / "book"
    book.mkdir()
    page = picture_bytes(panelled_page())
    (book / "1.png").write_bytes(page)
    (book / "2.png").write_bytes(b"no picture")
    is_upscaling = operation == "upscale"
    going_on = (operation, "book", "-o", "made" if is_upscaling else "made.json", "--no-cache", "--overwrite")
    audobon.run("run", *going_on)
    (audobon.folder / "alone.png").write_bytes(page)

    # when
    other = audobon.run(
        *("run", operation, "alone.png", "-o", "alone-made.png" if is_upscaling else "alone.json"),
        "--no-cache",
    )
    (book / "2.png").write_bytes(page)
    plan = audobon.run("plan", *going_on, "--json")
    same = audobon.run("run", *going_on)

    # then
    assert (other.status, "done before" in other.err) == (0, False)
    assert json.loads(plan.out)["pages_adopted"] == 2
    assert "2 of 2 pages were done before" in same.err


def test_clear_removes_all_that_is_kept_and_says_what_that_was(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")
    upscale(audobon, "page.png", "print.png")
    kept = shown(audobon)

    would = audobon.run("cache", "clear", "--dry-run")
    still = shown(audobon)
    cleared = audobon.run("cache", "clear")

    assert kept == still == {"pages": 1, "tiles": 1}
    assert re.fullmatch(r"would remove 1 page and 1 tile, 0\.\d MB\n", would.err)
    assert (cleared.status, cleared.out) == (0, "")
    assert cleared.err == would.err.replace("would remove", "removed")
    assert shown(audobon) == {"pages": 0, "tiles": 0}
    assert list((audobon.data / "blobs").rglob("*.pack")) == []
    assert json.loads(audobon.run("cache", "clear", "--json").out)["pages"] == 0
    assert cached(upscale(audobon, "page.png", "again.png")) == (0, 0, 1)


def test_clearing_leaves_the_finished_pages_of_a_job_that_can_be_gone_on_with(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 6, 150, 200)
    command = ("run", "upscale", "fox.cbz", "-o", "print.cbz")
    process = audobon.start(*command)
    audobon.wait_for_work_after(1)
    process.send_signal(signal.SIGINT)
    audobon.outcome(process)
    finished = audobon.finished_pages()

    assert audobon.run("cache", "clear").status == 0
    again = audobon.run(*command, "--json")

    assert again.status == 0, again.err
    assert (report(again)["pages_resumed"], report(again)["pages_cached"]) == (finished, 0)


def test_a_discarded_job_leaves_none_of_its_pages_in_the_cache(audobon: Audobon) -> None:
    for seed, name in enumerate(("one.png", "two.png")):
        (audobon.folder / name).write_bytes(picture_bytes(drawn(seed=seed)))
        upscale(audobon, name, f"print-{name}")
    newest, _ = json.loads(audobon.run("jobs", "list", "--json").out)

    discarded = audobon.run("jobs", "discard", newest["id"])

    assert discarded.status == 0
    assert shown(audobon)["pages"] == 1
    assert cached(upscale(audobon, "one.png", "one-again.png"))[0] == 1
    assert cached(upscale(audobon, "two.png", "two-again.png"))[0] == 0


def test_a_damaged_cache_is_begun_anew_without_a_word(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")
    upscale(audobon, "page.png", "print.png")
    (audobon.data / "cache.db").write_bytes(b"no cache" * 9999)

    second = upscale(audobon, "page.png", "second.png")
    third = upscale(audobon, "page.png", "third.png")

    assert [cached(outcome)[0] for outcome in (second, third)] == [0, 1]
    assert data_of(audobon, "second.png") == data_of(audobon, "third.png") == data_of(audobon, "print.png")
    assert "cache" not in second.err


def test_a_worker_killed_while_results_are_kept_costs_nothing_but_its_tile(audobon: Audobon) -> None:
    drawn(600, 500).save(audobon.folder / "page.png")
    upscale(audobon, "page.png", "expected.png", *SMALL_TILES, "--no-cache")
    process = audobon.start("run", "upscale", "page.png", "-o", "print.png", "--json", *SMALL_TILES)
    (worker,) = wait_until(lambda: shown(audobon)["tiles"] >= 3 and audobon.workers(), "tiles are kept")
    os.kill(worker, signal.SIGKILL)
    outcome = audobon.outcome(process)

    assert outcome.status == 0, outcome.err
    assert cached(outcome)[1] >= 3
    assert data_of(audobon, "print.png") == data_of(audobon, "expected.png")
