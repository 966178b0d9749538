"""What stopping and trying again promises: cancel, deadlines, replay, amend, make_due and prune."""

import pytest
from queue_tasks import TurnedClock, add, changes, claim, claim_one, claimed_names, events, new_task

from audobon.errors import TaskNotFound
from audobon.queue.port import Queue
from audobon.queue.tasks import StopRequest


class Stopping:
    """cancel, stop_requests, deadlines, replay, amend, make_due, prune."""

    def test_a_task_not_begun_is_cancelled_at_once(self, queue: Queue, clock: TurnedClock) -> None:
        ready, waiting = add(queue, new_task(), new_task(delay_seconds=5))
        before = queue.find(ready), queue.find(waiting)
        clock.seconds += 1
        assert queue.cancel(task_ids=[ready, waiting], reason="not wanted") == 2
        for old in before:
            assert changes(old, queue.find(old.id)) == {
                "state": "cancelled",
                "error_code": "cancelled",
                "error_message": "not wanted",
                "finished_at": clock.seconds,
            }
            assert events(queue, old.id) == [("cancelled", "not wanted")]
        clock.seconds += 10
        assert claimed_names(queue) == []

    def test_a_task_at_work_is_asked_to_stop(
        self, queue: Queue, other_queue: Queue, clock: TurnedClock
    ) -> None:
        (task_id,) = add(queue, new_task())
        lease = claim_one(queue, "owner")
        before = queue.find(task_id)
        clock.seconds += 1
        assert other_queue.cancel(task_ids=[task_id], reason="not wanted") == 1
        assert other_queue.cancel(task_ids=[task_id], reason="again") == 0
        assert changes(before, queue.find(task_id)) == {"stop_asked_at": clock.seconds}
        assert queue.standing(lease) == queue.progress(lease, 1, 2) == "asked to stop"
        assert queue.stop_requests() == [StopRequest(task_id, "owner", clock.seconds, "not wanted")]
        assert events(queue) == [("asked to stop", "not wanted")]

    @pytest.mark.parametrize("way", ["failed", "released", "died", "stopped"])
    def test_a_task_asked_to_stop_is_cancelled_when_it_does_however_it_does(
        self, queue: Queue, clock: TurnedClock, way: str
    ) -> None:
        (task_id,) = add(queue, new_task())
        lease = claim_one(queue, "owner")
        queue.cancel(task_ids=[task_id], reason="not wanted")
        clock.seconds += 1
        if way == "failed":
            assert queue.fail(lease, code="unavailable", message="no", retry=True) == "cancelled"
        elif way == "released":
            queue.release(lease, reason="stop")
        else:
            queue.retire("owner", reason="gone", is_blameless=way == "stopped")
        record = queue.find(task_id)
        assert (record.state, record.error_code, record.error_message, record.finished_at) == (
            "cancelled",
            "cancelled",
            "not wanted",
            clock.seconds,
        )
        assert (record.owner, record.stop_asked_at, queue.stop_requests()) == (None, None, [])
        assert claimed_names(queue) == []

    def test_a_task_wanted_again_before_it_stopped_goes_on(self, queue: Queue) -> None:
        (task_id,) = add(queue, new_task())
        lease = claim_one(queue)
        queue.cancel(task_ids=[task_id], reason="not wanted")
        assert queue.replay(task_ids=[task_id]) == 1
        assert queue.replay(task_ids=[task_id]) == 0
        assert (queue.standing(lease), queue.stop_requests()) == ("held", [])
        queue.finish(lease, result="1")
        assert queue.find(task_id).state == "done"
        assert events(queue) == [("asked to stop", "not wanted"), ("replayed", "it was still at work")]

    @pytest.mark.parametrize("moved", [3600.0, -3600.0])
    def test_a_clock_that_was_set_changes_neither_order_nor_rests(
        self, queue: Queue, clock: TurnedClock, moved: float
    ) -> None:
        add(queue, new_task("earlier"), new_task("resting", delay_seconds=5))
        clock.seconds += 1 + moved
        queue.clock_moved(moved)
        add(queue, "later")
        assert queue.next_run_at() == clock.seconds + 4
        assert claimed_names(queue) == ["earlier", "later"]
        clock.seconds += 4
        assert claimed_names(queue) == ["resting"]

    def test_a_task_that_finishes_before_it_stops_is_done(self, queue: Queue) -> None:
        (task_id,) = add(queue, new_task())
        lease = claim_one(queue)
        queue.cancel(task_ids=[task_id], reason="not wanted")
        queue.finish(lease, result="1")
        record = queue.find(task_id)
        assert (record.state, record.result, record.error_code, record.stop_asked_at) == (
            "done",
            "1",
            None,
            None,
        )

    def test_a_whole_job_is_cancelled_but_for_what_is_finished(self, queue: Queue) -> None:
        mine = [new_task(str(number), job_id="job", ordinal=number) for number in range(4)]
        ids = add(queue, *mine)
        (others,) = add(queue, new_task("other", job_id="other", ordinal=0))
        done, failed, _ = claim(queue, limit=3)
        queue.finish(done)
        queue.fail(failed, code="corrupt", message="", retry=False)
        assert queue.cancel(job_id="job", reason="stop") == 2
        assert [task.state for task in queue.tasks("job")] == ["done", "failed", "leased", "cancelled"]
        assert [request.task_id for request in queue.stop_requests()] == [ids[2]]
        assert queue.find(others).state == "ready"

    def test_stop_requests_come_earliest_first(self, queue: Queue, clock: TurnedClock) -> None:
        late = clock.seconds + 15
        ids = add(queue, new_task(), new_task(deadline_at=late), new_task(), new_task(deadline_at=late + 99))
        claim(queue, "owner", limit=4)
        began = clock.seconds
        for delay, task_id in ((10, ids[2]), (20, ids[0])):
            clock.seconds = began + delay
            queue.cancel(task_ids=[task_id], reason=f"reason {delay}")
        assert queue.stop_requests() == [
            StopRequest(ids[2], "owner", began + 10, "reason 10"),
            StopRequest(ids[1], "owner", late, "its deadline passed"),
            StopRequest(ids[0], "owner", began + 20, "reason 20"),
        ]

    def test_a_task_whose_deadline_passes_before_its_turn_is_given_up(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        late = clock.seconds + 10
        ready, waiting, _ = add(
            queue,
            new_task("ready", deadline_at=late),
            new_task("waiting", deadline_at=late, delay_seconds=60),
            new_task("in time", deadline_at=late + 1),
        )
        clock.seconds = late
        assert claimed_names(queue) == ["in time"]
        for task_id in (ready, waiting):
            record = queue.find(task_id)
            assert (record.state, record.error_code, record.finished_at, record.attempt) == (
                "failed",
                "deadline_exceeded",
                late,
                0,
            )
            assert [kind for kind, _ in events(queue, task_id)] == ["failed"]

    def test_a_deadline_is_kept_though_nothing_else_is_due(self, queue: Queue, clock: TurnedClock) -> None:
        (task_id,) = add(queue, new_task(deadline_at=clock.seconds + 10, delay_seconds=60))
        clock.seconds += 20
        assert claim(queue) == []
        assert queue.find(task_id).state == "failed"

    @pytest.mark.parametrize("way", ["failed", "released", "died"])
    def test_a_task_whose_deadline_passes_while_it_is_worked_on_is_to_stop_and_given_up(
        self, queue: Queue, clock: TurnedClock, way: str
    ) -> None:
        (task_id,) = add(queue, new_task(deadline_at=clock.seconds + 10))
        lease = claim_one(queue, "owner")
        assert queue.standing(lease) == "held"
        clock.seconds += 10
        assert queue.standing(lease) == queue.progress(lease, 1, 2) == "asked to stop"
        if way == "failed":
            assert queue.fail(lease, code="unavailable", message="", retry=True) == "failed"
        elif way == "released":
            queue.release(lease, reason="stop")
        else:
            queue.retire("owner", reason="gone", is_blameless=True)
        record = queue.find(task_id)
        assert (record.state, record.error_code) == ("failed", "deadline_exceeded")
        assert claimed_names(queue) == []

    def test_a_result_that_comes_after_the_deadline_is_not_thrown_away(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        (task_id,) = add(queue, new_task(deadline_at=clock.seconds + 10))
        lease = claim_one(queue)
        clock.seconds += 11
        queue.finish(lease, result="1")
        assert (queue.find(task_id).state, queue.find(task_id).result) == ("done", "1")

    def test_dead_letters_are_tried_anew_with_all_their_attempts(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        failed, cancelled, done = add(
            queue, new_task("failed", deadline_at=clock.seconds + 5), new_task("cancelled"), new_task("done")
        )
        lease, _, finishing = claim(queue, limit=3)
        queue.progress(lease, 1, 2)
        queue.fail(lease, code="corrupt", message="no", retry=False)
        queue.cancel(task_ids=[cancelled], reason="no")
        queue.retire("worker", reason="stop", is_blameless=True)
        queue.finish(claim_one(queue))
        assert finishing.id == done
        before = queue.find(failed)
        clock.seconds += 60
        assert queue.replay(task_ids=[failed, cancelled, done, 999_999]) == 2
        assert changes(before, queue.find(failed)) == {
            "state": "ready",
            "attempt": 0,
            "token": before.token + 1,
            "run_at": clock.seconds,
            "finished_at": None,
            "deadline_at": None,
            "error_code": None,
            "error_message": None,
        }
        assert events(queue, failed) == [("failed", "no"), ("replayed", "")]
        assert [lease.attempt for lease in claim(queue, limit=9)] == [1, 1]

    def test_the_dead_letters_of_a_job_are_tried_anew_together(self, queue: Queue) -> None:
        for job_id in ("job", "other"):
            add(queue, *(new_task(job_id, job_id=job_id, ordinal=number) for number in range(2)))
        for lease in claim(queue, limit=9):
            queue.fail(lease, code="corrupt", message="no", retry=False)
        assert queue.replay(job_id="job") == 2
        assert claimed_names(queue) == ["job", "job"]

    def test_what_a_task_is_to_do_can_be_changed_unless_it_is_at_work_or_done(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        ids = add(queue, *"abcde", new_task("f", delay_seconds=5))
        done, failed, _ = claim(queue, limit=3)
        queue.finish(done)
        queue.fail(failed, code="corrupt", message="", retry=False)
        queue.cancel(task_ids=[ids[3]], reason="")
        states = [queue.find(task_id).state for task_id in ids]
        assert states == ["done", "failed", "leased", "cancelled", "ready", "waiting"]
        before = [queue.find(task_id) for task_id in ids]
        amended = [queue.amend(task_id, '"new"') for task_id in ids]
        assert amended == [False, True, False, True, True, True]
        assert [changes(old, queue.find(old.id)) for old in before] == [
            {"payload": '"new"'} if changed else {} for changed in amended
        ]
        assert not queue.amend(999_999, '"new"')

    def test_the_waiting_tasks_of_a_job_can_be_made_to_run_at_once(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        for job_id in ("job", "other"):
            add(queue, new_task(job_id, job_id=job_id, ordinal=0, delay_seconds=50))
        clock.seconds += 1
        queue.make_due("job")
        assert (queue.tasks("job")[0].state, queue.tasks("other")[0].state) == ("ready", "waiting")
        assert claimed_names(queue) == ["job"]

    def test_the_unfinished_tasks_of_a_job_get_a_deadline_and_lose_it(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        late = clock.seconds + 10
        for job_id in ("job", "other"):
            add(queue, *(new_task(job_id, job_id=job_id, ordinal=number) for number in range(2)))
        queue.finish(claim(queue)[0])
        queue.set_deadline("job", late)
        told = sorted((task.job_id, task.ordinal, task.deadline_at) for task in queue.select())
        assert told == [("job", 0, None), ("job", 1, late), ("other", 0, None), ("other", 1, None)]
        queue.set_deadline("job", None)
        assert {task.deadline_at for task in queue.select()} == {None}

    def test_ended_tasks_without_a_job_are_forgotten_with_their_events(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        ids = add(queue, *"abc", new_task("of a job", job_id="job", ordinal=0), "not ended")
        began = clock.seconds
        early, dead, late, with_job = claim(queue, limit=4)
        queue.finish(early)
        queue.fail(dead, code="corrupt", message="no", retry=False)
        queue.finish(with_job)
        clock.seconds += 10
        queue.finish(late)
        assert queue.prune(finished_before=began) == 0
        assert queue.prune(finished_before=began + 10) == 2
        for task_id in ids[:2]:
            with pytest.raises(TaskNotFound):
                queue.find(task_id)
        assert queue.events(task_id=ids[1]) == []
        assert [task.id for task in queue.select()] == [ids[4], ids[3], ids[2]]
