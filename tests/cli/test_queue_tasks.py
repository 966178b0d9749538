"""`audobon queue retry`, `cancel` and `dead`: tasks tried again, called off, given up and forgotten."""

import io
import sys
from contextlib import closing

import pytest
from queue_desk import JOB, Desk

from audobon.database.service import Database

NOBODY = "no engine runs; audobon up does what is ready\n"
DAY = 86_400.0


class Keyboard(io.StringIO):
    """A terminal at which somebody has typed."""

    def isatty(self) -> bool:
        return True


def states(desk: Desk) -> list[str]:
    with desk.opened() as queue:
        return [task.state for task in reversed(queue.select())]


def test_dead_letters_are_listed_with_when_and_why(desk: Desk) -> None:
    desk.add_job("1.png", "2.png", "3.png")
    assert desk.queue("dead").err == "no dead letters\n"
    for reason in ("the file is empty", "this is no picture"):
        desk.fail(reason)
        desk.now += 60

    words = desk.queue("dead")
    cut = desk.queue("dead", "--limit", "1", "--queue", "batch")
    as_json = desk.queue("dead", "--json").json

    assert (words.status, words.err) == (
        0,
        "retry them: audobon queue retry --all-dead, or: audobon queue retry 2\n"
        f"dismiss those of a job: audobon jobs discard {JOB}\n",
    )
    assert words.out == (
        "id  queue  what                   tries  given up          reason\n"
        " 2  batch  upscale fox.cbz/2.png    1/3  2026-01-03 12:01  unreadable_picture: this is no picture\n"
        " 1  batch  upscale fox.cbz/1.png    1/3  2026-01-03 12:00  unreadable_picture: the file is empty\n"
    )
    assert [line.split()[0] for line in cut.out.splitlines()] == ["id", "2"]
    assert cut.err == (
        "these are the newest 1 of 2; --limit shows more\n"
        "retry them: audobon queue retry --all-dead --queue batch, or: audobon queue retry 2\n"
        f"dismiss those of a job: audobon jobs discard {JOB}\n"
    )
    assert [(task["page"], task["error_message"]) for task in as_json] == [
        ("2.png", "this is no picture"),
        ("1.png", "the file is empty"),
    ]


def test_dead_letters_are_replayed_with_all_their_attempts(desk: Desk) -> None:
    desk.add_job("1.png", "2.png")
    desk.fail()
    desk.fail()

    tried = desk.queue("retry", "--all-dead", "--dry-run")
    before = states(desk)
    one = desk.queue("retry", 1)
    rest = desk.queue("retry", "--all-dead", "--queue", "batch", "--json").json
    nothing = desk.queue("retry", "--all-dead")

    assert (tried.status, tried.err, before) == (
        0,
        "would be retried: 2 tasks (2, 1)\n",
        ["failed", "failed"],
    )
    assert (one.status, one.out, one.err) == (0, "", "retried: 1 task (1)\n" + NOBODY)
    assert rest == {"dry_run": False, "replayed": 1, "ids": [2], "not_kept": []}
    assert (nothing.status, nothing.err) == (0, "nothing to retry\n")
    assert states(desk) == ["ready", "ready"]
    assert desk.queue("list", "--tasks", "--json").json[0]["attempt"] == 0


def test_only_dead_letters_and_cancelled_tasks_are_replayed(desk: Desk) -> None:
    desk.add_job("1.png", "2.png")
    desk.queue("cancel", 2)

    both = desk.queue("retry", 1, 2)
    job = desk.queue("retry", "--job", JOB, "--json").json
    cancelled = desk.queue("retry", "--all-cancelled")

    assert both.err == "task 1 is ready: left as it is\nretried: 1 task (2)\n" + NOBODY
    assert job == {"dry_run": False, "replayed": 0, "ids": [], "not_kept": []}
    assert cancelled.err == "nothing to retry\n"


def test_pages_of_a_job_that_keeps_nothing_are_not_replayed_and_keep_their_reason(desk: Desk) -> None:
    desk.add_job("1.png", "2.png")
    desk.fail()
    desk.fail()
    desk.add()
    upkeep = desk.fail("a slip", code="error")
    with closing(Database(desk.folder).open()) as connection:
        connection.execute("UPDATE job SET state = 'failed'")

    told = desk.queue("retry", "--all-dead", "--dry-run")
    done = desk.queue("retry", "--all-dead", "--json").json

    assert told.err == (
        "left as they are: 2 tasks (2, 1) of jobs that ended; run the same commands again\n"
        "would be retried: 1 task (3)\n"
    )
    assert done == {"dry_run": False, "replayed": 1, "ids": [upkeep], "not_kept": [2, 1]}
    assert states(desk) == ["failed", "failed", "ready"]


def test_one_task_is_cancelled_unasked_and_the_way_back_is_told(desk: Desk) -> None:
    desk.add_job("1.png", "2.png")

    outcome = desk.queue("cancel", 2)

    assert (outcome.status, outcome.out) == (0, "")
    assert outcome.err == (
        "cancelled: 1 task that waited; asked to stop: 0 tasks at work\nundo: audobon queue retry 2\n"
    )
    assert states(desk) == ["ready", "cancelled"]
    again = desk.queue("cancel", 2)
    assert again.err == "task 2 is cancelled: left as it is\nnothing to cancel\n"


def test_several_are_cancelled_only_when_somebody_says_yes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    desk.add_job("1.png", "2.png", "3.png")
    with desk.opened() as queue:
        desk.claim(queue)

    # when
    tried = desk.queue("cancel", "--job", JOB, "--dry-run")
    unasked = desk.queue("cancel", "--job", JOB)
    as_json = desk.queue("cancel", "--job", JOB, "--json")
    monkeypatch.setattr(sys, "stdin", Keyboard("n\n"))
    refused = desk.queue("cancel", "--job", JOB)
    before = states(desk)
    monkeypatch.setattr(sys, "stdin", Keyboard("y\n"))
    agreed = desk.queue("cancel", "--queue", "batch", "--all")
    again = desk.queue("cancel", "--job", JOB, "--yes")

    # then
    assert (tried.status, tried.err) == (
        0,
        "would be cancelled: 2 tasks that waited; would be asked to stop: 1 task at work\n",
    )
    for outcome in (unasked, as_json):
        assert outcome.status == 2
        assert outcome.err == "error: this would cancel 3 tasks\nhint: say --yes, or --dry-run to see them\n"
    assert refused.status == 130
    assert refused.err.startswith("cancel 3 tasks, 1 of them at work? [y/N]: ")
    assert before == ["leased", "ready", "ready"]
    assert agreed.status == 0
    assert agreed.err.endswith(
        "cancelled: 2 tasks that waited; asked to stop: 1 task at work\n"
        "undo: audobon queue retry --all-cancelled --queue batch\n"
    )
    assert again.err == "nothing to cancel\n"
    with desk.opened() as queue:
        assert [request.reason for request in queue.stop_requests()] == [
            "cancelled by `audobon queue cancel`"
        ]


def test_with_json_what_was_cancelled_is_told(desk: Desk) -> None:
    desk.add_job("1.png", "2.png")

    told = desk.queue("cancel", 1, 2, "--yes", "--json").json

    assert told == {"dry_run": False, "cancelled": 2, "asked_to_stop": 0, "ids": [1, 2]}


@pytest.mark.parametrize("command", ["retry", "cancel"])
@pytest.mark.parametrize(
    ("arguments", "status", "hint"),
    [
        ("", 2, "hint: one of: ID..., --job, "),
        ("1 --job x", 2, "hint: one of: ID..., --job, "),
        ("99", 4, "hint: audobon queue list --tasks\n"),
        ("--job nope", 4, "hint: audobon jobs list\n"),
        ("1st", 2, "hint: a number; audobon queue list --tasks\n"),
    ],
)
def test_what_is_not_named_rightly_is_refused(
    desk: Desk, command: str, arguments: str, status: int, hint: str
) -> None:
    desk.add_job("1.png")

    outcome = desk.queue(command, *arguments.split())

    assert (outcome.status, outcome.out) == (status, "")
    assert hint in outcome.err
    assert states(desk) == ["ready"]


def test_the_nearest_queue_is_named_when_there_is_none(desk: Desk) -> None:
    desk.add_job("1.png")

    outcomes = [
        desk.queue("retry", "--all-dead", "--queue", "bach"),
        desk.queue("cancel", "--all", "--queue", "bach", "--yes"),
        desk.queue("dead", "--queue", "bach"),
    ]

    told = "error: there is no queue 'bach'\nhint: did you mean batch?\n"
    assert [(each.status, each.err) for each in outcomes] == [(4, told)] * 3


def test_what_ended_long_ago_is_forgotten_but_not_what_belongs_to_a_job(desk: Desk) -> None:
    # given
    desk.add_job("1.png")
    desk.fail()
    for _ in range(2):
        desk.add()
        desk.fail("no room", code="disk_full")
    desk.now += 40 * DAY
    desk.add()
    desk.fail("no room", code="disk_full")

    # when
    tried = desk.queue("dead", "--prune", "--older-than", "30d", "--dry-run")
    tried_json = desk.queue("dead", "--prune", "--older-than", "30d", "--dry-run", "--json").json
    before = states(desk)
    pruned = desk.queue("dead", "--prune", "--older-than", "30d")

    # then
    assert (tried.status, tried.err) == (0, "would be forgotten: 2 tasks\n")
    assert tried_json == {"dry_run": True, "forgotten": 2}
    assert len(before) == 4
    assert (pruned.status, pruned.err) == (0, "forgotten: 2 tasks\n")
    assert [task["id"] for task in desk.queue("dead", "--json").json] == [4, 1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--prune", "Error: --prune and --older-than go together\n"),
        ("--older-than 3d", "Error: --prune and --older-than go together\n"),
        ("--dry-run", "Error: --dry-run goes with --prune\n"),
        ("--prune --older-than 3d --queue batch", "Error: --prune takes all queues\n"),
        (
            "--prune --older-than 3",
            "error: '3' is not a span of time\nhint: write it like 30s, 5m, 2h or 7d\n",
        ),
    ],
)
def test_pruning_must_be_asked_for_rightly(desk: Desk, arguments: str, told: str) -> None:
    outcome = desk.queue("dead", *arguments.split())

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.endswith(told)
