"""Proves that a model answers as it did when it was admitted."""

import math
from collections.abc import Callable

import numpy as np

from audobon.errors import CorruptModel
from audobon.models.card import Card, Golden
from audobon.models.runtime import Tensor

_SAMPLES = 16
_PEAKS = 8


def pattern(shape: tuple[int, ...]) -> Tensor:
    """Return the test pattern: waves and hard strokes in 0..1, the same on every machine.

    shape  [batch, channels, height, width]
    """
    n, c, h, w = shape
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    planes = []
    for index in range(n * c):
        waves = 0.5 + 0.25 * np.sin(x * 0.31 + index) + 0.25 * np.cos(y * 0.23 - index)
        strokes = ((x + 2 * y) % 17 < 3) | ((x - y) % 23 < 2)
        planes.append(np.where(strokes, 0.08, waves))
    return np.stack(planes).reshape(shape).astype(np.float32)


def record(answer: Tensor, input_shape: tuple[int, ...], *, tolerance: float) -> Golden:
    """Return the golden result to keep for an answer to the pattern."""
    flat = answer.reshape(-1)
    spread = np.linspace(0, flat.size - 1, _SAMPLES).astype(int).tolist()
    peaks = np.argsort(-np.abs(flat), kind="stable")[:_PEAKS].tolist()
    positions = tuple(dict.fromkeys(spread + peaks))
    return Golden(
        input_shape=input_shape,
        output_shape=answer.shape,
        positions=positions,
        values=tuple(round(float(flat[p]), 6) for p in positions),
        mean=round(float(flat.mean(dtype=np.float64)), 6),
        tolerance=tolerance,
    )


def check(card: Card, model: Callable[[Tensor], Tensor]) -> float:
    """Run the golden test; return the largest difference found.

    raises  CorruptModel when the shape differs or a number is off by more than the tolerance
    """
    golden = card.golden
    answer = model(pattern(golden.input_shape))
    if answer.shape != golden.output_shape:
        raise CorruptModel(
            f"{card.name} answered with shape {answer.shape}, its card says {golden.output_shape}"
        )
    flat = answer.reshape(-1)
    found = [*(float(flat[p]) for p in golden.positions), float(flat.mean(dtype=np.float64))]
    wanted = [*golden.values, golden.mean]
    differences = [abs(a - b) for a, b in zip(found, wanted, strict=True)]
    worst = math.inf if any(math.isnan(d) for d in differences) else max(differences)
    if worst > golden.tolerance:
        raise CorruptModel(
            f"{card.name} answers {worst:.2g} away from its golden result (allowed {golden.tolerance:g})",
            hint="reinstall onnxruntime, or report the processor you run on",
        )
    return worst
