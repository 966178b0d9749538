"""What the limits of a queue promise: tasks at work at once, tasks begun over time."""

import pytest
from queue_tasks import TurnedClock, add, claim, claim_one, claimed_names, names

from audobon.queue.port import Queue
from audobon.queue.rules import QueueRules


class Limiting:
    """claim under max_running, rate_per_second and burst."""

    def test_no_more_are_at_work_than_a_queue_allows(self, queue: Queue, other_queue: Queue) -> None:
        queue.configure(QueueRules(name="batch", max_running=2))
        add(queue, *"abcd")
        first = claim_one(queue)
        assert claimed_names(other_queue) == ["b"]
        assert claim(queue, limit=9) == []
        queue.finish(first)
        assert names(claim(queue, limit=9)) == ["c"]

    def test_a_batch_stops_at_what_a_queue_allows_and_goes_on_with_others(self, queue: Queue) -> None:
        queue.configure(QueueRules(name="own", max_running=2, lead_seconds=10))
        add(queue, *"abc", to="own")
        add(queue, *"xy")
        assert names(claim(queue, limit=9)) == ["a", "b", "x", "y"]

    def test_maintenance_runs_one_at_a_time(self, queue: Queue) -> None:
        add(queue, "a", "b", to="maintenance")
        assert claimed_names(queue) == ["a"]

    def test_a_queue_at_its_limit_keeps_no_other_queue_out(self, queue: Queue, clock: TurnedClock) -> None:
        add(queue, "a", "b", to="maintenance")
        claim_one(queue)
        clock.seconds += 1e6
        add(queue, "book")
        assert claimed_names(queue) == ["book"]

    def test_a_rate_lets_a_burst_begin_and_then_so_many_a_second(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        queue.configure(QueueRules(name="batch", rate_per_second=0.5, burst=3))
        add(queue, *(str(number) for number in range(20)))
        assert names(claim(queue, limit=9)) == ["0", "1", "2"]
        assert claim(queue) == []
        clock.seconds += 1.5
        assert claim(queue) == []
        clock.seconds += 0.5
        assert claimed_names(queue) == ["3"]
        clock.seconds += 4
        assert claimed_names(queue) == ["4", "5"]
        clock.seconds += 3600
        assert claimed_names(queue) == ["6", "7", "8"]

    def test_a_rate_counts_all_who_claim(self, queue: Queue, other_queue: Queue) -> None:
        queue.configure(QueueRules(name="batch", rate_per_second=1.0, burst=2))
        add(queue, *"abc")
        assert names(claim(queue) + claim(other_queue) + claim(queue) + claim(other_queue)) == ["a", "b"]

    @pytest.mark.parametrize("empty", [True, False], ids=["an empty bucket", "a bucket with one left"])
    def test_a_rate_goes_on_at_once_when_the_clock_is_set_back(
        self, queue: Queue, clock: TurnedClock, empty: bool
    ) -> None:
        queue.configure(QueueRules(name="batch", rate_per_second=1.0, burst=2))
        add(queue, *(str(number) for number in range(9)))
        begun = len(claim(queue, limit=2 if empty else 1))
        clock.seconds -= 3600
        begun += len(claimed_names(queue))
        assert begun == 2
        clock.seconds += 1
        assert len(claimed_names(queue)) == 1
        clock.seconds += 1
        assert len(claimed_names(queue)) == 1
