"""A job that waits says why, once each time it begins to wait."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from audobon.config import keyrings_folder
from audobon.database.service import Database
from audobon.jobs.following import Following
from audobon.jobs.records import JobRecords
from audobon.jobs.report import Counts, PageReport
from audobon.jobs.waits import Waits
from audobon.keys.unlocking import open_keys
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Claimant, Needs, NewTask


class TurnedClock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def stage(self, words: str) -> None:
        self.said.append(words)

    def started(self, job_id: str, pages: int, resumed: int) -> None: ...

    def tick(self, counts: Counts) -> None: ...

    def page(self, page: PageReport) -> None: ...

    def finished(self) -> None: ...


class Waiting:
    """A job of one page in the batch queue, looked at ten times a second by a clock that is turned."""

    def __init__(self, queue: SqliteQueue, records: JobRecords) -> None:
        self.queue, self.clock, self.listener = queue, TurnedClock(), Listener()
        queue.enqueue("batch", [NewTask(needs=Needs(kind="page"), job_id="ours", ordinal=0)])
        self._following = Following(queue, "ours", resumed=frozenset(), clock=self.clock)
        self._waits = Waits(queue, records, self.listener, "ours", category="batch", clock=self.clock)

    def said_within(self, seconds: float) -> list[str]:
        self.listener.said.clear()
        for _ in range(round(seconds * 10)):
            self._following.look()
            self._waits.tell(is_quiet=self._following.is_quiet)
            self.clock.seconds += 0.1
        return list(self.listener.said)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    with closing(Database(tmp_path).open(durable=False)) as connection:
        for job_id in ("theirs", "ours"):
            connection.execute(
                "INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
                f" VALUES ('{job_id}', '{job_id}', 'upscale', '{{}}', '/fox.cbz', 'book', 'running', 0)"
            )
        connection.execute(
            "INSERT INTO entry (job_id, ordinal, name, is_page, size_bytes)"
            " VALUES ('theirs', 0, 'page1.png', 1, 1)"
        )
        with SqliteQueue(connection) as queue:
            yield Waiting(queue, JobRecords(connection, open_keys(tmp_path, unlock_folder=keyrings_folder())))


def test_a_paused_queue_is_named_once_with_the_order_that_ends_the_wait(waiting: Waiting) -> None:
    waiting.queue.set_state("batch", "pause")
    waiting.queue.set_state("interactive", "pause")

    assert waiting.said_within(20) == ["waiting: the queue batch is paused (audobon queue resume batch)"]
    waiting.queue.set_state("batch", "run")
    assert waiting.said_within(5) == []
    waiting.queue.set_state("batch", "pause")
    assert waiting.said_within(5) == ["waiting: the queue batch is paused (audobon queue resume batch)"]


def test_pages_of_others_that_go_first_are_said_once_by_the_name_of_one(waiting: Waiting) -> None:
    theirs = NewTask(needs=Needs(kind="page"), job_id="theirs", ordinal=0, total_units=9, priority=90)
    waiting.queue.enqueue("interactive", [theirs])
    (lease,) = waiting.queue.claim(Claimant(owner="worker", queues=frozenset({"interactive"})))
    waiting.queue.progress(lease, 5, 9)

    assert waiting.said_within(10) == ["waiting for upscale fox.cbz/page1.png of another run (55 %)"]
    waiting.queue.progress(lease, 6, 9)
    assert waiting.said_within(10) == []

    (ours,) = waiting.queue.claim(Claimant(owner="worker"))
    assert waiting.said_within(5) == []
    waiting.queue.release(ours, reason="stopped")
    assert waiting.said_within(5) == ["waiting for upscale fox.cbz/page1.png of another run (66 %)"]
