"""How good are the results? Upscaling against Lanczos, lettering and panels against the truth.

    python benchmarks/bench_quality.py [FOLDER ...]

Each FOLDER holds pages and a lettering.json; without one, the sample comic that ships with Audobon.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from measuring import AUDOBON, ROOT, measure, save, scratch, table, verdict

GOAL_DB = 4.0
_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"}


def main() -> None:
    folders = [Path(name) for name in sys.argv[1:]] or [ROOT / "samples" / "the-wren"]
    upscaled, read = [], []
    with scratch() as (scratch_folder, environment):
        for folder in folders:
            truth = json.loads((folder / "lettering.json").read_text(encoding="utf-8"))
            pages = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
            upscaled += [upscale(page, scratch_folder, environment) for page in pages]
            read += findings(folder, truth, environment)
    table(
        f"Halved (Lanczos), then doubled: PSNR to the original (goal: at least {GOAL_DB} dB above Lanczos)",
        ["page", "Lanczos", "Audobon", "gain", ""],
        upscaled,
    )
    table("Lettering and panels against the truth", ["page", "balloons read exactly", "panels", ""], read)
    save("quality", {"upscaling": upscaled, "findings": read})


def upscale(page: Path, scratch_folder: Path, environment: dict[str, str]) -> list[str]:
    with Image.open(page) as image:
        original = image.convert("RGB")
    original = original.crop((0, 0, original.width // 2 * 2, original.height // 2 * 2))
    half = original.resize((original.width // 2, original.height // 2), Image.Resampling.LANCZOS)
    source, target = scratch_folder / "half.png", scratch_folder / "double.png"
    half.save(source)
    measure([AUDOBON, "run", "upscale", source, "-o", target, "--overwrite", "--quiet"], environment)
    with Image.open(target) as image:
        ours = psnr(original, image)
    plain = psnr(original, half.resize(original.size, Image.Resampling.LANCZOS))
    gain = ours - plain
    return [page.name, f"{plain:.2f} dB", f"{ours:.2f} dB", f"{gain:+.2f} dB", verdict(gain >= GOAL_DB)]


def psnr(a: Image.Image, b: Image.Image) -> float:
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return 10 * math.log10(255**2 / float(np.mean(difference**2)))


def findings(
    folder: Path, truth: dict[str, dict[str, object]], environment: dict[str, str]
) -> list[list[str]]:
    letters = json.loads(
        measure([AUDOBON, "run", "letters", folder, "--json", "--quiet"], environment).output
    )
    panels = json.loads(measure([AUDOBON, "run", "panels", folder, "--json", "--quiet"], environment).output)
    rows = []
    for page, cut in zip(letters["pages"], panels["pages"], strict=True):
        wanted = truth[page["name"]]
        spoken = [balloon["text"] for balloon in page["balloons"] if balloon["kind"] == "speech"]
        exact = sum(a == b for a, b in zip(spoken, wanted["balloons"], strict=False))
        right = spoken == wanted["balloons"] and len(cut["panels"]) == wanted["panels"]
        rows.append(
            [
                page["name"],
                f"{exact} of {len(wanted['balloons'])}, in order"
                + ("" if spoken == wanted["balloons"] else f": {spoken}"),
                f"{len(cut['panels'])} of {wanted['panels']}",
                verdict(right),
            ]
        )
    return rows


if __name__ == "__main__":
    main()
