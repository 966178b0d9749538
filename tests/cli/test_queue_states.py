"""`audobon queue pause`, `resume` and `drain`: what a queue takes, and what it hands out."""

import pytest
from queue_desk import Desk

from audobon.errors import QueueDrained


def states(desk: Desk) -> dict[str, str]:
    return {each["queue"]: each["state"] for each in desk.queue("list", "--json").json["queues"]}


def test_a_paused_queue_hands_out_nothing_until_it_is_resumed(desk: Desk) -> None:
    desk.add_job("1.png", "2.png")
    with desk.opened() as queue:
        desk.claim(queue)

    paused = desk.queue("pause", "batch")
    with desk.opened() as queue:
        claimed_in_pause = desk.claim(queue)
    resumed = desk.queue("resume", "batch")
    with desk.opened() as queue:
        claimed_after = desk.claim(queue)

    assert (paused.status, paused.out, claimed_in_pause) == (0, "", [])
    assert paused.err == (
        "batch is paused: it takes tasks, and hands out none; 1 task at work goes on\n"
        "undo: audobon queue resume batch\n"
    )
    assert (resumed.status, resumed.err) == (0, "batch is running: it takes tasks and hands them out\n")
    assert len(claimed_after) == 1


def test_a_draining_queue_finishes_what_it_has_and_takes_nothing(desk: Desk) -> None:
    desk.add_job("1.png", "2.png", "3.png")
    with desk.opened() as queue:
        desk.claim(queue)

    drained = desk.queue("drain", "batch", "interactive")
    with desk.opened() as queue:
        handed_out = desk.claim(queue)
    with pytest.raises(QueueDrained):
        desk.add_job("4.png", job_id="late")

    assert (drained.status, drained.out, len(handed_out)) == (0, "", 1)
    assert drained.err == (
        "batch is draining: it finishes the 3 tasks it has, and takes none\n"
        "interactive is draining: it has no tasks, and takes none\n"
        "undo: audobon queue resume batch interactive\n"
    )
    assert states(desk) == {"batch": "drain", "interactive": "drain", "maintenance": "run"}


def test_every_queue_can_be_set_at_once_and_json_tells_how_they_stand(desk: Desk) -> None:
    told = desk.queue("pause", "--all", "--json").json

    assert [(each["queue"], each["state"]) for each in told] == [
        ("batch", "pause"),
        ("interactive", "pause"),
        ("maintenance", "pause"),
    ]
    assert set(states(desk).values()) == {"pause"}
    desk.queue("resume", "--all")
    assert set(states(desk).values()) == {"run"}


@pytest.mark.parametrize("command", ["pause", "resume", "drain"])
def test_a_wrong_name_changes_no_queue_at_all(desk: Desk, command: str) -> None:
    desk.queue("pause", "maintenance")
    before = states(desk)

    wrong = desk.queue(command, "interactive", "maintenence")
    neither, both = desk.queue(command), desk.queue(command, "batch", "--all")

    assert (wrong.status, wrong.out) == (4, "")
    assert wrong.err == "error: there is no queue 'maintenence'\nhint: did you mean maintenance?\n"
    assert neither.status == both.status == 2
    assert neither.err.endswith("Error: name queues, or say --all\n")
    assert states(desk) == before


def test_what_waits_is_not_blamed_on_a_missing_engine_while_its_queue_is_paused(desk: Desk) -> None:
    desk.add_job("1.png")

    assert desk.queue("list").err == "no engine runs; audobon up does what is ready\n"
    desk.queue("pause", "batch")
    assert desk.queue("list").err == ""
