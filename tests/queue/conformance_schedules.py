"""What schedules promise: each run once, and missed ones as their policy says."""

import pytest
from queue_tasks import TurnedClock, add, claim, claimed_names

from audobon.errors import InvalidInput, QueueNotFound, ScheduleNotFound
from audobon.queue.port import Queue
from audobon.queue.schedule import Misfire, Schedule
from audobon.queue.tasks import Needs

HOUR = 3600.0


def hourly(**others: object) -> Schedule:
    values: dict[str, object] = {
        "name": "tidy",
        "queue": "maintenance",
        "needs": Needs(kind="prune", ram_bytes=7),
        "cron": "0 * * * *",
        "payload": '"tidy"',
        "priority": 3,
    }
    return Schedule(**(values | others))  # type: ignore[arg-type]


def next_hour(clock: TurnedClock) -> float:
    return (clock.seconds // HOUR + 1) * HOUR


class Scheduling:
    """put_schedule, remove_schedule, schedules, run_schedules."""

    def test_a_schedule_is_kept_with_the_instant_it_is_due(
        self, queue: Queue, other_queue: Queue, clock: TurnedClock
    ) -> None:
        kept = queue.put_schedule(hourly())
        assert kept == hourly(next_at=next_hour(clock))
        other = queue.put_schedule(hourly(name="early", misfire="all", is_paused=True))
        assert other_queue.schedules() == [other, kept]
        replaced = queue.put_schedule(hourly(cron="30 3 * * *", payload='"else"'))
        assert other_queue.schedules() == [other, replaced]

    def test_a_line_that_is_no_time_table_changes_nothing(self, queue: Queue) -> None:
        kept = queue.put_schedule(hourly())
        for cron in ("now and then", "61 * * * *", "0 0 30 2 *", ""):
            with pytest.raises(InvalidInput):
                queue.put_schedule(hourly(cron=cron))
        with pytest.raises(QueueNotFound):
            queue.put_schedule(hourly(queue="nowhere"))
        assert queue.schedules() == [kept]

    def test_a_forgotten_schedule_runs_no_more(self, queue: Queue, clock: TurnedClock) -> None:
        queue.put_schedule(hourly())
        queue.remove_schedule("tidy")
        with pytest.raises(ScheduleNotFound):
            queue.remove_schedule("tidy")
        clock.seconds += 2 * HOUR
        assert (queue.run_schedules(), queue.schedules(), queue.select()) == (0, [], [])

    def test_a_run_is_enqueued_when_it_is_due_as_the_schedule_says(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        queue.put_schedule(hourly())
        clock.seconds = next_hour(clock) - 0.5
        assert queue.run_schedules() == 0
        clock.seconds += 0.5
        assert queue.run_schedules() == 1
        assert queue.run_schedules() == 0
        (task,) = queue.select()
        assert (task.queue, task.kind, task.ram_bytes, task.payload, task.priority, task.state) == (
            "maintenance",
            "prune",
            7,
            '"tidy"',
            3,
            "ready",
        )
        assert queue.schedules() == [hourly(next_at=clock.seconds + HOUR)]

    @pytest.mark.parametrize(("misfire", "runs"), [("skip", 0), ("once", 1), ("all", 5)])
    def test_missed_runs_are_skipped_or_run_once_or_each(
        self, queue: Queue, clock: TurnedClock, misfire: Misfire, runs: int
    ) -> None:
        queue.put_schedule(hourly(misfire=misfire))
        clock.seconds = next_hour(clock) + 4 * HOUR + 600
        assert queue.run_schedules() == runs
        assert len(queue.select()) == runs
        assert queue.schedules()[0].next_at == next_hour(clock)
        assert queue.run_schedules() == 0

    @pytest.mark.parametrize(("misfire", "runs"), [("skip", 1), ("once", 1), ("all", 5)])
    def test_a_run_a_little_late_is_not_missed(
        self, queue: Queue, clock: TurnedClock, misfire: Misfire, runs: int
    ) -> None:
        queue.put_schedule(hourly(misfire=misfire))
        clock.seconds = next_hour(clock) + 4 * HOUR + 5
        assert queue.run_schedules() == runs

    def test_a_paused_schedule_adds_nothing_and_makes_up_for_nothing(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        queue.put_schedule(hourly(misfire="all", is_paused=True))
        clock.seconds += 9 * HOUR
        assert queue.run_schedules() == 0
        queue.put_schedule(hourly(misfire="all"))
        assert queue.run_schedules() == 0
        clock.seconds = next_hour(clock)
        assert queue.run_schedules() == 1

    def test_a_draining_queue_takes_no_runs_and_a_paused_one_keeps_them(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        queue.put_schedule(hourly())
        queue.set_state("maintenance", "drain")
        clock.seconds = next_hour(clock)
        assert queue.run_schedules() == 0
        queue.set_state("maintenance", "pause")
        clock.seconds = next_hour(clock)
        assert queue.run_schedules() == 1
        assert claim(queue) == []
        queue.set_state("maintenance", "run")
        assert claimed_names(queue) == ["tidy"]

    def test_any_number_of_callers_add_each_run_once(
        self, queue: Queue, other_queue: Queue, clock: TurnedClock
    ) -> None:
        queue.put_schedule(hourly(misfire="all"))
        added = 0
        for step in range(20):
            clock.seconds += HOUR / 4
            added += (queue, other_queue)[step % 2].run_schedules()
            added += (queue, other_queue)[(step + 1) % 2].run_schedules()
        assert added == len(queue.select()) == 5

    def test_a_run_is_not_added_again_when_the_clock_is_set_back(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        queue.put_schedule(hourly())
        clock.seconds = next_hour(clock)
        assert queue.run_schedules() == 1
        clock.seconds -= 1800
        assert queue.run_schedules() == 0
        queue.put_schedule(hourly())
        clock.seconds += 1800
        queue.run_schedules()
        assert len(queue.select()) == 1

    def test_runs_and_other_tasks_share_a_queue(self, queue: Queue, clock: TurnedClock) -> None:
        queue.put_schedule(hourly(queue="batch", priority=0))
        add(queue, "first")
        clock.seconds = next_hour(clock)
        queue.run_schedules()
        assert claimed_names(queue) == ["first", "tidy"]
