"""Looking at the queue costs what is unfinished, whatever was finished before."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from audobon.cli.queue_looks import Looker
from audobon.database.service import Database
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Capacity, Claimant, Needs, NewTask

FINISHED = 10_000
FEW_STEPS = 500
"""Of SQLite's machine; to pass by a finished task takes three at least."""

Look = Callable[[SqliteQueue], object]

LOOKS: dict[str, Look] = {
    "the figures": lambda queue: queue.figures(),
    "the memory": lambda queue: queue.pools(),
    "what is at work": lambda queue: queue.select(states=["leased"], limit=1000),
    "what waits": lambda queue: queue.select(queue="batch", states=["waiting", "ready"], limit=50),
    "the dead letters": lambda queue: queue.select(states=["failed"], limit=50),
    "what ended lately": lambda queue: queue.ended_since(2e12),
    "the newest": lambda queue: queue.select(limit=2),
}


def new_tasks(count: int) -> Iterator[NewTask]:
    return (NewTask(needs=Needs(kind="page", model=f"model {n % 3}", ram_bytes=1)) for n in range(count))


def filled(folder: Path, finished: int) -> sqlite3.Connection:
    """Return a queue with a few tasks in each unfinished state, after so many that were finished."""
    connection = Database(folder).open(durable=False)
    queue = SqliteQueue(connection)
    with queue.transaction():
        queue.enqueue("batch", new_tasks(finished))
        connection.execute("UPDATE task SET state = 'done', finished_at = 1000.0, attempt = 1")
    queue.set_capacity("here", Capacity(1000))
    queue.enqueue("batch", new_tasks(9))
    first, *_ = queue.claim(Claimant(owner="worker", pool="here"), limit=4)
    queue.fail(first, code="worker_died", message="", retry=False)
    return connection


@pytest.fixture(scope="module")
def queues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[sqlite3.Connection]]:
    folder = tmp_path_factory.mktemp("queues")
    with (
        closing(filled(folder / "fresh", 0)) as fresh,
        closing(filled(folder / "old", FINISHED)) as old,
    ):
        yield [fresh, old]


def steps_of(connection: sqlite3.Connection, look: Look) -> int:
    """Return how many steps of SQLite's machine a look takes."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    queue = SqliteQueue(connection)
    # The first time, SQLite makes its plan.
    look(queue)
    connection.set_progress_handler(count, 1)
    try:
        look(queue)
    finally:
        connection.set_progress_handler(None, 1)
    return steps


@pytest.mark.parametrize("name", LOOKS)
def test_ten_thousand_finished_tasks_cost_nothing(queues: list[sqlite3.Connection], name: str) -> None:
    fresh, old = (steps_of(connection, LOOKS[name]) for connection in queues)

    assert old <= fresh + FEW_STEPS


def test_a_look_of_the_watch_costs_the_same_after_ten_thousand_finished_tasks(
    queues: list[sqlite3.Connection],
) -> None:
    costs = []
    for connection in queues:
        looker = Looker(
            SqliteQueue(connection), engine_pid=lambda: None, steady_clock=iter(range(99)).__next__
        )
        looker.look()
        costs.append(steps_of(connection, lambda _, looker=looker: looker.look()))  # type: ignore[misc]

    assert costs[1] <= costs[0] + FEW_STEPS


def test_counting_steps_has_teeth(queues: list[sqlite3.Connection]) -> None:
    def passes_by_all(queue: SqliteQueue) -> object:
        return queue._rows("SELECT id FROM task WHERE finished_at IS NULL", {})

    fresh, old = (steps_of(connection, passes_by_all) for connection in queues)

    assert old > fresh + FINISHED
