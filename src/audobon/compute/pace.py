"""How fast this machine is against the models' cards, learned from the pages it did."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from audobon.compute.placement import Placement, Seconds
from audobon.compute.work import PAGE_KIND
from audobon.queue.port import Queue

# A machine's speed changes with what else it does: only the newest pages tell of it.
_NEWEST_PAGES = 100
_PAGES_OF_ONE_WAY = 16
LEARNED_PAGES = 3
"""So many pages of one model make its prediction one figure instead of a range."""

# How far the truth may lie from the guess, as a factor: by the cards alone, by other models, by few pages.
_SPREAD_OF_CARDS, _SPREAD_OF_OTHERS, _SPREAD_OF_FEW = 2.0, 1.6, 1.4
_LEAST_SPREAD = 1.1


class _Way(NamedTuple):
    model: str
    lean: bool
    device: str


class _Pace(NamedTuple):
    """Seconds that a page took for each second of its card, and how much that says."""

    ratio: float
    weight: float


class _Result(msgspec.Struct, frozen=True):
    seconds: float = 0.0
    placement: Placement | None = None
    tiles: int = 0
    cached_tiles: int = 0


class Paces:
    """Predicts how long pages take.

    results  JSON of pages done here, newest first; those without the figures of their cards tell nothing
    threads  that models run with
    """

    def __init__(self, results: Iterable[str], *, threads: int) -> None:
        self._threads = threads
        self._seen: dict[_Way, list[_Pace]] = {}
        for text in results:
            result = msgspec.json.decode(text, type=_Result)
            placement = result.placement
            if placement is None or placement.card_seconds <= 0 or result.seconds <= 0:
                continue
            # Tiles that were made before took no time.
            made = 1.0 - result.cached_tiles / max(1, result.tiles)
            if made <= 0:
                continue
            paces = self._seen.setdefault(_way(placement), [])
            if len(paces) < _PAGES_OF_ONE_WAY:
                card_seconds = placement.card_seconds * made
                paces.append(_Pace(result.seconds / card_seconds, card_seconds))

    def predict(self, placement: Placement) -> Seconds | None:
        """Return how long a placed page will take; None when nothing is known of its device."""
        way = _way(placement)
        own = self._seen.get(way)
        if own is not None:
            ratio = _quantile(own, 0.5)
            low, high = ratio / _SPREAD_OF_FEW, ratio * _SPREAD_OF_FEW
            if len(own) >= LEARNED_PAGES:
                low = min(ratio / _LEAST_SPREAD, _quantile(own, 0.1))
                high = max(ratio * _LEAST_SPREAD, _quantile(own, 0.9))
            return _seconds(placement, ratio, low, high, pages_seen=len(own))
        others = [
            pace
            for other, paces in self._seen.items()
            if other.device == way.device and other.model and way.model
            for pace in paces
        ]
        if others:
            ratio, spread = _quantile(others, 0.5), _SPREAD_OF_OTHERS
        elif way.device == "cpu":
            # What needs no model looks for panels, in one thread.
            ratio, spread = 1 / (self._threads if way.model else 1), _SPREAD_OF_CARDS
        else:
            return None
        return _seconds(placement, ratio, ratio / spread, ratio * spread, pages_seen=0)


def paces_of(queue: Queue, *, threads: int) -> Paces:
    """Return what the pages done last tell; results taken over from equal work count once."""
    records = queue.select(states=["done"], limit=_NEWEST_PAGES)
    results = (record.result for record in records if record.kind == PAGE_KIND and record.attempt > 0)
    return Paces((result for result in results if result is not None), threads=threads)


def total(pages: Iterable[Seconds | None], *, workers: int = 1) -> Seconds | None:
    """Return how long some pages take together; None when that of one is unknown.

    workers  that do them beside each other
    """
    known = []
    for seconds in pages:
        if seconds is None:
            return None
        known.append(seconds)
    beside = max(1, min(workers, len(known)))
    return Seconds(
        likely=round(sum(seconds.likely for seconds in known) / beside, 3),
        low=round(sum(seconds.low for seconds in known) / beside, 3),
        high=round(sum(seconds.high for seconds in known) / beside, 3),
        pages_seen=min((seconds.pages_seen for seconds in known), default=0),
    )


def _way(placement: Placement) -> _Way:
    return _Way(placement.model, placement.lean, placement.device)


def _seconds(placement: Placement, ratio: float, low: float, high: float, *, pages_seen: int) -> Seconds:
    base = placement.card_seconds
    return Seconds(round(base * ratio, 3), round(base * low, 3), round(base * high, 3), pages_seen)


def _quantile(paces: list[_Pace], share: float) -> float:
    """Return the pace below which this share of the weight lies: small pages are mostly not the model."""
    bound = share * sum(pace.weight for pace in paces)
    passed = 0.0
    for pace in sorted(paces):
        passed += pace.weight
        if passed >= bound:
            return pace.ratio
    raise ValueError("no pace was seen")
