"""Loading what will be asked for next: only into memory that nobody holds, and never in anybody's way."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from audobon.errors import CorruptModel
from audobon.models.accounts import Entry, Key
from audobon.models.residency import Residency

SIZE = 10


class Weights:
    def __init__(self, held_bytes: int | None = SIZE) -> None:
        self.held_bytes = held_bytes
        self.load_seconds = 1.0
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class Room:
    """A residency whose loads are counted, and can be held up or made to fail."""

    def __init__(self, budget_bytes: int, *, held_bytes: int = SIZE) -> None:
        self.loads: list[str] = []
        self.gate: threading.Event | None = None
        self.is_loading = threading.Event()
        self.error: Exception | None = None
        self.held_bytes = held_bytes
        self.residency: Residency[Weights] = Residency(self._load, budget_bytes=budget_bytes)

    def _load(self, key: Key) -> Weights:
        self.loads.append(key.name)
        self.is_loading.set()
        if self.gate is not None:
            assert self.gate.wait(20)
        if self.error is not None:
            raise self.error
        return Weights(self.held_bytes)

    def take(self, name: str, peak_bytes: int = SIZE, *, lean: bool = False) -> Entry[Weights]:
        return self.residency.acquire(Key(name, lean, ""), peak_bytes=peak_bytes, resident_bytes=SIZE)

    def ahead(self, name: str, *, lean: bool = False) -> bool:
        return self.residency.load_ahead(Key(name, lean, ""), resident_bytes=SIZE)

    @property
    def names(self) -> list[str]:
        return sorted(entry.key.name for entry in self.residency.entries())


def test_a_model_loaded_ahead_is_not_loaded_again_by_who_asks_for_it() -> None:
    room = Room(30)
    now = room.take("now", 20)

    assert room.ahead("next")

    assert (room.names, room.residency.charged_bytes) == (["next", "now"], 30)
    room.residency.release(now)
    room.residency.release(room.take("next"))
    assert room.loads == ["now", "next"]


def test_without_room_nothing_is_loaded_and_nothing_evicted() -> None:
    room = Room(29)
    room.residency.release(room.take("idle"))
    now = room.take("now")

    assert not room.ahead("next")

    assert (room.names, room.loads) == (["idle", "now"], ["idle", "now"])
    assert room.residency.charged_bytes == 20
    room.residency.release(now)


def test_a_model_that_is_there_the_other_way_is_left_as_it_is() -> None:
    room = Room(1000)
    room.residency.release(room.take("a", lean=True))

    assert not room.ahead("a", lean=False)
    assert not room.ahead("a", lean=True)
    assert room.loads == ["a"]


def test_a_model_that_holds_more_than_was_thought_goes_itself_and_nobody_else() -> None:
    room = Room(30)
    room.residency.release(room.take("idle"))
    now = room.take("now")
    room.held_bytes = 11

    assert not room.ahead("next")

    assert (room.names, room.residency.charged_bytes) == (["idle", "now"], 20)
    room.residency.release(now)


def test_who_asks_for_it_while_it_loads_waits_for_that_one_load() -> None:
    room = Room(1000)
    room.gate = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        loading = pool.submit(room.ahead, "next")
        assert room.is_loading.wait(20)
        taking = pool.submit(room.take, "next")
        pause = threading.Event()
        while not room.residency.waiting:
            pause.wait(0.001)
        room.gate.set()
        entry = taking.result(20)
        assert loading.result(20)
    assert room.loads == ["next"]
    assert entry.uses == 1


def test_nothing_is_loaded_ahead_while_somebody_waits() -> None:
    room = Room(1000)
    now = room.take("now")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(room.take, "now")
        pause = threading.Event()
        while not room.residency.waiting:
            pause.wait(0.001)
        assert not room.ahead("next")
        room.residency.release(now)
        waiting.result(20)
    assert room.loads == ["now"]


def test_a_load_that_fails_leaves_nothing_on_the_books() -> None:
    room = Room(1000)
    room.error = CorruptModel("a byte has changed")

    with pytest.raises(CorruptModel):
        room.ahead("next")

    assert (room.names, room.residency.charged_bytes) == ([], 0)


def test_a_model_loaded_ahead_counts_one_use_when_it_is_used_once() -> None:
    room = Room(1000)
    room.ahead("a")
    room.residency.release(room.take("a"))
    room.residency.release(room.take("b"))

    by_name = {entry.key.name: entry for entry in room.residency.entries()}

    # One use each; that of `a` was counted when it was loaded, a moment earlier.
    assert by_name["b"].frequency.at(2) == 1.0
    assert 0.85 < by_name["a"].frequency.at(2) < 0.95
