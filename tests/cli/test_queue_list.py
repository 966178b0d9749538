"""`audobon queue list` and `show`: what waits, what is at work, what became of each task."""

from contextlib import closing

import pytest
from queue_desk import HARMLESS, HOSTILE, JOB, MB, MODEL, START, Desk

from audobon.database.service import Database

NOBODY = "no engine runs; audobon up does what is ready\n"
HEADINGS = "queue        state    ready  waiting  at work  dead  oldest  done/min  failed/min\n"
REST = "interactive  running      0        0        0     0       -         0           0\n"


@pytest.mark.parametrize("command", ["list", "list --tasks", "dead", "watch --once"])
def test_where_nothing_was_ever_enqueued_the_commands_say_so_and_create_nothing(
    desk: Desk, command: str
) -> None:
    outcome = desk.queue(*command.split())

    assert (outcome.status, outcome.out) == (0, "")
    assert outcome.err == "nothing was ever enqueued here\n"
    assert not desk.folder.exists()


def test_the_list_shows_each_queue_with_its_depth_age_and_rates(desk: Desk) -> None:
    # given
    desk.add_job("1.png", "2.png", "3.png", "4.png")
    desk.add(delay_seconds=60)
    desk.now += 90
    desk.fail()
    with desk.opened() as queue:
        (done,) = desk.claim(queue)
        queue.finish(done)
        desk.claim(queue)

    # when
    words, as_json = desk.queue("list"), desk.queue("list", "--json").json

    # then
    assert (words.status, words.err) == (0, NOBODY)
    assert words.out == (
        "queue        state    ready  waiting  at work  dead      oldest  done/min  failed/min\n"
        "batch        running      1        0        1     1  1 min 30 s         1           1\n"
        "interactive  running      0        0        0     0           -         0           0\n"
        "maintenance  running      1        0        0     0        30 s         0           0\n"
        "memory (here): 192 MB of 2.0 GB held\n"
    )
    assert [each["queue"] for each in as_json["queues"]] == ["batch", "interactive", "maintenance"]
    assert as_json["queues"][0] == {
        "queue": "batch",
        "state": "run",
        "ready": 1,
        "waiting": 0,
        "leased": 1,
        "dead": 1,
        "oldest_age_seconds": 90.0,
        "done_per_second": 1 / 60,
        "failed_per_second": 1 / 60,
        "by_kind": [{"kind": "page", "done": 1, "failed": 1}],
    }
    assert as_json["pools"] == [
        {
            "pool": "here",
            "ram_bytes": 2048 * MB,
            "vram_bytes": 0,
            "reserved_ram_bytes": 192 * MB,
            "reserved_vram_bytes": 0,
        }
    ]


def test_one_queue_can_be_asked_for_and_a_wrong_name_brings_the_nearest(desk: Desk) -> None:
    desk.add_job()

    found, wrong, far = (desk.queue("list", "--queue", name) for name in ("interactive", "batsch", "x"))

    assert (found.status, found.out, found.err) == (0, HEADINGS + REST, "")
    assert (wrong.status, wrong.err) == (4, "error: there is no queue 'batsch'\nhint: did you mean batch?\n")
    assert (far.status, far.err) == (4, "error: there is no queue 'x'\nhint: audobon queue list\n")


def test_tasks_are_listed_by_the_names_of_their_pages(desk: Desk) -> None:
    desk.add_job("1.png", "狐/2.png")
    desk.add_job("/books/fox.png".rpartition("/")[2], source="/books/fox.png", job_id="single")
    desk.add()
    desk.fail()

    words = desk.queue("list", "--tasks")
    failed = desk.queue("list", "--state", "failed", "--json").json

    assert (words.status, words.err) == (0, "")
    assert words.out == (
        "id  queue        state   tries  done  enqueued        what                      job\n"
        " 4  maintenance  ready     0/3   0/1  01-03 12:00:00  sweep-blobs\n"
        " 3  batch        ready     0/3  0/24  01-03 12:00:00  upscale fox.png           single\n"
        f" 2  batch        ready     0/3  0/24  01-03 12:00:00  upscale fox.cbz/狐/2.png  {JOB}\n"
        f" 1  batch        failed    1/3  0/24  01-03 12:00:00  upscale fox.cbz/1.png     {JOB}\n"
    )
    assert [(task["id"], task["state"], task["error_code"]) for task in failed] == [
        (1, "failed", "unreadable_picture")
    ]
    named = {"operation": "upscale", "document": "/books/fox.cbz", "page": "1.png"}
    assert {name: failed[0][name] for name in named} == named


def test_the_list_of_tasks_can_be_narrowed_and_says_when_it_is_cut(desk: Desk) -> None:
    desk.add_job("1.png", "2.png", "3.png")
    desk.add(delay_seconds=5)

    def ids(*options: object) -> list[int]:
        return [task["id"] for task in desk.queue("list", "--json", *options).json]

    assert ids("--tasks") == [4, 3, 2, 1]
    assert ids("--tasks", "--queue", "batch") == [3, 2, 1]
    assert ids("--state", "waiting") == [4]
    assert ids("--state", "waiting", "--state", "ready", "--job", JOB) == [3, 2, 1]
    assert ids("--state", "done") == []
    assert ids("--limit", 2) == [4, 3]
    assert desk.queue("list", "--limit", 2).err == "these are the newest 2, and there may be more: --limit\n"
    assert desk.queue("list", "--state", "done").err == "no such tasks\n"
    gone = desk.queue("list", "--job", "nope")
    assert (gone.status, gone.err) == (4, "error: no job nope is in the queue\nhint: audobon jobs list\n")


def test_one_task_is_shown_whole_with_what_happened_to_it(desk: Desk) -> None:
    # given
    desk.add_job("1.png")
    with desk.opened() as queue:
        desk.now += 2
        (lease,) = desk.claim(queue)
        desk.now += 3
        queue.fail(lease, code="worker_died", message="killed by signal 9", retry=True)
        desk.now += 10
        (lease,) = desk.claim(queue)
        queue.progress(lease, 6, 24)

    # when
    outcome, as_json = desk.queue("show", 1), desk.queue("show", 1, "--json").json

    # then
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == (
        "task      1\n"
        "what      upscale fox.cbz/1.png\n"
        "state     leased\n"
        "queue     batch, priority 0\n"
        "kind      page\n"
        f"model     {MODEL}\n"
        f"job       {JOB}, entry 0\n"
        "needs     192 MB of memory, any device\n"
        "attempts  2 of 3\n"
        "progress  6 of 24 units\n"
        "worker    pid 4711, on here\n"
        "error     worker_died: killed by signal 9\n"
        "\n"
        "history\n"
        "  2026-01-03 12:00:00  enqueued\n"
        "  2026-01-03 12:00:05  failed, to be tried again: killed by signal 9\n"
        "  2026-01-03 12:00:15  attempt 2 begun\n"
    )
    assert as_json["page"] == "1.png"
    assert as_json["started_at"] == START + 15
    assert [event["kind"] for event in as_json["events"]] == ["retried"]


def test_a_task_that_is_done_says_how_long_it_took(desk: Desk) -> None:
    desk.add()
    with desk.opened() as queue:
        (lease,) = desk.claim(queue)
        desk.now += 75
        queue.finish(lease, result='{"bytes":0}')

    lines = desk.queue("show", 1).out.splitlines()

    assert lines[:2] == ["task      1", "state     done"]
    assert 'result    {"bytes":0}' in lines
    assert lines[-3:] == [
        "  2026-01-03 12:00:00  enqueued",
        "  2026-01-03 12:00:00  attempt 1 begun",
        "  2026-01-03 12:01:15  done in 1 min 15 s",
    ]


@pytest.mark.parametrize(
    ("task_id", "status", "err"),
    [
        ("7", 4, "error: there is no task 7\nhint: audobon queue list --tasks\n"),
        ("9" * 18, 4, f"error: there is no task {'9' * 18}\nhint: audobon queue list --tasks\n"),
        (
            "9" * 30,
            2,
            f"error: '{'9' * 30}' is not the id of a task\nhint: a number; audobon queue list --tasks\n",
        ),
        ("one", 2, "error: 'one' is not the id of a task\nhint: a number; audobon queue list --tasks\n"),
        ("٣", 2, "error: '٣' is not the id of a task\nhint: a number; audobon queue list --tasks\n"),
    ],
)
def test_an_id_that_names_no_task_is_refused(desk: Desk, task_id: str, status: int, err: str) -> None:
    desk.add()

    outcome = desk.queue("show", task_id)

    assert (outcome.status, outcome.out, outcome.err) == (status, "", err)


def test_nothing_hostile_reaches_the_terminal(desk: Desk) -> None:
    # given
    desk.add_job(HOSTILE, source=f"/books/{HOSTILE}")
    desk.fail(HOSTILE)
    desk.add(f"kind {HOSTILE}", payload=HOSTILE, idempotency_key=HOSTILE)
    with closing(Database(desk.folder).open()) as connection:
        connection.execute("UPDATE task SET result = ?, owner = ?", (HOSTILE, HOSTILE))

    # when
    outcomes = [
        desk.queue(*command.split())
        for command in ("list", "list --tasks", "show 1", "show 2", "dead", "watch --once", "cancel 2")
    ]
    wrong = desk.queue("list", "--queue", HOSTILE)

    # then
    for outcome in [*outcomes, wrong]:
        said = outcome.out + outcome.err
        assert not {"\x1b", "\r", "\x07", "\u202e"} & set(said)
    assert f"upscale {HARMLESS}" in outcomes[1].out
    assert HARMLESS in outcomes[4].out
    assert len(outcomes[1].out.splitlines()) == 3
    assert (wrong.status, wrong.out) == (4, "")


def test_a_long_payload_is_spread_over_lines(desk: Desk) -> None:
    page = '{"operation":"upscale","settings":"{\\"scale\\":2}","blob":"0123456789abcdef"}'
    task_id = desk.add(payload=page)

    lines = desk.queue("show", task_id).out.splitlines()

    at = lines.index("payload   {")
    assert lines[at : at + 7] == [
        "payload   {",
        '            "operation": "upscale",',
        '            "settings": {',
        '              "scale": 2',
        "            },",
        '            "blob": "0123456789abcdef"',
        "          }",
    ]


def test_why_a_task_was_cancelled_is_said_once(desk: Desk) -> None:
    task_id = desk.add()
    desk.queue("cancel", task_id)

    told = desk.queue("show", task_id).out

    assert "error     cancelled by `audobon queue cancel`\n" in told
    assert "cancelled: cancelled" not in told
    assert told.endswith("  cancelled by `audobon queue cancel`\n")


def test_dead_letters_of_no_job_are_dismissed_by_pruning(desk: Desk) -> None:
    desk.add()
    desk.fail("no room")

    assert desk.queue("dead").err == (
        "retry them: audobon queue retry --all-dead, or: audobon queue retry 1\n"
        "dismiss those without a job: audobon queue dead --prune --older-than 1d\n"
    )
