"""What is released into Cloud Tasks from the queue on PostgreSQL, and who may take it up."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from queue_tasks import TurnedClock, add, claim, claim_one, events, keys_in, new_task
from release_desk import SERVICE, dispatcher_of, released_names, take, taken

from audobon.queue import postgres_release_statements as sql
from audobon.queue.dispatching import Release, Service
from audobon.queue.postgres_releases import ReleasingQueue
from audobon.queue.postgres_statements import translate
from audobon.queue.rules import QueueRules
from audobon.queue.tasks import Capacity, Lease

pytest_plugins = ("postgres_fixture",)

VALUES = {
    "queue": "batch",
    "class_ids": [1, 2],
    "limit": 10,
    "now": 1.0,
    "before": 1.0,
    "lane": "audobon-batch-low",
    "task_ids": [1],
    "tokens": [0],
    "lanes": ["audobon-batch-low"],
    "urls": ["https://worker.example"],
    "names": ["a"],
    "fresh": ["b"],
    "id": 1,
    "token": 0,
    "owner": "o",
    "pool": None,
    "ram_bytes": 0,
    "vram_bytes": 0,
}


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def queue(queue_url: str, tmp_path: Path, clock: TurnedClock) -> Iterator[ReleasingQueue]:
    with ReleasingQueue(queue_url, keys=keys_in(tmp_path), clock=clock, draw=lambda: 0.0) as queue:
        yield queue


@pytest.fixture
def other(queue_url: str, tmp_path: Path, clock: TurnedClock) -> Iterator[ReleasingQueue]:
    """A second process, as far as the database can tell."""
    with ReleasingQueue(queue_url, keys=keys_in(tmp_path), clock=clock, draw=lambda: 0.0) as queue:
        yield queue


def release(queue: ReleasingQueue, *, concurrency: int = 2, limit: int | None = None) -> list[Release]:
    return queue.release_next("batch", dispatcher_of("batch", concurrency=concurrency), limit=limit)


def release_one(queue: ReleasingQueue) -> Release:
    (found,) = release(queue, limit=1)
    return found


# Releasing


def test_tasks_are_released_by_rank_into_their_bands_and_once(queue: ReleasingQueue) -> None:
    add(queue, *(new_task(str(priority), priority=priority) for priority in (0, -3, 2)))
    found = release(queue)
    assert released_names(queue, found) == ["2", "0", "-3"]
    assert [each.lane for each in found] == [f"audobon-batch-{band}" for band in ("high", "normal", "low")]
    assert {each.url for each in found} == {SERVICE.url}
    assert len({each.name for each in found}) == 3
    assert release(queue) == []
    assert {queue.find(each.task_id).state for each in found} == {"ready"}


def test_the_order_is_that_of_all_classes_together(queue: ReleasingQueue, clock: TurnedClock) -> None:
    for number in range(6):
        add(queue, new_task(str(number), model="ab"[number % 2], ram_bytes=number % 3))
        clock.seconds += 1
    assert released_names(queue, release(queue)) == list("012345")


def test_no_more_is_out_than_the_windows_allow_and_what_ends_makes_room(queue: ReleasingQueue) -> None:
    add(queue, *(str(number) for number in range(20)))
    first = release(queue, concurrency=1)
    assert len(first) == 4
    assert release(queue, concurrency=1) == []
    leases = [taken(queue, each) for each in first[:2]]
    assert release(queue, concurrency=1) == []
    queue.finish(leases[0])
    assert queue.fail(leases[1], code="corrupt", message="no", retry=False) == "failed"
    assert released_names(queue, release(queue, concurrency=1)) == ["4", "5"]


def test_two_that_release_at_once_do_not_fill_a_window_twice(
    queue: ReleasingQueue, other: ReleasingQueue
) -> None:
    add(queue, *"abcdefgh")
    assert released_names(queue, release(queue, concurrency=1)) == list("abcd")
    assert release(other, concurrency=1) == []


def test_of_a_queue_that_is_paused_nothing_is_released(queue: ReleasingQueue) -> None:
    add(queue, "a")
    queue.set_state("batch", "pause")
    assert release(queue) == []
    queue.set_state("batch", "drain")
    assert len(release(queue)) == 1


def test_a_queue_nobody_used_yet_has_nothing_to_release(queue: ReleasingQueue) -> None:
    assert release(queue) == []


def test_a_delayed_task_is_released_when_its_time_has_come(queue: ReleasingQueue, clock: TurnedClock) -> None:
    add(queue, new_task(delay_seconds=10))
    assert release(queue) == []
    clock.seconds += 10
    assert len(release(queue)) == 1


def test_what_no_service_can_do_stays_for_others(queue: ReleasingQueue) -> None:
    add(queue, new_task("small", ram_bytes=1), new_task("large", ram_bytes=9), new_task("gpu", device="cuda"))
    small = Service(url="https://small", ram_bytes=1)
    found = queue.release_next("batch", dispatcher_of("batch", services=[small]))
    assert released_names(queue, found) == ["small"]
    assert [lease.payload for lease in claim(queue, limit=9, devices=frozenset({"cuda"}))] == [
        '"small"',
        '"large"',
        '"gpu"',
    ]


def test_no_more_is_released_than_the_queue_may_have_at_work(queue: ReleasingQueue) -> None:
    queue.configure(QueueRules(name="batch", max_running=3))
    add(queue, *"abcdef")
    claim_one(queue, "local")
    first = release(queue)
    assert len(first) == 2
    taken(queue, first[0])
    assert release(queue) == []


def test_no_more_is_released_than_the_queues_rate_lets_begin(
    queue: ReleasingQueue, clock: TurnedClock
) -> None:
    queue.configure(QueueRules(name="batch", rate_per_second=0.5, burst=3))
    add(queue, *"abcdefgh")
    first = release(queue)
    assert len(first) == 3
    for each in first:
        taken(queue, each)
    assert release(queue) == []
    clock.seconds += 2
    assert released_names(queue, release(queue)) == ["d"]


# Taking up


def test_a_delivery_hands_out_its_task_as_a_claim_would(queue: ReleasingQueue, clock: TurnedClock) -> None:
    ids = add(
        queue, new_task("a", model="m", ram_bytes=5, vram_bytes=6, job_id="job", ordinal=3, deadline_at=2e6)
    )
    found = release_one(queue)
    clock.seconds += 7
    lease = taken(queue, found, "someone")
    assert lease == Lease(ids[0], 1, 1, "batch", "page", "m", '"a"', "job", 3, 5, 6, 2e6)
    record = queue.find(ids[0])
    assert (record.state, record.owner, record.started_at) == ("leased", "someone", clock.seconds)
    queue.finish(lease, blob="blob", result="{}")
    assert queue.find(ids[0]).state == "done"


TAKE_AWAY: dict[str, Callable[[ReleasingQueue, Release], object]] = {
    "delivered twice": lambda queue, found: take(queue, found),
    "done": lambda queue, found: queue.finish(taken(queue, found)),
    "failed": lambda queue, found: queue.fail(taken(queue, found), code="x", message="", retry=False),
    "tried again": lambda queue, found: queue.fail(taken(queue, found), code="x", message="", retry=True),
    "given back": lambda queue, found: queue.release(taken(queue, found), reason="stop"),
    "its worker gone": lambda queue, found: (
        taken(queue, found),
        queue.retire("service", reason="gone", is_blameless=False),
    ),
    "taken up here": lambda queue, found: claim_one(queue, "local"),
    "cancelled": lambda queue, found: queue.cancel(task_ids=[found.task_id], reason="no more"),
    "cancelled and replayed": lambda queue, found: (
        queue.cancel(task_ids=[found.task_id], reason="no more"),
        queue.replay(task_ids=[found.task_id]),
    ),
    "adopted": lambda queue, found: queue.adopt(found.task_id, "blob", "{}"),
    "forgotten": lambda queue, found: (
        queue.cancel(task_ids=[found.task_id], reason="no more"),
        queue.prune(finished_before=1e12),
    ),
}


@pytest.mark.parametrize("taken_by", TAKE_AWAY)
def test_what_became_of_a_task_makes_its_delivery_stale(
    queue: ReleasingQueue, other: ReleasingQueue, taken_by: str
) -> None:
    add(queue, "a")
    found = release_one(queue)
    TAKE_AWAY[taken_by](queue, found)
    before = queue.select(), queue.events()
    assert take(other, found, "late") == "stale"
    assert (queue.select(), queue.events()) == before


def test_a_delivery_with_another_token_is_stale(queue: ReleasingQueue) -> None:
    add(queue, "a")
    found = release_one(queue)
    for token in (found.token - 1, found.token + 1, 10**9):
        other = Release(found.task_id, token, found.lane, found.url, found.name)
        assert take(queue, other) == "stale"
    assert take(queue, Release(10**15, 0, found.lane, found.url, found.name)) == "stale"
    taken(queue, found)


def test_a_task_whose_deadline_passed_on_the_way_is_given_up(
    queue: ReleasingQueue, clock: TurnedClock
) -> None:
    (task_id,) = add(queue, new_task(deadline_at=clock.seconds + 5))
    found = release_one(queue)
    clock.seconds += 5
    assert take(queue, found) == "stale"
    assert (queue.find(task_id).state, events(queue)) == ("failed", [("failed", "deadline")])


def test_a_delivery_of_a_paused_queue_is_put_back_and_released_again(queue: ReleasingQueue) -> None:
    add(queue, "a")
    found = release_one(queue)
    queue.set_state("batch", "pause")
    assert take(queue, found) == "paused"
    assert release(queue) == []
    queue.set_state("batch", "run")
    again = release_one(queue)
    assert (again.task_id, again.token) == (found.task_id, found.token)
    assert again.name != found.name
    taken(queue, again)
    assert take(queue, found) == "stale"


def test_a_delivery_that_the_limits_do_not_let_begin_may_come_again(
    queue: ReleasingQueue, clock: TurnedClock
) -> None:
    add(queue, *"abc")
    found = release(queue)
    queue.configure(QueueRules(name="batch", max_running=1))
    lease = taken(queue, found[0])
    assert take(queue, found[1]) == "busy"
    queue.finish(lease)
    taken(queue, found[1])
    queue.configure(QueueRules(name="batch", rate_per_second=0.1))
    taken(queue, found[2])
    queue.configure(QueueRules(name="batch"))
    add(queue, "d")
    (last,) = release(queue)
    queue.configure(QueueRules(name="batch", rate_per_second=0.1))
    assert take(queue, last) == "busy"
    clock.seconds += 10
    taken(queue, last)


def test_a_delivery_that_does_not_fit_the_claimants_memory_may_come_again(queue: ReleasingQueue) -> None:
    queue.set_capacity("service", Capacity(10))
    add(queue, new_task("a", ram_bytes=7), new_task("b", ram_bytes=7))
    first, second = release(queue)
    lease = taken(queue, first, pool="service")
    assert take(queue, second, pool="service") == "busy"
    queue.finish(lease)
    taken(queue, second, pool="service")
    assert queue.pools()[0].reserved_ram_bytes == 7


@pytest.mark.parametrize(
    "claimant",
    [{"kinds": frozenset({"other"})}, {"queues": frozenset({"other"})}, {"devices": frozenset({"cpu"})}],
    ids=str,
)
def test_a_delivery_to_who_cannot_do_it_is_not_lost(
    queue: ReleasingQueue, claimant: dict[str, frozenset[str]]
) -> None:
    add(queue, new_task(device="cuda"))
    found = release_one(queue)
    assert take(queue, found, **claimant) == "busy"
    taken(queue, found, devices=frozenset({"cuda"}))


# Finding again


def test_a_release_is_in_doubt_until_it_is_confirmed(queue: ReleasingQueue, clock: TurnedClock) -> None:
    add(queue, "a", "b")
    first, second = release(queue)
    assert queue.doubtful(seconds=10) == []
    clock.seconds += 10
    assert sorted(queue.doubtful(seconds=10), key=lambda each: each.task_id) == [first, second]
    queue.confirm([first])
    assert queue.doubtful(seconds=10) == [second]
    taken(queue, second)
    assert queue.doubtful(seconds=10) == []


def test_what_cloud_tasks_lost_is_released_again_under_another_name(
    queue: ReleasingQueue, clock: TurnedClock
) -> None:
    add(queue, "a", "b", "c")
    a, b, c = release(queue)
    queue.confirm([a, b])
    clock.seconds += 60
    overdue = queue.overdue(a.lane, seconds=60)
    assert sorted(overdue, key=lambda each: each.task_id) == [a, b]
    assert queue.overdue("elsewhere", seconds=60) == []
    lease = taken(queue, b)
    (again,) = queue.release_again(overdue)
    assert (again.task_id, again.token, again.lane, again.url) == (a.task_id, a.token, a.lane, a.url)
    assert again.name != a.name
    assert queue.release_again(overdue) == []
    clock.seconds += 10
    assert {each.name for each in queue.doubtful(seconds=10)} == {again.name, c.name}
    queue.finish(lease)
    taken(queue, a)
    assert take(queue, again) == "stale"


def test_what_is_void_is_forgotten_and_what_may_still_lie_there_is_told(queue: ReleasingQueue) -> None:
    add(queue, *"abcde")
    done, working, here, cancelled, waiting = release(queue)
    queue.finish(taken(queue, done))
    taken(queue, working)
    queue.cancel(task_ids=[cancelled.task_id], reason="no more")
    assert claim_one(queue, "local").id == here.task_id
    assert sorted(queue.drop_void(), key=lambda each: each.task_id) == [here, cancelled]
    assert queue.drop_void() == []
    assert release(queue, concurrency=1) == []
    taken(queue, waiting)


def test_a_task_that_comes_back_is_released_with_its_new_token(queue: ReleasingQueue) -> None:
    add(queue, "a")
    first = release_one(queue)
    queue.release(taken(queue, first), reason="shutting down")
    second = release_one(queue)
    assert (second.task_id, second.token) == (first.task_id, first.token + 2)
    assert take(queue, first) == "stale"
    assert taken(queue, second).attempt == 1


def test_a_release_that_fails_with_the_callers_transaction_was_never_made(queue: ReleasingQueue) -> None:
    add(queue, "a")

    def release_and_fail() -> None:
        with queue.transaction():
            release_one(queue)
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        release_and_fail()
    assert len(release(queue)) == 1


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        pytest.param(sql.OUTSTANDING, "task_pkey", id="outstanding"),
        pytest.param(sql.NEXT, "task_ready", id="next"),
        pytest.param(sql.RELEASE, "task_pkey", id="release"),
        pytest.param(sql.DOUBTFUL, "task_pkey", id="doubtful"),
        pytest.param(sql.OVERDUE, "task_pkey", id="overdue"),
        pytest.param(sql.RENAME, "task_pkey", id="rename"),
        pytest.param(sql.DROP_VOID, "task_pkey", id="drop void"),
        pytest.param(sql.DELIVERED, "task_pkey", id="delivered"),
        pytest.param(sql.TAKE_DELIVERED, "task_pkey", id="take"),
    ],
)
def test_tasks_are_looked_up_by_their_index_with_thousands_of_rows_and_with_none(
    queue: ReleasingQueue, statement: str, index: str
) -> None:
    def plan() -> str:
        cursor = psycopg.ClientCursor(queue.connection)
        return "\n".join(str(line) for (line,) in cursor.execute(b"EXPLAIN " + translate(statement), VALUES))

    plans = [plan()]
    queue.enqueue("batch", (new_task(model=str(n % 9)) for n in range(3000)))
    for each in release(queue, concurrency=100)[:200]:
        taken(queue, each)
    plans.append(plan())
    queue.connection.execute("ANALYZE")
    plans.append(plan())
    for found in plans:
        assert index in found, found
        assert not re.search(r"(Seq Scan on|(Hash|Merge) .*Join.*\n.*) task\b", found), found
        assert not re.search(r"task_pkey on task\b(?!.*\n\s+Index Cond)", found), found
