"""Cron lines and what they name, and what becomes of missed runs."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audobon.errors import InvalidInput
from audobon.queue.schedule import Misfire, Schedule, due_runs, next_after
from audobon.queue.tasks import Needs

MINUTE, HOUR = 60.0, 3600.0


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def schedule(cron: str, next_at: float, misfire: Misfire) -> Schedule:
    return Schedule(
        name="s", queue="batch", needs=Needs(kind="k"), cron=cron, misfire=misfire, next_at=next_at
    )


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("0 3 * * *", "2026-01-01T02:59:59", "2026-01-01T03:00"),
        ("0 3 * * *", "2026-01-01T03:00", "2026-01-02T03:00"),
        ("*/15 * * * *", "2026-01-01T00:01", "2026-01-01T00:15"),
        ("0 0 29 2 *", "2026-01-01T00:00", "2028-02-29T00:00"),
        ("0 9 * * mon", "2026-01-01T00:00", "2026-01-05T09:00"),
        ("30 2 29 3 *", "2026-03-01T00:00", "2026-03-29T02:30"),
    ],
)
def test_the_next_instant_is_found_in_utc(cron: str, after: str, expected: str) -> None:
    assert next_after(cron, at(after)) == at(expected)


@pytest.mark.parametrize("cron", ["", "* * * *", "60 * * * *", "0 0 30 2 *", "at three"])
def test_what_is_no_time_table_is_named_with_an_example(cron: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        next_after(cron, 0.0)
    assert caught.value.message.startswith(f"{cron!r} is not a time table: ")
    assert '"0 3 * * *"' in str(caught.value.hint)


@pytest.mark.parametrize("misfire", ["skip", "once", "all"])
def test_nothing_runs_before_it_is_due(misfire: Misfire) -> None:
    due = schedule("0 * * * *", HOUR, misfire)
    assert due_runs(due, HOUR - 0.001) == ([], HOUR)
    assert due_runs(due, HOUR) == ([HOUR], 2 * HOUR)


@pytest.mark.parametrize(
    ("misfire", "late_seconds", "runs"),
    [
        ("skip", 60.0, [5 * HOUR]),
        ("skip", 61.0, []),
        ("once", 60.0, [5 * HOUR]),
        ("once", 1800.0, [5 * HOUR]),
        ("all", 1800.0, [HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR, 5 * HOUR]),
    ],
)
def test_missed_runs_are_treated_by_their_policy(
    misfire: Misfire, late_seconds: float, runs: list[float]
) -> None:
    assert due_runs(schedule("0 * * * *", HOUR, misfire), 5 * HOUR + late_seconds) == (runs, 6 * HOUR)


@pytest.mark.parametrize(("misfire", "count"), [("skip", 1), ("once", 1), ("all", 1000)])
def test_after_weeks_away_the_latest_run_is_found_and_no_flood_comes(misfire: Misfire, count: int) -> None:
    now = 30 * 24 * HOUR + 10.0
    runs, following = due_runs(schedule("* * * * *", MINUTE, misfire), now)
    assert (len(runs), following) == (count, 30 * 24 * HOUR + MINUTE)
    if misfire != "all":
        assert runs == [30 * 24 * HOUR]


@given(
    minutes=st.integers(1, 500),
    step=st.integers(1, 59),
    late=st.floats(0, 100_000),
    misfire=st.sampled_from(("skip", "once", "all")),
)
def test_runs_are_instants_of_the_line_within_what_was_due_and_the_next_is_after_now(
    minutes: int, step: int, late: float, misfire: Misfire
) -> None:
    cron = f"*/{step} * * * *"
    due = schedule(cron, next_after(cron, minutes * MINUTE), misfire)
    now = due.next_at + late
    runs, following = due_runs(due, now)
    assert following > now
    assert all(due.next_at <= run <= now and next_after(cron, run - 1) == run for run in runs)
    assert len(runs) <= {"skip": 1, "once": 1, "all": 1000}[misfire]
    assert due_runs(msgspec.structs.replace(due, next_at=following), now) == ([], following)
