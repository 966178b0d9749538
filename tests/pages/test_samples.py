import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audobon.pages.boxes import Box
from audobon.pages.panels import find_panels

SAMPLES = Path(__file__).parents[2] / "samples"
COMIC = SAMPLES / "the-wren"
LETTERING = json.loads((COMIC / "lettering.json").read_text(encoding="utf-8"))


def page(name):
    with Image.open(COMIC / name) as picture:
        assert picture.mode == "RGB"
        return np.asarray(picture)


def test_every_page_has_its_lettering_written_down():
    assert sorted(LETTERING) == sorted(path.name for path in COMIC.glob("*.png"))


@pytest.mark.parametrize("name", sorted(LETTERING))
def test_the_sample_pages_have_as_many_panels_as_their_lettering_says(name):
    assert len(find_panels(page(name))) == LETTERING[name]["panels"]


def test_a_balloon_over_the_gutter_leaves_the_panels_of_the_first_page_in_place():
    expected = [Box(28, 28, 644, 430), Box(28, 474, 314, 498), Box(358, 474, 314, 498)]
    assert [panel.box for panel in find_panels(page("page-1.png"))] == expected


def test_a_manga_reader_meets_the_second_page_from_the_right():
    left = [panel.box.x for panel in find_panels(page("page-2.png"), order="rtl")]
    assert left == [28, 424, 28, 28]


@pytest.mark.parametrize("name", sorted(LETTERING))
def test_the_sample_pages_stay_small_enough_to_ship(name):
    assert (COMIC / name).stat().st_size < 350_000


def test_the_script_still_draws_the_first_page(monkeypatch):
    monkeypatch.syspath_prepend(SAMPLES)
    drawn = np.asarray(importlib.import_module("draw").first_page())
    # Other versions of Pillow may round the edges of letters differently, no more.
    assert np.abs(drawn.astype(int) - page("page-1.png")).mean() < 1
