"""What a line of text says: crop, straighten, turn the right way up, recognise, decode.

Not for finding lines (text_lines).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from audobon.pages.text_lines import Run, as_input

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

HEIGHT_PX = 48
CLASSIFIER_WIDTH_PX = 192
WIDTHS_PX = (320, 480, 640, 960, 1536)
"""Widths the recogniser is given: few, so that a runtime may prepare each; longer lines are squeezed."""
BATCH_WIDTH_PX = 2560
"""Width of all lines of one call. Its answer then holds 6 million numbers at most."""
CLASSIFIER_BATCH = 16
IS_UPSIDE_DOWN = 0.9
TALL = 1.5
"""Height over width from which a line may run up or down."""
FAINT_SPACE = 0.2
"""Probability from which a pause is a space though a pause is likelier; capitals stand close ("I SEE")."""
CLEARLY_BETTER = 0.05
"""What a turned reading must gain in confidence: nearly all lettering is upright."""


class Reading(NamedTuple):
    """What a line says; corners begin at the top-left of the letters."""

    corners: Floats
    text: str
    confidence: float


def read_lines(
    page: Bytes,
    lines: Sequence[Floats],
    classifier: Run,
    recogniser: Run,
    alphabet: Sequence[str],
    *,
    report: Callable[[int, int], None] | None = None,
) -> list[Reading]:
    """Return what each line says, in the order given.

    page        uint8 [height, width, 3], RGB; lines are cropped from it at full resolution
    lines       float32 [4, 2] each, clockwise corners in page pixels, the first side most level
    classifier  float32 [n, 3, 48, 192] to [n, 2]: probability of upright, of upside down
    recogniser  float32 [n, 3, 48, w] to [n, t, characters + 2]: blank, alphabet, space
    report      called with batches done and batches in all
    """
    tries = list(enumerate(lines))
    tries += [(index, np.roll(lines[index], -2, axis=0)) for index in _upside_down(page, lines, classifier)]
    tall = [(index, corners) for index, corners in enumerate(lines) if _aspect(corners) * TALL <= 1]
    tries += [(index, np.roll(corners, -turn, axis=0)) for index, corners in tall for turn in (1, 3)]

    best: dict[int, Reading] = {}
    batches = _batches([_width(corners) for _, corners in tries])
    for done, (width, batch) in enumerate(batches, start=1):
        pictures = np.stack([_model_input(page, tries[number][1], width) for number in batch])
        answers = recogniser(pictures)
        for number, answer in zip(batch, answers, strict=True):
            index, corners = tries[number]
            text, confidence = decode(answer, alphabet)
            if corners is not lines[index]:
                confidence -= CLEARLY_BETTER
            if index not in best or confidence > best[index].confidence:
                best[index] = Reading(corners, text, confidence)
        if report is not None:
            report(done, len(batches))
    return [best[index] for index in range(len(lines))]


def decode(probabilities: Floats, alphabet: Sequence[str]) -> tuple[str, float]:
    """Return the text of one recogniser answer and the mean confidence of its letters, 0 when empty.

    probabilities  [t, characters + 2]: blank first, space last
    """
    chosen = probabilities.argmax(axis=1)
    chosen[(chosen == 0) & (probabilities[:, -1] >= FAINT_SPACE)] = len(alphabet) + 1
    starts = np.ones(len(chosen), bool)
    starts[1:] = chosen[1:] != chosen[:-1]
    starts &= chosen != 0
    text = "".join(" " if index > len(alphabet) else alphabet[index - 1] for index in chosen[starts])
    text = " ".join(text.split())
    if not text:
        return "", 0.0
    starts &= chosen <= len(alphabet)
    return text, float(probabilities.max(axis=1)[starts].mean())


def straighten(page: Bytes, corners: Floats, width_px: int, height_px: int) -> Bytes:
    """Return the rectangle between clockwise corners as a level picture of the given size."""
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 2, 0)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 2
    part = page[top:bottom, left:right]
    corners = corners - np.array([left, top], np.float32)
    # warping looks at few pixels: what shrinks a lot is averaged first
    shrink = float(np.linalg.norm(corners[3] - corners[0])) / height_px
    if shrink > 1.5:
        size = (max(1, round(part.shape[1] / shrink)), max(1, round(part.shape[0] / shrink)))
        corners = corners * np.array([size[0] / part.shape[1], size[1] / part.shape[0]], np.float32)
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    target = np.array([[0, 0], [width_px, 0], [width_px, height_px]], np.float32)
    turn = cv2.getAffineTransform(corners[:3].astype(np.float32), target)
    straight: Bytes = cv2.warpAffine(
        part, turn, (width_px, height_px), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return straight


def _aspect(corners: Floats) -> float:
    across = float(np.linalg.norm(corners[1] - corners[0]))
    return across / max(1e-3, float(np.linalg.norm(corners[3] - corners[0])))


def _width(corners: Floats, widest_px: int = WIDTHS_PX[-1]) -> int:
    return min(widest_px, max(1, math.ceil(HEIGHT_PX * _aspect(corners))))


def _model_input(page: Bytes, corners: Floats, width_px: int) -> Floats:
    content_px = _width(corners, width_px)
    padded = np.zeros((3, HEIGHT_PX, width_px), np.float32)
    padded[:, :, :content_px] = as_input(straighten(page, corners, content_px, HEIGHT_PX))
    return padded


def _upside_down(page: Bytes, lines: Sequence[Floats], classifier: Run) -> list[int]:
    suspects: list[int] = []
    for start in range(0, len(lines), CLASSIFIER_BATCH):
        batch = lines[start : start + CLASSIFIER_BATCH]
        answers = classifier(
            np.stack([_model_input(page, corners, CLASSIFIER_WIDTH_PX) for corners in batch])
        )
        suspects += [start + int(index) for index in np.flatnonzero(answers[:, 1] > IS_UPSIDE_DOWN)]
    return suspects


def _batches(widths_px: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Return (width, indices) of calls that fit the widths and the bound on a call."""
    batches: list[tuple[int, list[int]]] = []
    for number in sorted(range(len(widths_px)), key=lambda number: widths_px[number]):
        width = next(width for width in WIDTHS_PX if widths_px[number] <= width)
        if not batches or batches[-1][0] != width or len(batches[-1][1]) >= BATCH_WIDTH_PX // width:
            batches.append((width, []))
        batches[-1][1].append(number)
    return batches
