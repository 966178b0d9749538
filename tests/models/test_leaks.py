"""A model that keeps memory is found out; one that gives it back is not accused."""

import pytest

from audobon.models.leak_runs import Cycles
from audobon.models.leaks import judge, slope_of

MEGABYTE = 1 << 20


def cycles(*grown_megabytes: float, recycling: str | None = None) -> Cycles:
    grown = tuple(round(megabytes * MEGABYTE) for megabytes in grown_megabytes)
    return Cycles(100 * MEGABYTE, grown, 1.0, recycling)


def test_the_slope_is_that_of_the_nearest_straight_line() -> None:
    assert slope_of([3, 5, 7, 9]) == pytest.approx(2)
    assert slope_of([0, 1, 0, 1]) == pytest.approx(0.2)
    assert slope_of([5, 4, 3]) == pytest.approx(-1)
    assert (slope_of([7]), slope_of([])) == (0, 0)


def test_what_settles_is_no_leak() -> None:
    report = judge("m", cycles(*[0.5, 1.0, 1.5, *[2.0] * 97]))
    assert (report.verdict, report.reasons, report.cycles) == ("ok", (), 100)
    assert report.growth_bytes == 2 * MEGABYTE


def test_a_little_more_with_each_cycle_is_a_leak_long_before_it_is_much() -> None:
    report = judge("m", cycles(*[0.1 * number for number in range(50)]))
    assert report.verdict == "leaks"
    assert report.reasons == ("0.100 MB more with each cycle, 0.05 MB are allowed",)


def test_much_at_once_is_a_leak_though_it_grows_no_further() -> None:
    report = judge("m", cycles(*[17.0] * 200))
    assert (report.verdict, report.reasons) == ("leaks", ("17.0 MB stayed, 16 MB are allowed",))


def test_a_process_that_the_engine_would_replace_leaks() -> None:
    report = judge("m", cycles(*[1.0] * 30, recycling="80 MB did not come back from evicted models"))
    assert report.reasons == (
        "the engine would replace the process: 80 MB did not come back from evicted models",
    )
