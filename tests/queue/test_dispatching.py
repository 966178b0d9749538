"""What is released into which lane, in virtual time: the policy knows no clock, no database and no cloud."""

import heapq
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as some

from audobon.queue.dispatching import (
    Candidate,
    Lane,
    Outstanding,
    QueueDispatcher,
    ResourceClass,
    Service,
    lane_name,
    parse_lane,
)
from audobon.queue.rules import QueueRules

RULES = QueueRules(name="batch")
STEP = RULES.ageing_step_seconds
CPU = Service(url="https://cpu", ram_bytes=4 << 30)
LARGE = Service(url="https://large", ram_bytes=16 << 30)
GPU = Service(url="https://gpu", devices=frozenset({"cpu", "cuda"}), ram_bytes=16 << 30, vram_bytes=24 << 30)


def lanes(high: int = 2, normal: int = 2, low: int = 2) -> list[Lane]:
    return [
        Lane("high", "batch", "high", high),
        Lane("normal", "batch", "normal", normal),
        Lane("low", "batch", "low", low),
    ]


def rank(priority: int, *, added_at: float = 0.0) -> float:
    return added_at - priority * STEP


def candidates(*priorities: int) -> list[Candidate]:
    return sorted(
        (Candidate(number, 0, 1, rank(priority)) for number, priority in enumerate(priorities)),
        key=lambda each: (each.rank, each.task_id),
    )


def assigned(
    waiting: list[Candidate], *, held: dict[str, Outstanding] | None = None, now: float = 0.0
) -> list[tuple[int, str]]:
    dispatcher = QueueDispatcher(lanes(), [CPU])
    return [
        (candidate.task_id, lane.name)
        for candidate, lane in dispatcher.assign(waiting, RULES, held or {}, now=now)
    ]


def test_each_goes_into_the_narrowest_band_that_it_is_urgent_enough_for() -> None:
    assert assigned(candidates(2, 0, -2)) == [(0, "high"), (1, "normal"), (2, "low")]


def test_what_is_urgent_overflows_into_the_wider_bands_and_comes_first_there() -> None:
    found = assigned(candidates(*[1] * 9, 0, 0))
    assert [lane for _, lane in found] == ["high"] * 4 + ["normal"] * 4 + ["low"] + ["low"] * 2
    assert [task_id for task_id, _ in found] == list(range(11))


def test_the_narrow_band_stays_free_for_what_is_urgent() -> None:
    found = assigned(candidates(*[0] * 20))
    assert {lane for _, lane in found} == {"normal", "low"}
    assert len(found) == 8


def test_what_waited_for_a_step_is_urgent() -> None:
    assert assigned(candidates(0), now=STEP - 0.1) == [(0, "normal")]
    assert assigned(candidates(0), now=STEP) == [(0, "high")]
    assert assigned(candidates(-2), now=2 * STEP) == [(0, "normal")]


def test_the_lead_of_a_queue_makes_nothing_urgent() -> None:
    dispatcher = QueueDispatcher(lanes(), [CPU])
    rules = QueueRules(name="batch", lead_seconds=3600.0)
    (found,) = dispatcher.assign([Candidate(1, 0, 1, -3600.0)], rules, {}, now=0.0)
    assert found[1].name == "normal"


def test_a_lane_holds_twice_what_it_runs_at_once() -> None:
    held = {"normal": Outstanding(1, 2), "low": Outstanding(2, 2)}
    assert assigned(candidates(0, 0, 0), held=held) == [(0, "normal")]


@pytest.mark.parametrize(
    ("rules", "held", "starts", "room"),
    [
        (RULES, {}, None, 12),
        (RULES, {"high": Outstanding(9, 9)}, None, 8),
        (QueueRules(name="batch", state="drain"), {}, None, 12),
        (QueueRules(name="batch", state="pause"), {}, None, 0),
        (RULES, {}, 2, 2),
        (RULES, {}, 99, 12),
        (RULES, {"low": Outstanding(1, 1)}, 2, 1),
        (RULES, {"elsewhere": Outstanding(9, 9)}, 2, 2),
        (RULES, {"low": Outstanding(3, 0)}, 0, 0),
        (QueueRules(name="interactive"), {}, None, 0),
    ],
    ids=str,
)
def test_there_is_room_for_what_the_lanes_and_the_limits_allow(
    rules: QueueRules, held: dict[str, Outstanding], starts: int | None, room: int
) -> None:
    assert QueueDispatcher(lanes(), [CPU]).room(rules, held, starts=starts) == room


@pytest.mark.parametrize(
    ("needed", "service"),
    [
        (ResourceClass(1, "page", "any", 1 << 30, 0), CPU),
        (ResourceClass(1, "page", "cpu", 4 << 30, 0), CPU),
        (ResourceClass(1, "page", "any", 5 << 30, 0), LARGE),
        (ResourceClass(1, "page", "cuda", 1 << 30, 8 << 30), GPU),
        (ResourceClass(1, "page", "cuda", 1 << 30, 0), GPU),
        (ResourceClass(1, "page", "cuda", 1 << 30, 48 << 30), None),
        (ResourceClass(1, "page", "any", 64 << 30, 0), None),
    ],
    ids=str,
)
def test_the_smallest_service_that_can_do_it_gets_it(needed: ResourceClass, service: Service | None) -> None:
    assert QueueDispatcher(lanes(), [GPU, LARGE, CPU]).service_for(needed) == service


def test_a_service_may_do_only_some_kinds() -> None:
    dispatcher = QueueDispatcher(lanes(), [Service(url="https://pages", kinds=frozenset({"page"}))])
    assert dispatcher.service_for(ResourceClass(1, "page", "any", 0, 0)) is not None
    assert dispatcher.service_for(ResourceClass(1, "sweep-blobs", "any", 0, 0)) is None


@pytest.mark.parametrize("queue", ["batch", "two-words", "low"])
def test_a_lane_is_known_by_the_name_that_it_was_given(queue: str) -> None:
    for band in ("high", "normal", "low"):
        name = lane_name("audobon", queue, band)
        assert parse_lane("audobon", name, 3) == Lane(name, queue, band, 3)


@pytest.mark.parametrize(
    "name", ["default", "audobon-low", "audobon-batch", "audobon--low", "other-batch-low"]
)
def test_a_queue_of_somebody_else_is_no_lane(name: str) -> None:
    assert parse_lane("audobon", name, 3) is None


@given(
    priorities=some.lists(some.integers(-4, 4), max_size=40),
    concurrency=some.tuples(some.integers(1, 4), some.integers(1, 4), some.integers(1, 4)),
    held=some.dictionaries(
        some.sampled_from(["high", "normal", "low"]),
        some.builds(Outstanding, some.integers(0, 9), some.integers(0, 9)),
    ),
    now=some.floats(0, 500),
)
def test_no_window_is_exceeded_and_nobody_passes_anybody(
    priorities: list[int], concurrency: tuple[int, int, int], held: dict[str, Outstanding], now: float
) -> None:
    dispatcher = QueueDispatcher(lanes(*concurrency), [CPU])
    room = dispatcher.room(RULES, held)
    waiting = candidates(*priorities)[:room]
    found = dispatcher.assign(waiting, RULES, held, now=now)
    assert [candidate for candidate, _ in found] == sorted(
        (candidate for candidate, _ in found), key=lambda each: (each.rank, each.task_id)
    )
    for lane in lanes(*concurrency):
        count = sum(1 for _, into in found if into == lane)
        before = held.get(lane.name, Outstanding(0, 0))
        assert count == 0 or count + before.waiting + before.working <= lane.window
    passed_over = [each for each in waiting if each not in [candidate for candidate, _ in found]]
    free_of_low = lanes(*concurrency)[2].window - sum(held.get("low", (0, 0)))
    assert not passed_over or sum(1 for _, lane in found if lane.name == "low") >= max(0, free_of_low)


class World:
    """A queue, its lanes, and a cloud that begins what lies in a lane in any order.

    begun  instants and tasks, in the order in which they were begun
    """

    def __init__(self, *, seconds_each: float = 1.0, concurrency: int = 2) -> None:
        self.lanes = lanes(concurrency, concurrency, concurrency)
        self.dispatcher = QueueDispatcher(self.lanes, [CPU])
        self.now = 0.0
        self.begun: list[tuple[float, Candidate]] = []
        self.released: list[Candidate] = []
        self._seconds_each = seconds_each
        self._draw = random.Random(7)
        self._ready: list[tuple[float, int, Candidate]] = []
        self._lying: dict[str, list[Candidate]] = {lane.name: [] for lane in self.lanes}
        self._ends: dict[str, list[float]] = {lane.name: [] for lane in self.lanes}
        self._added = 0

    @property
    def ready(self) -> int:
        return len(self._ready)

    def add(self, priority: int, count: int = 1) -> list[int]:
        ids = []
        for _ in range(count):
            self._added += 1
            task = Candidate(self._added, 0, 1, rank(priority, added_at=self.now))
            heapq.heappush(self._ready, (task.rank, task.task_id, task))
            ids.append(task.task_id)
        return ids

    def tick(self, seconds: float = 0.1) -> None:
        held = {name: Outstanding(len(self._lying[name]), len(self._ends[name])) for name in self._lying}
        room = self.dispatcher.room(RULES, held)
        first = [each for _, _, each in heapq.nsmallest(room, self._ready)]
        for task, lane in self.dispatcher.assign(first, RULES, held, now=self.now):
            self._ready.remove((task.rank, task.task_id, task))
            self._lying[lane.name].append(task)
            self.released.append(task)
        heapq.heapify(self._ready)
        for lane in self.lanes:
            lying, ends = self._lying[lane.name], self._ends[lane.name]
            assert len(lying) + len(ends) <= lane.window
            while lying and len(ends) < lane.concurrency:
                task = lying.pop(self._draw.randrange(len(lying)))
                self.begun.append((self.now, task))
                heapq.heappush(ends, self.now + self._seconds_each)
        self.now += seconds
        for ends in self._ends.values():
            while ends and ends[0] <= self.now:
                heapq.heappop(ends)

    def until(self, is_done: Callable[[], bool], *, seconds: float) -> float:
        began = self.now
        while not is_done():
            self.tick()
            assert self.now - began <= seconds, "it took too long"
        return self.now - began

    def begun_at(self, task_id: int) -> float | None:
        return next((at for at, task in self.begun if task.task_id == task_id), None)


def test_in_virtual_time_a_backlog_is_begun_in_order_within_the_windows() -> None:
    world = World()
    draw = random.Random(3)
    for _ in range(300):
        world.add(draw.randint(-2, 2))
    world.until(lambda: len(world.begun) == 300, seconds=400.0)
    right = sorted((task for _, task in world.begun), key=lambda each: (each.rank, each.task_id))
    place = {task.task_id: index for index, task in enumerate(right)}
    windows = sum(lane.window for lane in world.lanes)
    assert max(place[task.task_id] - index for index, (_, task) in enumerate(world.begun)) <= windows


def test_in_virtual_time_what_is_urgent_does_not_wait_for_a_backlog() -> None:
    world = World(seconds_each=10.0)
    world.add(0, count=400)
    for _ in range(50):
        world.tick()
    (urgent,) = world.add(3)
    world.until(lambda: world.begun_at(urgent) is not None, seconds=1.0)


def test_in_virtual_time_a_low_task_begins_under_endless_high_load_once_it_aged_by_the_gap() -> None:
    world = World()
    world.add(2, count=20)
    world.tick()
    (low,) = world.add(-3)
    gap = 3 + 2

    def is_begun() -> bool:
        # More than can be begun now, always.
        while world.ready < 20:
            world.add(2)
        return world.begun_at(low) is not None

    waited = world.until(is_begun, seconds=(gap + 2) * STEP)
    assert waited >= (gap - 1) * STEP, "priority meant nothing"
