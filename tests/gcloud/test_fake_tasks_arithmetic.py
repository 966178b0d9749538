"""The arithmetic of the fake Cloud Tasks is that of the documentation."""

import pytest
from google.cloud import tasks_v2

from fakes.tasks_arithmetic import TokenBucket, burst_of, is_given_up, retry_seconds, set_seconds


def config(**given: object) -> object:
    return tasks_v2.RetryConfig.pb(tasks_v2.RetryConfig(**given))


def test_the_documented_example_of_back_off() -> None:
    waits = [retry_seconds(n, min_backoff=10.0, max_backoff=300.0, max_doublings=3) for n in range(1, 10)]
    assert waits == [10, 20, 40, 80, 160, 240, 300, 300, 300]


@pytest.mark.parametrize(
    ("max_doublings", "waits"),
    [(0, [2, 4, 6, 8, 10, 10]), (1, [2, 4, 8, 10, 10, 10]), (16, [2, 4, 8, 10, 10, 10])],
)
def test_back_off_doubles_and_then_rises_in_equal_steps(max_doublings: int, waits: list[float]) -> None:
    assert [
        retry_seconds(n, min_backoff=2.0, max_backoff=10.0, max_doublings=max_doublings) for n in range(1, 7)
    ] == waits


def test_a_task_that_failed_a_million_times_still_has_a_back_off() -> None:
    assert retry_seconds(10**6, min_backoff=0.1, max_backoff=3600.0, max_doublings=16) == 3600.0
    assert retry_seconds(10**6, min_backoff=0.1, max_backoff=3600.0, max_doublings=10**6) == 3600.0


@pytest.mark.parametrize(
    ("given", "attempts", "seconds", "is_over"),
    [
        ({"max_attempts": 3}, 2, 1e9, False),
        ({"max_attempts": 3}, 3, 0.0, True),
        ({"max_attempts": 3, "max_retry_duration": {"seconds": 60}}, 3, 59.0, False),
        ({"max_attempts": 3, "max_retry_duration": {"seconds": 60}}, 2, 61.0, False),
        ({"max_attempts": 3, "max_retry_duration": {"seconds": 60}}, 3, 60.0, True),
        ({"max_attempts": -1, "max_retry_duration": {"seconds": 60}}, 1, 60.0, True),
        ({"max_attempts": -1}, 10**6, 1e9, False),
    ],
)
def test_a_task_is_given_up_when_both_its_attempts_and_its_time_are_used_up(
    given: dict[str, object], attempts: int, seconds: float, is_over: bool
) -> None:
    assert is_given_up(attempts, seconds, config(**given)) is is_over


def test_a_bucket_lets_a_burst_go_and_then_so_many_a_second() -> None:
    bucket = TokenBucket(5.0, burst_of(5.0), now=100.0)
    assert [bucket.take(100.0) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.next_at(100.0) == pytest.approx(100.2)
    assert [bucket.take(100.2), bucket.take(100.2)] == [True, False]
    assert sum(bucket.take(101.2) for _ in range(99)) == 5
    assert sum(bucket.take(1e6) for _ in range(99)) == 5


def test_a_burst_is_at_least_as_large_as_the_rate() -> None:
    assert [burst_of(rate) for rate in (0.01, 1.0, 1.5, 500.0)] == [1, 1, 2, 500]


def test_instants_are_kept_to_the_microsecond() -> None:
    task = tasks_v2.Task.pb(tasks_v2.Task())
    set_seconds(task.schedule_time, 1_800_000_000.1234567)
    assert (task.schedule_time.seconds, task.schedule_time.nanos) == (1_800_000_000, 123_457_000)
