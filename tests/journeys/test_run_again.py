"""The same folder filled again: it holds the result and what is the user's own, nothing else."""

import json

from audobon_command import Audobon
from drawn_pages import drawn, panelled_page, picture_bytes

COMMAND = ("run", "upscale", "book", "-o", "print", "--overwrite")


def fill(audobon: Audobon, *names: str) -> None:
    for seed, name in enumerate(names):
        path = audobon.folder / "book" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_bytes(drawn(48, 64, seed=seed)))


def made(audobon: Audobon) -> list[str]:
    return [name.removeprefix("print/") for name in audobon.files() if name.startswith("print/")]


def test_a_page_taken_out_of_the_book_goes_from_the_folder_and_own_files_stay(audobon: Audobon) -> None:
    fill(audobon, "1.png", "a/2.png", "3.png")
    first = audobon.run(*COMMAND, "--json")
    (audobon.folder / "print" / "mine.txt").write_text("mine")
    (audobon.folder / "book" / "a" / "2.png").unlink()

    second = audobon.run(*COMMAND, "--json")

    assert json.loads(first.out)["files"] == ["1.png", "3.png", "a/2.png"]
    assert json.loads(second.out)["files"] == ["1.png", "3.png"]
    assert made(audobon) == ["1.png", "3.png", "mine.txt"]
    assert not (audobon.folder / "print" / "a").exists()


def test_a_bad_page_that_is_replaced_under_another_name_leaves_nothing_behind(audobon: Audobon) -> None:
    fill(audobon, "1.png", "2.png")
    (audobon.folder / "book" / "2.png").write_bytes(b"no picture")
    first = audobon.run(*COMMAND)
    before = made(audobon)
    (audobon.folder / "book" / "2.png").rename(audobon.folder / "book" / "2-bad.png")
    fill(audobon, "1.png", "3.png", "2-bad.png")

    second = audobon.run(*COMMAND)

    assert (first.status, second.status) == (10, 0)
    assert before == ["1.png", "2.png"]
    assert made(audobon) == ["1.png", "2-bad.png", "3.png"]


def test_a_file_in_the_way_is_named_and_nothing_is_written(audobon: Audobon) -> None:
    fill(audobon, "1.png", "a/2.png")
    (audobon.folder / "print").mkdir()
    (audobon.folder / "print" / "a").write_text("mine")

    outcome = audobon.run(*COMMAND)

    assert outcome.status == 5
    assert outcome.err.endswith("error: the file print/a stands where a folder must be\nhint: move it away\n")
    assert made(audobon) == ["a"]


def test_pictures_of_other_formats_and_hidden_folders_are_carried_over_and_the_pictures_named(
    audobon: Audobon,
) -> None:
    fill(audobon, "1.png", ".thumbnails/1.png")
    (audobon.folder / "book" / "cover.GIF").write_bytes(picture_bytes(drawn(8, 8), "GIF"))
    (audobon.folder / "book" / "notes.txt").write_text("notes")
    thumbnail = (audobon.folder / "book" / ".thumbnails" / "1.png").read_bytes()

    outcome = audobon.run(*COMMAND, "--json")

    assert outcome.status == 0, outcome.err
    report = json.loads(outcome.out)
    assert report["unread_pictures"] == ["cover.GIF"]
    assert report["pages_done"] == 1
    assert "\n  not a format that is worked on, carried over: cover.GIF\n" in outcome.err
    assert made(audobon) == [".thumbnails/1.png", "1.png", "cover.GIF", "notes.txt"]
    assert (audobon.folder / "print" / ".thumbnails" / "1.png").read_bytes() == thumbnail


def test_panels_of_several_pages_lie_in_a_folder_for_each(audobon: Audobon) -> None:
    fill(audobon, "1.png")
    panelled_page().save(audobon.folder / "book" / "2.png")

    outcome = audobon.run("run", "panels", "book", "-o", "print")

    assert outcome.status == 0, outcome.err
    assert made(audobon) == [
        "1/overview.png",
        "1/panel-01.png",
        "2/overview.png",
        *(f"2/panel-0{number}.png" for number in (1, 2, 3, 4)),
        "panels.json",
    ]
    pages = json.loads((audobon.folder / "print" / "panels.json").read_text())["pages"]
    assert [panel["picture"] for panel in pages[1]["panels"]] == [f"2/panel-0{n}.png" for n in (1, 2, 3, 4)]
