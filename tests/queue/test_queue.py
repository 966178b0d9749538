"""The queue's promises, one by one, in one process and on a clock that tests turn."""

import sqlite3
from typing import Protocol

import pytest
from queue_tasks import PLENTY, claim, claimed_ordinals, enqueue, events, new_task

from audobon.queue import statements
from audobon.queue.service import Lease, Queue, TaskView
from audobon.sqlite import transaction


class Clock(Protocol):
    seconds: float


def test_a_task_is_waiting_once_it_was_added(queue: Queue) -> None:
    assert enqueue(queue, 7) == [1]
    assert queue.tasks("job") == [
        TaskView(
            id=1,
            ordinal=7,
            state="ready",
            attempt=0,
            owner=None,
            result_blob=None,
            result=None,
            error_code=None,
            error_message=None,
            done_units=0,
            total_units=4,
            finished_at=None,
        )
    ]


def test_a_lease_carries_what_the_worker_needs(queue: Queue) -> None:
    (task_id,) = enqueue(queue, 7)
    assert claim(queue) == Lease(
        id=task_id, job_id="job", ordinal=7, token=1, attempt=1, payload='{"page":7}'
    )
    assert [(task.state, task.owner, task.attempt) for task in queue.tasks("job")] == [
        ("leased", "worker", 1)
    ]


def test_nothing_is_leased_twice(queue: Queue) -> None:
    enqueue(queue, 1)
    claim(queue)
    assert queue.claim("job", "another", free_ram_bytes=PLENTY) is None


def test_a_job_gets_only_its_own_tasks(queue: Queue) -> None:
    enqueue(queue, 1, job_id="other")
    assert queue.claim("job", "worker", free_ram_bytes=PLENTY) is None
    assert queue.tasks("job") == []
    assert queue.next_run_at("job") is None


def test_equal_tasks_go_by_age_and_then_by_id(queue: Queue, clock: Clock) -> None:
    enqueue(queue, 5, 3)
    clock.seconds += 1
    enqueue(queue, 1)
    assert claimed_ordinals(queue) == [5, 3, 1]


def test_a_higher_priority_goes_first(queue: Queue) -> None:
    enqueue(queue, 1)
    enqueue(queue, 2, priority=1)
    enqueue(queue, 3, priority=-1)
    assert claimed_ordinals(queue) == [2, 1, 3]


def test_waiting_a_minute_is_worth_one_priority(queue: Queue, clock: Clock) -> None:
    enqueue(queue, 1)
    clock.seconds += 59
    enqueue(queue, 2, priority=1)
    clock.seconds += 2
    enqueue(queue, 3, priority=1)
    assert claimed_ordinals(queue) == [2, 1, 3]


def test_only_tasks_that_fit_the_free_memory_are_leased(queue: Queue) -> None:
    tasks = [new_task(1, ram_bytes=300), new_task(2, ram_bytes=200)]
    queue.enqueue("job", tasks, category="batch")
    assert queue.claim("job", "worker", free_ram_bytes=199) is None
    small = queue.claim("job", "worker", free_ram_bytes=200)
    assert small is not None
    assert small.ordinal == 2
    large = queue.claim("job", "worker", free_ram_bytes=300)
    assert large is not None
    assert large.ordinal == 1


def test_an_entry_of_a_job_has_one_task_and_a_failed_addition_adds_none(queue: Queue) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        enqueue(queue, 1, 2, 1)
    assert queue.tasks("job") == []


def test_adding_joins_the_callers_transaction(queue: Queue, connection: sqlite3.Connection) -> None:
    def stopped() -> None:
        with transaction(connection):
            enqueue(queue, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert queue.tasks("job") == []
    assert events(connection) == []


def test_a_finished_task_keeps_its_result(queue: Queue, clock: Clock) -> None:
    enqueue(queue, 1)
    lease = claim(queue)
    clock.seconds += 5
    queue.finish(lease, result_blob="blob", result="{}")
    (task,) = queue.tasks("job")
    assert (task.state, task.owner, task.result_blob, task.result) == ("done", None, "blob", "{}")
    assert (task.finished_at, task.done_units) == (1005.0, 4)
    assert claimed_ordinals(queue) == []


def test_finished_work_is_found_by_its_key_the_newest_first(queue: Queue, clock: Clock) -> None:
    for job_id in ("other", "job"):
        queue.enqueue(job_id, [new_task(1, work_key="same")], category="batch")
    assert queue.find_done("same") is None
    for job_id in ("other", "job"):
        lease = queue.claim(job_id, "worker", free_ram_bytes=PLENTY)
        assert lease is not None
        clock.seconds += 1
        queue.finish(lease, result_blob=f"blob of {job_id}", result=None)
    assert queue.find_done("same") == ("blob of job", None)
    assert queue.find_done("another") is None


def test_a_waiting_task_adopts_the_result_of_equal_work(queue: Queue) -> None:
    first, second = enqueue(queue, 1, 2)
    queue.adopt(second, "blob", "{}")
    task = queue.tasks("job")[1]
    assert (task.state, task.attempt, task.result_blob, task.result) == ("done", 0, "blob", "{}")
    assert (task.finished_at, task.done_units) == (1000.0, 4)
    assert claim(queue).id == first


def test_a_task_at_work_adopts_nothing(queue: Queue, connection: sqlite3.Connection) -> None:
    (task_id,) = enqueue(queue, 1)
    claim(queue)
    before, recorded = queue.tasks("job"), events(connection)
    queue.adopt(task_id, "blob", "{}")
    assert queue.tasks("job") == before
    assert events(connection) == recorded


def test_what_was_finished_since_and_what_is_at_work_can_be_asked_alone(queue: Queue, clock: Clock) -> None:
    first, second, third, _ = enqueue(queue, 1, 2, 3, 4)
    enqueue(queue, 1, job_id="other")
    clock.seconds = 1010.0
    queue.finish(claim(queue), result_blob=None, result=None)
    clock.seconds = 1020.0
    queue.fail(claim(queue), error_code="worker_died", error_message="died", retry=False)
    queue.progress(claim(queue), 1, 6)
    assert [task.id for task in queue.finished_since("job", 0.0)] == [first, second]
    assert [task.id for task in queue.finished_since("job", 1020.0)] == [second]
    assert queue.finished_since("job", 1020.1) == []
    assert [(task.id, task.done_units, task.total_units) for task in queue.leased("job")] == [(third, 1, 6)]


def test_every_step_of_a_task_is_on_record(
    queue: Queue, connection: sqlite3.Connection, clock: Clock
) -> None:
    first, second = enqueue(queue, 1, 2)
    clock.seconds = 1001.0
    queue.adopt(second, "blob", None)
    queue.fail(claim(queue), error_code="worker_died", error_message="died", retry=True)
    clock.seconds = 1002.0
    claim(queue)
    queue.give_back("job", owner=None, reason="stopped", is_blameless=True)
    queue.fail(claim(queue), error_code="unreadable_picture", error_message="cut off", retry=False)
    clock.seconds = 1003.0
    queue.retry_failed("job")
    queue.finish(claim(queue), result_blob="blob", result=None)
    assert events(connection) == [
        (first, 1000.0, "enqueued", ""),
        (second, 1000.0, "enqueued", ""),
        (second, 1001.0, "adopted", ""),
        (first, 1001.0, "leased", "attempt 1 by worker"),
        (first, 1001.0, "retried", "died"),
        (first, 1002.0, "leased", "attempt 2 by worker"),
        (first, 1002.0, "given back", "stopped"),
        (first, 1002.0, "leased", "attempt 2 by worker"),
        (first, 1002.0, "failed", "cut off"),
        (first, 1003.0, "made ready again", ""),
        (first, 1003.0, "leased", "attempt 1 by worker"),
        (first, 1003.0, "done", ""),
    ]


@pytest.mark.parametrize(
    ("statement", "searches"),
    [
        (statements.CLAIM, "SEARCH task USING INDEX task_ready (job_id=?)"),
        (statements.FIND_DONE, "SEARCH task USING INDEX task_done_work (work_key=?)"),
        (statements.ABANDONED, "SEARCH task USING INDEX task_leased (job_id=?)"),
        (statements.RENEW, "SEARCH task USING INDEX task_leased (job_id=? AND owner=?)"),
        (statements.NEXT_RUN_AT, "SEARCH task USING INDEX task_ready (job_id=?)"),
        (statements.LEASED, "SEARCH task USING INDEX task_leased (job_id=?)"),
        (statements.FINISHED_SINCE, "SEARCH task USING INDEX task_finished (job_id=? AND finished_at>?)"),
        (statements.TASKS_OF_JOB, "SEARCH task USING INDEX sqlite_autoindex_task_1 (job_id=?)"),
    ],
)
def test_the_statements_run_for_every_task_use_their_index(
    connection: sqlite3.Connection, statement: str, searches: str
) -> None:
    names = ("job_id", "owner", "work_key", "now", "since", "free_ram_bytes", "lease_until")
    rows = connection.execute("EXPLAIN QUERY PLAN " + statement, dict.fromkeys(names)).fetchall()
    plan = [row["detail"] for row in rows]
    assert searches in plan
    assert [step for step in plan if step.startswith("SCAN")] == []


def test_the_next_task_is_found_without_sorting_those_that_wait(connection: sqlite3.Connection) -> None:
    names = ("job_id", "owner", "now", "free_ram_bytes")
    plan = connection.execute("EXPLAIN QUERY PLAN " + statements.CLAIM, dict.fromkeys(names)).fetchall()
    assert [row["detail"] for row in plan if "TEMP B-TREE" in row["detail"]] == []
