"""The models of this machine: listed, proved and lent for work."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from audobon.models import golden
from audobon.models.card import Card, built_in_card, built_in_cards
from audobon.models.loading import load
from audobon.models.runtime import LoadedModel, usable_threads
from audobon.models.sources import package_folder, read_graph
from audobon.models.store import is_prepared


class ModelStatus(msgspec.Struct, frozen=True):
    """A model and how far it is from running here.

    is_installed  its weights' package is there
    is_prepared   it was converted and optimised for this machine
    """

    card: Card
    is_installed: bool
    is_prepared: bool


class Verification(msgspec.Struct, frozen=True):
    """The outcome of proving one model.

    difference  largest distance from the golden result
    seconds     reading, converting, optimising, loading and running together
    """

    name: str
    difference: float
    tolerance: float
    seconds: float


class Models:
    """The models of this machine.

    Keeps what it lent loaded until `close`; one process, one thread at a time.
    """

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        self._folder = folder
        self._threads = threads or usable_threads()
        self._loaded: dict[tuple[str, bool], LoadedModel] = {}

    def card(self, name: str) -> Card:
        """Return a model's card; ModelNotFound when nobody has the name."""
        return built_in_card(name)

    def list(self) -> list[ModelStatus]:
        """Return every model Audobon knows, by name."""
        return [
            ModelStatus(card, package_folder(card) is not None, is_prepared(card, self._folder))
            for card in built_in_cards().values()
        ]

    @contextmanager
    def lease(self, name: str, *, lean: bool = False) -> Iterator[LoadedModel]:
        """Lend a loaded model for a while, loading it when it is not in memory.

        lean    run it in the smallest memory rather than the shortest time
        raises  ModelNotFound, CorruptModel
        """
        model = self._loaded.get((name, lean))
        if model is None:
            # The other way of running it keeps memory that this one was not planned with.
            other = self._loaded.pop((name, not lean), None)
            if other is not None:
                other.close()
            model = load(self.card(name), self._folder, threads=self._threads, arena=not lean)
            self._loaded[name, lean] = model
        yield model

    def verify(self, name: str) -> Verification:
        """Prove a model from its source: digests, conversion, optimisation, golden result.

        raises  ModelNotFound when its package is missing, CorruptModel when anything differs
        """
        start = time.perf_counter()
        card = self.card(name)
        read_graph(card)
        model = load(card, self._folder, threads=self._threads, arena=False)
        try:
            difference = golden.check(card, model)
        finally:
            model.close()
        return Verification(name, difference, card.golden.tolerance, time.perf_counter() - start)

    def close(self) -> None:
        """Give all models back."""
        for model in self._loaded.values():
            model.close()
        self._loaded.clear()
