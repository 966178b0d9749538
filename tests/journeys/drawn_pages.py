"""Small pages drawn for the journeys, the same on every machine."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageDraw, ImageFont

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def drawn(width: int = 96, height: int = 128, *, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """Return a page with soft colours and ink strokes; another seed, another page."""
    y, x = np.mgrid[0:height, 0:width]
    colours = [128 + 90 * np.sin((x + k * y) / (9 + k) + seed + k) for k in (1, 2, 3)]
    page = np.stack(colours, axis=-1)
    page[((x + 2 * y + 5 * seed) % 31 < 3) | ((x - y - seed) % 37 < 2)] = 16
    return Image.fromarray(page.astype(np.uint8), "RGB").convert(mode)


def picture_bytes(page: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    page.save(target, kind, **options)
    return target.getvalue()


def save_book(path: Path, files: dict[str, bytes]) -> Path:
    """Write a ZIP with these files in this order, dated alike."""
    with zipfile.ZipFile(path, "w") as book:
        for name, data in files.items():
            book.writestr(zipfile.ZipInfo(name, (2020, 2, 3, 4, 5, 6)), data)
    return path


def book_of(path: Path, pages: int, width: int = 96, height: int = 128) -> Path:
    """Write a book of so many pages, no two alike."""
    names = [f"page{number}.png" for number in range(1, pages + 1)]
    drawings = [picture_bytes(drawn(width, height, seed=seed)) for seed in range(pages)]
    return save_book(path, dict(zip(names, drawings, strict=True)))


def book_contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as book:
        return {name: book.read(name) for name in book.namelist()}


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as picture:
        return picture.size


def lettered_page() -> Image.Image:
    """Return two panels side by side, each with one balloon of two lines."""
    page = Image.new("RGB", (900, 520), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(34)
    for left, words in ((20, "WHERE IS\nTHE CAT"), (470, "BEHIND\nTHE DOOR")):
        draw.rectangle((left, 20, left + 410, 500), fill=(196, 214, 232), outline="black", width=5)
        draw.ellipse((left + 40, 90, left + 370, 330), fill="white", outline="black", width=4)
        draw.multiline_text((left + 205, 210), words, "black", font, anchor="mm", align="center", spacing=12)
    return page


def panelled_page() -> Image.Image:
    """Return four panels in two rows on white."""
    page = Image.new("RGB", (420, 620), "white")
    for left in (20, 220):
        for top in (20, 320):
            page.paste(drawn(180, 280, seed=left + top), (left, top))
            ImageDraw.Draw(page).rectangle((left, top, left + 179, top + 279), outline="black", width=3)
    return page
