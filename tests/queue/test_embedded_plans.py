"""The statements of the queue on SQLite go by an index, however many tasks there are."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from queue_tasks import FixedDraw, OpenConnection, TurnedClock, add, claim, claim_one, new_task

from audobon.queue.embedded import SqliteQueue
from audobon.queue.rules import QueueRules
from audobon.queue.tasks import Capacity, Owner

# Whole tables that stay small: their rows are read as they come.
_SMALL = ("queue", "pool", "owner", "schedule", "resource_class", "sqlite_sequence", "CONSTANT")


class Plans:
    """The plan of every statement a connection runs."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def recorded(self) -> Iterator[dict[str, list[str]]]:
        """Yield a mapping that holds the plans of what the block ran when the block ends."""
        statements: list[str] = []
        plans: dict[str, list[str]] = {}
        self._connection.set_trace_callback(statements.append)
        try:
            yield plans
        finally:
            self._connection.set_trace_callback(None)
        for statement in dict.fromkeys(statements):
            if re.match(r"\s*(SELECT|UPDATE|DELETE|INSERT)", statement):
                rows = self._connection.execute(f"EXPLAIN QUERY PLAN {statement}")
                plans[" ".join(statement.split())] = [str(row["detail"]) for row in rows]


def scans(plans: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the steps that walk through a table that grows, without an index that holds but a few."""
    partial = r"USING (COVERING )?INDEX task_(ready|waiting|leased|dead|deadline)\b"
    found = {
        statement: [
            step
            for step in plan
            if step.startswith("SCAN ") and step.split()[1] not in _SMALL and not re.search(partial, step)
        ]
        for statement, plan in plans.items()
    }
    return {statement: steps for statement, steps in found.items() if steps}


def sorts(plans: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the steps that sort what was found."""
    found = {statement: [step for step in plan if "TEMP B-TREE" in step] for statement, plan in plans.items()}
    return {statement: steps for statement, steps in found.items() if steps}


@pytest.fixture
def queue(open_connection: OpenConnection, clock: TurnedClock) -> SqliteQueue:
    draw = FixedDraw()
    connection = open_connection()
    queue = SqliteQueue(connection, clock=clock, draw=draw)
    queue.configure(QueueRules(name="batch", max_running=90, rate_per_second=90.0, burst=90))
    queue.set_capacity("here", Capacity(1000))
    add(queue, *(new_task(model=str(number % 3), ram_bytes=1) for number in range(30)))
    return queue


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def plans(queue: SqliteQueue) -> Plans:
    return Plans(queue._connection)


def test_what_is_done_for_every_task_walks_through_nothing_and_sorts_nothing(
    queue: SqliteQueue, plans: Plans, clock: TurnedClock
) -> None:
    pages = [
        new_task(
            model="1",
            ram_bytes=1,
            idempotency_key=str(number),
            job_id="job",
            ordinal=number,
        )
        for number in range(3)
    ]
    with plans.recorded() as found:
        queue.enqueue("batch", pages)
        add(queue, new_task(model="1", ram_bytes=1, delay_seconds=5, deadline_at=clock.seconds + 60))
        clock.seconds += 7
        first, second, third, fourth = claim(queue, pool="here", limit=4)
        queue.progress(first, 1, 2, note="note")
        queue.standing(first)
        queue.reserve(first, ram_bytes=2)
        queue.finish(first)
        queue.fail(second, code="unavailable", message="", retry=True)
        queue.fail(third, code="corrupt", message="", retry=False)
        queue.release(fourth, reason="stop")
        queue.has_due()
        queue.next_run_at()
        queue.beat(["worker"])
    assert len(found) > 25
    assert scans(found) == {}
    assert sorts(found) == {}


@pytest.mark.parametrize(
    "look",
    [
        lambda queue: queue.find(1),
        lambda queue: queue.tasks("job"),
        lambda queue: queue.leased("job"),
        lambda queue: queue.finished_since("job", 0.0),
        lambda queue: queue.events(after_id=7),
        lambda queue: queue.events(task_id=7),
        lambda queue: queue.figures(),
        lambda queue: queue.pools(),
        lambda queue: queue.owners(),
        lambda queue: queue.stop_requests(),
        lambda queue: queue.cancel(job_id="job", reason="stop"),
        lambda queue: queue.replay(job_id="job"),
        lambda queue: queue.make_due("job"),
        lambda queue: queue.set_deadline("job", 9.0),
        lambda queue: queue.prune(finished_before=1.0),
        lambda queue: queue.retire("worker", reason="gone", is_blameless=True),
    ],
)
def test_looking_and_stopping_walk_through_no_table_that_grows(
    queue: SqliteQueue, plans: Plans, look: Callable[[SqliteQueue], object]
) -> None:
    queue.register(Owner("worker", "here", "boot", 1, 0, 0.0))
    claim_one(queue, pool="here")
    with plans.recorded() as found:
        look(queue)
    assert found
    assert scans(found) == {}


def test_the_leased_tasks_of_a_job_are_found_among_the_leased_ones(queue: SqliteQueue, plans: Plans) -> None:
    with plans.recorded() as found:
        queue.leased("job")
    ((step, *_),) = found.values()
    assert step == "SCAN task USING INDEX task_leased"


def test_a_walk_through_all_tasks_would_be_seen(queue: SqliteQueue, plans: Plans) -> None:
    with plans.recorded() as found:
        queue._connection.execute("SELECT id FROM task WHERE payload = '' ORDER BY payload, attempt")
    assert scans(found) != {}
    assert sorts(found) != {}
