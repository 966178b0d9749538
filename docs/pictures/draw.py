"""Makes the pictures of the README from the sample comic: python docs/pictures/draw.py"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "samples" / "the-wren" / "page-1.png"
DETAIL = (505, 655, 665, 815)
SCALE = 4
INK, PAPER = (36, 30, 38), (255, 255, 255)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        large = Path(scratch) / "large.png"
        audobon("run", "upscale", PAGE, "-o", large, "--scale", str(SCALE))
        audobon("run", "panels", PAGE, "-o", Path(scratch) / "panels")
        letters = json.loads(audobon("run", "letters", PAGE, "--json"))
        with Image.open(PAGE) as page, Image.open(large) as result:
            before = page.crop(DETAIL).resize((640, 640), Image.Resampling.NEAREST)
            after = result.crop(tuple(SCALE * side for side in DETAIL))
        with Image.open(Path(scratch) / "panels" / PAGE.name / "overview.png") as overview:
            read = overview.convert("RGB")
        mark_balloons(read, letters["pages"][0]["balloons"])
        read = read.resize((448, 640), Image.Resampling.LANCZOS)
    columns = [
        ("the page, magnified", before),
        ("after: audobon run upscale --scale 4", after),
        ("panels and letters", read),
    ]
    sheet(columns).save(HERE / "before-after.png", optimize=True)


def audobon(*arguments: object) -> str:
    command = [sys.executable, "-m", "audobon", *map(str, arguments), "--quiet"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def mark_balloons(page: Image.Image, balloons: list[dict]) -> None:  # type: ignore[type-arg]
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(22)
    for balloon in balloons:
        box = balloon["box"]
        corner = (box["x"] - 4, box["y"] - 4, box["x"] + box["width"] + 4, box["y"] + box["height"] + 4)
        draw.rectangle(corner, outline=(0, 110, 220), width=3)
        words = f"“{balloon['text']}”"
        left = min(box["x"] - 4, page.width - 12 - draw.textlength(words, font))
        place = (left, corner[3] + 3)
        draw.rectangle(draw.textbbox(place, words, font), fill=(0, 110, 220))
        draw.text(place, words, PAPER, font)


def sheet(columns: list[tuple[str, Image.Image]]) -> Image.Image:
    gap, head = 16, 36
    width = sum(picture.width for _, picture in columns) + gap * (len(columns) + 1)
    whole = Image.new("RGB", (width, 640 + head + 2 * gap), PAPER)
    draw = ImageDraw.Draw(whole)
    left = gap
    for title, picture in columns:
        draw.text((left, gap), title, INK, ImageFont.load_default(22))
        whole.paste(picture.convert("RGB"), (left, head + gap))
        left += picture.width + gap
    return whole.quantize(256, method=Image.Quantize.MEDIANCUT)


if __name__ == "__main__":
    main()
