"""Following a job shows what is new, and sums that are right, without looking at everything again."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from audobon.database.service import Database
from audobon.jobs.following import Following
from audobon.jobs.report import Counts
from audobon.queue.embedded import SqliteQueue
from audobon.queue.port import Queue
from audobon.queue.tasks import Claimant, Lease, Needs, NewTask


class TurnedClock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def queue(tmp_path: Path, clock: TurnedClock) -> Iterator[Queue]:
    """A queue with the four pages of a job."""
    with closing(Database(tmp_path).open(durable=False)) as connection:
        connection.execute(
            "INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
            " VALUES ('job', 'key', 'upscale', '{}', '/book.cbz', 'book', 'running', 0)"
        )
        with SqliteQueue(connection, clock=clock) as queue:
            tasks = [
                NewTask(needs=Needs(kind="page"), job_id="job", ordinal=ordinal, total_units=4)
                for ordinal in range(4)
            ]
            queue.enqueue("batch", tasks)
            yield queue


def claim(queue: Queue) -> Lease:
    (lease,) = queue.claim(Claimant(owner="me"))
    return lease


def test_news_come_once_and_sums_follow(queue: Queue) -> None:
    queue.finish(claim(queue))
    following = Following(queue, "job", resumed=frozenset({0}))
    assert (following.tasks, following.resumed) == (4, {0})
    queue.finish(claim(queue))
    queue.fail(claim(queue), code="worker_died", message="died", retry=False)
    queue.progress(claim(queue), 1, 6)

    news, counts = following.look()

    assert [(task.ordinal, task.state) for task in news] == [(1, "done"), (2, "failed")]
    assert counts == Counts(tasks=4, done=2, failed=1, done_units=4 + 4 + 1, total_units=4 + 4 + 6)
    assert following.look() == ([], counts)
    assert not following.is_complete


def test_a_page_that_failed_before_and_is_made_ready_again_is_news_when_done(queue: Queue) -> None:
    for _ in range(4):
        queue.fail(claim(queue), code="worker_died", message="died", retry=False)
    queue.replay(job_id="job")
    following = Following(queue, "job", resumed=frozenset())
    assert following.look() == ([], Counts(tasks=4, done=0, failed=0, done_units=0, total_units=16))
    queue.finish(claim(queue))
    news, _ = following.look()
    assert [task.ordinal for task in news] == [0]


def test_a_cancelled_page_is_news_and_ends_the_job_as_a_failed_one_does(queue: Queue) -> None:
    following = Following(queue, "job", resumed=frozenset())
    queue.cancel(job_id="job", reason="stop")
    news, counts = following.look()
    assert [task.state for task in news] == ["cancelled"] * 4
    assert counts == Counts(tasks=4, done=0, failed=4, done_units=0, total_units=0)
    assert following.is_complete


def test_what_ended_under_a_clock_that_was_set_back_is_news_once_all_is_quiet(
    queue: Queue, clock: TurnedClock
) -> None:
    quiet = TurnedClock()
    following = Following(queue, "job", resumed=frozenset(), clock=quiet)
    queue.finish(claim(queue))
    assert [task.ordinal for task in following.look()[0]] == [0]
    clock.seconds -= 900
    queue.finish(claim(queue))
    assert (following.look()[0], following.is_quiet) == ([], False)
    quiet.seconds += 1.0
    assert (following.look()[0], following.is_quiet) == ([], True)
    quiet.seconds += 1.0
    assert [task.ordinal for task in following.look()[0]] == [1]


def test_a_page_that_is_replayed_while_its_job_runs_is_waited_for_and_told_again(queue: Queue) -> None:
    following = Following(queue, "job", resumed=frozenset())
    failed = claim(queue)
    queue.fail(failed, code="worker_died", message="died", retry=False)
    for _ in range(2):
        queue.finish(claim(queue))
    last = claim(queue)
    assert [task.state for task in following.look()[0]] == ["failed", "done", "done"]

    queue.replay(task_ids=[failed.id])
    queue.finish(last)
    news, counts = following.look()
    assert [task.ordinal for task in news] == [3]
    assert (following.is_complete, counts) == (False, Counts(4, 3, 0, 12, 16))

    again = claim(queue)
    queue.progress(again, 1, 4)
    assert following.look() == ([], Counts(4, 3, 0, 13, 16))
    queue.finish(again)
    news, counts = following.look()
    assert [(task.ordinal, task.state) for task in news] == [(0, "done")]
    assert (following.is_complete, counts) == (True, Counts(4, 4, 0, 16, 16))


def test_a_replayed_page_that_is_at_work_again_is_counted_once(queue: Queue) -> None:
    following = Following(queue, "job", resumed=frozenset())
    failed = claim(queue)
    queue.fail(failed, code="worker_died", message="died", retry=False)
    assert following.look()[1] == Counts(4, 0, 1, 0, 12)
    queue.replay(task_ids=[failed.id])
    queue.progress(claim(queue), 3, 4)
    assert following.look()[1] == Counts(4, 0, 0, 3, 16)


def test_a_page_called_off_at_work_takes_its_units_out_of_the_total_and_a_replay_brings_them_back(
    queue: Queue,
) -> None:
    following = Following(queue, "job", resumed=frozenset())
    queue.finish(claim(queue))
    lease = claim(queue)
    queue.progress(lease, 2, 6)
    assert following.look()[1] == Counts(4, 1, 0, 4 + 2, 4 + 6 + 4 + 4)

    queue.cancel(task_ids=[lease.id], reason="not wanted")
    queue.release(lease, reason="stopped")
    assert following.look()[1] == Counts(4, 1, 1, 4, 4 + 4 + 4)

    queue.replay(task_ids=[lease.id])
    queue.progress(claim(queue), 1, 6)
    assert following.look()[1] == Counts(4, 1, 0, 4 + 1, 4 + 6 + 4 + 4)
