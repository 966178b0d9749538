"""Models in memory, lent to threads: with a loader of our own, so that every instant can be held still."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from audobon.errors import CorruptModel, Exhausted, MemoryTooSmall
from audobon.models.accounts import Entry, Key
from audobon.models.residency import Residency
from audobon.models.unexplained import UnexplainedMemory

SIZE = 10


class Weights:
    """Stands for a model: holds what its loader says."""

    def __init__(self, key: Key, held_bytes: int | None = SIZE) -> None:
        self.key = key
        self.held_bytes = held_bytes
        self.load_seconds = 1.0
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class Room:
    """A residency of `Weights`, with its loads counted and its clock in our hands."""

    def __init__(self, budget_bytes: int | None = None, load: Callable[[Key], Weights] = Weights) -> None:
        self.now = 0.0
        self.loads: list[str] = []
        self._load = load
        self._lock = threading.Lock()
        self.residency: Residency[Weights] = Residency(
            self._counted, budget_bytes=budget_bytes, fair_seconds=60, clock=lambda: self.now
        )

    def _counted(self, key: Key) -> Weights:
        with self._lock:
            self.loads.append(key.name)
        return self._load(key)

    def take(self, name: str, peak_bytes: int = SIZE, *, lean: bool = True) -> Entry[Weights]:
        self.now += 1
        return self.residency.acquire(Key(name, lean, ""), peak_bytes=peak_bytes, resident_bytes=1)

    def use(self, name: str, peak_bytes: int = SIZE, *, lean: bool = True) -> Entry[Weights]:
        entry = self.take(name, peak_bytes, lean=lean)
        self.residency.release(entry)
        return entry

    @property
    def names(self) -> set[str]:
        return {entry.key.name for entry in self.residency.entries()}

    def await_waiting(self, count: int) -> None:
        pause = threading.Event()
        for _ in range(10_000):
            if self.residency.waiting == count:
                return
            pause.wait(0.001)
        raise AssertionError(f"{self.residency.waiting} wait, not {count}")


def in_thread(pool: ThreadPoolExecutor, room: Room, name: str, peak_bytes: int = SIZE) -> Future[str]:
    """Use a model in another thread; returns what was held by then."""

    def use() -> str:
        entry = room.take(name, peak_bytes)
        found = f"{name} beside {sorted(room.names - {name})}"
        room.residency.release(entry)
        return found

    return pool.submit(use)


def test_a_hundred_threads_that_miss_one_model_load_it_once_and_use_it_one_at_a_time() -> None:
    room, users, most = Room(), [0], [0]
    gate = threading.Barrier(100)

    def use(_: int) -> None:
        gate.wait()
        entry = room.take("a")
        users[0] += 1
        most[0] = max(most[0], users[0])
        users[0] -= 1
        room.residency.release(entry)

    with ThreadPoolExecutor(100) as pool:
        list(pool.map(use, range(100)))

    assert room.loads == ["a"]
    assert most == [1]
    assert [(entry.uses, entry.owner) for entry in room.residency.entries()] == [(100, None)]


def test_two_cold_models_load_at_the_same_time() -> None:
    # Each load ends only once the other has begun.
    both = threading.Barrier(2, timeout=30)

    def load(key: Key) -> Weights:
        both.wait()
        return Weights(key)

    room = Room(load=load)
    with ThreadPoolExecutor(2) as pool:
        futures = [in_thread(pool, room, name) for name in ("a", "b")]
        for future in futures:
            future.result()

    assert sorted(room.loads) == ["a", "b"]


def test_a_second_thread_waits_for_a_model_in_use_while_others_go_on() -> None:
    room = Room()
    held = room.take("a")
    with ThreadPoolExecutor(2) as pool:
        second = in_thread(pool, room, "a")
        room.await_waiting(1)
        assert in_thread(pool, room, "b").result() == "b beside ['a']"
        assert not second.done()
        room.residency.release(held)
        assert second.result() == "a beside ['b']"
    assert room.loads == ["a", "b"]


def test_a_thread_may_lease_what_it_has_once_more() -> None:
    room = Room()
    first, second = room.take("a"), room.take("a")

    room.residency.release(second)

    assert first is second
    assert first.owner == threading.get_ident()
    room.residency.release(first)
    assert first.owner is None


def test_a_failed_load_reaches_all_who_wait_and_does_not_poison_the_next_try() -> None:
    go, failures = threading.Event(), iter([True])

    def load(key: Key) -> Weights:
        go.wait()
        if next(failures, False):
            raise CorruptModel("a byte has changed")
        return Weights(key)

    room = Room(budget_bytes=SIZE, load=load)
    with ThreadPoolExecutor(5) as pool:
        futures = [in_thread(pool, room, "a") for _ in range(5)]
        room.await_waiting(4)
        go.set()
        errors = [future.exception() for future in futures]

    assert [str(error) for error in errors] == ["a byte has changed"] * 5
    assert room.residency.charged_bytes == 0
    assert room.use("a").model is not None
    assert room.loads == ["a", "a"]


def test_the_idle_model_of_least_worth_makes_room() -> None:
    room = Room(budget_bytes=3 * SIZE)
    for name in ("a", "b", "c", "a", "c"):
        room.use(name)

    room.use("d")

    assert room.names == {"a", "c", "d"}
    assert room.residency.charged_bytes == 3 * SIZE


def test_a_model_in_use_counts_at_its_peak_and_idle_at_what_it_holds() -> None:
    room = Room(budget_bytes=100)

    held = room.take("a", peak_bytes=70)
    assert room.residency.charged_bytes == 70

    room.residency.release(held)
    assert room.residency.charged_bytes == SIZE


def test_a_model_with_an_arena_nobody_could_measure_keeps_counting_at_its_peak() -> None:
    room = Room(load=lambda key: Weights(key, None))
    room.use("a", peak_bytes=70, lean=False)
    room.use("b", peak_bytes=70, lean=True)
    assert {entry.key.name: entry.resident_bytes for entry in room.residency.entries()} == {"a": 70, "b": 1}


def test_a_hit_that_needs_more_than_before_makes_room_too() -> None:
    room = Room(budget_bytes=30)
    room.use("a")
    room.use("b")

    room.use("a", peak_bytes=25)

    assert room.names == {"a"}
    assert room.loads == ["a", "b"]


def test_what_is_evicted_is_closed_before_the_next_is_loaded() -> None:
    made: list[Weights] = []

    def load(key: Key) -> Weights:
        assert all(weights.is_closed for weights in made)
        made.append(Weights(key))
        return made[-1]

    room = Room(budget_bytes=SIZE, load=load)
    for name in ("a", "b", "a"):
        room.use(name)

    assert room.loads == ["a", "b", "a"]
    assert [weights.is_closed for weights in made] == [True, True, False]


def test_pinned_models_stay_until_they_are_unpinned() -> None:
    room = Room(budget_bytes=2 * SIZE)
    room.residency.pin("a")
    for name in ("a", "b", "c", "b", "c"):
        room.use(name)
    assert room.loads == ["a", "b", "c", "b", "c"]

    with pytest.raises(MemoryTooSmall):
        room.use("d", peak_bytes=SIZE + 1)

    room.residency.unpin("a")
    room.use("d", peak_bytes=SIZE + 1)
    assert room.names == {"d"}


def test_a_model_that_can_never_fit_is_refused_at_once_with_a_way_out() -> None:
    room = Room(budget_bytes=100 << 20)
    with pytest.raises(MemoryTooSmall) as caught:
        room.use("a", peak_bytes=120 << 20)

    assert caught.value.message == (
        "a needs 120 MB, with what must stay beside it; the models' budget is 100 MB"
    )
    assert caught.value.hint == "raise the memory budget by 20 MB"
    assert room.loads == []


def test_what_a_thread_holds_itself_cannot_make_room_for_its_next_model() -> None:
    room = Room(budget_bytes=SIZE)
    room.take("a")
    with pytest.raises(MemoryTooSmall):
        room.take("b")


def test_a_request_waits_for_others_to_make_room() -> None:
    room = Room(budget_bytes=SIZE)
    held = room.take("a")
    with ThreadPoolExecutor(1) as pool:
        waiting = in_thread(pool, room, "b")
        room.await_waiting(1)
        room.residency.release(held)
        assert waiting.result() == "b beside []"


def test_a_request_that_waits_too_long_is_told_so() -> None:
    residency = Residency(Weights, budget_bytes=SIZE, max_wait_seconds=0.001)
    residency.acquire(Key("a", True, ""), peak_bytes=SIZE, resident_bytes=1)

    def ask() -> None:
        residency.acquire(Key("b", True, ""), peak_bytes=SIZE, resident_bytes=1)

    with ThreadPoolExecutor(1) as pool, pytest.raises(Exhausted) as caught:
        pool.submit(ask).result()

    assert caught.value.message == "b was not free, or had no room, within 0.001 seconds"
    assert caught.value.hint == "run fewer tasks at once, or raise the memory budget"
    assert residency.waiting == 0


def test_threads_that_wait_for_each_other_are_parted() -> None:
    room = Room()
    met = threading.Barrier(2)

    def both(first: str, second: str) -> str:
        held = room.take(first)
        met.wait()
        try:
            room.residency.release(room.take(second))
        except Exhausted:
            return "refused"
        finally:
            room.residency.release(held)
        return "served"

    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(both, "a", "b"), pool.submit(both, "b", "a")]
        assert sorted(end.result() for end in ends) == ["refused", "served"]


def test_loaded_models_go_first_but_nobody_is_passed_over_beyond_the_bound() -> None:
    # given: room for one, `a` in use, `b` waiting, then more who want `a`
    room, order = Room(budget_bytes=SIZE), list[str]()

    def use(name: str) -> None:
        entry = room.take(name)
        order.append(name)
        if order.count("a") == 3:
            # The time that `b` may be made to wait by others has passed.
            room.now += 30
        room.residency.release(entry)

    held = room.take("a")
    with ThreadPoolExecutor(8) as pool:
        futures = []
        for count, name in enumerate(["b", "a", "a", "a", "a", "a"], start=1):
            futures.append(pool.submit(use, name))
            room.await_waiting(count)
        room.residency.release(held)
        for future in futures:
            future.result()

    assert order == ["a", "a", "a", "b", "a", "a"]
    assert room.loads == ["a", "b", "a"]


def test_a_lowered_budget_evicts_the_idle_and_a_raised_one_serves_who_waits() -> None:
    room = Room(budget_bytes=3 * SIZE)
    room.use("a")
    held = room.take("b")
    room.residency.set_budget(SIZE)
    assert room.names == {"b"}

    with ThreadPoolExecutor(1) as pool:
        waiting = in_thread(pool, room, "c")
        room.await_waiting(1)
        room.residency.set_budget(2 * SIZE)
        assert waiting.result() == "c beside ['b']"
    room.residency.set_budget(5)
    assert room.names == {"b"}
    room.residency.release(held)
    assert room.names == set()
    assert room.residency.charged_bytes == 0


def test_a_waiting_request_that_a_lowered_budget_makes_impossible_is_refused() -> None:
    room = Room(budget_bytes=SIZE)
    room.take("a")
    with ThreadPoolExecutor(1) as pool:
        waiting = in_thread(pool, room, "b")
        room.await_waiting(1)
        room.residency.set_budget(SIZE - 1)
        with pytest.raises(MemoryTooSmall):
            waiting.result()


def test_only_one_way_of_running_a_model_is_kept_unless_both_are_in_use() -> None:
    room = Room()
    fast = room.use("a", lean=False)
    lean = room.take("a", lean=True)
    again = room.take("a", lean=False)

    assert fast.model is None
    assert {entry.key.lean for entry in room.residency.entries()} == {True, False}
    assert again is not fast
    room.residency.release(lean)
    room.residency.release(again)


def test_closing_evicts_what_is_idle_at_once_and_what_is_in_use_when_it_is_given_back() -> None:
    room = Room()
    room.residency.pin("a")
    room.use("a")
    held = room.take("b")

    room.residency.close()
    assert room.names == {"b"}

    room.residency.release(held)
    assert room.names == set()
    assert room.use("a").model is not None


def test_the_budget_holds_on_the_books_over_a_random_mix_of_threads() -> None:
    # given: six models that hold what was predicted, and less than half the room for all
    sizes = {name: 10 * (index + 1) for index, name in enumerate("abcdef")}
    room = Room(budget_bytes=90, load=lambda key: Weights(key, sizes[key.name] // 2))
    seen: list[int] = []

    def work(seed: int) -> int:
        choice = random.Random(seed)
        for _ in range(50):
            name = choice.choice("abcdef")
            entry = room.take(name, choice.randint(sizes[name] // 2, sizes[name]), lean=choice.random() < 0.7)
            seen.append(room.residency.charged_bytes)
            assert entry.model is not None
            assert not entry.model.is_closed
            room.residency.release(entry)
        return seed

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [0, 1, 2, 3]

    assert len(seen) == 200
    assert max(seen) <= 90
    left = room.residency.entries()
    assert room.residency.charged_bytes == sum(entry.resident_bytes for entry in left)
    assert len(room.loads) < 200


def test_memory_that_evictions_do_not_return_calls_for_a_new_process() -> None:
    # given: a process that grows with every load and never shrinks
    process_bytes = [1 << 30]

    def load(key: Key) -> Weights:
        process_bytes[0] += 40 << 20
        return Weights(key, 40 << 20)

    unexplained = UnexplainedMemory(measure=lambda: process_bytes[0])
    residency = Residency(load, budget_bytes=40 << 20, unexplained=unexplained)
    reasons = []
    for name in ("a", "b", "c", "d"):
        entry = residency.acquire(Key(name, True, ""), peak_bytes=40 << 20, resident_bytes=1)
        residency.release(entry)
        reasons.append((residency.unexplained_bytes() >> 20, residency.recycling_reason()))

    # then: two evictions that returned nothing are more than may be lost; the first such reason stays
    assert [grown for grown, _ in reasons] == [0, 40, 80, 120]
    assert [reason is None for _, reason in reasons] == [True, True, False, False]
    assert str(reasons[-1][1]).endswith(" MB did not come back from evicted models")


def test_plain_growth_calls_for_a_new_process_once_no_model_is_in_use() -> None:
    process_bytes = [1 << 30]
    unexplained = UnexplainedMemory(measure=lambda: process_bytes[0])
    residency = Residency(Weights, unexplained=unexplained)
    entry = residency.acquire(Key("a", True, ""), peak_bytes=SIZE, resident_bytes=1)
    process_bytes[0] += 300 << 20
    assert residency.recycling_reason() is None

    residency.release(entry)

    assert residency.recycling_reason() == "the process holds 300 MB that nothing accounts for"
