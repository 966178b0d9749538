"""`audobon run upscale` on single pictures."""

import io
import json
from pathlib import Path

import pytest
from audobon_command import Audobon
from drawn_pages import SRGB, drawn, picture_bytes
from PIL import Image

DONE = """\
[1/1]  {name}  {size}  T s
upscale: 1 page done, with {model}
  the resolution noted in each file is kept; --dpi scale keeps the print size instead
result       {output}
time         T s, on this machine
peak memory  N MB in all processes
"""


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def test_a_page_comes_out_twice_the_size_and_the_command_says_so(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")

    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.png")

    said = DONE.format(name="page.png", size="192×256", model="waifu2x-upconv7-x2", output="print.png")
    assert (outcome.status, outcome.out, outcome.told) == (0, "", said)
    assert opened(audobon.folder / "print.png").size == (192, 256)
    assert audobon.files() == ["page.png", "print.png"]
    assert audobon.leftovers() == []


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize(
    ("ending", "mode", "options"),
    [
        ("png", "RGBA", {}),
        ("png", "L", {}),
        ("jpg", "RGB", {"quality": 90}),
        ("webp", "RGB", {"lossless": True}),
        ("tif", "CMYK", {"compression": "tiff_lzw"}),
    ],
)
def test_format_mode_resolution_and_profile_are_kept(
    audobon: Audobon, ending: str, mode: str, options: dict[str, object], scale: int
) -> None:
    source, target = audobon.folder / f"page.{ending}", audobon.folder / f"print.{ending}"
    drawn(48, 64, mode=mode).save(source, dpi=(300, 300), icc_profile=SRGB, **options)

    outcome = audobon.run("run", "upscale", source, "-o", target, "--scale", scale)

    assert outcome.status == 0, outcome.err
    made, before = opened(target), opened(source)
    assert (made.format, made.mode) == (before.format, mode)
    assert made.size == (48 * scale, 64 * scale)
    assert made.info["icc_profile"] == SRGB
    # WebP has no place for a resolution.
    assert [round(value) for value in made.info.get("dpi", ())] == ([] if ending == "webp" else [300, 300])


def test_the_resolution_grows_with_the_page_when_asked_so_that_the_print_size_stays(audobon: Audobon) -> None:
    drawn(48, 64).save(audobon.folder / "page.png", dpi=(300, 300))

    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.png", "--dpi", "scale")

    assert outcome.status == 0
    assert "resolution" not in outcome.err
    assert [round(value) for value in opened(audobon.folder / "print.png").info["dpi"]] == [600, 600]


def test_the_ending_of_the_output_chooses_its_format(audobon: Audobon) -> None:
    drawn(48, 64).save(audobon.folder / "page.png", dpi=(300, 300))

    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.tiff")

    assert outcome.status == 0
    assert opened(audobon.folder / "print.tiff").format == "TIFF"


def test_another_model_may_be_chosen(audobon: Audobon) -> None:
    audobon.prepare("realesrgan-animevideov3-x4")
    drawn(48, 64).save(audobon.folder / "page.png")

    arguments = ("page.png", "-o", "print.png", "--scale", "4", "--model", "realesrgan-animevideov3-x4")
    outcome = audobon.run("run", "upscale", *arguments)

    said = DONE.format(
        name="page.png", size="192×256", model="realesrgan-animevideov3-x4", output="print.png"
    )
    assert (outcome.status, outcome.told) == (0, said)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            ("--model", "waifu2x-upconv-x2"),
            4,
            "error: no model is named 'waifu2x-upconv-x2'\n"
            "hint: did you mean waifu2x-upconv7-x2 or waifu2x-upconv7-x2-draft or waifu2x-cunet-x2?\n",
        ),
        (
            ("--model", "realesrgan-animevideov3-x4", "--scale", "2"),
            2,
            "error: realesrgan-animevideov3-x4 makes pages ×4, not ×2\n"
            "hint: choose another --scale or --model; audobon models list shows them\n",
        ),
        (
            ("--model", "ppocr-v6-detector"),
            2,
            "error: ppocr-v6-detector does not make pictures\nhint: audobon models list\n",
        ),
        (
            ("--memory", "much"),
            2,
            "error: 'much' is not an amount of memory\nhint: write it like 400MB or 1.5GB\n",
        ),
        (
            ("--memory", "400"),
            2,
            "error: 400 is only 400 bytes\nhint: write it like 400MB or 1.5GB\n",
        ),
    ],
)
def test_what_cannot_work_is_said_before_any_work(
    audobon: Audobon, arguments: tuple[str, ...], status: int, said: str
) -> None:
    (audobon.folder / "page.png").write_bytes(picture_bytes(drawn(48, 64)))

    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.png", *arguments)

    assert (outcome.status, outcome.out, outcome.err) == (status, "", said)
    assert audobon.files() == ["page.png"]


def test_an_unknown_operation_is_answered_with_the_nearest_one(audobon: Audobon) -> None:
    outcome = audobon.run("run", "upscal", "page.png", "-o", "print.png")

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        "error: no operation is named 'upscal'; there are upscale, clean, letters, panels\n"
        "hint: did you mean upscale?\n"
    )


def test_the_first_use_of_a_model_says_that_it_is_being_prepared(audobon: Audobon) -> None:
    (audobon.data / "models").unlink()
    drawn(48, 64).save(audobon.folder / "page.png")

    first = audobon.run("run", "upscale", "page.png", "-o", "one.png")
    second = audobon.run("run", "upscale", "page.png", "-o", "two.png")

    preparing = "preparing waifu2x-upconv7-x2 for this machine (first use only)\n"
    assert first.err.startswith(preparing)
    assert preparing not in second.err
    assert (audobon.folder / "one.png").read_bytes() == (audobon.folder / "two.png").read_bytes()


def test_the_report_as_json_is_all_there_is_on_standard_output(audobon: Audobon) -> None:
    drawn(48, 64).save(audobon.folder / "page.png")

    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.png", "--json")

    report = json.loads(outcome.out)
    changing = ("job", "seconds", "peak_memory_bytes")
    assert all(report.pop(name) for name in changing)
    assert report["pages"][0].pop("seconds") > 0
    assert report == {
        "operation": "upscale",
        "settings": {"scale": 2, "model": "waifu2x-upconv7-x2", "dpi": "keep", "quality": "full"},
        "models": ["waifu2x-upconv7-x2"],
        "state": "done",
        "place": "here",
        "source": "page.png",
        "output": "print.png",
        "cost_micros": 0,
        "pages_done": 1,
        "pages_failed": 0,
        "pages_resumed": 0,
        "pages": [
            {"name": "page.png", "state": "done", "tiles": 1, "width": 96, "height": 128, "tile_px": 64}
        ],
        "files": [],
        "unread_pictures": [],
        "left_out": [],
        "loss_db": None,
        "pages_cached": 0,
        "tiles": 1,
        "tiles_cached": 0,
        "is_engine_joined": False,
    }
