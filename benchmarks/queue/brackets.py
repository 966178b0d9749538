"""Compares by pairs: ours, a peer, ours again; kept only when the machine held still meanwhile."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from probes import unrest
from slices import Slice

CALM = 1.3
"""Largest ratio between the probes of the slices of a bracket."""

RESAMPLES = 10_000


class Bracket(NamedTuple):
    """One pair.

    ratio    ours by theirs; above 1 is better
    unrest   largest ratio between the probes of its slices
    """

    ours: float
    theirs: float
    ratio: float
    unrest: float

    @property
    def is_calm(self) -> bool:
        return self.unrest <= CALM


def bracket(before: Slice, peer: Slice, after: Slice) -> Bracket:
    """Pair a peer's slice with those of ours around it."""
    ours = statistics.geometric_mean([before.rate, after.rate])
    theirs = peer.rate
    return Bracket(ours, theirs, ours / theirs, unrest([before.probes, peer.probes, after.probes]))


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and its 95 % interval, by resampling."""
    import numpy as np

    drawn = np.random.default_rng(20).choice(np.asarray(values), (RESAMPLES, len(values)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return statistics.median(values), float(low), float(high)
