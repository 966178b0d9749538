"""A database of the first schema keeps its jobs and tasks when the queue's tables are made anew."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from alembic import command

from audobon.config import keyrings_folder
from audobon.database.migrate import upgrade
from audobon.database.service import Database
from audobon.jobs.records import JobRecords
from audobon.keys.unlocking import open_keys
from audobon.queue.embedded import SqliteQueue
from audobon.queue.rules import default_rules
from audobon.queue.tasks import CATEGORIES, Claimant, TaskView

OLD_ROWS = """
INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)
VALUES ('job', 'key', 'upscale', '{}', 'book.cbz', 'book', 'interrupted', 0);
INSERT INTO queue (name, state, ageing_step_seconds, lease_seconds, max_attempts)
VALUES ('batch', 'run', 60, 10, 3), ('interactive', 'pause', 60, 10, 3), ('maintenance', 'run', 60, 10, 3);
INSERT INTO resource_class (id, queue, model, ram_bytes, vram_bytes)
VALUES (4, 'batch', 'waifu2x', 5000000000, 0), (9, 'batch', 'none', 7, 0);
"""

OLD_TASK = """
INSERT INTO task (
    id, job_id, ordinal, class_id, work_key, state, priority, run_at, rank, attempt, max_attempts, token,
    owner, lease_until, payload, result_blob, result, error_code, error_message, done_units, total_units,
    finished_at
) VALUES (
    :id, 'job', :ordinal, :class_id, :work_key, :state, 0, 100.0, 100.0, :attempt, 3, :token,
    :owner, NULL, '{}', :blob, NULL, :code, NULL, 0, 4, :finished_at
)
"""

MIGRATE_AND_STOP = """
import sys
from pathlib import Path
import alembic.op
from audobon.database.service import Database

drop_table = alembic.op.drop_table

def stop(name, *arguments, **options):
    drop_table(name, *arguments, **options)
    if name == "old_task":
        print("halfway")
        sys.stdin.read()

alembic.op.drop_table = stop
Database(Path(sys.argv[1])).open()
"""


def old_task(number: int, state: str, **others: Any) -> dict[str, Any]:
    values = {"attempt": 0, "token": 0, "owner": None, "blob": None, "code": None, "finished_at": None}
    return {
        "id": number,
        "ordinal": number - 10,
        "class_id": 4 if number < 13 else 9,
        "work_key": f"work {number}",
        "state": state,
        **(values | others),
    }


@pytest.fixture
def old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose database is of the first schema, with a job half done."""
    to = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr("audobon.database.migrate.command.upgrade", lambda config, _: to(config, "0001"))
        upgrade(tmp_path / "audobon.db")
    with closing(sqlite3.connect(tmp_path / "audobon.db")) as connection:
        connection.executescript(OLD_ROWS)
        connection.executemany(
            OLD_TASK,
            [
                old_task(10, "done", attempt=1, token=1, blob="blob", finished_at=150.0),
                old_task(11, "leased", attempt=1, token=5, owner="dead long ago"),
                old_task(12, "ready"),
                old_task(13, "failed", attempt=3, token=3, code="corrupt", finished_at=160.0),
            ],
        )
        connection.execute(
            "INSERT INTO task_event (id, task_id, at, kind, detail) VALUES (3, 13, 160.0, 'failed', 'no')"
        )
        connection.commit()
    return tmp_path


def test_jobs_tasks_and_events_are_carried_over_and_half_done_ones_begin_anew(old_folder: Path) -> None:
    with closing(Database(old_folder).open()) as connection, SqliteQueue(connection) as queue:
        assert queue.tasks("job") == [
            TaskView(10, 0, "done", 1, None, "blob", None, None, None, 0, 4, 150.0),
            TaskView(11, 1, "ready", 1, None, None, None, None, None, 0, 4, None),
            TaskView(12, 2, "ready", 0, None, None, None, None, None, 0, 4, None),
            TaskView(13, 3, "failed", 3, None, None, None, "corrupt", None, 0, 4, 160.0),
        ]
        assert [(task.model, task.ram_bytes, task.token) for task in queue.select()] == [
            ("", 7, 4),
            ("waifu2x", 5_000_000_000, 1),
            ("waifu2x", 5_000_000_000, 6),
            ("waifu2x", 5_000_000_000, 2),
        ]
        assert [(event.id, event.task_id, event.detail) for event in queue.events()] == [(3, 13, "no")]
        assert JobRecords(connection, open_keys(old_folder, unlock_folder=keyrings_folder())).done_work(
            "work 10"
        ) == [("blob", None)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_queues_keep_their_state_and_get_the_rules_of_their_category(old_folder: Path) -> None:
    with closing(Database(old_folder).open()) as connection, SqliteQueue(connection) as queue:
        rules = {rules.name: rules for rules in queue.rules()}
        assert {name: rules[name].state for name in rules} == {
            "batch": "run",
            "interactive": "pause",
            "maintenance": "run",
        }
        for category in CATEGORIES:
            default = default_rules(category)
            assert rules[category].lead_seconds == default.lead_seconds
            assert rules[category].max_running == default.max_running


def test_work_goes_on_with_ids_never_given_before(old_folder: Path) -> None:
    with closing(Database(old_folder).open()) as connection, SqliteQueue(connection) as queue:
        leases = queue.claim(Claimant(owner="worker", kinds=frozenset({"page"})), limit=9)
        assert [(lease.id, lease.token, lease.attempt) for lease in leases] == [(11, 7, 2), (12, 2, 1)]
        for lease in leases:
            queue.finish(lease)
        assert queue.replay(job_id="job") == 1
        connection.execute("DELETE FROM job")
        assert queue.select() == []
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'task'").fetchone()
        assert row[0] == 13


def test_a_kill_inside_the_carrying_over_leaves_the_old_database_whole(
    old_folder: Path, start_python: Callable[..., "Popen[str]"]
) -> None:
    process = start_python(MIGRATE_AND_STOP, old_folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "halfway\n"
    process.kill()
    process.wait()
    with closing(sqlite3.connect(old_folder / "audobon.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert connection.execute("SELECT count(*) FROM task").fetchone() == (4,)
    with closing(Database(old_folder).open()) as connection:
        assert connection.execute("SELECT count(*) FROM task").fetchone()[0] == 4
