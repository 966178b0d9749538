"""Corrects the memory a card predicts by what runs on this machine were seen to take."""

import threading
from pathlib import Path
from typing import TypeVar

import msgspec

from audobon.atomic import make_private_folder, write_bytes
from audobon.errors import AudobonError
from audobon.models.card import Card

FILE = "observed-memory.json"
_KEPT_PER_SIZE = 8
_MOST_SIZES = 64
_MOST_WAYS = 256
_MOST_FILE_BYTES = 4 << 20
_SANE_BYTES = range(1, 1 << 50)
# A card is undercut only when so many runs agree within a tenth, a twentieth is kept on top, and never by
# more than a quarter: a process that has run for long finds free memory of its own and seems to need less.
_AGREEING_RUNS = 3
# What later sessions of a process use again of earlier ones, and so do not seem to need: measured, opening a
# model takes 9 to 11 MB the first time, and up to 1 MB from then on.
_REUSED_BYTES = 10 << 20
_AGREEMENT, _MARGIN, _LOWEST = 0.10, 0.05, 0.75

_Sizes = dict[int, list[int]]
K = TypeVar("K")
V = TypeVar("V")


class PeakMemory:
    """The memory that runs were seen to take, kept in a file of the models folder; from any thread.

    A damaged or missing file counts as empty. Processes that write at the same time keep each other's
    observations but for those of the same model, way and size, of which the last written stay.
    threads  that models run with; other numbers of threads take other memory
    """

    def __init__(self, folder: Path, *, threads: int) -> None:
        self._path = folder / FILE
        self._threads = threads
        self._lock = threading.Lock()
        self._ways = _read(self._path)
        self.revision = 0

    def predict(self, card: Card, pixels: int, *, lean: bool) -> int:
        """Return the growth of the process expected for this many pixels at once, weights included.

        What was seen to exceed the card counts at once; less than the card only when several runs agree,
        by a quarter at most, and only for sizes between those seen.
        """
        known = self._ways.get(self._way(card, lean))
        expected = _of_card(card, pixels, lean)
        return expected if not known else max(1, expected + self._correction(card, pixels, lean, known))

    def largest(self, card: Card, *, lean: bool) -> int:
        """Return the growth expected for the largest size the card was measured with, or that was seen."""
        footprint = card.memory.lean if lean else card.memory.fast
        sizes = [*footprint.peak_bytes_by_pixels, *self._ways.get(self._way(card, lean), {})]
        return max(self.predict(card, pixels, lean=lean) for pixels in sizes)

    def observe(
        self, card: Card, pixels: int, peak_bytes: int, *, lean: bool, is_settled: bool = True
    ) -> None:
        """Take note of a run; what changes a prediction is written down.

        is_settled  see `Observation`; what is not settled counts only where it exceeds the card
        """
        if pixels < 1 or peak_bytes not in _SANE_BYTES:
            return
        if not is_settled and peak_bytes < _of_card(card, pixels, lean):
            return
        with self._lock:
            before = self.predict(card, pixels, lean=lean)
            way = self._way(card, lean)
            # Replaced, not changed: `predict` reads without the lock.
            sizes = dict(self._ways.get(way, {}))
            sizes[pixels] = [*sizes.pop(pixels, []), peak_bytes][-_KEPT_PER_SIZE:]
            ways = {key: value for key, value in self._ways.items() if key != way}
            ways[way] = _newest(sizes, _MOST_SIZES)
            self._ways = _newest(ways, _MOST_WAYS)
            if self.predict(card, pixels, lean=lean) != before:
                self.revision += 1
                self._save(way)

    def _save(self, way: str) -> None:
        others = {key: sizes for key, sizes in _read(self._path).items() if key != way}
        merged = _newest({**others, **self._ways}, _MOST_WAYS)
        try:
            make_private_folder(self._path.parent)
            write_bytes(self._path, msgspec.json.encode(merged))
        except (AudobonError, OSError):
            # A full disk costs the next process these figures and nothing else: the card's still hold.
            return

    def _correction(self, card: Card, pixels: int, lean: bool, known: _Sizes) -> int:
        """Return what to add to the card's figure, drawn between the sizes that were seen."""
        sizes = sorted(known)
        below = max((size for size in sizes if size <= pixels), default=None)
        above = min((size for size in sizes if size >= pixels), default=None)

        def seen(size: int) -> int:
            return _believed(known[size], _of_card(card, size, lean)) - _of_card(card, size, lean)

        if below is None:
            assert above is not None
            # What a larger size takes beyond the card shrinks with the size.
            return max(0, seen(above)) * _of_card(card, pixels, lean) // _of_card(card, above, lean)
        if above is None:
            return max(0, seen(below))
        if above == below:
            return seen(below)
        share = (pixels - below) / (above - below)
        return round(seen(below) + share * (seen(above) - seen(below)))

    def _way(self, card: Card, lean: bool) -> str:
        return f"{card.graph_sha256}/{'lean' if lean else 'fast'}/{self._threads}"


def _of_card(card: Card, pixels: int, lean: bool) -> int:
    return max(1, (card.memory.lean if lean else card.memory.fast).peak_bytes(pixels))


def _believed(peaks: list[int], expected: int) -> int:
    most = max(peaks)
    if most >= expected:
        return most
    if len(peaks) >= _AGREEING_RUNS and most - min(peaks) <= _AGREEMENT * most:
        return min(expected, round(max(most * (1 + _MARGIN) + _REUSED_BYTES, expected * _LOWEST)))
    return expected


def _newest(entries: dict[K, V], most: int) -> dict[K, V]:
    return dict(list(entries.items())[-most:])


def _read(path: Path) -> dict[str, _Sizes]:
    try:
        if path.stat().st_size > _MOST_FILE_BYTES:
            return {}
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, dict[int, list[int]]])
    except (OSError, msgspec.DecodeError):
        return {}
    sane = {
        way: {
            size: peaks[-_KEPT_PER_SIZE:]
            for size, peaks in sizes.items()
            if size > 0 and peaks and all(peak in _SANE_BYTES for peak in peaks)
        }
        for way, sizes in found.items()
    }
    return _newest({way: _newest(sizes, _MOST_SIZES) for way, sizes in sane.items() if sizes}, _MOST_WAYS)
