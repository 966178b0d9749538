"""What many writers at once may do to each other on PostgreSQL, and how their statements find their way."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from queue_tasks import TurnedClock, add, claim, names, new_task

from audobon.errors import Unavailable
from audobon.queue import looking, statements
from audobon.queue import postgres_statements as own
from audobon.queue.postgres import PostgresQueue
from audobon.queue.rules import QueueRules
from audobon.queue.tasks import Capacity

pytest_plugins = ("postgres_fixture",)

Open = Callable[[], PostgresQueue]


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def open_queue(queue_url: str, clock: TurnedClock) -> Iterator[Open]:
    with ExitStack() as opened:
        yield lambda: opened.enter_context(PostgresQueue(queue_url, clock=clock))


@pytest.fixture
def queue(open_queue: Open) -> PostgresQueue:
    return open_queue()


@pytest.fixture
def other_queue(open_queue: Open) -> PostgresQueue:
    queue = open_queue()
    # Whoever would wait for another fails instead.
    queue.connection.execute("SET lock_timeout = '100ms'")
    return queue


def await_waiting(queue: PostgresQueue, url: str) -> None:
    """Return when a connection waits for a lock of another."""
    with psycopg.connect(url, autocommit=True) as connection:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
        while connection.execute(waiting, (queue.connection.info.backend_pid,)).fetchone() != (1,):
            pass


def test_claimers_that_count_nothing_get_different_tasks_without_waiting(
    queue: PostgresQueue, other_queue: PostgresQueue
) -> None:
    add(queue, "a", "b", "c", "d")
    with queue.transaction():
        first = claim(queue, limit=2)
        second = claim(other_queue, limit=9)
    assert (names(first), names(second)) == (["a", "b"], ["c", "d"])


def test_a_class_whose_tasks_others_are_taking_is_passed_over(
    queue: PostgresQueue, other_queue: PostgresQueue
) -> None:
    add(queue, new_task("first", model="a"), new_task("second", model="b"))
    with queue.transaction():
        assert names(claim(queue)) == ["first"]
        assert names(claim(other_queue)) == ["second"]
        assert claim(other_queue) == []


def test_claimers_of_one_pool_or_of_a_limited_queue_wait_for_each_other(
    queue: PostgresQueue, other_queue: PostgresQueue
) -> None:
    queue.set_capacity("here", Capacity(10))
    queue.configure(QueueRules(name="few", max_running=1))
    add(queue, new_task("a", ram_bytes=6), new_task("b", ram_bytes=6))
    with queue.transaction():
        assert names(claim(queue, pool="here")) == ["a"]
        with pytest.raises(Unavailable, match="lock timeout"):
            claim(other_queue, pool="here")
        assert names(claim(other_queue, pool=None)) == ["b"]
    add(queue, "c", "d", to="few")
    with queue.transaction():
        assert names(claim(queue)) == ["c"]
        with pytest.raises(Unavailable, match="lock timeout"):
            claim(other_queue)
    assert claim(other_queue) == []


def test_a_limited_queue_that_a_claimer_does_not_serve_is_none_of_its_business(
    queue: PostgresQueue, other_queue: PostgresQueue
) -> None:
    add(queue, "a", "b", to="maintenance")
    add(queue, "c")
    with queue.transaction():
        assert names(claim(queue, queues=frozenset({"maintenance"}))) == ["a"]
        assert names(claim(other_queue, queues=frozenset({"batch"}))) == ["c"]


def test_a_delayed_task_that_another_makes_ready_and_takes_is_not_taken_twice(
    queue: PostgresQueue, other_queue: PostgresQueue, clock: TurnedClock
) -> None:
    add(queue, new_task("late", delay_seconds=5))
    clock.seconds += 5
    with queue.transaction():
        assert names(claim(queue)) == ["late"]
        assert claim(other_queue) == []
    assert claim(other_queue) == []


def test_a_task_that_is_just_being_handed_out_is_asked_to_stop_when_it_is_called_off(
    queue: PostgresQueue, open_queue: Open, queue_url: str
) -> None:
    (task_id,) = add(queue, "a")
    other = open_queue()
    with ThreadPoolExecutor() as threads:
        with queue.transaction():
            claim(queue)
            cancelling = threads.submit(lambda: other.cancel(task_ids=[task_id], reason="changed"))
            await_waiting(other, queue_url)
        assert cancelling.result() == 1
    assert [(stop.task_id, stop.reason) for stop in queue.stop_requests()] == [(task_id, "changed")]


def test_a_task_that_is_just_being_handed_back_is_cancelled_when_it_is_called_off(
    queue: PostgresQueue, open_queue: Open, queue_url: str
) -> None:
    (task_id,) = add(queue, "a")
    (lease,) = claim(queue)
    other = open_queue()
    with ThreadPoolExecutor() as threads:
        with queue.transaction():
            queue.release(lease, reason="stopped")
            cancelling = threads.submit(lambda: other.cancel(task_ids=[task_id], reason="changed"))
            await_waiting(other, queue_url)
        assert cancelling.result() == 1
    assert queue.find(task_id).state == "cancelled"


def test_a_task_is_taken_from_a_lost_worker_once_though_two_notice(
    queue: PostgresQueue, open_queue: Open, queue_url: str
) -> None:
    (task_id,) = add(queue, "a")
    claim(queue, "lost")
    other = open_queue()
    with ThreadPoolExecutor() as threads:
        with queue.transaction():
            assert queue.retire("lost", reason="gone", is_blameless=False) == 1
            retiring = threads.submit(lambda: other.retire("lost", reason="gone", is_blameless=False))
            await_waiting(other, queue_url)
        assert retiring.result() == 0
    assert [event.kind for event in queue.events(task_id=task_id)] == ["given back"]


def test_a_reader_that_goes_on_after_the_last_event_misses_none_that_commits_late(
    queue: PostgresQueue, other_queue: PostgresQueue, open_queue: Open
) -> None:
    slow, quick = add(queue, "slow", "quick")
    reader = open_queue()
    with queue.transaction():
        queue.cancel(task_ids=[slow], reason="")
        other_queue.cancel(task_ids=[quick], reason="")
        assert reader.events() == []
        assert slow in [event.task_id for event in queue.events()]
    assert [event.task_id for event in reader.events()] == [slow, quick]


def test_ids_rise_within_a_batch_though_others_take_some_in_between(
    queue: PostgresQueue, other_queue: PostgresQueue
) -> None:
    queue.connection.execute("ALTER SEQUENCE task_id_seq INCREMENT 2")
    many = add(queue, *map(str, range(20)))
    assert many == list(range(many[0], many[0] + 40, 2))
    assert names(claim(other_queue, limit=99)) == [str(number) for number in range(20)]


_VALUES = {
    "now": 1.0,
    "owner": "worker",
    "pool": "here",
    "class_id": 1,
    "ram_bytes": 1,
    "vram_bytes": 0,
    "rank_bound": 1.0,
    "id_bound": 1,
    "limit": 10,
    "ids": [1, 2],
    "tokens": [1, 1],
    "blobs": [None, "b"],
    "results": [None, None],
    "id": 1,
    "token": 1,
    "work_key": "work",
    "keys": ["queue/key"],
    "job_id": "job",
    "since": 1.0,
    "task_id": 1,
    "after_id": 1,
    "state": "failed",
    "run_at": 1.0,
    "finished_at": 1.0,
    "attempt": 1,
    "error_code": None,
    "error_message": None,
    "done_units": 1,
    "total_units": 1,
}


@pytest.mark.parametrize(
    ("statement", "index", "may_sort"),
    [
        pytest.param(own.HEADS, "task_ready", False, id="heads"),
        pytest.param(own.TAKE, "task_ready", False, id="take"),
        pytest.param(own.FINISH_ALL, "task_pkey", True, id="finish"),
        pytest.param(own.HOLD_LEASE, "task_pkey", True, id="hold a lease"),
        pytest.param(statements.LET_GO, "task_pkey", True, id="let go"),
        pytest.param(statements.PROGRESS, "task_pkey", True, id="progress"),
        pytest.param(own.FIND_KEYS, "task_key", True, id="find keys"),
        pytest.param(own.IS_ANYTHING_TO_SETTLE, "task_waiting", True, id="waiting"),
        pytest.param(own.IS_ANYTHING_TO_SETTLE, "task_deadline", True, id="too late"),
        pytest.param(statements.PROMOTE, "task_waiting", True, id="promote"),
        pytest.param(statements.EXPIRE, "task_deadline", True, id="expire"),
        pytest.param(statements.RESERVED, "task_leased", True, id="reserved"),
        pytest.param(statements.HELD_BY, "task_leased", True, id="held by"),
        pytest.param(statements.STOP_REQUESTS, "task_leased", True, id="stop requests"),
        pytest.param(statements.NEXT_RUN_AT, "task_waiting", False, id="next run"),
        pytest.param(looking.TASKS_OF_JOB, "task_once", True, id="tasks of a job"),
        pytest.param(looking.FINISHED_SINCE, "task_ended_of_job", True, id="finished since"),
        pytest.param(looking.ENDED, "task_ended", True, id="ended"),
        pytest.param(looking.DEAD, "task_dead", True, id="dead"),
        pytest.param(looking.EVENTS_OF_TASK, "task_event_by_task", False, id="events of a task"),
    ],
)
def test_statements_use_their_index_with_thousands_of_rows_and_with_none(
    queue: PostgresQueue, statement: str, index: str, may_sort: bool
) -> None:
    def plan() -> str:
        cursor = psycopg.ClientCursor(queue.connection)
        return "\n".join(
            str(line) for (line,) in cursor.execute(b"EXPLAIN " + own.translate(statement), _VALUES)
        )

    plans = [plan()]
    queue.enqueue("batch", (new_task(model=str(n % 9), deadline_at=9e9 + n) for n in range(3000)))
    queue.enqueue("batch", (new_task(delay_seconds=1 + n, work_key=str(n)) for n in range(1000)))
    leases = claim(queue, limit=1000)
    queue.finish_all([])
    for lease in leases[:50]:
        queue.fail(lease, code="corrupt", message="", retry=False)
    plans.append(plan())
    queue.connection.execute("ANALYZE")
    plans.append(plan())
    for found in plans:
        assert index in found, found
        assert "Seq Scan on task" not in found, found
        assert may_sort or "Sort" not in found, found


def test_the_next_task_is_found_by_reading_a_few_pages_among_thousands(queue: PostgresQueue) -> None:
    queue.enqueue("batch", (new_task(model=str(n % 9)) for n in range(5000)))
    explained = queue.connection.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + own.HEADS.encode())
    (found,) = explained.fetchall()[0]
    plan = found[0]["Plan"]
    assert plan["Actual Rows"] == 9
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 9 * 5


def test_values_are_named_as_psycopg_names_them_and_nothing_else_is_touched() -> None:
    statement = (
        "SELECT ':a', \"b:c\", 5 % 2, x::text -- :d\nFROM t WHERE y = :e AND z LIKE '%:f''%' AND :e2 > 1"
    )
    assert own.translate(statement) == (
        b"SELECT ':a', \"b:c\", 5 %% 2, x::text -- :d\n"
        b"FROM t WHERE y = %(e)s AND z LIKE '%%:f''%%' AND %(e2)s > 1"
    )
