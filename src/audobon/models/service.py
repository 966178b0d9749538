"""The models of this machine: listed, proved and lent for work."""

import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import msgspec

from audobon.clock import utc_now
from audobon.errors import Conflict, CorruptModel
from audobon.models import golden
from audobon.models.accounts import Entry, Key
from audobon.models.card import Card, built_in_names
from audobon.models.catalogue import card_named, known_names, use_own_models
from audobon.models.devices import DeviceKind, Devices, Wanted
from audobon.models.loading import load
from audobon.models.observed import PeakMemory
from audobon.models.residency import Residency
from audobon.models.running import WEIGHTS, Running, ask_for
from audobon.models.runtime import LoadedModel, Observation, usable_threads
from audobon.models.sources import is_installed, read_graph
from audobon.models.store import GRAPH, is_prepared, prepared_folder


class ModelStatus(msgspec.Struct, frozen=True):
    """A model and how far it is from running here.

    card          None when it cannot be read, for the reason in `fault`
    is_installed  its weights are there
    is_prepared   it was converted and optimised for this machine
    is_own        a user brought it
    """

    name: str
    card: Card | None
    is_installed: bool
    is_prepared: bool
    is_own: bool = False
    fault: str | None = None


class Verification(msgspec.Struct, frozen=True):
    """The outcome of proving one model.

    difference  largest distance from the golden result
    seconds     reading, converting, optimising, loading and running together
    """

    name: str
    difference: float
    tolerance: float
    seconds: float


class ResidentModel(msgspec.Struct, frozen=True):
    """A model in memory.

    resident_bytes  what it holds when idle, measured where that was possible
    uses            leases so far
    loaded_seconds  what loading it took
    last_used_at    start of its last lease, seconds since 1970, UTC
    """

    name: str
    lean: bool
    resident_bytes: int
    in_use: bool
    uses: int
    loaded_seconds: float
    last_used_at: float


# `Models.list` hides the built-in name inside the class.
Residents = list[ResidentModel]


class Models:
    """The models of this machine, for all threads of this process.

    Own models that lie beside the folder become known to the process.
    What was lent stays loaded while the budget allows; a model is used by one thread at a time.
    budget_bytes  what all models of this process may hold together; None sets no bound
    device        what models run on; anything but cpu falls back to the processor when it must
    running       how sessions are opened and run
    """

    def __init__(
        self,
        folder: Path,
        *,
        threads: int | None = None,
        budget_bytes: int | None = None,
        device: Wanted = "cpu",
        running: Running | None = None,
    ) -> None:
        use_own_models(folder)
        self._folder = folder
        self._threads = threads or usable_threads()
        self._devices = None if device == "cpu" else Devices()
        self._device: Wanted = device
        self._running = running
        self._residency: Residency[LoadedModel] = Residency(self._load, budget_bytes=budget_bytes)
        self._peaks = PeakMemory(folder, threads=self._threads)
        self._largest: dict[Key, tuple[int, int]] = {}
        self._opened_bytes: dict[Key, int] = {}

    def card(self, name: str) -> Card:
        """Return a model's card; ModelNotFound when nobody has the name."""
        return card_named(name)

    def device_kinds(self) -> frozenset[DeviceKind]:
        """Return the kinds of device that models can run on here; asks the driver when cards are wanted."""
        found = [] if self._devices is None else self._devices.found()
        return frozenset({"cpu", *(device.kind for device in found)})

    def list(self) -> list[ModelStatus]:
        """Return every model Audobon knows: those that ship with it by name, then the user's own."""
        return [self._status(name) for name in known_names()]

    def _status(self, name: str) -> ModelStatus:
        is_own = name not in built_in_names()
        try:
            card = card_named(name)
        except CorruptModel as error:
            return ModelStatus(name, None, False, False, is_own, error.message)
        return ModelStatus(name, card, is_installed(card), is_prepared(card, self._folder), is_own)

    def lease(self, name: str, *, lean: bool = False, peak_bytes: int | None = None) -> "ModelLease":
        """Lend a loaded model to this thread for a `with` block, loading it when it is not in memory.

        Makes room by evicting idle models; waits while other threads use the model, or what it needs. Who
        needs several models at once should take them in one order everywhere.
        lean        run it in the smallest memory rather than the shortest time
        peak_bytes  predicted growth of the process in use, weights included; None takes the card's largest
        raises      ModelNotFound, CorruptModel, MemoryTooSmall when it cannot fit, Exhausted when its turn
                    did not come within five minutes
        """
        card = self.card(name)
        key = Key(card.name, lean, card.graph_sha256)
        if peak_bytes is None:
            peak_bytes = self._largest_peak(card, key)
        return ModelLease(self, self._residency, card, key, peak_bytes)

    def read_ahead(self, name: str) -> None:
        """Ask the system to have a model's files in memory soon; returns at once."""
        card = self.card(name)
        for kind in self._kinds():
            folder = prepared_folder(card, self._folder, kind)
            for file in (GRAPH, WEIGHTS):
                ask_for(folder / file)

    def load_ahead(self, name: str, *, lean: bool = False) -> bool:
        """Load a model that is wanted next beside those in use; tell whether it was loaded.

        Takes only memory of the budget that nothing holds, never waits and never evicts. A model that is
        not prepared yet is left alone.
        raises  CorruptModel, ModelNotFound
        """
        card = self.card(name)
        if not all(is_prepared(card, self._folder, kind) for kind in self._kinds()):
            return False
        key = Key(card.name, lean, card.graph_sha256)
        return self._residency.load_ahead(key, resident_bytes=card.loading_bytes)

    @property
    def peaks(self) -> PeakMemory:
        """What runs of models were seen to take on this machine."""
        return self._peaks

    def predict_peak(self, name: str, pixels: int, *, lean: bool = False) -> int:
        """Return the growth of the process expected for running a model; see `PeakMemory.predict`."""
        return self._peaks.predict(self.card(name), pixels, lean=lean)

    def learn(self, card: Card, observations: Iterable[Observation], *, lean: bool) -> None:
        """Correct predictions by what runs were seen to take."""
        for pixels, peak_bytes, is_settled in observations:
            self._peaks.observe(card, pixels, peak_bytes, lean=lean, is_settled=is_settled)

    def pin(self, name: str) -> None:
        """Keep a model in memory once it is loaded, whichever way it runs."""
        self._residency.pin(self.card(name).name)

    def unpin(self, name: str) -> None:
        """Let a pinned model be evicted again."""
        self._residency.unpin(name)

    def set_budget(self, budget_bytes: int | None) -> None:
        """Change what all models may hold; idle ones go at once, those in use when they are given back."""
        self._residency.set_budget(budget_bytes)

    def resident(self) -> Residents:
        """Return the models in memory, by name."""
        behind = utc_now() - time.monotonic()
        return sorted(
            (
                ResidentModel(
                    name=entry.key.name,
                    lean=entry.key.lean,
                    resident_bytes=entry.resident_bytes,
                    in_use=entry.owner is not None,
                    uses=entry.uses,
                    loaded_seconds=entry.load_seconds,
                    last_used_at=behind + entry.used_at,
                )
                for entry in self._residency.entries()
            ),
            key=lambda model: (model.name, model.lean),
        )

    def unexplained_bytes(self) -> int:
        """Return what this process grew by since its first model, beyond what its models account for."""
        return self._residency.unexplained_bytes()

    @property
    def needs_recycling(self) -> bool:
        """Tell whether memory was lost, so that this process should end after its task; see the reason."""
        return self.recycling_reason is not None

    @property
    def recycling_reason(self) -> str | None:
        """Return why this process should be replaced; None while it need not be. Ask between tasks."""
        return self._residency.recycling_reason()

    def verify(self, name: str) -> Verification:
        """Prove a model from its source: digests, conversion, optimisation, golden result.

        raises  ModelNotFound when its package is missing, CorruptModel when anything differs
        """
        start = time.perf_counter()
        card = self.card(name)
        read_graph(card)
        model = self._load(Key(card.name, lean=True, graph_sha256=card.graph_sha256))
        try:
            difference = golden.check(card, model)
        finally:
            model.close()
        return Verification(name, difference, card.golden.tolerance, time.perf_counter() - start)

    def close(self) -> None:
        """Give all models back, pinned ones as well; those in use follow when their leases end."""
        self._residency.close()

    def _largest_peak(self, card: Card, key: Key) -> int:
        revision = self._peaks.revision
        known = self._largest.get(key)
        if known is None or known[0] != revision:
            known = self._largest[key] = (revision, self._peaks.largest(card, lean=key.lean))
        return known[1]

    def _kinds(self) -> set[DeviceKind]:
        """Return the kinds of device a model may be loaded on."""
        return {"cpu"} if self._devices is None else {device.kind for device in self._devices.found()}

    def _load(self, key: Key) -> LoadedModel:
        card = self.card(key.name)
        if card.graph_sha256 != key.graph_sha256:
            raise replaced_meanwhile(key.name)
        model = load(
            card,
            self._folder,
            threads=self._threads,
            arena=not key.lean,
            running=self._running,
            devices=self._devices,
            wanted=self._device,
        )
        if model.opened_bytes is not None:
            self._opened_bytes[key] = model.opened_bytes
        else:
            # Something else ran meanwhile and hid it: it takes what it took before.
            model.opened_bytes = self._opened_bytes.get(key)
        return model


def replaced_meanwhile(name: str) -> Conflict:
    """Return the error for work that was begun with one model and would go on with another."""
    return Conflict(f"the model {name} was replaced meanwhile", hint="run the same command again")


class ModelLease:
    """The right of this thread to use a model during a `with` block."""

    __slots__ = ("_card", "_entry", "_key", "_models", "_peak_bytes", "_residency")

    def __init__(
        self, models: Models, residency: Residency[LoadedModel], card: Card, key: Key, peak_bytes: int
    ) -> None:
        self._models = models
        self._residency = residency
        self._card = card
        self._key = key
        self._peak_bytes = peak_bytes
        self._entry: Entry[LoadedModel] | None = None

    @property
    def card(self) -> Card:
        """The card of what was lent: one that is replaced meanwhile is another model."""
        return self._card

    def __enter__(self) -> LoadedModel:
        entry = self._residency.acquire(
            self._key, peak_bytes=self._peak_bytes, resident_bytes=self._card.graph_bytes
        )
        assert entry.model is not None
        self._entry = entry
        return entry.model

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._entry is not None
        entry, self._entry = self._entry, None
        seen = entry.model.take_observations() if entry.model is not None else None
        self._residency.release(entry)
        if seen:
            self._models.learn(self._card, seen, lean=self._key.lean)
