"""What the queue promises when work fails, workers die, and many want the same task."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import Protocol

import pytest
from queue_tasks import PLENTY, claim, claimed_ordinals, enqueue, events

from audobon.errors import LeaseLost
from audobon.queue.service import Queue

StartPython = Callable[..., "Popen[str]"]

CLAIM_AND_HOLD = """
import sys
from pathlib import Path
from audobon.database.service import Database
from audobon.queue.service import Queue

queue = Queue(Database(Path(sys.argv[1])).open(), clock=lambda: 2000.0)
print(queue.claim("job", sys.argv[2], free_ram_bytes=1 << 40).ordinal)
sys.stdin.read()
"""

CLAIM_AND_FINISH_ALL = """
import sys
from pathlib import Path
from audobon.database.service import Database
from audobon.queue.service import Queue

queue = Queue(Database(Path(sys.argv[1])).open(durable=False))
print("here")
sys.stdin.readline()
done = []
while (lease := queue.claim("job", sys.argv[2], free_ram_bytes=1 << 40)) is not None:
    queue.finish(lease, result_blob=sys.argv[2], result=None)
    done.append(lease.ordinal)
print(*done)
"""


class Clock(Protocol):
    seconds: float


def killed_while_holding(start_python: StartPython, folder: Path, owner: str) -> int:
    """Return the task that a process leased before it was killed."""
    process = start_python(CLAIM_AND_HOLD, folder, owner)
    assert process.stdout is not None
    ordinal = int(process.stdout.readline())
    process.kill()
    process.wait()
    return ordinal


def test_a_failure_worth_another_try_waits_longer_each_time_and_then_stays(
    queue: Queue, clock: Clock
) -> None:
    enqueue(queue, 1)
    waits = []
    for state in ("ready", "ready", "failed"):
        lease = claim(queue)
        queue.progress(lease, 2, 4)
        assert queue.fail(lease, error_code="worker_died", error_message="died", retry=True) == state
        if state == "ready":
            run_at = queue.next_run_at("job")
            assert run_at is not None
            assert queue.claim("job", "worker", free_ram_bytes=PLENTY) is None
            waits.append(run_at - clock.seconds)
            clock.seconds = run_at
            assert queue.tasks("job")[0].finished_at is None
    assert waits == [1.0, 2.0]
    assert queue.next_run_at("job") is None
    (task,) = queue.tasks("job")
    assert (task.state, task.attempt, task.owner, task.done_units) == ("failed", 3, None, 0)
    assert (task.error_code, task.error_message, task.finished_at) == ("worker_died", "died", clock.seconds)


def test_a_failure_that_will_not_get_better_stays_at_once(queue: Queue) -> None:
    enqueue(queue, 1)
    lease = claim(queue)
    assert queue.fail(lease, error_code="unreadable_picture", error_message="cut off", retry=False) == (
        "failed"
    )
    assert claimed_ordinals(queue) == []


def test_a_task_that_is_tried_again_keeps_its_place(queue: Queue, clock: Clock) -> None:
    enqueue(queue, 1)
    clock.seconds += 1
    enqueue(queue, 2)
    queue.fail(claim(queue), error_code="worker_died", error_message="died", retry=True)
    clock.seconds += 1
    assert claimed_ordinals(queue) == [1, 2]


def test_failed_tasks_are_made_ready_again_with_all_their_attempts(queue: Queue, clock: Clock) -> None:
    enqueue(queue, 1, 2)
    queue.fail(claim(queue), error_code="worker_died", error_message="died", retry=False)
    queue.finish(claim(queue), result_blob=None, result=None)
    clock.seconds += 100
    assert queue.retry_failed("job") == 1
    assert queue.retry_failed("job") == 0
    task = queue.tasks("job")[0]
    assert (task.state, task.attempt, task.finished_at) == ("ready", 0, None)
    assert (task.error_code, task.error_message) == (None, None)
    assert claim(queue).attempt == 1


def test_a_late_finisher_is_told_and_changes_nothing(queue: Queue, connection: sqlite3.Connection) -> None:
    enqueue(queue, 1)
    late = claim(queue, "late")
    queue.give_back("job", owner="late", reason="silent", is_blameless=False)
    claim(queue, "new")
    before, recorded = queue.tasks("job"), events(connection)
    with pytest.raises(LeaseLost) as caught:
        queue.finish(late, result_blob="late blob", result=None)
    assert caught.value.message == f"task {late.id} was handed on while it was being worked on"
    with pytest.raises(LeaseLost):
        queue.fail(late, error_code="worker_died", error_message="died", retry=True)
    queue.progress(late, 3, 4)
    assert queue.tasks("job") == before
    assert events(connection) == recorded


def test_a_lease_is_void_once_its_task_was_given_back(queue: Queue) -> None:
    enqueue(queue, 1)
    lease = claim(queue)
    queue.give_back("job", owner=None, reason="stopped", is_blameless=True)
    with pytest.raises(LeaseLost):
        queue.finish(lease, result_blob=None, result=None)
    assert queue.tasks("job")[0].state == "ready"


def test_finishing_twice_is_told(queue: Queue) -> None:
    enqueue(queue, 1)
    lease = claim(queue)
    queue.finish(lease, result_blob="first", result=None)
    with pytest.raises(LeaseLost):
        queue.finish(lease, result_blob="second", result=None)
    assert queue.tasks("job")[0].result_blob == "first"


def test_tasks_are_taken_from_the_owner_named_only(queue: Queue) -> None:
    enqueue(queue, 1, 2, 3)
    for owner in ("gone", "alive", "gone"):
        claim(queue, owner)
    assert queue.give_back("job", owner="gone", reason="died", is_blameless=False) == 2
    assert [(task.state, task.owner) for task in queue.tasks("job")] == [
        ("ready", None),
        ("leased", "alive"),
        ("ready", None),
    ]
    assert queue.give_back("other", owner=None, reason="died", is_blameless=False) == 0
    assert queue.give_back("job", owner=None, reason="died", is_blameless=False) == 1
    assert queue.give_back("job", owner=None, reason="died", is_blameless=False) == 0


def test_a_worker_stopped_on_purpose_costs_no_attempt(queue: Queue) -> None:
    enqueue(queue, 1)
    for _ in range(10):
        assert claim(queue).attempt == 1
        queue.give_back("job", owner="worker", reason="stopped", is_blameless=True)
    (task,) = queue.tasks("job")
    assert (task.state, task.attempt, task.error_code, task.finished_at) == ("ready", 0, None, None)


def test_a_page_that_kills_every_worker_is_given_up(
    queue: Queue, connection: sqlite3.Connection, clock: Clock
) -> None:
    enqueue(queue, 1)
    for attempt in (1, 2, 3):
        clock.seconds += 10
        assert claim(queue).attempt == attempt
        assert queue.give_back("job", owner="worker", reason="out of memory", is_blameless=False) == 1
    (task,) = queue.tasks("job")
    assert (task.state, task.attempt, task.owner, task.finished_at) == ("failed", 3, None, 1030.0)
    assert (task.error_code, task.error_message) == ("worker_died", "out of memory")
    assert [kind for _, _, kind, _ in events(connection)] == [
        "enqueued",
        "leased",
        "given back",
        "leased",
        "given back",
        "leased",
        "failed",
    ]


def test_renewing_prolongs_the_leases_of_one_owner(
    queue: Queue, connection: sqlite3.Connection, clock: Clock
) -> None:
    enqueue(queue, 1, 2)
    claim(queue, "one")
    claim(queue, "two")
    clock.seconds += 30
    queue.renew("job", "two")
    rows = connection.execute("SELECT owner, lease_until FROM task ORDER BY owner").fetchall()
    assert [tuple(row) for row in rows] == [("one", 1060.0), ("two", 1090.0)]


def test_a_task_of_a_killed_process_is_finished_by_another(
    queue: Queue, tmp_path: Path, start_python: StartPython
) -> None:
    enqueue(queue, 1)
    assert killed_while_holding(start_python, tmp_path, "killed") == 1
    assert queue.claim("job", "another", free_ram_bytes=PLENTY) is None
    assert queue.give_back("job", owner="killed", reason="died", is_blameless=False) == 1
    lease = claim(queue, "another")
    assert (lease.ordinal, lease.attempt) == (1, 2)
    queue.finish(lease, result_blob="blob", result=None)
    (task,) = queue.tasks("job")
    assert (task.state, task.result_blob, task.error_code) == ("done", "blob", None)


def test_each_task_is_done_exactly_once_by_a_crowd(
    queue: Queue, tmp_path: Path, connection: sqlite3.Connection, start_python: StartPython
) -> None:
    enqueue(queue, *range(200))
    workers = {
        f"worker {number}": start_python(CLAIM_AND_FINISH_ALL, tmp_path, f"worker {number}")
        for number in range(4)
    }
    for worker in workers.values():
        assert worker.stdout is not None
        assert worker.stdout.readline() == "here\n"
    for worker in workers.values():
        assert worker.stdin is not None
        worker.stdin.write("now\n")
        worker.stdin.flush()
    done = {name: list(map(int, worker.communicate()[0].split())) for name, worker in workers.items()}
    assert sorted(ordinal for ordinals in done.values() for ordinal in ordinals) == list(range(200))
    assert {task.ordinal: task.result_blob for task in queue.tasks("job")} == {
        ordinal: name for name, ordinals in done.items() for ordinal in ordinals
    }
    assert {task.attempt for task in queue.tasks("job")} == {1}
    kinds = Counter(kind for _, _, kind, _ in events(connection))
    assert kinds == {"enqueued": 200, "leased": 200, "done": 200}
