"""`audobon run clean`, `letters` and `panels`."""

import json

import numpy as np
import pytest
from audobon_command import Audobon
from drawn_pages import book_of, drawn, lettered_page, panelled_page, picture_bytes, save_book, size_of
from PIL import Image

LETTER_MODELS = ("ppocr-v6-detector", "ppocr-v2-classifier", "ppocr-v6-recogniser")
PANELS_LTR = [(20, 20), (220, 20), (20, 320), (220, 320)]
PANELS_RTL = [(220, 20), (20, 20), (220, 320), (20, 320)]


@pytest.fixture
def reader(audobon: Audobon) -> Audobon:
    """The command with the models that read, and a lettered page on the desk."""
    audobon.prepare(*LETTER_MODELS)
    lettered_page().save(audobon.folder / "page.png")
    return audobon


def boxes(findings: str) -> list[tuple[int, int, int, int]]:
    (page,) = json.loads(findings)["pages"]
    found = [panel["box"] for panel in page["panels"]]
    return [(box["x"], box["y"], box["width"], box["height"]) for box in found]


@pytest.mark.parametrize("level", [0, 3])
def test_cleaning_keeps_the_size_and_takes_noise_away(audobon: Audobon, level: int) -> None:
    audobon.prepare(f"waifu2x-cunet-clean{level}")
    sound = Image.new("RGB", (96, 128), (180, 200, 220))
    noise = np.random.default_rng(7).normal(0, 12, (128, 96, 3))
    noisy = np.clip(np.asarray(sound, np.float64) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(noisy, "RGB").save(audobon.folder / "page.png", dpi=(300, 300))

    outcome = audobon.run("run", "clean", "page.png", "-o", "clean.png", "--level", level)

    assert outcome.told.splitlines()[:2] == [
        "[1/1]  page.png  96×128  T s",
        f"clean: 1 page done, with waifu2x-cunet-clean{level}",
    ]
    with Image.open(audobon.folder / "clean.png") as made:
        assert (made.size, made.mode) == ((96, 128), "RGB")
        assert np.asarray(made, np.float64).std(axis=(0, 1)).mean() < noisy.std(axis=(0, 1)).mean()


def test_letters_prints_what_the_balloons_say_in_reading_order(reader: Audobon) -> None:
    outcome = reader.run("run", "letters", "page.png")
    rtl = reader.run("run", "letters", "page.png", "--order", "rtl", "--quiet")

    assert outcome.status == rtl.status == 0
    assert outcome.out == "page.png\n   1. [speech] WHERE IS THE CAT\n   2. [speech] BEHIND THE DOOR\n"
    assert rtl.out == "page.png\n   1. [speech] BEHIND THE DOOR\n   2. [speech] WHERE IS THE CAT\n"
    assert (outcome.told, rtl.err) == (
        "[1/1]  page.png  900×520  T s\n"
        "letters: 1 page done, with ppocr-v6-detector, ppocr-v2-classifier, ppocr-v6-recogniser\n"
        "time         T s, on this machine\n"
        "peak memory  N MB in all processes\n",
        "",
    )


def test_letters_as_json_say_the_same_printed_or_written(reader: Audobon) -> None:
    printed = reader.run("run", "letters", "page.png", "--json")
    written = reader.run("run", "letters", "page.png", "-o", "page.json")

    findings = json.loads(printed.out)
    assert (written.status, written.out) == (0, "")
    assert json.loads((reader.folder / "page.json").read_text()) == findings
    as_text = reader.run("run", "letters", "page.png", "-o", "page.txt")
    assert (as_text.status, as_text.out) == (0, "")
    said = "page.png\n   1. [speech] WHERE IS THE CAT\n   2. [speech] BEHIND THE DOOR\n"
    assert (reader.folder / "page.txt").read_text() == said
    assert (findings["operation"], findings["document"]) == ("letters", "page.png")
    (page,) = findings["pages"]
    assert (page["name"], page["width"], page["height"]) == ("page.png", 900, 520)
    first = page["balloons"][0]
    assert [line["text"] for line in first["lines"]] == ["WHERE IS", "THE CAT"]
    assert first["confidence"] > 0.9
    for found in (first, *first["lines"]):
        assert found["confidence"] == round(found["confidence"], 4)
    for line in first["lines"]:
        rounded = [[round(value, 1) for value in corner] for corner in line["corners"]]
        assert (line["corners"], line["angle_degrees"]) == (rounded, round(line["angle_degrees"], 1))
    # The balloon was drawn at 60..390 across and 90..330 down.
    assert 60 < first["box"]["x"] < first["box"]["x"] + first["box"]["width"] < 390


@pytest.mark.parametrize(("order", "corners"), [("ltr", PANELS_LTR), ("rtl", PANELS_RTL)])
def test_panels_are_told_in_the_reading_order_asked_for(
    audobon: Audobon, order: str, corners: list[tuple[int, int]]
) -> None:
    panelled_page().save(audobon.folder / "page.png")

    outcome = audobon.run("run", "panels", "page.png", "--order", order)
    as_json = audobon.run("run", "panels", "page.png", "--order", order, "--json", "--quiet")

    lines = [f"   {number}. 180×280 at {x},{y}" for number, (x, y) in enumerate(corners, start=1)]
    assert outcome.out.splitlines() == ["page.png", *lines]
    assert boxes(as_json.out) == [(x, y, 180, 280) for x, y in corners]
    assert as_json.err == ""


def test_a_folder_of_panels_holds_every_panel_an_overview_and_the_boxes(audobon: Audobon) -> None:
    panelled_page().save(audobon.folder / "page.png", dpi=(300, 300))

    outcome = audobon.run("run", "panels", "page.png", "-o", "cut")

    cut = audobon.folder / "cut"
    assert (outcome.status, outcome.out) == (0, "")
    assert audobon.files() == [
        "cut/overview.png",
        *(f"cut/panel-0{number}.png" for number in (1, 2, 3, 4)),
        "cut/panels.json",
        "page.png",
    ]
    assert [box[:2] for box in boxes((cut / "panels.json").read_text())] == PANELS_LTR
    told = json.loads((cut / "panels.json").read_text())["pages"][0]["panels"]
    assert [(panel["number"], panel["picture"]) for panel in told] == [
        (number, f"panel-0{number}.png") for number in (1, 2, 3, 4)
    ]
    pixels = np.asarray(panelled_page())
    for number, (x, y) in enumerate(PANELS_LTR, start=1):
        with Image.open(cut / f"panel-0{number}.png") as piece:
            assert np.array_equal(np.asarray(piece), pixels[y : y + 280, x : x + 180])
    assert size_of((cut / "overview.png").read_bytes()) == (420, 620)


def test_panels_of_a_book_go_to_one_json_file_with_a_bad_page_told_in_its_place(audobon: Audobon) -> None:
    files = {"1.png": picture_bytes(panelled_page()), "2.png": b"no picture"}
    save_book(audobon.folder / "fox.cbz", files)

    outcome = audobon.run("run", "panels", "fox.cbz", "-o", "fox.json")

    assert outcome.status == 10
    first, second = json.loads((audobon.folder / "fox.json").read_text())["pages"]
    assert len(first["panels"]) == 4
    assert second == {
        "name": "2.png",
        "error": {
            "code": "unreadable_picture",
            "message": "this is not a PNG, JPEG, WebP or TIFF picture",
        },
    }


def test_findings_are_not_written_over_a_folder_of_pages(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 1)
    (audobon.folder / "there").mkdir()
    drawn().save(audobon.folder / "there" / "1.png")

    outcome = audobon.run("run", "panels", "fox.cbz", "-o", "there")

    assert (outcome.status, outcome.out) == (5, "")
    assert outcome.err == "error: there exists already\nhint: add --overwrite to replace it\n"
