"""`audobon run upscale --quality draft`."""

import io
import json
from pathlib import Path

import numpy as np
from audobon_command import Audobon
from drawn_pages import drawn
from PIL import Image

DRAFT = "waifu2x-upconv7-x2-draft"
SAID = f"""\
[1/1]  page.png  192×256  T s
upscale: 1 page done, with {DRAFT}
  a draft, 39.9 dB from the full model for each pass; --quality full is for print
  the resolution noted in each file is kept; --dpi scale keeps the print size instead
result       draft.png
time         T s, on this machine
peak memory  N MB in all processes
"""


def pixels(path: Path) -> np.ndarray:
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return np.asarray(image, np.float64)


def test_a_draft_is_near_the_full_page_never_in_its_place_and_said_to_be_one(audobon: Audobon) -> None:
    # given
    audobon.prepare(DRAFT)
    drawn().save(audobon.folder / "page.png")

    # when: both, and then each once more
    full = audobon.run("run", "upscale", "page.png", "-o", "full.png", "--quiet")
    draft = audobon.run("run", "upscale", "page.png", "-o", "draft.png", "--quality", "draft")
    again = [
        audobon.run(
            *("run", "upscale", "page.png", "-o", f"{quality}-2.png"),
            *("--quality", quality, "--no-cache", "--json"),
        )
        for quality in ("full", "draft")
    ]

    # then
    assert (full.status, draft.status, draft.out, draft.told) == (0, 0, "", SAID)
    first, second = (pixels(audobon.folder / f"{quality}.png") for quality in ("full", "draft"))
    assert first.shape == second.shape
    error = np.mean((first - second) ** 2)
    assert 0 < error < 255**2 / 10 ** (30 / 10)
    reports = [json.loads(outcome.out) for outcome in again]
    assert [(r["models"], r["settings"]["quality"], r["loss_db"]) for r in reports] == [
        (["waifu2x-upconv7-x2"], "full", None),
        ([DRAFT], "draft", 39.9),
    ]
    for quality in ("full", "draft"):
        first_time, second_time = (audobon.folder / f"{quality}{ending}.png" for ending in ("", "-2"))
        assert first_time.read_bytes() == second_time.read_bytes()


def test_a_model_without_a_draft_is_refused_before_any_work(audobon: Audobon) -> None:
    drawn(48, 64).save(audobon.folder / "page.png")

    outcome = audobon.run(
        *("run", "upscale", "page.png", "-o", "print.png", "--quality", "draft"),
        *("--model", "waifu2x-cunet-x2"),
    )

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        "error: waifu2x-cunet-x2 has no draft\n"
        "hint: --quality full, or one of the models with a draft: realesrgan-animevideov3-x2,"
        " realesrgan-animevideov3-x4, waifu2x-upconv7-x2\n"
    )
    assert audobon.files() == ["page.png"]
