"""Tiles that a picture model made before: looked up by what they are made from."""

from typing import NamedTuple, Protocol

import blake3
import msgspec
import numpy as np
import numpy.typing as npt

from audobon.pages.picture import Pixels
from audobon.pages.plates import Plate

# Raise when the same window, cut and answer would be rounded to other pixels.
_RECIPE = 1


class Result(Protocol):
    """A result from before."""

    @property
    def value(self) -> bytes:
        """The pixels of a tile, row by row."""

    @property
    def seconds(self) -> float:
        """What making it took."""


class ResultStore(Protocol):
    """Keeps results by key; what it cannot keep, it forgets."""

    def get(self, key: bytes) -> Result | None:
        """Return what is kept under a key; None when there is nothing."""

    def put(self, key: bytes, value: bytes, *, kind: str, seconds: float) -> None:
        """Keep a result that took so long to make."""


class Cut(NamedTuple):
    """The part of a model's answer that belongs to a tile, in pixels of the answer."""

    top: int
    left: int
    height: int
    width: int


class TileResults:
    """Tiles made before with one model on one kind of machine.

    A key covers all that a tile's pixels depend on: the model, where it runs, the exact samples it is fed,
    and what is kept of its answer. So a tile found is the tile that would be computed, bit by bit, also of a
    model that is not tile-exact.
    model          identity of the model and of what runs it
    asked          tiles asked for
    found          tiles that were there
    saved_seconds  that making those took
    """

    def __init__(self, store: ResultStore, model: tuple[object, ...]) -> None:
        self._store = store
        self._seed = blake3.blake3(msgspec.json.encode((_RECIPE, model)))
        self.asked = 0
        self.found = 0
        self.saved_seconds = 0.0

    def key(self, window: Pixels, cut: Cut, plate: Plate, *, is_transparency: bool) -> bytes:
        """Return the key of a tile.

        window  [height, width, channels of the page]
        """
        fed = np.ascontiguousarray(window[:, :, plate.channels])
        facts = (fed.shape, fed.dtype.str, cut, plate.inverted, is_transparency)
        return self._seed.copy().update(msgspec.json.encode(facts)).update(fed.data.cast("B")).digest()

    def find(self, key: bytes, cut: Cut, channels: int, dtype: npt.DTypeLike) -> Pixels | None:
        """Return the pixels of a tile, [height, width, channels]; None when it has to be computed."""
        self.asked += 1
        kept = self._store.get(key)
        kind = np.dtype(dtype)
        if kept is None or len(kept.value) != cut.height * cut.width * channels * kind.itemsize:
            return None
        self.found += 1
        self.saved_seconds += kept.seconds
        return np.frombuffer(kept.value, kind).reshape(cut.height, cut.width, channels)

    def keep(self, key: bytes, pixels: Pixels, *, seconds: float) -> None:
        """Keep the pixels of a tile that was computed."""
        self._store.put(key, pixels.tobytes(), kind="tile", seconds=seconds)
