"""Spans of time as people write and read them."""

import pytest

from audobon.cli.durations import parse_duration, span
from audobon.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("5m", 300.0), ("1.5h", 5400.0), (" 7D ", 604_800.0), ("0s", 0.0)],
)
def test_a_span_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "5 m", "-1s", "1e3s", "five m", "1w", "٣s", "1.s", "99999d\n9", "inf s"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a span of time"):
        parse_duration(text)


def test_more_than_a_hundred_years_is_refused() -> None:
    with pytest.raises(InvalidInput, match="more than a hundred years"):
        parse_duration("999999999999d")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.25, "0.2 s"),
        (9.99, "9.9 s"),
        (10.9, "10 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (599, "9 min 59 s"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86_400, "1 d"),
        (100_000, "1 d 3 h"),
    ],
)
def test_a_span_is_told_in_two_units_at_most_and_never_rounded_up(seconds: float, words: str) -> None:
    assert span(seconds) == words
