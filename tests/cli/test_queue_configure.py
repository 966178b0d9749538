"""`audobon queue configure`: the rules of a queue, shown and changed."""

import pytest
from queue_desk import Desk

from audobon.compute.maintenance_kinds import MAINTENANCE_KINDS

MAINTENANCE = """\
queue            maintenance
state            running
max-running      1
rate             none
ageing-step      1 min
patience         30 s
warm-bonus       2 min
attempts         3, with rests of up to 1 s that double, at most 5 min
lead             1 h behind other queues
lease            lost after 10 s without a sign of life
"""


def test_rules_are_shown_and_nothing_is_created(desk: Desk) -> None:
    outcome = desk.queue("configure", "maintenance")

    assert (outcome.status, outcome.out, outcome.err) == (0, MAINTENANCE, "")
    assert not desk.folder.exists()


def test_rules_are_changed_one_by_one_and_stay(desk: Desk) -> None:
    changed = desk.queue("configure", "batch", "--max-running", "2", "--rate", "0.5/s", "--burst", "4")
    desk.queue("configure", "batch", "--ageing-step", "30s", "--patience", "2m", "--warm-bonus", "1.5m")
    desk.queue("configure", "batch", "--attempts", "5")
    desk.queue("configure", "batch", "--attempts", "1", "--kind", "page")
    shown, rules = desk.queue("configure", "batch"), desk.queue("configure", "batch", "--json").json

    assert (changed.status, changed.err) == (0, "the rules of batch are changed\n")
    assert shown.err == ""
    assert shown.out == (
        "queue            batch\n"
        "state            running\n"
        "max-running      2\n"
        "rate             0.5/s, 4 at once\n"
        "ageing-step      30 s\n"
        "patience         2 min\n"
        "warm-bonus       1 min 30 s\n"
        "attempts         5, with rests of up to 1 s that double, at most 5 min\n"
        "  of page        1\n"
        "lead             none\n"
        "lease            lost after 10 s without a sign of life\n"
    )
    assert (rules["max_running"], rules["rate_per_second"], rules["burst"]) == (2, 0.5, 4)
    assert rules["retry_by_kind"]["page"]["max_attempts"] == 1


def test_the_rests_between_tries_are_changed_for_all_kinds_or_for_one(desk: Desk) -> None:
    desk.queue("configure", "batch", "--rest", "2s", "--longest-rest", "1m")
    desk.queue("configure", "batch", "--kind", "page", "--rest", "0s")

    policies = desk.queue("configure", "batch", "--json").json

    assert policies["retry"] == {"max_attempts": 3, "first_seconds": 2.0, "most_seconds": 60.0}
    assert policies["retry_by_kind"] == {
        "page": {"max_attempts": 3, "first_seconds": 0.0, "most_seconds": 60.0}
    }
    assert "attempts         3, with rests of up to 2 s that double, at most 1 min" in (
        desk.queue("configure", "batch").out.splitlines()
    )


def test_limits_are_lifted_with_none(desk: Desk) -> None:
    desk.queue("configure", "maintenance", "--rate", "2/s")

    rules = desk.queue("configure", "maintenance", "--max-running", "none", "--rate", "none", "--json")

    assert rules.status == 0
    assert '"max_running": null' in rules.out
    assert '"rate_per_second": null' in rules.out


def test_a_pause_outlasts_a_change_of_rules(desk: Desk) -> None:
    desk.queue("pause", "batch")
    desk.queue("configure", "batch", "--max-running", "2")

    assert desk.queue("configure", "batch").out.splitlines()[1] == "state            paused"


def test_a_limit_holds_for_what_is_handed_out(desk: Desk) -> None:
    desk.add_job("1.png", "2.png")
    desk.queue("configure", "batch", "--max-running", "1")

    with desk.opened() as queue:
        assert len(desk.claim(queue, limit=2)) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ("batchh --burst 2", 4, "error: there is no queue 'batchh'\nhint: did you mean batch?\n"),
        ("batch --burst 0", 2, "error: queue batch: burst must be at least 1\n"),
        ("batch --max-running 0", 2, "error: queue batch: max_running must be at least 1\n"),
        (
            "batch --max-running two",
            2,
            "error: 'two' is not a number of tasks\nhint: write it like 2, or none\n",
        ),
        (
            "batch --rate 2",
            2,
            "error: '2' is not a rate\nhint: write it like 2/s or 0.5/s, or none\n",
        ),
        ("batch --rate 0/s", 2, "error: queue batch: rate_per_second must be above 0\n"),
        ("batch --ageing-step 0s", 2, "error: queue batch: ageing_step_seconds must be above 0\n"),
        ("batch --patience soon", 2, "error: 'soon' is not a span of time\nhint: write it like 30s, 5m"),
    ],
)
def test_a_rule_that_cannot_be_kept_changes_nothing(
    desk: Desk, arguments: str, status: int, told: str
) -> None:
    before = desk.queue("configure", "batch").out

    outcome = desk.queue("configure", *arguments.split())

    assert (outcome.status, outcome.out) == (status, "")
    assert outcome.err.startswith(told)
    assert desk.queue("configure", "batch").out == before


@pytest.mark.parametrize(
    ("kind", "hint"),
    [("pgae", "did you mean page?"), ("sing", f"one of: page, {', '.join(MAINTENANCE_KINDS)}")],
)
def test_a_kind_nobody_knows_is_refused(desk: Desk, kind: str, hint: str) -> None:
    outcome = desk.queue("configure", "batch", "--attempts", "2", "--kind", kind)

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == f"error: no kind of task is named {kind!r}\nhint: {hint}\n"


@pytest.mark.parametrize("name", ["interactive", "batch", "maintenance"])
def test_rules_go_back_to_those_the_queue_started_with(desk: Desk, name: str) -> None:
    started = desk.queue("configure", name).out
    desk.queue("configure", name, "--attempts", "2", "--kind", "page", "--burst", "4", "--max-running", "3")
    desk.queue("pause", name)

    outcome = desk.queue("configure", name, "--defaults")

    assert (outcome.status, outcome.err) == (0, f"the rules of {name} are those it started with\n")
    assert outcome.out == started.replace("state            running", "state            paused")
    assert desk.queue("configure", name).out == outcome.out


def test_defaults_go_alone(desk: Desk) -> None:
    outcome = desk.queue("configure", "batch", "--defaults", "--burst", "2")

    assert outcome.status == 2
    assert outcome.err.endswith("Error: --defaults goes alone\n")


def test_a_kind_goes_with_its_attempts(desk: Desk) -> None:
    outcome = desk.queue("configure", "batch", "--kind", "page")

    assert outcome.status == 2
    assert outcome.err.endswith("Error: --kind goes with --attempts, --rest or --longest-rest\n")
