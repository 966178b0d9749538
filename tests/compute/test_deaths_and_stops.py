"""When workers are started again, stopped and given up, on clocks that tests turn."""

import pytest
from queue_of_pages import TurnedClock

from audobon.compute.clock_watch import ClockWatch
from audobon.compute.restarts import Restarts
from audobon.compute.stopping import Stalls, Stopping
from audobon.queue.tasks import Owner, StopRequest
from audobon.queue.vanished import Vanished, boot_id


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


def test_each_death_in_a_row_without_a_task_makes_the_rest_longer_up_to_a_bound(clock: TurnedClock) -> None:
    restarts = Restarts(most_in_a_row=100, clock=clock)
    rests = []
    for _ in range(12):
        restarts.died(lived_seconds=0.2, had_task=False)
        rests.append(restarts.rest_seconds)
    assert rests == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0, 30.0])

    clock.seconds += 29.0
    assert restarts.rest_seconds == 1.0
    clock.seconds += 1.5
    assert restarts.rest_seconds == 0.0


def test_three_deaths_in_a_row_without_a_task_are_hopeless(clock: TurnedClock) -> None:
    restarts = Restarts(clock=clock)
    for _ in range(2):
        restarts.died(lived_seconds=0.2, had_task=False)
    assert not restarts.is_hopeless
    restarts.died(lived_seconds=0.2, had_task=False)
    assert restarts.is_hopeless


@pytest.mark.parametrize(("lived_seconds", "had_task"), [(0.2, True), (60.0, False)])
def test_a_worker_that_had_a_task_or_lived_long_was_sound_and_is_replaced_at_once(
    clock: TurnedClock, lived_seconds: float, had_task: bool
) -> None:
    restarts = Restarts(clock=clock)
    for _ in range(2):
        restarts.died(lived_seconds=0.2, had_task=False)
    restarts.died(lived_seconds=lived_seconds, had_task=had_task)
    assert (restarts.rest_seconds, restarts.is_hopeless) == (0.0, False)
    restarts.died(lived_seconds=0.2, had_task=False)
    assert restarts.rest_seconds == pytest.approx(0.1)


def test_a_worker_that_ended_as_it_should_ends_the_row(clock: TurnedClock) -> None:
    restarts = Restarts(clock=clock)
    for _ in range(2):
        restarts.died(lived_seconds=0.2, had_task=False)
    restarts.was_sound()
    restarts.died(lived_seconds=0.2, had_task=False)
    assert not restarts.is_hopeless


def request(task_id: int = 7, asked_at: float = 0.0) -> StopRequest:
    return StopRequest(task_id, "worker", asked_at, "not wanted")


def test_who_does_not_stop_when_asked_is_terminated_and_then_killed(clock: TurnedClock) -> None:
    stopping = Stopping(clock=clock)
    seen = []
    for _ in range(13):
        seen.append([deed for _, deed, _ in stopping.look([request()])])
        clock.seconds += 1.0
    assert seen == [[]] * 5 + [["terminate"]] * 5 + [["kill"]] * 3


def test_how_long_ago_a_stop_was_asked_for_by_the_clock_on_the_wall_does_not_matter(
    clock: TurnedClock,
) -> None:
    stopping = Stopping(clock=clock)
    assert stopping.look([request(asked_at=-1e9), request(8, asked_at=1e12)]) == []
    clock.seconds += 5.0
    assert stopping.look([request(asked_at=-1e9), request(8, asked_at=1e12)]) == [
        ("worker", "terminate", "not wanted"),
        ("worker", "terminate", "not wanted"),
    ]


def test_a_stop_that_was_withdrawn_and_asked_for_anew_counts_anew(clock: TurnedClock) -> None:
    stopping = Stopping(clock=clock)
    stopping.look([request()])
    clock.seconds += 4.0
    stopping.look([])
    stopping.look([request()])
    clock.seconds += 4.0
    assert stopping.look([request()]) == []


def test_a_task_without_a_step_for_the_set_time_is_stalled_and_one_that_steps_is_not(
    clock: TurnedClock,
) -> None:
    stalls = Stalls(10.0, clock=clock)
    for second in range(10):
        assert stalls.look([(1, 1, "hanging", 4), (2, 1, "slow", second)]) == []
        clock.seconds += 1.0
    assert stalls.look([(1, 1, "hanging", 4), (2, 1, "slow", 10)]) == ["hanging"]


def test_a_task_handed_out_again_has_its_whole_time_anew(clock: TurnedClock) -> None:
    stalls = Stalls(10.0, clock=clock)
    stalls.look([(1, 1, "first", 0)])
    clock.seconds += 9.0
    stalls.look([(1, 2, "second", 0)])
    clock.seconds += 9.0
    assert stalls.look([(1, 2, "second", 0)]) == []


def owner(name: str, beat: int) -> Owner:
    return Owner(name, "elsewhere", "boot", 1, beat, 0.0)


def gone(vanished: Vanished, *owners: Owner) -> list[str]:
    return [found.name for found in vanished.look(list(owners), lease_seconds=10.0)]


def test_an_owner_whose_beat_does_not_rise_for_its_lease_is_gone(clock: TurnedClock) -> None:
    vanished = Vanished(clock=clock)
    for beat in range(4):
        assert gone(vanished, owner("silent", 0), owner("alive", beat)) == []
        clock.seconds += 2.5
    assert gone(vanished, owner("silent", 0), owner("alive", 4)) == ["silent"]


def test_time_in_which_nobody_looked_takes_no_task_away(clock: TurnedClock) -> None:
    vanished = Vanished(clock=clock)
    gone(vanished, owner("held up as we were", 3))
    clock.seconds += 3600.0

    assert gone(vanished, owner("held up as we were", 3)) == []
    clock.seconds += 5.0
    assert gone(vanished, owner("held up as we were", 4)) == []


def test_a_short_lease_looked_at_seldom_ends_all_the_same(clock: TurnedClock) -> None:
    vanished = Vanished(clock=clock)
    found = []
    for _ in range(4):
        found.append([one.name for one in vanished.look([owner("silent", 0)], lease_seconds=1.0)])
        clock.seconds += 5.0
    assert found == [[], [], ["silent"], ["silent"]]


def test_the_name_of_this_run_of_the_machine_stays_the_same() -> None:
    assert boot_id()
    assert boot_id() == boot_id()


@pytest.mark.parametrize("moved", [3600.0, -3600.0])
def test_a_clock_that_was_set_is_noticed_once(moved: float) -> None:
    wall, steady = TurnedClock(1e9), TurnedClock(50.0)
    watch = ClockWatch(wall=wall, steady=steady)
    wall.seconds += 5.0
    steady.seconds += 5.0
    assert watch.moved_seconds() == 0.0

    wall.seconds += 5.0 + moved
    steady.seconds += 5.0

    assert watch.moved_seconds() == moved
    assert watch.moved_seconds() == 0.0


def test_a_clock_that_is_kept_right_in_small_steps_was_not_set() -> None:
    wall, steady = TurnedClock(1e9), TurnedClock(50.0)
    watch = ClockWatch(wall=wall, steady=steady)
    wall.seconds += 1.5
    assert watch.moved_seconds() == 0.0
