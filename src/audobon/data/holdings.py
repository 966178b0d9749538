"""Finds what the database holds of a person or a project."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import msgspec

from audobon.jobs.ingest import TakenEntry
from audobon.jobs.records import JobRecords
from audobon.queue.port import Queue
from audobon.queue.tasks import TaskEvent, TaskRecord

_EVENTS_AT_ONCE = 1000
_ALL = 1_000_000

_BLOBS = """
SELECT entry.blob FROM entry JOIN job ON job.id = entry.job_id
WHERE job.subject = :subject AND entry.blob IS NOT NULL
UNION
SELECT result_blob FROM task WHERE subject = :subject AND result_blob IS NOT NULL
"""
_USE = """
SELECT max(at) FROM (
    SELECT max(coalesce(finished_at, created_at)) AS at FROM job WHERE subject = :subject
    UNION ALL
    SELECT max(coalesce(finished_at, started_at, enqueued_at)) FROM task WHERE subject = :subject
)
"""


class HeldCounts(msgspec.Struct, frozen=True):
    """How much the database has of a subject.

    tasks         also those of its jobs
    last_used_at  UTC seconds; None when nothing was ever done for it
    """

    jobs: int
    entries: int
    tasks: int
    events: int
    last_used_at: float | None


class Holdings:
    """What the database holds of one subject.

    For one state of it, begin a transaction on the connection before.
    """

    def __init__(
        self, connection: sqlite3.Connection, queue: Queue, records: JobRecords, subject: str
    ) -> None:
        self._connection = connection
        self._queue = queue
        self._records = records
        self._values = {"subject": subject}

    def counts(self) -> HeldCounts:
        """Return how much there is."""
        return HeldCounts(
            self._count("SELECT count(*) FROM job WHERE subject = :subject"),
            self._count(
                "SELECT count(*) FROM entry JOIN job ON job.id = entry.job_id WHERE job.subject = :subject"
            ),
            self._count("SELECT count(*) FROM task WHERE subject = :subject"),
            self._count(
                "SELECT count(*) FROM task_event JOIN task ON task.id = task_event.task_id"
                " WHERE task.subject = :subject"
            ),
            self._connection.execute(_USE, self._values).fetchone()[0],
        )

    def job_ids(self) -> list[str]:
        """Return its jobs, oldest first."""
        rows = self._connection.execute(
            "SELECT id FROM job WHERE subject = :subject ORDER BY created_at, id", self._values
        )
        return [str(row[0]) for row in rows]

    def job_keys(self) -> list[tuple[str, str]]:
        """Return (id, key) of its jobs that have not ended."""
        rows = self._connection.execute(
            "SELECT id, key FROM job WHERE subject = :subject"
            " AND state IN ('running', 'interrupted', 'partial') ORDER BY created_at, id",
            self._values,
        )
        return [(str(row[0]), str(row[1])) for row in rows]

    def blobs(self) -> set[str]:
        """Return the keys of the blobs that its rows name."""
        return {str(row[0]) for row in self._connection.execute(_BLOBS, self._values)}

    def job(self, job_id: str) -> dict[str, Any]:
        """Return what is known of a job, as it can be written as JSON."""
        row = self._records.find(job_id)
        assert row is not None
        for name in ("settings", "report"):
            row[name] = _as_json(row[name])
        return row

    def entries(self, job_id: str) -> list[TakenEntry]:
        """Return the files of a job's document, in order."""
        return self._records.entries(job_id)

    def tasks(self, job_id: str) -> list[TaskRecord]:
        """Return a job's tasks, oldest first."""
        return list(reversed(self._queue.select(job_id=job_id, limit=_ALL)))

    def lone_tasks(self) -> Iterator[TaskRecord]:
        """Yield its tasks that belong to no job, oldest first."""
        rows = self._connection.execute(
            "SELECT id FROM task WHERE subject = :subject AND job_id IS NULL ORDER BY id", self._values
        ).fetchall()
        for row in rows:
            yield self._queue.find(row[0])

    def leased(self) -> int:
        """Return how many of its tasks are being worked on."""
        return self._count("SELECT count(*) FROM task WHERE subject = :subject AND state = 'leased'")

    def events(self, task_id: int) -> Iterator[TaskEvent]:
        """Yield what happened to a task, in order."""
        after = 0
        while found := self._queue.events(task_id=task_id, after_id=after, limit=_EVENTS_AT_ONCE):
            yield from found
            after = found[-1].id

    def _count(self, statement: str) -> int:
        return int(self._connection.execute(statement, self._values).fetchone()[0])


def task_json(task: TaskRecord) -> dict[str, Any]:
    """Return a task as it can be written as JSON: payload and result unfolded."""
    told = msgspec.to_builtins(task)
    told["payload"], told["result"] = _as_json(task.payload), _as_json(task.result)
    return dict(told)


def _as_json(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
