"""What looking promises: views of a job, lists, events, figures."""

import pytest
from queue_tasks import TurnedClock, add, claim, claim_one, new_task

from audobon.errors import TaskNotFound
from audobon.queue.figures import KindFigures, QueueFigures
from audobon.queue.port import Queue
from audobon.queue.tasks import TaskEvent, TaskView


def pages(job_id: str, *ordinals: int) -> list[object]:
    return [new_task(f"{job_id} {ordinal}", job_id=job_id, ordinal=ordinal) for ordinal in ordinals]


class Looking:
    """tasks, finished_since, leased, find, select, ended_since, events, figures."""

    def test_a_job_sees_its_tasks_in_the_order_of_its_document(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        ids = add(queue, *pages("job", 2, 0, 1), *pages("other", 0))
        finished, failed, _ = claim(queue, "owner", limit=3)
        queue.finish(finished, blob="blob", result="1")
        queue.fail(failed, code="corrupt", message="no", retry=False)
        now = clock.seconds
        assert queue.tasks("job") == [
            TaskView(ids[1], 0, "failed", 1, None, None, None, "corrupt", "no", 0, 1, now),
            TaskView(ids[2], 1, "leased", 1, "owner", None, None, None, None, 0, 1, None),
            TaskView(ids[0], 2, "done", 1, None, "blob", "1", None, None, 1, 1, now),
        ]
        assert queue.leased("job") == queue.tasks("job")[1:2]
        assert queue.leased("other") == queue.tasks("no such job") == []

    def test_a_job_sees_what_ended_since_an_instant_earliest_first(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        began = clock.seconds
        add(queue, *pages("job", 0, 1, 2, 3), *pages("other", 0))
        leases = claim(queue, limit=9)
        for index in (4, 2, 0, 1):
            clock.seconds += 1
            queue.finish(leases[index])
        assert [task.ordinal for task in queue.finished_since("job", 0.0)] == [2, 0, 1]
        assert [task.ordinal for task in queue.finished_since("job", began + 3)] == [0, 1]
        assert queue.finished_since("job", began + 4.5) == []

    def test_the_newest_tasks_that_ended_are_told_earliest_first_whatever_they_belong_to(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        began = clock.seconds
        done, failed, cancelled, _ = ids = add(queue, *pages("job", 0), "a", "b", "c")
        first, second = claim(queue, limit=2)
        clock.seconds += 1
        queue.fail(second, code="corrupt", message="no", retry=False)
        clock.seconds += 1
        queue.cancel(task_ids=[cancelled], reason="not wanted")
        queue.finish(first)
        assert [(task.id, task.state) for task in queue.ended_since(began)] == [
            (failed, "failed"),
            (done, "done"),
            (cancelled, "cancelled"),
        ]
        assert [task.id for task in queue.ended_since(began + 2)] == [done, cancelled]
        assert [task.id for task in queue.ended_since(began, limit=1)] == [cancelled]
        assert queue.ended_since(began + 2.5) == []
        assert queue.find(ids[-1]).state == "ready"

    def test_a_task_that_is_not_there_is_not_found(self, queue: Queue) -> None:
        with pytest.raises(TaskNotFound):
            queue.find(1)

    def test_tasks_are_selected_newest_first(self, queue: Queue) -> None:
        ids = add(queue, *pages("job", 0, 1), *pages("other", 0), new_task(delay_seconds=5))
        ids += add(queue, "a", to="interactive")
        queue.finish(claim_one(queue, queues=frozenset({"batch"})))

        def selected(**by: object) -> list[int]:
            return [ids.index(task.id) for task in queue.select(**by)]  # type: ignore[arg-type]

        assert selected() == [4, 3, 2, 1, 0]
        assert selected(limit=2) == [4, 3]
        assert selected(queue="batch") == [3, 2, 1, 0]
        assert selected(states=["done"]) == [0]
        assert selected(states=["done", "waiting"]) == [3, 0]
        assert selected(job_id="job") == [1, 0]
        assert selected(job_id="job", states=["ready"], queue="batch") == [1]
        assert selected(queue="interactive", job_id="job") == []

    def test_events_come_in_the_order_they_happened_and_in_pages(
        self, queue: Queue, other_queue: Queue, clock: TurnedClock
    ) -> None:
        first, second = add(queue, "a", "b")
        leases = claim(queue, limit=2)
        for number in range(3):
            clock.seconds += 1
            queue.progress(leases[number % 2], 0, 1, note=str(number))
        seen = other_queue.events()
        assert [event.id for event in seen] == sorted({event.id for event in seen})
        began = clock.seconds - 3
        assert [(event.task_id, event.at, event.kind, event.detail) for event in seen] == [
            (first, began + 1, "progress", "0"),
            (second, began + 2, "progress", "1"),
            (first, began + 3, "progress", "2"),
        ]
        assert queue.events(limit=1) == seen[:1]
        assert queue.events(after_id=seen[0].id, limit=1) == seen[1:2]
        assert queue.events(after_id=seen[2].id) == []
        assert queue.events(task_id=first, after_id=seen[0].id) == seen[2:]
        queue.progress(leases[1], 0, 1, note="later")
        assert isinstance(queue.events(after_id=seen[2].id)[0], TaskEvent)

    def test_figures_tell_depth_age_rates_and_failures_of_each_queue(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        add(queue, *"abcdef", new_task(kind="fetch"), new_task(delay_seconds=500))
        clock.seconds += 100
        leases = claim(queue, limit=7)
        queue.finish(leases[0])
        queue.fail(leases[1], code="corrupt", message="", retry=False)
        clock.seconds += 61
        for lease in leases[2:5]:
            queue.finish(lease)
        queue.fail(leases[6], code="corrupt", message="", retry=False)
        queue.release(leases[5], reason="stop")
        add(queue, "g", "h")
        clock.seconds += 9
        claim_one(queue)
        queue.set_state("interactive", "pause")

        def idle(name: str, state: str) -> QueueFigures:
            return QueueFigures(
                queue=name,
                state=state,  # type: ignore[arg-type]
                ready=0,
                waiting=0,
                leased=0,
                dead=0,
                oldest_age_seconds=0.0,
                done_per_second=0.0,
                failed_per_second=0.0,
                by_kind=(),
            )

        batch = QueueFigures(
            queue="batch",
            state="run",
            ready=2,
            waiting=1,
            leased=1,
            dead=2,
            oldest_age_seconds=9.0,
            done_per_second=3 / 60,
            failed_per_second=1 / 60,
            by_kind=(KindFigures("fetch", 0, 1), KindFigures("page", 3, 0)),
        )
        assert queue.figures() == [batch, idle("interactive", "pause"), idle("maintenance", "run")]

    def test_the_oldest_due_task_ages_though_nobody_claims(self, queue: Queue, clock: TurnedClock) -> None:
        add(queue, new_task(delay_seconds=10))
        clock.seconds += 10
        assert queue.figures()[0].oldest_age_seconds == 0.0
        clock.seconds += 30
        assert queue.figures()[0].oldest_age_seconds == 30.0
