"""`audobon models profile`, `leak`, `validate` and `bench`, with small models."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from audobon_command import Audobon, Outcome
from drawn_pages import drawn
from PIL import Image

SMALL = "ppocr-v2-classifier"
DEFAULT = "waifu2x-upconv7-x2"
SAMPLE = Path(__file__).parents[2] / "samples" / "the-wren"

# Put before everything else: the measuring process keeps a piece of memory for every load.
LEAKING = """
import sys

if "audobon.models.leak_runs" in sys.orig_argv:
    from audobon.models import service

    lost, load = [], service.load

    def leaking(*arguments, **options):
        lost.append(bytearray(b"x") * (200 << 10))
        return load(*arguments, **options)

    service.load = leaking
"""


def patiently(audobon: Audobon, *arguments: object, **options: Any) -> Outcome:
    """Run the command to its end; each starts a dozen processes, which a busy machine takes its time for."""
    process = audobon.start(*arguments, **options)
    out, err = process.communicate(timeout=300)
    assert "Traceback" not in err, err
    return Outcome(process.returncode, out, err)


def test_a_profile_is_printed_drawn_and_written_as_a_page(audobon: Audobon) -> None:
    audobon.prepare(SMALL)

    drawn_as_picture = patiently(audobon, "models", "profile", SMALL, "-o", "profile.png")
    as_json = patiently(audobon, "models", "profile", SMALL, "-o", "profile.html", "--json")

    assert (drawn_as_picture.status, as_json.status) == (0, 0)
    assert re.search(r"^Conv +[\d.]+ ms +[\d.]+%  ×\d+$", drawn_as_picture.out, re.MULTILINE)
    assert re.search(
        r"^192×48 +fast +\d+ MB +\(\d+ MB\)   lean +\d+ MB +\(\d+ MB\)$", drawn_as_picture.out, re.MULTILINE
    )
    assert drawn_as_picture.err.endswith("drawn in profile.png\n")
    with Image.open(audobon.folder / "profile.png") as image:
        assert image.size == (1440, 900)
    found = json.loads(as_json.out)
    assert (found["name"], found["trace"]["runs"] >= 3) == (SMALL, True)
    assert all(0.5 < point["peak_bytes"] / point["expected_bytes"] < 2 for point in found["memory"])
    page = (audobon.folder / "profile.html").read_text(encoding="utf-8")
    assert page.count("<tr><td>") == len(found["trace"]["operators"])


def test_a_profile_refuses_what_it_could_not_do_before_it_measures(audobon: Audobon) -> None:
    (audobon.folder / "there.png").touch()

    taken = patiently(audobon, "models", "profile", SMALL, "-o", "there.png")
    other = patiently(audobon, "models", "profile", SMALL, "-o", "profile.gif")
    nowhere = patiently(audobon, "models", "profile", SMALL, "-o", "no/profile.png")
    tiled = patiently(audobon, "models", "profile", SMALL, "--tile", "64")
    unknown = patiently(audobon, "models", "profile", "ppocr-v2-clasifier")

    assert (taken.status, taken.err) == (
        5,
        "error: there.png exists already\nhint: add --overwrite to replace it\n",
    )
    assert (other.status, other.err) == (2, "error: profile.gif must end in .png or .html\n")
    assert (nowhere.status, nowhere.err) == (4, "error: no such folder: no\n")
    assert (tiled.status, tiled.err) == (
        2,
        "error: ppocr-v2-classifier does not work on tiles\nhint: leave --tile away\n",
    )
    assert unknown.status == 4
    assert "did you mean ppocr-v2-classifier" in unknown.err


def test_a_model_that_gives_its_memory_back_is_ok(audobon: Audobon) -> None:
    audobon.prepare(SMALL)
    found = patiently(audobon, "models", "leak", SMALL, "--cycles", "40")
    assert found.status == 0, found.err
    assert found.out.startswith(f"{SMALL}: ok\ncycles      40, ")
    assert "40 of 40 cycles" in found.err


def test_a_process_that_keeps_a_fifth_of_a_megabyte_with_each_load_is_found_out(
    audobon: Audobon, tmp_path: Path
) -> None:
    audobon.prepare(SMALL)
    (tmp_path / "leaking").mkdir()
    (tmp_path / "leaking" / "sitecustomize.py").write_text(LEAKING)
    environment = {"PYTHONPATH": str(tmp_path / "leaking")}

    found = patiently(audobon, "models", "leak", SMALL, "--cycles", "40", "--json", env=environment)

    assert found.status == 10
    report = json.loads(found.out)
    assert (report["verdict"], report["cycles"]) == ("leaks", 40)
    assert report["slope_bytes"] == pytest.approx(200 << 10, rel=0.3)
    assert re.search(
        rf"^error: {SMALL} leaks: 0\.\d+ MB more with each cycle, 0.05 MB are allowed$",
        found.err,
        re.MULTILINE,
    )


def test_pictures_are_validated_against_references_made_smaller(audobon: Audobon) -> None:
    (audobon.folder / "pages").mkdir()
    for number in (1, 2):
        drawn(96 * number, 64).save(audobon.folder / "pages" / f"page-{number}.png")

    found = patiently(audobon, "models", "validate", DEFAULT, "--against", "pages", "-o", "report.html")
    as_json = patiently(audobon, "models", "validate", DEFAULT, "--against", "pages", "--json")
    short = patiently(
        audobon, "models", "validate", DEFAULT, "--against", "pages", "--worst", "1", "--at-least", "90"
    )

    assert (found.status, as_json.status, short.status) == (0, 0, 10)
    heading, *rows = found.out.splitlines()
    assert heading.split() == ["PSNR", "SSIM", "Lanczos:", "PSNR", "SSIM", "gain"]
    assert [row.split()[0] for row in rows][-1] == "median"
    assert len(short.out.splitlines()) == 3
    assert re.search(rf"error: {DEFAULT} reaches [\d.]+ dB, 90 dB are asked for\n$", short.err)
    pictures = json.loads(as_json.out)["pictures"]
    assert sorted(one["name"] for one in pictures) == ["page-1.png", "page-2.png"]
    assert all(one["psnr_db"] > one["plain_psnr_db"] for one in pictures)
    report = (audobon.folder / "report.html").read_text(encoding="utf-8")
    assert report.count("data:image/png;base64,") == 6


def test_letters_are_validated_against_what_the_pages_say(audobon: Audobon, tmp_path: Path) -> None:
    audobon.prepare("ppocr-v6-detector", SMALL, "ppocr-v6-recogniser")
    folder = tmp_path / "comic"
    folder.mkdir()
    page = (SAMPLE / "page-3.png").read_bytes()
    (folder / "page.png").write_bytes(page)
    told = {"page.png": {"balloons": ["Once more, with care.", "There I am, every father!"]}}
    (folder / "lettering.json").write_text(json.dumps(told))

    found = patiently(
        audobon, "models", "validate", "ppocr-v6-recogniser", "--against", folder, "--at-least", "60"
    )

    assert found.status == 10
    assert found.out.splitlines()[1].split() == ["page.png", "1", "of", "2", "2.1%"]
    assert "read: Once more, with care. | There I am, every feather!" in found.out
    assert found.err.endswith("reads 50.0 % of the balloons, 60 % are asked for\n")


def test_models_are_set_beside_each_other_and_their_cards(audobon: Audobon) -> None:
    audobon.prepare(SMALL)

    found = patiently(audobon, "models", "bench", SMALL, DEFAULT, "--rounds", "1")
    as_json = json.loads(patiently(audobon, "models", "bench", SMALL, "--rounds", "2", "--json").out)

    assert found.status == 0
    heading, *rows = found.out.splitlines()
    assert heading.startswith("model ")
    assert [row.split()[0] for row in rows] == [SMALL, DEFAULT]
    [figures] = as_json
    assert (figures["name"], figures["rounds"]) == (SMALL, 2)
    assert 0.5 < figures["peak_bytes"] / figures["expected_peak_bytes"] < 2
    assert all(figures[name] > 0 for name in ("cold_seconds", "warm_seconds", "seconds_per_megapixel"))


def test_helping_with_the_tools_loads_no_model_runtime() -> None:
    for command in ("profile", "leak", "validate", "bench"):
        code = (
            "import sys; from audobon.cli.main import audobon;"
            f"audobon.main(['models', '{command}', '--help'], standalone_mode=False);"
            "print({'numpy', 'PIL', 'onnxruntime', 'cv2'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.endswith("set()\n")
