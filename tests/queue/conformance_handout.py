"""What handing out promises: who comes next, who may have it, and when."""

import pytest
from queue_tasks import TurnedClock, add, claim, claim_one, claimed_names, names, new_task

from audobon.queue.port import Queue
from audobon.queue.rules import QueueRules
from audobon.queue.tasks import Lease, QueueState


class HandingOut:
    """claim, without memory and limits; has_due, next_run_at."""

    def test_a_lease_tells_all_of_its_task_and_the_task_of_its_lease(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        (task_id,) = add(
            queue,
            new_task("a", model="m", ram_bytes=5, vram_bytes=6, job_id="job", ordinal=3, deadline_at=2e6),
        )
        clock.seconds += 7
        lease = claim_one(queue, "someone")
        assert lease == Lease(task_id, 1, 1, "batch", "page", "m", '"a"', "job", 3, 5, 6, 2e6)
        record = queue.find(task_id)
        assert (record.state, record.owner, record.pool) == ("leased", "someone", None)
        assert (record.attempt, record.token, record.started_at) == (1, 1, clock.seconds)

    def test_nothing_there_is_nothing_handed_out(self, queue: Queue) -> None:
        assert claim(queue, limit=10) == []

    def test_tasks_of_one_priority_come_in_the_order_they_were_added(self, queue: Queue) -> None:
        add(queue, "a", "b")
        add(queue, "c")
        assert claimed_names(queue) == ["a", "b", "c"]

    def test_a_higher_priority_comes_first(self, queue: Queue) -> None:
        add(queue, *(new_task(str(priority), priority=priority) for priority in (0, -3, 8, 2)))
        assert claimed_names(queue) == ["8", "2", "0", "-3"]

    def test_what_is_leased_is_not_handed_out_again(self, queue: Queue, other_queue: Queue) -> None:
        add(queue, "a", "b")
        assert names(claim(queue)) == ["a"]
        assert names(claim(other_queue, limit=9)) == ["b"]
        assert claim(queue, limit=9) == claim(other_queue, limit=9) == []

    def test_a_low_task_starts_under_endless_high_load_once_it_aged_by_the_gap(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        gap, step = 4, 60.0
        add(queue, new_task("low", priority=-gap))
        began = clock.seconds
        while True:
            add(queue, new_task("high"))
            if names(claim(queue)) == ["low"]:
                break
            clock.seconds += step / 4
            assert clock.seconds - began <= (gap + 1) * step, "starved"
        assert clock.seconds - began > (gap - 1) * step, "priority meant nothing"

    def test_the_step_of_ageing_is_the_queues_own(self, queue: Queue, clock: TurnedClock) -> None:
        queue.configure(QueueRules(name="fast", ageing_step_seconds=1.0))
        queue.configure(QueueRules(name="slow", ageing_step_seconds=100.0))
        for name in ("fast", "slow"):
            add(queue, new_task(f"{name} old", priority=0), to=name)
        clock.seconds += 10
        for name in ("fast", "slow"):
            add(queue, new_task(f"{name} new", priority=1), to=name)
        assert claimed_names(queue, queues=frozenset({"fast"})) == ["fast old", "fast new"]
        assert claimed_names(queue, queues=frozenset({"slow"})) == ["slow new", "slow old"]

    def test_interactive_goes_before_batch_and_batch_before_maintenance(self, queue: Queue) -> None:
        for category in ("maintenance", "batch", "interactive"):
            add(queue, category, to=category)
        assert claimed_names(queue) == ["interactive", "batch", "maintenance"]

    def test_a_lead_is_worth_its_seconds_and_no_more(self, queue: Queue, clock: TurnedClock) -> None:
        lead = next(rules for rules in queue.rules() if rules.name == "interactive").lead_seconds
        add(queue, "book")
        clock.seconds += lead - 1
        add(queue, "before the book", to="interactive")
        clock.seconds += 2
        add(queue, "after the book", to="interactive")
        assert claimed_names(queue) == ["before the book", "book", "after the book"]

    @pytest.mark.parametrize("limit", [2, 3, 100])
    def test_several_at_once_come_in_rank_order_across_classes_and_queues(
        self, queue: Queue, clock: TurnedClock, limit: int
    ) -> None:
        queue.configure(QueueRules(name="own"))
        expected = []
        for number in range(12):
            add(queue, new_task(str(number), model="abc"[number % 3]), to=("batch", "own")[number // 6])
            expected.append(str(number))
            clock.seconds += 1
        found: list[str] = []
        while leases := claim(queue, limit=limit):
            assert len(leases) <= limit
            found += names(leases)
        assert found == expected

    def test_a_worker_gets_only_kinds_it_can_do(self, queue: Queue) -> None:
        add(queue, new_task("page", kind="page"), new_task("prune", kind="prune"))
        assert claimed_names(queue, kinds=frozenset()) == []
        assert claimed_names(queue, kinds=frozenset({"prune", "other"})) == ["prune"]
        assert claimed_names(queue, kinds=None) == ["page"]

    def test_a_worker_gets_only_what_its_devices_can_run(self, queue: Queue) -> None:
        add(queue, *(new_task(device, device=device) for device in ("cuda", "cpu", "any")))
        assert claimed_names(queue, devices=frozenset({"cpu"})) == ["cpu", "any"]
        assert claimed_names(queue, devices=frozenset({"cuda"})) == ["cuda"]

    def test_a_worker_gets_only_tasks_of_queues_it_serves(self, queue: Queue) -> None:
        add(queue, "batch")
        add(queue, "interactive", to="interactive")
        assert claimed_names(queue, queues=frozenset({"batch"})) == ["batch"]
        assert claimed_names(queue) == ["interactive"]

    @pytest.mark.parametrize(
        ("state", "handed_out"), [("run", ["a"]), ("pause", []), ("drain", ["a"])], ids=str
    )
    def test_a_queue_hands_out_unless_it_is_paused(
        self, queue: Queue, other_queue: Queue, state: QueueState, handed_out: list[str]
    ) -> None:
        add(queue, "a")
        other_queue.set_state("batch", state)
        assert queue.has_due() == bool(handed_out)
        assert claimed_names(queue) == handed_out
        assert next(rules.state for rules in queue.rules() if rules.name == "batch") == state

    def test_a_paused_queue_goes_on_where_it_was(self, queue: Queue) -> None:
        add(queue, "a")
        queue.set_state("batch", "pause")
        add(queue, "b")
        assert claimed_names(queue) == []
        queue.set_state("batch", "run")
        assert claimed_names(queue) == ["a", "b"]

    def test_a_delayed_task_is_handed_out_when_its_time_has_come(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        assert queue.next_run_at() is None
        add(queue, new_task("late", delay_seconds=60), new_task("soon", delay_seconds=10))
        assert (queue.next_run_at(), queue.has_due()) == (clock.seconds + 10, False)
        clock.seconds += 9.5
        assert claimed_names(queue) == []
        clock.seconds += 0.5
        assert queue.has_due()
        assert claimed_names(queue) == ["soon"]
        assert (queue.next_run_at(), queue.has_due()) == (clock.seconds + 50, False)
        clock.seconds += 50
        assert claimed_names(queue) == ["late"]
        assert queue.next_run_at() is None

    def test_a_delayed_task_does_not_age_before_its_time(self, queue: Queue, clock: TurnedClock) -> None:
        add(queue, new_task("delayed", delay_seconds=10))
        clock.seconds += 5
        add(queue, "added meanwhile")
        clock.seconds += 10
        assert claimed_names(queue) == ["added meanwhile", "delayed"]

    def test_what_is_due_in_a_paused_queue_is_not_due(self, queue: Queue, clock: TurnedClock) -> None:
        add(queue, new_task("delayed", delay_seconds=10))
        queue.set_state("batch", "pause")
        clock.seconds += 20
        assert (queue.has_due(), queue.next_run_at()) == (False, None)
        queue.set_state("batch", "run")
        assert (queue.has_due(), queue.next_run_at()) == (True, clock.seconds - 10)
        queue.set_state("batch", "pause")
        assert claimed_names(queue) == []
        queue.set_state("batch", "run")
        assert queue.has_due()

    def test_has_due_asks_nothing_about_what_the_task_needs(self, queue: Queue) -> None:
        add(queue, new_task(device="cuda", ram_bytes=1 << 60))
        assert queue.has_due()

    def test_what_is_due_stays_so_when_the_clock_is_set_back(self, queue: Queue, clock: TurnedClock) -> None:
        add(queue, "a", "b")
        clock.seconds -= 3600
        assert claimed_names(queue) == ["a", "b"]


class PreferringWarm:
    """claim, where a worker holds models in memory."""

    def test_a_model_in_memory_goes_first_for_as_long_as_its_bonus(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        queue.configure(QueueRules(name="batch", warm_bonus_seconds=30.0))
        add(queue, new_task("cold", model="cold"))
        clock.seconds += 29
        add(queue, new_task("warm", model="warm"))
        clock.seconds += 2
        add(queue, new_task("too late", model="warm"))
        warm = frozenset({"warm"})
        assert claimed_names(queue, models=warm) == ["warm", "cold", "too late"]

    def test_a_stream_for_the_model_in_memory_passes_another_task_over_for_its_bonus_at_most(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        queue.configure(QueueRules(name="batch", warm_bonus_seconds=30.0))
        add(queue, new_task("cold", model="cold"))
        began = clock.seconds
        while True:
            add(queue, new_task("warm", model="warm"))
            if names(claim(queue, models=frozenset({"warm"}))) == ["cold"]:
                break
            clock.seconds += 1
            assert clock.seconds - began <= 31

    def test_the_bonus_holds_for_a_batch_too(self, queue: Queue, clock: TurnedClock) -> None:
        queue.configure(QueueRules(name="batch", warm_bonus_seconds=2.5))
        for number in range(4):
            add(queue, new_task(f"cold {number}", model="cold"), new_task(f"warm {number}", model="warm"))
            clock.seconds += 1
        found = names(claim(queue, limit=8, models=frozenset({"warm"})))
        order = sorted(range(8), key=lambda index: (index // 2 - 2.5 * (index % 2), index))
        assert found == [f"{('cold', 'warm')[index % 2]} {index // 2}" for index in order]
