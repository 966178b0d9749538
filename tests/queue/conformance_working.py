"""What working on tasks promises: fencing tokens, retries, dead letters, owners that die."""

from collections.abc import Callable

import pytest
from queue_tasks import (
    FixedDraw,
    TurnedClock,
    add,
    changes,
    claim,
    claim_one,
    claimed_names,
    events,
    new_task,
)

from audobon.errors import LeaseLost
from audobon.queue.port import Queue
from audobon.queue.rules import QueueRules, RetryPolicy
from audobon.queue.tasks import Lease, Owner, Result

TAKE_AWAY: dict[str, Callable[[Queue, Lease], object]] = {
    "retired and leased anew": lambda queue, lease: (
        queue.retire("worker", reason="gone", is_blameless=True),
        claim_one(queue, "another"),
    ),
    "retired and leased anew by the same": lambda queue, lease: (
        queue.retire("worker", reason="gone", is_blameless=True),
        claim_one(queue, "worker"),
    ),
    "retired": lambda queue, lease: queue.retire("worker", reason="gone", is_blameless=False),
    "released": lambda queue, lease: queue.release(lease, reason="gone"),
    "failed": lambda queue, lease: queue.fail(lease, code="corrupt", message="no", retry=False),
    "failed and replayed": lambda queue, lease: (
        queue.fail(lease, code="corrupt", message="no", retry=False),
        queue.replay(task_ids=[lease.id]),
        claim_one(queue, "worker"),
    ),
    "finished": lambda queue, lease: queue.finish(lease, result="first"),
}


class Working:
    """progress, standing, finish, fail, release, register, beat, retire."""

    def test_a_finished_task_is_done_with_its_result(self, queue: Queue, clock: TurnedClock) -> None:
        (task_id,) = add(queue, new_task(total_units=6))
        lease = claim_one(queue, pool="here")
        before = queue.find(task_id)
        clock.seconds += 2.5
        queue.finish(lease, blob="blob", result='{"width": 3}')
        assert changes(before, queue.find(task_id)) == {
            "state": "done",
            "owner": None,
            "pool": None,
            "result_blob": "blob",
            "result": '{"width": 3}',
            "done_units": 6,
            "finished_at": clock.seconds,
        }
        assert claimed_names(queue) == []

    def test_results_are_published_together_but_for_those_whose_lease_was_lost(self, queue: Queue) -> None:
        ids = add(queue, *"abc")
        leases = claim(queue, limit=3)
        queue.release(leases[1], reason="stop")
        lost = queue.finish_all([Result(lease, result=str(lease.id)) for lease in leases])
        assert lost == [leases[1]]
        assert [queue.find(task_id).state for task_id in ids] == ["done", "ready", "done"]
        assert [queue.find(task_id).result for task_id in ids] == [str(ids[0]), None, str(ids[2])]

    @pytest.mark.parametrize("taken", TAKE_AWAY, ids=str)
    def test_whoever_lost_a_lease_changes_nothing(self, queue: Queue, other_queue: Queue, taken: str) -> None:
        add(queue, new_task(ram_bytes=7))
        lease = claim_one(queue, pool=None)
        TAKE_AWAY[taken](other_queue, lease)
        before = queue.find(lease.id), queue.events()
        with pytest.raises(LeaseLost):
            queue.finish(lease, blob="late", result="late")
        assert queue.finish_all([Result(lease, "late", "late")]) == [lease]
        with pytest.raises(LeaseLost):
            queue.fail(lease, code="late", message="late", retry=True)
        with pytest.raises(LeaseLost):
            queue.reserve(lease, ram_bytes=1)
        queue.release(lease, reason="late")
        assert queue.progress(lease, 3, 4, note="late") == "lost"
        assert queue.standing(lease) == "lost"
        assert (queue.find(lease.id), queue.events()) == before

    def test_progress_is_seen_by_all_and_a_note_is_an_event(self, queue: Queue, other_queue: Queue) -> None:
        (task_id,) = add(queue, new_task(total_units=4))
        lease = claim_one(queue)
        before = queue.find(task_id)
        assert queue.progress(lease, 2, 6) == "held"
        assert queue.standing(lease) == "held"
        assert changes(before, other_queue.find(task_id)) == {"done_units": 2, "total_units": 6}
        assert queue.events() == []
        assert queue.progress(lease, 3, 6, note="found letters") == "held"
        assert events(other_queue, task_id) == [("progress", "found letters")]

    def test_a_task_that_may_succeed_later_rests_and_is_tried_again(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        queue.configure(QueueRules(name="batch", retry=RetryPolicy(3, first_seconds=8.0, most_seconds=100.0)))
        (task_id,) = add(queue, new_task())
        lease = claim_one(queue)
        queue.progress(lease, 1, 1)
        before = queue.find(task_id)
        assert queue.fail(lease, code="unavailable", message="no server", retry=True) == "waiting"
        assert changes(before, queue.find(task_id)) == {
            "state": "waiting",
            "token": 2,
            "owner": None,
            "done_units": 0,
            "error_code": "unavailable",
            "error_message": "no server",
            "run_at": clock.seconds + 8.0,
        }
        assert events(queue) == [("retried", "no server")]
        clock.seconds += 7.9
        assert claim(queue) == []
        clock.seconds += 0.1
        again = claim_one(queue)
        assert (again.id, again.attempt) == (task_id, 2)
        queue.finish(again)
        assert (queue.find(task_id).error_code, queue.find(task_id).error_message) == (None, None)

    def test_rests_double_up_to_a_bound_and_are_drawn_between_nothing_and_all_of_it(
        self, queue: Queue, clock: TurnedClock, draw: FixedDraw
    ) -> None:
        queue.configure(QueueRules(name="batch", retry=RetryPolicy(9, first_seconds=2.0, most_seconds=10.0)))
        (task_id,) = add(queue, new_task())
        rests = []
        for drawn in (1.0, 1.0, 0.5, 1.0, 0.25, 0.0):
            draw.drawn = drawn
            state = queue.fail(claim_one(queue), code="unavailable", message="", retry=True)
            rests.append(queue.find(task_id).run_at - clock.seconds)
            assert state == ("waiting" if rests[-1] > 0 else "ready")
            clock.seconds += rests[-1]
        assert rests == [2.0, 4.0, 4.0, 10.0, 2.5, 0.0]

    def test_a_kind_may_have_a_policy_of_its_own(self, queue: Queue, draw: FixedDraw) -> None:
        draw.drawn = 0.0
        rules = QueueRules(name="batch", retry=RetryPolicy(1), retry_by_kind={"fetch": RetryPolicy(3)})
        queue.configure(rules)
        page, fetch = add(queue, new_task(kind="page"), new_task(kind="fetch"))
        while leases := claim(queue):
            queue.fail(leases[0], code="unavailable", message="", retry=True)
        assert (queue.find(page).attempt, queue.find(fetch).attempt) == (1, 3)
        assert {task.state for task in queue.select()} == {"failed"}

    def test_a_task_tried_often_enough_is_a_dead_letter_with_its_reason(
        self, queue: Queue, clock: TurnedClock, draw: FixedDraw
    ) -> None:
        draw.drawn = 0.0
        (task_id,) = add(queue, new_task())
        for reason in ("first", "second"):
            assert queue.fail(claim_one(queue), code="unavailable", message=reason, retry=True) == "ready"
        lease = claim_one(queue)
        before = queue.find(task_id)
        clock.seconds += 3
        assert queue.fail(lease, code="unavailable", message="third", retry=True) == "failed"
        assert changes(before, queue.find(task_id)) == {
            "state": "failed",
            "token": 6,
            "owner": None,
            "error_message": "third",
            "finished_at": clock.seconds,
            "run_at": clock.seconds,
        }
        assert events(queue) == [("retried", "first"), ("retried", "second"), ("failed", "third")]
        assert claimed_names(queue) == []

    def test_a_task_that_can_never_succeed_is_a_dead_letter_at_once(self, queue: Queue) -> None:
        (task_id,) = add(queue, new_task())
        assert queue.fail(claim_one(queue), code="corrupt", message="no page", retry=False) == "failed"
        record = queue.find(task_id)
        assert (record.state, record.attempt, record.error_code, record.error_message) == (
            "failed",
            1,
            "corrupt",
            "no page",
        )

    def test_a_retried_task_keeps_its_place(self, queue: Queue, clock: TurnedClock, draw: FixedDraw) -> None:
        draw.drawn = 0.0
        add(queue, "a")
        clock.seconds += 1
        add(queue, "b")
        queue.fail(claim_one(queue), code="unavailable", message="", retry=True)
        assert claimed_names(queue) == ["a", "b"]

    def test_a_released_task_is_ready_again_and_was_not_tried(self, queue: Queue) -> None:
        (task_id,) = add(queue, new_task())
        for _ in range(9):
            lease = claim_one(queue)
            assert lease.attempt == 1
            queue.release(lease, reason="shutting down")
        record = queue.find(task_id)
        assert (record.state, record.attempt, record.error_code) == ("ready", 0, None)
        assert events(queue)[-1] == ("given back", "shutting down")

    def test_owners_are_known_with_their_signs_of_life_until_they_are_retired(
        self, queue: Queue, other_queue: Queue
    ) -> None:
        zoe, bob = Owner("zoe", "here", "boot", 12, 0, 5.0), Owner("bob", "there", "boot 2", 13, 0, 6.0)
        queue.register(zoe)
        queue.register(bob)
        other_queue.beat(["zoe", "nobody"])
        other_queue.beat(["zoe"])
        zoe_now, bob_now = other_queue.owners()[1], other_queue.owners()[0]
        assert bob_now == bob
        assert zoe_now == Owner("zoe", "here", "boot", 12, 2, 5.0)
        assert queue.retire("zoe", reason="gone", is_blameless=True) == 0
        assert other_queue.owners() == [bob]

    def test_an_owner_that_comes_back_under_its_name_is_known_as_it_is_now(self, queue: Queue) -> None:
        queue.register(Owner("zoe", "here", "boot", 12, 0, 5.0))
        queue.beat(["zoe"])
        queue.register(Owner("zoe", "there", "boot 2", 13, 0, 6.0))
        assert queue.owners() == [Owner("zoe", "there", "boot 2", 13, 1, 6.0)]

    def test_whoever_holds_a_task_is_known_even_if_nobody_made_it_known(
        self, queue: Queue, other_queue: Queue, clock: TurnedClock
    ) -> None:
        queue.register(Owner("dead", "here", "boot", 12, 0, 5.0))
        queue.retire("dead", reason="no sign of life", is_blameless=False)
        add(queue, "a", "b")
        claim(queue, "dead", limit=2, pool=None)
        assert other_queue.owners() == [Owner("dead", "", "", 0, 0, clock.seconds)]
        assert other_queue.retire("dead", reason="dead after all", is_blameless=True) == 2
        assert other_queue.owners() == []

    def test_the_tasks_of_an_owner_that_died_are_tried_again(self, queue: Queue, other_queue: Queue) -> None:
        ids = add(queue, *"abc")
        queue.register(Owner("dying", "here", "boot", 12, 0, 5.0))
        claim(queue, "dying", limit=2)
        kept = claim_one(queue, "living")
        assert other_queue.retire("dying", reason="worker 12 died", is_blameless=False) == 2
        records = [queue.find(task_id) for task_id in ids]
        assert [(task.state, task.attempt, task.owner, task.error_code) for task in records] == [
            ("ready", 1, None, "worker_died"),
            ("ready", 1, None, "worker_died"),
            ("leased", 1, "living", None),
        ]
        assert queue.standing(kept) == "held"
        assert events(queue, ids[0]) == [("given back", "worker 12 died")]
        assert claimed_names(queue) == ["a", "b"]

    def test_a_task_whose_owners_keep_dying_is_given_up(self, queue: Queue) -> None:
        (task_id,) = add(queue, new_task())
        for number in range(3):
            claim_one(queue, f"owner {number}")
            assert queue.retire(f"owner {number}", reason=f"{number} died", is_blameless=False) == 1
        record = queue.find(task_id)
        assert (record.state, record.error_code, record.error_message) == ("failed", "worker_died", "2 died")
        assert claimed_names(queue) == []

    def test_an_owner_that_was_stopped_on_purpose_costs_its_tasks_no_attempt(self, queue: Queue) -> None:
        (task_id,) = add(queue, new_task())
        for number in range(9):
            claim_one(queue, f"owner {number}")
            queue.retire(f"owner {number}", reason="stopped", is_blameless=True)
        record = queue.find(task_id)
        assert (record.state, record.attempt, record.error_code) == ("ready", 0, None)

    def test_a_task_longer_than_its_lease_is_kept_while_its_owner_lives(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        add(queue, "long")
        lease = claim_one(queue)
        clock.seconds += 1e6
        assert claim(queue, "another") == []
        assert queue.standing(lease) == "held"
        queue.finish(lease)
