"""The loop of the worker: what fits first, and what does not fit fails instead of waiting for ever."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from audobon.compute.perform import LastStep, Performer, Publish, Report
from audobon.compute.work import Work
from audobon.compute.worker import WorkLoop
from audobon.compute.worker_messages import Go
from audobon.database.service import Database
from audobon.errors import MemoryTooSmall, UnreadablePicture
from audobon.queue import service as queue_service
from audobon.queue.service import NewTask, Queue

BUDGET = 1000


class MadeUpPerformer(Performer):
    """Does nothing; each task's settings say how it ends."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def perform(
        self, work: Work, *, report: Report, publish: Publish, alone: Callable[[], None]
    ) -> LastStep | None:
        self.order.append(work.settings)
        if work.settings.startswith("last step"):
            return LastStep(
                lambda: self._last_step(work, publish), may_run_beside=work.settings.endswith("beside")
            )
        if work.settings == "too large":
            raise MemoryTooSmall("a page needs more", hint="--memory 2GB")
        if work.settings == "damaged":
            raise UnreadablePicture("cut off")
        publish(None, "{}")
        return None

    def _last_step(self, work: Work, publish: Publish) -> None:
        self.order.append(f"finished {work.settings}")
        if "damaged" in work.settings:
            raise UnreadablePicture("cut off")
        publish(None, "{}")


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    connection = Database(tmp_path).open(durable=False)
    connection.execute(
        "INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
        " VALUES ('job', 'key', 'upscale', '{}', '/book.cbz', 'book', 'running', 0)"
    )
    yield Queue(connection)
    connection.close()


def enqueue(queue: Queue, *tasks: tuple[str, int]) -> None:
    new = [
        NewTask(
            ordinal=ordinal,
            work_key=str(ordinal),
            model="m",
            ram_bytes=ram_bytes,
            payload=msgspec.json.encode(Work("upscale", settings, "blob")).decode(),
            total_units=1,
        )
        for ordinal, (settings, ram_bytes) in enumerate(tasks)
    ]
    queue.enqueue("job", new, category="batch")


def work_through(queue: Queue) -> list[str]:
    performer = MadeUpPerformer()
    WorkLoop(queue, queue, performer, Go("job", "worker", BUDGET)).run()
    return performer.order


def test_a_task_that_asks_for_more_than_the_budget_comes_last_and_fails_with_that_reason(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_service, "_RETRY_AFTER_SECONDS", 0.01)
    enqueue(queue, ("too large", BUDGET + 1), ("first", BUDGET), ("second", 1))

    order = work_through(queue)

    assert order[:2] == ["first", "second"]
    assert set(order[2:]) == {"too large"}
    tasks = queue.tasks("job")
    assert [task.state for task in tasks] == ["failed", "done", "done"]
    assert tasks[0].error_code == "memory_too_small"
    assert tasks[0].error_message == "a page needs more (--memory 2GB)"


def test_a_task_that_waits_for_another_attempt_is_waited_for(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_service, "_RETRY_AFTER_SECONDS", 0.1)
    enqueue(queue, ("page", 1))
    lease = queue.claim("job", "an earlier worker", free_ram_bytes=BUDGET)
    assert lease is not None
    queue.fail(lease, error_code="worker_died", error_message="gone", retry=True)

    assert work_through(queue) == ["page"]
    assert queue.tasks("job")[0].state == "done"


def test_a_page_that_cannot_be_read_is_not_tried_again(queue: Queue) -> None:
    enqueue(queue, ("damaged", 1), ("page", 1))

    assert work_through(queue) == ["damaged", "page"]
    assert [task.state for task in queue.tasks("job")] == ["failed", "done"]


def test_a_last_step_is_taken_before_the_next_page_unless_there_is_room_beside_it(queue: Queue) -> None:
    enqueue(queue, ("last step", 1), ("next", 1))
    performer = MadeUpPerformer()
    WorkLoop(queue, queue, performer, Go("job", "worker", BUDGET)).run()
    assert performer.order == ["last step", "finished last step", "next"]
    assert [task.state for task in queue.tasks("job")] == ["done", "done"]


def test_a_last_step_that_fails_beside_the_next_page_fails_its_own_page_alone(queue: Queue) -> None:
    enqueue(queue, ("last step damaged, beside", 1), ("next", 1))
    WorkLoop(queue, queue, MadeUpPerformer(), Go("job", "worker", BUDGET)).run()
    told = [(task.state, task.error_code) for task in queue.tasks("job")]
    assert told == [("failed", "unreadable_picture"), ("done", None)]
