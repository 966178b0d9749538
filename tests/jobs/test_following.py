"""Following a job shows what is new, and sums that are right, without looking at everything again."""

from pathlib import Path

import pytest

from audobon.database.service import Database
from audobon.jobs.following import Following
from audobon.jobs.report import Counts
from audobon.queue.service import Lease, NewTask, Queue


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    connection = Database(tmp_path).open(durable=False)
    connection.execute(
        "INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
        " VALUES ('job', 'key', 'upscale', '{}', '/book.cbz', 'book', 'running', 0)"
    )
    queue = Queue(connection)
    tasks = [
        NewTask(ordinal=i, work_key=str(i), model="m", ram_bytes=1, payload="{}", total_units=4)
        for i in range(4)
    ]
    queue.enqueue("job", tasks, category="batch")
    return queue


def claim(queue: Queue) -> Lease:
    lease = queue.claim("job", "me", free_ram_bytes=1)
    assert lease is not None
    return lease


def test_news_come_once_and_sums_follow(queue: Queue) -> None:
    queue.finish(claim(queue), result_blob=None, result=None)
    following = Following(queue, "job")
    assert (following.tasks, following.resumed) == (4, {0})
    queue.finish(claim(queue), result_blob=None, result=None)
    queue.fail(claim(queue), error_code="worker_died", error_message="died", retry=False)
    queue.progress(claim(queue), 1, 6)

    news, counts = following.look()

    assert [(task.ordinal, task.state) for task in news] == [(1, "done"), (2, "failed")]
    assert counts == Counts(tasks=4, done=2, failed=1, done_units=4 + 4 + 4 + 1, total_units=4 + 4 + 4 + 6)
    assert following.look() == ([], counts)


def test_a_page_that_failed_before_and_is_made_ready_again_is_news_when_done(queue: Queue) -> None:
    for _ in range(4):
        queue.fail(claim(queue), error_code="worker_died", error_message="died", retry=False)
    queue.retry_failed("job")
    following = Following(queue, "job")
    assert following.look() == ([], Counts(tasks=4, done=0, failed=0, done_units=0, total_units=16))
    queue.finish(claim(queue), result_blob=None, result=None)
    news, _ = following.look()
    assert [task.ordinal for task in news] == [0]
