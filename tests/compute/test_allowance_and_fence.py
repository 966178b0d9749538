"""What a worker may hold: of the pool beside others, of the cards, and within the fence."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import pytest
from queue_of_pages import POOL, TurnedClock, add_pages, queue_of_pages

from audobon.compute.allowance import Allowance
from audobon.compute.fence import Fence
from audobon.compute.graphics_memory import GraphicsMemory
from audobon.compute.orders import Orders
from audobon.compute.work import PAGE_KIND
from audobon.compute.worker_messages import Order
from audobon.errors import Exhausted, LeaseLost
from audobon.queue.embedded import SqliteQueue
from audobon.queue.figures import PoolFigures
from audobon.queue.tasks import Capacity, Claimant, Lease, Needs, NewTask
from audobon.telemetry.gpus import Gpu


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[SqliteQueue]:
    with queue_of_pages(tmp_path) as queue:
        yield queue


def taken(queue: SqliteQueue, owner: str) -> Lease:
    (lease,) = queue.claim(Claimant(owner=owner, pool=POOL))
    return lease


def test_a_worker_may_hold_the_pool_less_what_others_hold(queue: SqliteQueue) -> None:
    add_pages(queue, ("ours", 100), ("theirs", 300))
    allowance = Allowance(queue, POOL, Lock())
    allowance.take_up(ours := taken(queue, "worker"))
    assert (allowance.room_bytes(), allowance.held_bytes()) == (1000, 100)

    theirs = taken(queue, "other")
    assert allowance.room_bytes() == 700

    allowance.of_task(ours).hold(650)
    assert (allowance.room_bytes(), allowance.held_bytes()) == (700, 650)
    queue.finish(theirs)
    assert allowance.room_bytes() == 1000
    allowance.let_go(ours)
    assert allowance.held_bytes() == 0


def test_what_another_took_meanwhile_is_refused_with_words_and_nothing_changes(queue: SqliteQueue) -> None:
    add_pages(queue, ("ours", 100), ("theirs", 300))
    allowance = Allowance(queue, POOL, Lock())
    allowance.take_up(ours := taken(queue, "worker"))
    taken(queue, "other")

    with pytest.raises(Exhausted, match="were free and are taken now"):
        allowance.of_task(ours).hold(701)
    assert allowance.held_bytes() == 100
    assert [pool.reserved_ram_bytes for pool in queue.pools()] == [400]


def test_a_task_that_was_handed_on_holds_nothing_more(queue: SqliteQueue) -> None:
    add_pages(queue, ("ours", 100))
    allowance = Allowance(queue, POOL, Lock())
    allowance.take_up(ours := taken(queue, "worker"))
    queue.retire("worker", reason="thought dead", is_blameless=True)

    with pytest.raises(LeaseLost):
        allowance.of_task(ours).hold(200)


def test_a_pool_that_was_lowered_below_what_is_held_gives_nothing_more(queue: SqliteQueue) -> None:
    add_pages(queue, ("ours", 800), ("next", 100))
    allowance = Allowance(queue, POOL, Lock())
    allowance.take_up(ours := taken(queue, "worker"))
    queue.set_capacity(POOL, Capacity(500))

    assert queue.claim(Claimant(owner="other", pool=POOL)) == []
    with pytest.raises(Exhausted):
        allowance.of_task(ours).hold(900)
    allowance.of_task(ours).hold(700)
    assert allowance.room_bytes() == 500


def test_what_models_take_of_a_card_is_held_of_the_pool_with_the_memory_and_until_the_task_ends(
    queue: SqliteQueue,
) -> None:
    queue.set_capacity(POOL, Capacity(1000, 500))
    add_pages(queue, ("ours", 100))
    allowance = Allowance(queue, POOL, Lock())
    allowance.take_up(ours := taken(queue, "worker"))

    allowance.of_task(ours).hold_graphics(300)
    allowance.of_task(ours).hold(200)
    assert queue.pools() == [PoolFigures(POOL, 1000, 500, 200, 300)]
    queue.finish(ours)
    assert queue.pools() == [PoolFigures(POOL, 1000, 500, 0, 0)]


def test_a_card_that_gave_more_than_the_pool_has_leaves_nothing_of_the_pool(queue: SqliteQueue) -> None:
    queue.set_capacity(POOL, Capacity(1000, 500))
    add_pages(queue, ("ours", 1), ("theirs", 1))
    leases = [taken(queue, "worker"), taken(queue, "other")]
    for lease in leases:
        allowance = Allowance(queue, POOL, Lock())
        allowance.take_up(lease)
        allowance.of_task(lease).hold_graphics(300)
    assert queue.pools() == [PoolFigures(POOL, 1000, 500, 2, 500)]
    needs = Needs(kind=PAGE_KIND, device="cuda", vram_bytes=1)
    queue.enqueue("batch", [NewTask(needs=needs)])
    claimant = Claimant(owner="third", pool=POOL, devices=frozenset({"cpu", "cuda"}))
    assert queue.claim(claimant) == []
    queue.finish(leases[1])
    (lease,) = queue.claim(claimant)
    allowance = Allowance(queue, POOL, Lock())
    allowance.take_up(lease)
    allowance.of_task(lease).hold(10)
    # What the claim reserved of the card stays reserved.
    assert queue.pools() == [PoolFigures(POOL, 1000, 500, 11, 301)]


# The fence


def test_the_fence_is_raised_at_once_and_lowered_when_no_task_is_at_work() -> None:
    drawn: list[int] = []
    fence = Fence(500, bound=drawn.append)

    fence.set_budget(800)
    fence.set_budget(300)
    fence.set_budget(400)
    assert drawn == [500, 800]
    fence.settle()
    fence.settle()
    assert drawn == [500, 800, 400]
    fence.set_budget(300)
    fence.set_budget(600)
    fence.settle()
    assert drawn == [500, 800, 400, 600]


BEYOND_THE_FENCE = """
import json
from audobon.compute.fence import Fence
fence = Fence(100 << 20)
def fits(megabytes):
    try:
        return len(bytearray(megabytes << 20)) > 0
    except MemoryError:
        return False
found = [fits(300), fits(900)]
fence.set_budget(800 << 20)
found.append(fits(900))
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system counts private memory alone on Linux only")
def test_beyond_the_fence_the_system_refuses_memory() -> None:
    found = subprocess.run([sys.executable, "-c", BEYOND_THE_FENCE], capture_output=True, check=True)
    assert json.loads(found.stdout) == [True, False, True]


# Orders


FOLLOWS_ORDERS = """
import sys, time
from audobon.compute.orders import Orders
Orders(on_budget=lambda budget: print(budget, flush=True)).listen(sys.stdin.buffer)
time.sleep(60)
"""


def test_orders_are_followed_as_they_come_and_the_end_of_them_ends_the_process_at_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FOLLOWS_ORDERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"budget_bytes":5}\n{"budget')
        assert process.stdout.readline() == b"5\n"
        process.stdin.write(b'_bytes":6}\n')
        assert process.stdout.readline() == b"6\n"
        process.stdin.close()
        assert process.wait(5) == 0


def test_an_order_takes_effect() -> None:
    told: list[int] = []
    Orders(on_budget=told.append).take(Order(budget_bytes=7))
    assert told == [7]


# Graphics memory


def gpu(free_bytes: int, held_bytes: dict[int, int]) -> Gpu:
    return Gpu("card", 1000, free_bytes, held_bytes=held_bytes)


def test_what_tasks_may_hold_of_the_cards_is_a_share_of_what_no_other_program_holds() -> None:
    cards = (gpu(400, {11: 200, 99: 400}), gpu(100, {}))
    memory = GraphicsMemory(lambda: {10, 11}, read=lambda: (cards, None), share=0.5)
    assert memory.budget_bytes() == (400 + 200 + 100) // 2


def test_without_a_card_it_is_nothing_and_the_driver_is_asked_again_only_after_a_while() -> None:
    clock = TurnedClock()
    asked: list[float] = []

    def read() -> tuple[tuple[Gpu, ...], str | None]:
        asked.append(clock.seconds)
        return ((gpu(400, {}),), None) if len(asked) > 1 else ((), "no NVIDIA driver answers")

    memory = GraphicsMemory(set, read=read, share=0.5, clock=clock)
    assert memory.budget_bytes() == 0
    clock.seconds += 59.0
    assert memory.budget_bytes() == 0
    clock.seconds += 1.0
    assert memory.budget_bytes() == 200
    assert asked == [1000.0, 1060.0]
