"""The files that are backed up: a mixed gibibyte, made alike every time."""

import random
from pathlib import Path

SMALL_FILES = 10_000
SMALL_BYTES = 10 << 10
LARGE_FILES = 4

_WORDS = "the rain came over the roofs and nobody saw who left the lantern by the door".split()  # noqa: SIM905


def mixed(folder: Path, *, large_bytes: int = 243 << 20, small_files: int = SMALL_FILES) -> int:
    """Write small files, half text and half random, and four large ones of which one is text.

    Returns how many bytes they have together.
    """
    chance = random.Random(7)
    folder.mkdir(parents=True)
    for number in range(small_files):
        path = folder / "small" / f"{number % 100:02}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_text(chance, SMALL_BYTES) if number % 2 else chance.randbytes(SMALL_BYTES))
    (folder / "large").mkdir()
    for number in range(LARGE_FILES):
        with (folder / "large" / f"{number}.bin").open("wb") as file:
            left = large_bytes
            while left:
                count = min(left, 1 << 20)
                file.write(_text(chance, count) if number == LARGE_FILES - 1 else chance.randbytes(count))
                left -= count
    return small_files * SMALL_BYTES + LARGE_FILES * large_bytes


def _text(chance: random.Random, count: int) -> bytes:
    words = " ".join(chance.choices(_WORDS, k=count // 4 + 1)).encode()
    return words[:count].ljust(count)
