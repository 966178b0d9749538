"""What adding tasks promises: all or none, in the caller's transaction, once per key."""

import pytest
from queue_tasks import TurnedClock, add, changes, claim_one, claimed_names, events, names, new_task

from audobon.errors import InvalidInput, QueueDrained, QueueNotFound
from audobon.queue.port import Queue
from audobon.queue.rules import QueueRules
from audobon.queue.tasks import CATEGORIES, Needs, NewTask, TaskRecord


class Adding:
    """enqueue, transaction, adopt."""

    def test_a_task_is_kept_as_it_was_added(self, queue: Queue, clock: TurnedClock) -> None:
        needs = Needs(kind="page", model="waifu2x", device="cpu", ram_bytes=1 << 40, vram_bytes=3 << 32)
        task = NewTask(
            needs=needs,
            payload='{"page": 7}',
            priority=-5,
            delay_seconds=20,
            deadline_at=clock.seconds + 900.5,
            idempotency_key="page/7",
            job_id="job",
            ordinal=7,
            work_key="upscale 7",
            total_units=12,
        )
        (task_id,) = queue.enqueue("batch", [task])
        assert queue.find(task_id) == TaskRecord(
            id=task_id,
            queue="batch",
            kind="page",
            model="waifu2x",
            device="cpu",
            state="waiting",
            priority=-5,
            job_id="job",
            ordinal=7,
            idempotency_key="page/7",
            attempt=0,
            max_attempts=3,
            token=0,
            owner=None,
            pool=None,
            ram_bytes=1 << 40,
            vram_bytes=3 << 32,
            payload='{"page": 7}',
            result_blob=None,
            result=None,
            error_code=None,
            error_message=None,
            done_units=0,
            total_units=12,
            enqueued_at=clock.seconds,
            run_at=clock.seconds + 20,
            deadline_at=clock.seconds + 900.5,
            started_at=None,
            finished_at=None,
            stop_asked_at=None,
        )

    def test_ids_come_in_the_order_of_the_tasks_and_rise_for_ever(self, queue: Queue) -> None:
        first = add(queue, "a", "b", "c")
        assert [queue.find(task_id).payload for task_id in first] == ['"a"', '"b"', '"c"']
        for _ in range(3):
            queue.finish(claim_one(queue))
        queue.prune(finished_before=float("inf"))
        later = add(queue, "d", "e")
        assert sorted([*first, *later]) == [*first, *later]
        assert len({*first, *later}) == 5

    def test_every_category_takes_tasks_from_the_start_with_its_own_rules(self, queue: Queue) -> None:
        for category in CATEGORIES:
            add(queue, category, to=category)
        rules = {rule.name: rule for rule in queue.rules()}
        assert sorted(rules) == sorted(CATEGORIES)
        assert rules["interactive"].lead_seconds > rules["batch"].lead_seconds
        assert rules["batch"].lead_seconds > rules["maintenance"].lead_seconds

    def test_a_queue_must_be_there(self, queue: Queue) -> None:
        with pytest.raises(QueueNotFound):
            add(queue, "a", to="nowhere")
        with pytest.raises(QueueNotFound):
            queue.set_state("nowhere", "pause")
        queue.configure(QueueRules(name="nowhere"))
        add(queue, "a", to="nowhere")
        assert claimed_names(queue) == ["a"]

    def test_rules_that_cannot_be_kept_change_nothing(self, queue: Queue) -> None:
        queue.configure(QueueRules(name="own", max_running=2))
        with pytest.raises(InvalidInput, match="max_running must be at least 1"):
            queue.configure(QueueRules(name="own", max_running=0))
        assert [rules for rules in queue.rules() if rules.name == "own"] == [
            QueueRules(name="own", max_running=2)
        ]

    def test_an_empty_batch_adds_nothing(self, queue: Queue) -> None:
        assert queue.enqueue("batch", []) == []
        assert queue.select() == []

    def test_a_draining_queue_takes_nothing_and_a_paused_one_does(self, queue: Queue) -> None:
        queue.set_state("batch", "drain")
        with pytest.raises(QueueDrained):
            add(queue, "refused")
        queue.set_state("batch", "pause")
        add(queue, "kept")
        queue.set_state("batch", "run")
        assert claimed_names(queue) == ["kept"]

    def test_a_batch_that_breaks_off_adds_nothing(self, queue: Queue) -> None:
        with pytest.raises(ZeroDivisionError):
            queue.enqueue("batch", (new_task(str(1 // number)) for number in (1, 1, 0)))
        assert queue.select() == []

    def test_a_batch_that_the_database_refuses_adds_nothing_even_inside_a_block_that_goes_on(
        self, queue: Queue
    ) -> None:
        refused = [new_task("a"), new_task("b", job_id="no such job", ordinal=0)]
        with queue.transaction():
            add(queue, "before")
            with pytest.raises(Exception):  # noqa: B017  (each database names it its own way)
                queue.enqueue("batch", refused)
            add(queue, "after")
        assert claimed_names(queue) == ["before", "after"]

    def test_tasks_are_seen_by_others_when_the_callers_block_ends_and_not_before(
        self, queue: Queue, other_queue: Queue
    ) -> None:
        with queue.transaction():
            add(queue, "a")
            with queue.transaction():
                add(queue, "b")
            assert other_queue.select() == []
        assert claimed_names(other_queue) == ["a", "b"]

    def test_nothing_of_a_block_that_fails_is_left(self, queue: Queue, other_queue: Queue) -> None:
        (task_id,) = add(queue, "kept")

        def change_much_and_fail() -> None:
            with queue.transaction():
                add(queue, "a")
                queue.finish(claim_one(queue), result="1")
                queue.configure(QueueRules(name="own"))
                with queue.transaction():
                    add(queue, "b", to="own")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            change_much_and_fail()
        assert [rules.name for rules in queue.rules()] == sorted(CATEGORIES)
        assert [(task.id, task.state) for task in other_queue.select()] == [(task_id, "ready")]
        assert claimed_names(queue) == ["kept"]

    def test_nothing_of_an_inner_block_that_fails_is_left_when_the_outer_goes_on(self, queue: Queue) -> None:
        def add_and_fail() -> None:
            with queue.transaction():
                add(queue, "b")
                raise ZeroDivisionError

        with queue.transaction():
            add(queue, "a")
            with pytest.raises(ZeroDivisionError):
                add_and_fail()
            add(queue, "c")
        assert claimed_names(queue) == ["a", "c"]

    def test_a_task_whose_key_is_known_gets_the_id_of_the_one_that_is_there(
        self, queue: Queue, other_queue: Queue
    ) -> None:
        (first,) = queue.enqueue("batch", [new_task("a", idempotency_key="key")])
        before = queue.find(first)
        assert other_queue.enqueue(
            "batch", [new_task("b"), new_task("again", idempotency_key="key", priority=9)]
        ) == [first + 1, first]
        assert queue.find(first) == before
        queue.finish(claim_one(queue))
        assert queue.enqueue("batch", [new_task("later", idempotency_key="key")]) == [first]
        assert claimed_names(queue) == ["b"]

    def test_a_key_counts_once_within_a_batch(self, queue: Queue) -> None:
        keyed = new_task("a", idempotency_key="key")
        first, second, third = queue.enqueue("batch", [keyed, keyed, new_task("b")])
        assert first == second != third
        assert claimed_names(queue) == ["a", "b"]

    def test_a_key_counts_within_its_queue(self, queue: Queue) -> None:
        keyed = new_task("a", idempotency_key="key")
        assert queue.enqueue("batch", [keyed]) != queue.enqueue("interactive", [keyed])
        assert len(queue.select()) == 2

    def test_no_name_of_a_queue_lets_its_keys_meet_those_of_another(self, queue: Queue) -> None:
        queue.configure(QueueRules(name="a"))
        for name in ("a/b", ""):
            with pytest.raises(InvalidInput):
                queue.configure(QueueRules(name=name))

    def test_a_task_nobody_took_up_can_adopt_a_result(self, queue: Queue, clock: TurnedClock) -> None:
        ready, waiting = add(queue, new_task(total_units=6), new_task(delay_seconds=50, total_units=1))
        queue.fail(claim_one(queue), code="corrupt", message="no", retry=True)
        before = queue.find(ready), queue.find(waiting)
        clock.seconds += 0.5
        queue.adopt(ready, "blob", "7")
        queue.adopt(waiting, None, None)
        assert changes(before[0], queue.find(ready)) == {
            "state": "done",
            "result_blob": "blob",
            "result": "7",
            "error_code": None,
            "error_message": None,
            "done_units": 6,
            "finished_at": clock.seconds,
        }
        assert changes(before[1], queue.find(waiting)) == {
            "state": "done",
            "done_units": 1,
            "finished_at": clock.seconds,
        }
        assert events(queue, waiting) == [("adopted", "")]
        clock.seconds += 100
        assert claimed_names(queue) == []

    def test_a_task_that_is_at_work_or_has_ended_adopts_nothing(self, queue: Queue) -> None:
        leased, done, cancelled = add(queue, "leased", "done", "cancelled")
        held, finished = claim_one(queue), claim_one(queue)
        queue.finish(finished, result="own")
        queue.cancel(task_ids=[cancelled], reason="no")
        before = queue.select()
        for task_id in (leased, done, cancelled):
            queue.adopt(task_id, "blob", "adopted")
        assert queue.select() == before
        queue.finish(held, result="mine")
        assert names([held]) == ["leased"]
