"""`audobon queue schedule`: upkeep that comes again and again."""

import pytest
from queue_desk import HARMLESS, HOSTILE, START, Desk

ADD = ("schedule", "add", "nightly", "--cron", "0 3 * * *", "--kind", "sweep-blobs")
NOBODY = "no engine runs; audobon up does what is ready\n"


def test_a_schedule_is_added_listed_and_removed(desk: Desk) -> None:
    nothing = desk.queue("schedule", "list")
    added = desk.queue(*ADD, "--misfire", "skip")
    listed, as_json = desk.queue("schedule", "list"), desk.queue("schedule", "list", "--json").json
    removed = desk.queue("schedule", "remove", "nightly")

    assert (nothing.out, nothing.err) == (
        "",
        "no schedules; begin with: audobon queue schedule add"
        ' nightly --cron "0 3 * * *" --kind sweep-blobs\n',
    )
    assert (added.status, added.out) == (0, "")
    assert added.err == (
        "nightly: sweep-blobs in maintenance; it runs next 2026-01-04 03:00, time of this place\n"
    )
    assert (listed.status, listed.err) == (0, "")
    assert listed.out == (
        "name     when           kind         queue        missed  next\n"
        "nightly  0 3 * * * UTC  sweep-blobs  maintenance  skip    2026-01-04 03:00\n"
    )
    assert as_json == [
        {
            "name": "nightly",
            "queue": "maintenance",
            "needs": {
                "kind": "sweep-blobs",
                "model": "",
                "device": "any",
                "ram_bytes": 0,
                "vram_bytes": 0,
            },
            "cron": "0 3 * * *",
            "payload": "{}",
            "priority": 0,
            "misfire": "skip",
            "is_paused": False,
            "next_at": START + 15 * 3600,
        }
    ]
    assert (removed.status, removed.err) == (0, "nightly is removed\n")
    assert desk.queue("schedule", "list", "--json").json == []


def test_a_schedule_is_not_replaced_unasked(desk: Desk) -> None:
    desk.queue(*ADD)

    again = desk.queue(*ADD)
    replaced = desk.queue(*ADD[:4], "0 4 * * *", *ADD[5:], "--replace", "--json").json

    assert (again.status, again.out) == (5, "")
    assert again.err == (
        "error: there is a schedule 'nightly' already\nhint: say --replace, or take another name\n"
    )
    assert replaced["cron"] == "0 4 * * *"
    assert [each["cron"] for each in desk.queue("schedule", "list", "--json").json] == ["0 4 * * *"]


def test_a_paused_schedule_adds_nothing_and_its_pause_is_not_made_up_for(desk: Desk) -> None:
    desk.queue(*ADD)

    paused = desk.queue("schedule", "pause", "nightly")
    listed = desk.queue("schedule", "list").out
    desk.now += 86_400
    in_pause = desk.queue("schedule", "run", "--json").json
    resumed = desk.queue("schedule", "resume", "nightly", "--json").json
    after = desk.queue("schedule", "run")

    assert paused.err == "nightly: sweep-blobs in maintenance; it is paused\n"
    assert listed.splitlines()[1].endswith("once    paused")
    assert in_pause == {"added": 0, "ids": []}
    assert (resumed["is_paused"], resumed["next_at"]) == (False, START + 39 * 3600)
    assert after.err == "added: 0 due\n"


def test_what_is_due_is_added_and_a_schedule_can_be_run_out_of_turn(desk: Desk) -> None:
    desk.queue(*ADD)
    desk.now += 3 * 86_400

    due = desk.queue("schedule", "run")
    now = desk.queue("schedule", "run", "nightly")
    as_json = desk.queue("schedule", "run", "nightly", "--json").json

    assert (due.status, due.err) == (0, "added: 1 due\n" + NOBODY)
    assert now.err == "added to maintenance: task 2; see: audobon queue show 2\n" + NOBODY
    assert as_json == {"added": 1, "ids": [3]}
    assert [task["kind"] for task in desk.queue("list", "--tasks", "--json").json] == ["sweep-blobs"] * 3


@pytest.mark.parametrize("command", ["remove", "pause", "resume", "run"])
def test_a_wrong_name_brings_the_nearest(desk: Desk, command: str) -> None:
    nowhere = desk.queue("schedule", command, "nightly")
    desk.queue(*ADD)
    near, far = desk.queue("schedule", command, "nihgtly"), desk.queue("schedule", command, "zzz")

    assert (near.status, near.err) == (
        4,
        "error: there is no schedule 'nihgtly'\nhint: did you mean nightly?\n",
    )
    for outcome in (nowhere, far):
        assert outcome.status == 4
        assert outcome.err.endswith("hint: audobon queue schedule list\n")


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        (
            {"--kind": "sweep-blob"},
            2,
            "error: no upkeep is named 'sweep-blob' (nearest: sweep-blobs)\nhint: one of: sweep-blobs,",
        ),
        ({"--cron": "0 3 * *"}, 2, "error: '0 3 * *' is not a time table: "),
        ({"--cron": "61 3 * * *"}, 2, "error: '61 3 * * *' is not a time table: "),
        ({"--cron": "0 0 30 2 *"}, 2, "error: '0 0 30 2 *' is not a time table: "),
        ({"--payload": "[1]"}, 2, "error: the payload is not a JSON object: "),
        ({"--payload": "{"}, 2, "error: the payload is not a JSON object: "),
        ({"--queue": "maintenanse"}, 4, "error: there is no queue 'maintenanse'\nhint: did you mean maint"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_the_reason(
    desk: Desk, changes: dict[str, str], status: int, told: str
) -> None:
    options = {"--cron": "0 3 * * *", "--kind": "sweep-blobs"} | changes

    outcome = desk.queue("schedule", "add", "nightly", *(part for each in options.items() for part in each))

    assert (outcome.status, outcome.out) == (status, "")
    assert outcome.err.startswith(told)
    assert desk.queue("schedule", "list", "--json").json == []


@pytest.mark.parametrize("name", ["", "  ", HOSTILE, "two\nlines"])
def test_a_name_that_would_spoil_the_list_is_refused(desk: Desk, name: str) -> None:
    outcome = desk.queue("schedule", "add", name, *ADD[3:])

    assert (outcome.status, outcome.out) == (2, "")
    assert "cannot be the name of a schedule" in outcome.err
    assert "\x1b" not in outcome.err


def test_a_hostile_name_asked_for_stays_harmless(desk: Desk) -> None:
    outcome = desk.queue("schedule", "run", HOSTILE)

    assert outcome.status == 4
    assert not {"\x1b", "\r", "\x07", "\u202e"} & set(outcome.err)
    assert HARMLESS not in outcome.out


def test_help_names_the_kinds_of_upkeep(desk: Desk) -> None:
    outcome = desk.queue("schedule", "add", "--help")

    assert outcome.status == 0
    assert "  sweep-blobs     free the room of finished pages that no job needs any more\n" in outcome.out
