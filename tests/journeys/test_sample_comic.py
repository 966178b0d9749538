"""The comic that ships with Audobon: read exactly, cut rightly, and enlarged better than by plain means."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from audobon_command import Audobon
from PIL import Image

COMIC = Path(__file__).parents[2] / "samples" / "the-wren"
TRUTH = json.loads((COMIC / "lettering.json").read_text(encoding="utf-8"))


def test_every_balloon_is_read_exactly_and_in_order(audobon: Audobon) -> None:
    audobon.prepare("ppocr-v6-detector", "ppocr-v2-classifier", "ppocr-v6-recogniser")
    outcome = audobon.run("run", "letters", COMIC, "--json", "--quiet")
    spoken = {
        page["name"]: [balloon["text"] for balloon in page["balloons"] if balloon["kind"] == "speech"]
        for page in json.loads(outcome.out)["pages"]
    }
    assert spoken == {name: page["balloons"] for name, page in TRUTH.items()}


def test_every_panel_is_found(audobon: Audobon) -> None:
    outcome = audobon.run("run", "panels", COMIC, "--json", "--quiet")
    counted = {page["name"]: len(page["panels"]) for page in json.loads(outcome.out)["pages"]}
    assert counted == {name: page["panels"] for name, page in TRUTH.items()}


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_a_halved_page_comes_back_far_closer_than_by_lanczos(audobon: Audobon, name: str) -> None:
    with Image.open(COMIC / name) as image:
        page = image.convert("RGB").crop((0, 0, 352, 502))
    half = page.resize((176, 251), Image.Resampling.LANCZOS)
    half.save(audobon.folder / "half.png")

    assert audobon.run("run", "upscale", "half.png", "-o", "whole.png").status == 0

    with Image.open(audobon.folder / "whole.png") as image:
        ours = decibels(page, image.convert("RGB"))
    assert ours >= decibels(page, half.resize(page.size, Image.Resampling.LANCZOS)) + 4


def decibels(original: Image.Image, result: Image.Image) -> float:
    difference = np.asarray(original, np.float64) - np.asarray(result, np.float64)
    return 10 * math.log10(255**2 / float(np.mean(difference**2)))
