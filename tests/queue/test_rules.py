"""The rules of a queue: rests between tries, policies, and what cannot be kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audobon.errors import InvalidInput
from audobon.queue.rules import QueueRules, RetryPolicy, default_rules
from audobon.queue.tasks import CATEGORIES


def test_the_bound_of_a_rest_doubles_until_it_is_the_longest() -> None:
    policy = RetryPolicy(9, first_seconds=1.5, most_seconds=10.0)
    assert [policy.rest_seconds(attempt, draw=lambda: 1.0) for attempt in range(1, 6)] == [
        1.5, 3.0, 6.0, 10.0, 10.0,
    ]  # fmt: skip


@given(
    attempt=st.integers(1, 10_000),
    drawn=st.floats(0, 1),
    first=st.floats(0, 1e6),
    most=st.floats(0, 1e6),
)
def test_a_rest_is_drawn_from_nothing_to_all_of_its_bound(
    attempt: int, drawn: float, first: float, most: float
) -> None:
    policy = RetryPolicy(3, first_seconds=first, most_seconds=most)
    longest = policy.rest_seconds(attempt, draw=lambda: 1.0)
    assert policy.rest_seconds(attempt, draw=lambda: 0.0) == 0.0
    assert policy.rest_seconds(attempt, draw=lambda: drawn) == longest * drawn
    assert longest <= most


def test_rests_differ_without_being_told_to() -> None:
    assert len({RetryPolicy().rest_seconds(5) for _ in range(20)}) > 15


def test_a_kind_without_a_policy_has_that_of_its_queue() -> None:
    own, common = RetryPolicy(7), RetryPolicy(2)
    rules = QueueRules(name="q", retry=common, retry_by_kind={"fetch": own})
    assert (rules.retry_for("fetch"), rules.retry_for("page")) == (own, common)


@pytest.mark.parametrize("category", CATEGORIES)
def test_what_a_category_starts_with_can_be_kept(category: str) -> None:
    rules = default_rules(category)  # type: ignore[arg-type]
    rules.check()
    assert rules.name == category


def test_every_rule_that_cannot_be_kept_is_named() -> None:
    rules = QueueRules(
        name="a/b",
        ageing_step_seconds=0.0,
        lease_seconds=-1.0,
        rate_per_second=0.0,
        max_running=0,
        burst=0,
        warm_bonus_seconds=-1.0,
        patience_seconds=-1.0,
        retry=RetryPolicy(0),
        retry_by_kind={"fetch": RetryPolicy(first_seconds=-1.0)},
    )
    with pytest.raises(InvalidInput) as caught:
        rules.check()
    assert caught.value.message == (
        "queue a/b: ageing_step_seconds must be above 0; lease_seconds must be above 0; "
        "rate_per_second must be above 0; its name must not be empty or hold a slash; "
        "max_running must be at least 1; burst must be at least 1; "
        "warm_bonus_seconds must not be negative; patience_seconds must not be negative; "
        "the retry policy has a number that is too small; "
        "the retry policy of fetch has a number that is too small"
    )
