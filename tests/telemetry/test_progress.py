"""The honest estimate: never backwards, frozen in pauses, a range while it knows little."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audobon.telemetry.progress import (
    LARGEST_UNFINISHED_FRACTION,
    WINDOW_SAMPLES,
    Remaining,
    RemainingTime,
    duration_in_words,
    remaining_in_words,
)


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def started(total_units: float = 10) -> tuple[RemainingTime, Clock]:
    clock = Clock()
    progress = RemainingTime(clock)
    progress.start(total_units)
    return progress, clock


def work(progress: RemainingTime, clock: Clock, *, done_units: float, seconds: float) -> None:
    clock.seconds += seconds
    progress.advance(done_units)


def one_number(progress: RemainingTime) -> float:
    remaining = progress.remaining()
    assert remaining is not None
    assert not remaining.is_range
    assert remaining.low_seconds == remaining.high_seconds
    return remaining.low_seconds


def test_nothing_is_known_before_the_first_unit_is_done() -> None:
    progress, clock = started()
    clock.seconds += 60
    assert progress.remaining() is None
    assert progress.fraction() == 0.0


def test_the_estimate_is_a_range_until_three_samples_exist() -> None:
    progress, clock = started()
    work(progress, clock, done_units=1, seconds=10)
    assert progress.remaining() == Remaining(45.0, 180.0, is_range=True)
    work(progress, clock, done_units=2, seconds=10)
    second = progress.remaining()
    assert second is not None
    assert second.is_range
    assert second.high_seconds == pytest.approx(120.0)
    work(progress, clock, done_units=3, seconds=10)
    assert one_number(progress) == pytest.approx(70.0)


def test_waiting_before_the_start_is_not_counted() -> None:
    clock = Clock()
    progress = RemainingTime(clock)
    clock.seconds += 3600
    assert progress.elapsed_seconds() == 0.0
    progress.start(10)
    clock.seconds += 5
    assert progress.elapsed_seconds() == 5.0


def test_a_second_start_keeps_the_elapsed_time() -> None:
    progress, clock = started(10)
    clock.seconds += 5
    progress.start(20)
    clock.seconds += 5
    assert progress.elapsed_seconds() == 10.0


def test_a_larger_total_does_not_take_progress_back() -> None:
    progress, clock = started(10)
    work(progress, clock, done_units=5, seconds=1)
    before = progress.fraction()
    progress.start(100)
    assert progress.fraction() == before == 0.5


def test_a_page_that_is_given_up_takes_its_units_out_of_what_is_done_and_of_what_is_left() -> None:
    progress, clock = started(10)
    for done in range(1, 5):
        work(progress, clock, done_units=done, seconds=1)
    # A page of four units leaves, of which two were done.
    progress.start(6)
    progress.advance(2)
    assert one_number(progress) == pytest.approx(4.0)
    work(progress, clock, done_units=3, seconds=1)
    assert one_number(progress) == pytest.approx(3.0)
    assert progress.fraction() == 0.5


def test_a_total_that_is_not_positive_is_refused() -> None:
    for total_units in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="positive"):
            RemainingTime(Clock()).start(total_units)


def test_recent_samples_weigh_more_than_old_ones() -> None:
    slowing, slow_clock = started(100)
    quickening, quick_clock = started(100)
    for done in range(1, 11):
        work(slowing, slow_clock, done_units=done, seconds=1 if done <= 5 else 9)
        work(quickening, quick_clock, done_units=done, seconds=9 if done <= 5 else 1)
    assert one_number(slowing) > 90 * 5 > one_number(quickening)


def test_samples_older_than_the_window_are_forgotten() -> None:
    progress, clock = started(1000)
    work(progress, clock, done_units=1, seconds=100_000)
    for done in range(2, 2 + WINDOW_SAMPLES):
        work(progress, clock, done_units=done, seconds=1)
    assert one_number(progress) == pytest.approx(1000 - 1 - WINDOW_SAMPLES)


def test_units_that_end_at_the_same_instant_are_one_sample() -> None:
    progress, clock = started(10)
    work(progress, clock, done_units=1, seconds=2)
    progress.advance(2)
    progress.advance(4)
    remaining = progress.remaining()
    assert remaining is not None
    assert remaining.is_range
    assert remaining.low_seconds * 2.0 == pytest.approx(6 * 2 / 4)


def test_the_estimate_counts_down_between_samples() -> None:
    progress, clock = started(10)
    for done in (1, 2, 3):
        work(progress, clock, done_units=done, seconds=10)
    clock.seconds += 4
    assert one_number(progress) == pytest.approx(66.0)


def test_a_stall_makes_the_estimate_grow_instead_of_reaching_zero() -> None:
    progress, clock = started(4)
    for done in (1, 2, 3):
        work(progress, clock, done_units=done, seconds=10)
    seen = []
    for _ in range(10):
        clock.seconds += 30
        seen.append(one_number(progress))
    assert seen == sorted(seen)
    assert seen[-1] > 60


def test_a_pause_freezes_elapsed_and_remaining() -> None:
    progress, clock = started(10)
    for done in (1, 2, 3):
        work(progress, clock, done_units=done, seconds=10)
    clock.seconds += 2
    before = (progress.elapsed_seconds(), one_number(progress))
    progress.pause()
    progress.pause()
    clock.seconds += 9999
    assert (progress.elapsed_seconds(), one_number(progress)) == before
    progress.resume()
    progress.resume()
    assert (progress.elapsed_seconds(), one_number(progress)) == before
    clock.seconds += 1
    assert progress.elapsed_seconds() == before[0] + 1


def test_units_done_during_a_pause_count_but_do_not_make_the_work_look_faster() -> None:
    progress, clock = started(10)
    for done in (1, 2, 3):
        work(progress, clock, done_units=done, seconds=10)
    progress.pause()
    work(progress, clock, done_units=4, seconds=500)
    progress.resume()
    assert progress.fraction() == 0.4
    assert one_number(progress) == pytest.approx(60.0)


def test_work_paused_before_it_starts_counts_no_time() -> None:
    clock = Clock()
    progress = RemainingTime(clock)
    progress.pause()
    progress.start(10)
    clock.seconds += 50
    assert progress.elapsed_seconds() == 0.0
    progress.resume()
    clock.seconds += 3
    assert progress.elapsed_seconds() == 3.0


def test_one_hundred_per_cent_is_reached_only_by_finishing() -> None:
    progress, clock = started(10)
    work(progress, clock, done_units=10, seconds=1)
    assert progress.fraction() == LARGEST_UNFINISHED_FRACTION
    assert f"{progress.fraction():.0%}" == "99%"
    progress.finish()
    clock.seconds += 100
    assert progress.fraction() == 1.0
    assert progress.remaining() == Remaining(0.0, 0.0, is_range=False)
    assert progress.elapsed_seconds() == 1.0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.one_of(st.floats(), st.floats(min_value=-50, max_value=500))),
        st.tuples(st.just("wait"), st.floats(min_value=0, max_value=1e6)),
        st.tuples(st.just("total"), st.floats(min_value=0.001, max_value=1e9)),
        st.tuples(st.sampled_from(["pause", "resume"]), st.just(0.0)),
    ),
    max_size=150,
)


@given(STEPS)
def test_progress_and_elapsed_never_go_backwards_whatever_happens(steps: list[tuple[str, float]]) -> None:
    progress, clock = started(100)
    fraction, elapsed_seconds = 0.0, 0.0
    for step, value in steps:
        if step == "advance":
            progress.advance(value)
        elif step == "wait":
            clock.seconds += value
        elif step == "total":
            progress.start(value)
        elif step == "pause":
            progress.pause()
        else:
            progress.resume()
        assert fraction <= progress.fraction() <= LARGEST_UNFINISHED_FRACTION
        assert elapsed_seconds <= progress.elapsed_seconds()
        remaining = progress.remaining()
        assert remaining is None or 0.0 <= remaining.low_seconds <= remaining.high_seconds
        fraction, elapsed_seconds = progress.fraction(), progress.elapsed_seconds()
    progress.finish()
    assert progress.fraction() == 1.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "less than 1 s"),
        (7.4, "about 7 s"),
        (43, "about 45 s"),
        (59, "about 1 min"),
        (131, "about 2 min 10 s"),
        (180, "about 3 min"),
        (1500, "about 25 min"),
        (3599, "about 1 h"),
        (12_000, "about 3 h 20 min"),
        (90_000, "about 1 d 1 h"),
    ],
)
def test_a_duration_is_said_no_finer_than_an_estimate_deserves(seconds: float, words: str) -> None:
    assert duration_in_words(seconds) == words


@pytest.mark.parametrize(
    ("low_seconds", "high_seconds", "words"),
    [
        (60, 180, "1-3 min"),
        (20, 40, "20-40 s"),
        (20, 80, "up to 2 min"),
        (0.2, 0.4, "up to 1 s"),
        (3600, 7200, "60-120 min"),
        (7200, 18_000, "2-5 h"),
        (180, 180, "about 3 min"),
    ],
)
def test_a_range_is_said_in_the_unit_of_its_upper_end(
    low_seconds: float, high_seconds: float, words: str
) -> None:
    assert remaining_in_words(Remaining(low_seconds, high_seconds, is_range=True)) == words


def test_one_number_and_no_number_are_said_too() -> None:
    assert remaining_in_words(Remaining(131, 131, is_range=False)) == "about 2 min 10 s"
    assert remaining_in_words(None) == "unknown"
