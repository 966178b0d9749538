"""The queue on SQLite when the disk fills or fails, or another process keeps the file: before or after."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from queue_tasks import FixedDraw, OpenConnection, TurnedClock, add, claim, claim_one, new_task

from audobon.errors import AudobonError, DiskFull, Unavailable
from audobon.queue.embedded import SqliteQueue
from audobon.queue.port import Queue
from audobon.queue.rules import QueueRules
from audobon.queue.schedule import Schedule
from audobon.queue.tasks import Capacity, Lease, Needs, Owner

State = list[list[tuple[Any, ...]]]


class FailingConnection(sqlite3.Connection):
    """A connection on which one statement fails, as it does when the disk is full or broken.

    fails_in    how many statements are still let through; below 0 for all
    code        what SQLite says then
    rolls_back  it undid the whole block by itself, as it may
    """

    fails_in = -1
    code = sqlite3.SQLITE_FULL
    rolls_back = False

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self._fail()
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        self._fail()
        return super().executemany(*arguments)

    def _fail(self) -> None:
        if self.fails_in == 0:
            self.fails_in = -1
            if self.rolls_back and self.in_transaction:
                super().execute("ROLLBACK")
            error = sqlite3.OperationalError("made to fail")
            error.sqlite_errorcode = self.code
            raise error
        self.fails_in -= self.fails_in > 0


class Scenario:
    """A life of tasks in steps, over a connection that may fail."""

    def __init__(self, path: Path) -> None:
        self.clock, draw = TurnedClock(), FixedDraw()
        draw.drawn = 0.0
        self.connection = sqlite3.connect(path, isolation_level=None, factory=FailingConnection)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.connection.execute("PRAGMA synchronous = OFF")
        self.queue = SqliteQueue(self.connection, clock=self.clock, draw=draw)

    def steps(self) -> list[Callable[[], object]]:
        queue = self.queue
        schedule = Schedule(name="s", queue="batch", needs=Needs(kind="prune"), cron="* * * * *")
        pages = [
            new_task(str(number), ram_bytes=1, idempotency_key=str(number), job_id="job", ordinal=number)
            for number in range(6)
        ]
        return [
            lambda: queue.configure(QueueRules(name="batch", rate_per_second=99.0, burst=99)),
            lambda: queue.set_capacity("here", Capacity(9)),
            lambda: queue.register(Owner("worker", "here", "boot", 1, 0, 0.0)),
            lambda: queue.enqueue("batch", pages),
            lambda: queue.enqueue("batch", [*pages, new_task("kept", delay_seconds=5)]),
            lambda: claim(queue, pool="here", limit=4),
            lambda: queue.progress(self.held(), 1, 2, note="note"),
            lambda: queue.reserve(self.held(), ram_bytes=3),
            lambda: queue.fail(self.held(), code="unavailable", message="", retry=True),
            lambda: queue.fail(self.held(), code="corrupt", message="", retry=False),
            lambda: queue.finish(self.held(), blob="blob", result="1"),
            lambda: queue.release(self.held(), reason="stop"),
            lambda: claim(queue, pool="here", limit=2),
            lambda: queue.cancel(job_id="job", reason="stop"),
            lambda: queue.beat(["worker"]),
            lambda: queue.retire("worker", reason="died", is_blameless=False),
            lambda: queue.replay(job_id="job"),
            lambda: queue.amend(1, '"new"'),
            lambda: queue.adopt(1, "blob", None),
            lambda: queue.put_schedule(schedule),
            lambda: setattr(self.clock, "seconds", self.clock.seconds + 120),
            lambda: queue.run_schedules(),
            lambda: queue.remove_schedule("s"),
            lambda: queue.set_state("batch", "drain"),
            lambda: queue.prune(finished_before=0.0),
        ]

    def held(self) -> Lease:
        """The oldest task at work, as its worker holds it."""
        task = self.queue.select(states=["leased"])[-1]
        names = set(Lease.__struct_fields__) & set(task.__struct_fields__)
        return Lease(**{name: getattr(task, name) for name in names})

    def state(self) -> State:
        tables = ("task", "task_event", "queue", "resource_class", "pool", "owner", "schedule")
        return [
            [tuple(row) for row in self.connection.execute(f"SELECT * FROM {table} ORDER BY 1")]
            for table in tables
        ]


@pytest.fixture
def new_scenario(tmp_path: Path, migrated_bytes: bytes) -> Iterator[Callable[[], Scenario]]:
    """Scenarios, each with a database of its own."""
    made: list[Scenario] = []

    def new() -> Scenario:
        path = tmp_path / str(len(made)) / "audobon.db"
        path.parent.mkdir()
        path.write_bytes(migrated_bytes)
        made.append(Scenario(path))
        return made[-1]

    yield new
    for scenario in made:
        scenario.connection.close()


@pytest.mark.parametrize(
    ("code", "rolls_back", "expected"),
    [
        (sqlite3.SQLITE_FULL, True, DiskFull),
        (sqlite3.SQLITE_FULL, False, DiskFull),
        (sqlite3.SQLITE_IOERR_WRITE, True, Unavailable),
        (sqlite3.SQLITE_BUSY, False, Unavailable),
    ],
)
def test_whatever_statement_fails_the_step_did_nothing_and_can_be_done_again(
    new_scenario: Callable[[], Scenario], code: int, rolls_back: bool, expected: type[AudobonError]
) -> None:
    scenario = new_scenario()
    states: list[State] = []
    for step in scenario.steps():
        states.append(scenario.state())
        step()
    states.append(scenario.state())

    failures = 0
    for index in range(len(states) - 1):
        # Each statement of the step fails in turn, until one is meant that the step does not have.
        scenario = new_scenario()
        for step in scenario.steps()[:index]:
            step()
        step = scenario.steps()[index]
        scenario.connection.code, scenario.connection.rolls_back = code, rolls_back
        statement = 0
        while True:
            scenario.connection.fails_in = statement
            try:
                step()
            except expected:
                failures += 1
            else:
                break
            finally:
                scenario.connection.fails_in = -1
            assert not scenario.connection.in_transaction
            assert scenario.state() == states[index], f"step {index}, statement {statement}"
            statement += 1
        assert scenario.state() == states[index + 1], f"step {index}"
    assert failures > 100


def test_what_was_acknowledged_before_the_disk_was_full_is_there_and_the_queue_goes_on_after(
    open_connection: OpenConnection,
) -> None:
    connection = open_connection()
    queue = SqliteQueue(connection)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    told: list[int] = []
    big = "x" * 2000

    def fill() -> None:
        while True:
            told.extend(add(queue, *(new_task(big) for _ in range(7))))

    with pytest.raises(DiskFull) as caught:
        fill()
    assert caught.value.hint == "free some space and run the same command again"
    assert len(told) >= 14
    other = SqliteQueue(open_connection())
    assert sorted(task.id for task in other.select(limit=10_000)) == told
    connection.execute(f"PRAGMA max_page_count = {pages + 2000}")
    assert add(queue, "after") == [told[-1] + 1]
    assert len(claim(queue, limit=10_000)) == len(told) + 1


def test_a_block_whose_disk_is_full_leaves_nothing_of_what_fitted(
    open_connection: OpenConnection,
) -> None:
    connection = open_connection()
    queue = SqliteQueue(connection)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 5}")

    def fill() -> None:
        with queue.transaction():
            while True:
                add(queue, new_task("x" * 2000))

    with pytest.raises(DiskFull):
        fill()
    assert not connection.in_transaction
    assert SqliteQueue(open_connection()).select() == []


def test_a_database_another_process_keeps_is_told_as_busy_and_can_be_read_meanwhile(
    open_connection: OpenConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audobon.sqlite.BUSY_SECONDS", 0.0)
    keeper, queue = open_connection(), SqliteQueue(open_connection())
    (task_id,) = add(queue, new_task(total_units=3))
    lease = claim_one(queue)
    keeper.execute("BEGIN IMMEDIATE")
    for change in (
        lambda: add(queue, "b"),
        lambda: queue.finish(lease),
        lambda: queue.progress(lease, 1, 1),
        lambda: queue.cancel(task_ids=[task_id], reason=""),
    ):
        with pytest.raises(Unavailable, match="kept locked by another process"):
            change()
    assert queue.find(task_id).state == "leased"
    assert claim(queue) == []
    keeper.execute("ROLLBACK")
    queue.finish(lease)
    assert queue.find(task_id).state == "done"


def test_a_broken_rule_of_the_tables_is_not_called_a_damaged_file(queue_on_disk: Queue) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        add(queue_on_disk, new_task(job_id="no such job", ordinal=0))


@pytest.fixture
def queue_on_disk(open_connection: OpenConnection) -> SqliteQueue:
    return SqliteQueue(open_connection())
