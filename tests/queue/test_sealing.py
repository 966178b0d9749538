"""What tasks say is sealed for their subject, and what stands in for it when that one was erased."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from queue_tasks import OpenConnection, claim, claim_one, keys_in, new_task

from audobon.errors import CorruptKeyring, SubjectErased
from audobon.queue.embedded import SqliteQueue
from audobon.queue.schedule import Schedule
from audobon.queue.sealing import ERASED, ERASED_JSON
from audobon.queue.tasks import Needs

SECRETS = ("the page", "the result", "the message", "the note", "the plan")


def at_rest(connection: sqlite3.Connection) -> str:
    tables = ("task", "task_event", "schedule")
    return repr([[tuple(row) for row in connection.execute(f"SELECT * FROM {table}")] for table in tables])


def fill(queue: SqliteQueue, subject: str) -> None:
    queue.enqueue("batch", [new_task("the page", subject=subject) for _ in range(4)])
    done, failed, at_work = claim(queue, limit=3)
    queue.progress(done, 1, 2, note="the note")
    queue.finish(done, result='"the result"')
    queue.fail(failed, code="corrupt", message="the message", retry=False)
    queue.put_schedule(
        Schedule(
            name="nightly", queue="batch", needs=Needs(kind="page"), cron="0 3 * * *", payload='"the plan"'
        )
    )
    assert at_work.subject == subject


def test_nothing_that_tasks_say_is_readable_at_rest_and_all_of_it_is_for_the_owner(
    open_connection: OpenConnection, tmp_path: Path
) -> None:
    keys = keys_in(tmp_path)
    fox = keys.subject("the fox")
    connection = open_connection()
    with SqliteQueue(connection, keys=keys) as queue:
        fill(queue, fox)
        told = repr((queue.select(), queue.events(), queue.schedules()))
        rested = at_rest(connection)
    assert [secret in told for secret in SECRETS] == [True] * 5
    assert [secret in rested for secret in SECRETS] == [False] * 5
    # Who looks without the keys is told nothing.
    with SqliteQueue(connection) as keyless:
        blind = repr((keyless.select(), keyless.events(), keyless.schedules()))
    assert [secret in blind for secret in SECRETS] == [False] * 5


def test_of_one_who_was_erased_it_is_told_that_they_were_and_their_tasks_can_end(
    open_connection: OpenConnection, tmp_path: Path
) -> None:
    keys = keys_in(tmp_path)
    fox = keys.subject("the fox")
    with SqliteQueue(open_connection(), keys=keys) as queue:
        fill(queue, fox)
        (_, held, _, _) = sorted(queue.select(), key=lambda task: task.id)
        lease = claim_one(queue)
        keys.erase(fox)

        assert {task.payload for task in queue.select()} == {ERASED_JSON}
        assert queue.find(held.id).error_message == ERASED
        assert {event.detail for event in queue.events() if event.detail} == {ERASED}
        queue.finish(lease, result='"late"')
        assert queue.find(lease.id).result == ERASED_JSON
        with pytest.raises(SubjectErased):
            queue.enqueue("batch", [new_task("more", subject=fox)])
        # Others are not touched.
        queue.enqueue("batch", [new_task("of others")])
        assert claim_one(queue).payload == '"of others"'


@pytest.mark.parametrize(
    ("change", "look"),
    [
        ("UPDATE task SET payload = (SELECT payload FROM task WHERE id = 1)", "select"),
        ("UPDATE task SET result = payload", "select"),
        ("UPDATE task SET payload = substr(payload, 1, length(payload) - 5) || 'AAAA='", "select"),
        ("UPDATE task_event SET task_id = 4", "events"),
    ],
)
def test_what_was_changed_or_moved_is_noticed(
    open_connection: OpenConnection, tmp_path: Path, change: str, look: str
) -> None:
    connection = open_connection()
    with SqliteQueue(connection, keys=keys_in(tmp_path)) as queue:
        fill(queue, "personal")
        connection.execute(change)
        with pytest.raises(CorruptKeyring):
            queue.select() if look == "select" else queue.events()


def test_what_looks_sealed_is_sealed_like_all_else_and_comes_back_as_it_was(
    open_connection: OpenConnection, tmp_path: Path
) -> None:
    keys = keys_in(tmp_path)
    words = keys.seal_text("personal", "words", context=b"elsewhere")
    with closing(SqliteQueue(open_connection(), keys=keys)) as queue:
        queue.enqueue("batch", [new_task("task")])
        lease = claim_one(queue)
        queue.fail(lease, code="corrupt", message=words, retry=False)
        assert queue.find(lease.id).error_message == words
