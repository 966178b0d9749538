"""Jobs and the files of their documents, in the database."""

import sqlite3
from typing import Any

import msgspec

from audobon.jobs.ingest import Fault, TakenEntry
from audobon.pages.documents import Entry
from audobon.pages.picture_info import PictureInfo

UNFINISHED = ("running", "interrupted", "partial")

_INSERT_JOB = """
INSERT INTO job (id, key, operation, settings, source, target, document_kind, state, created_at)
VALUES (:id, :key, :operation, :settings, :source, :target, :document_kind, 'running', :created_at)
"""
_INSERT_ENTRY = """
INSERT INTO entry (job_id, ordinal, name, is_page, blob, size_bytes, modified_at, info, fault)
VALUES (:job_id, :ordinal, :name, :is_page, :blob, :size_bytes, :modified_at, :info, :fault)
"""
_NEEDED_BLOBS = """
SELECT entry.blob FROM entry JOIN job ON job.id = entry.job_id
WHERE job.state IN ('running', 'interrupted', 'partial') AND entry.blob IS NOT NULL
UNION
SELECT task.result_blob FROM task JOIN job ON job.id = task.job_id
WHERE job.state IN ('running', 'interrupted', 'partial') AND task.result_blob IS NOT NULL
"""
# Work of jobs that have ended is not told: what made it may be another version by now, or be cleared away.
_DONE_WORK = """
SELECT task.result_blob, task.result FROM task JOIN job ON job.id = task.job_id
WHERE task.work_key = :work_key AND task.state = 'done' AND task.work_key IS NOT NULL
  AND job.state IN ('running', 'interrupted', 'partial') AND (:job_id IS NULL OR job.id = :job_id)
ORDER BY task.finished_at DESC
"""
_LIST = """
SELECT job.id, job.key, job.operation, job.source, job.target, job.state, job.created_at, job.finished_at,
       count(task.id) AS pages, coalesce(sum(task.state = 'done'), 0) AS pages_done
FROM job LEFT JOIN task ON task.job_id = job.id
GROUP BY job.id ORDER BY job.created_at DESC, job.id DESC
"""


class JobSummary(msgspec.Struct, frozen=True):
    """A job in a list; instants are UTC seconds."""

    id: str
    key: str
    operation: str
    source: str
    target: str | None
    state: str
    created_at: float
    finished_at: float | None
    pages: int
    pages_done: int


class _Files(msgspec.Struct):
    files: list[str] = []


class JobRecords:
    """The job and entry tables."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, values: dict[str, Any], entries: list[TakenEntry]) -> None:
        """Record a job and its document's files."""
        self._connection.execute(_INSERT_JOB, values)
        for ordinal, taken in enumerate(entries):
            self._connection.execute(_INSERT_ENTRY, _entry_values(values["id"], ordinal, taken))

    def unfinished(self, key: str) -> str | None:
        """Return the newest job with this key that can be resumed."""
        row = self._connection.execute(
            "SELECT id FROM job WHERE key = ? AND state IN ('running', 'interrupted', 'partial')"
            " ORDER BY created_at DESC LIMIT 1",
            (key,),
        ).fetchone()
        return None if row is None else str(row["id"])

    def running(self) -> list[tuple[str, str]]:
        """Return (id, key) of every job noted as running."""
        rows = self._connection.execute("SELECT id, key FROM job WHERE state = 'running'")
        return [(str(row["id"]), str(row["key"])) for row in rows]

    def entries(self, job_id: str) -> list[TakenEntry]:
        """Return the files of a job's document in order."""
        rows = self._connection.execute("SELECT * FROM entry WHERE job_id = ? ORDER BY ordinal", (job_id,))
        return [
            TakenEntry(
                Entry(row["name"], bool(row["is_page"]), row["size_bytes"], row["modified_at"]),
                row["blob"],
                row["size_bytes"],
                None if row["info"] is None else msgspec.json.decode(row["info"], type=PictureInfo),
                None if row["fault"] is None else msgspec.json.decode(row["fault"], type=Fault),
            )
            for row in rows
        ]

    def set_state(
        self, job_id: str, state: str, *, at: float | None = None, report: str | None = None
    ) -> None:
        """Note what became of a job."""
        self._connection.execute(
            "UPDATE job SET state = ?, finished_at = ?, report = coalesce(?, report) WHERE id = ?",
            (state, at, report, job_id),
        )

    def files_written(self, key: str) -> tuple[list[str], float]:
        """Return the files the last finished job with this key put into its folder, and when it ended."""
        row = self._connection.execute(
            "SELECT report, coalesce(finished_at, created_at) AS at FROM job"
            " WHERE key = ? AND report IS NOT NULL AND state <> 'failed' ORDER BY at DESC LIMIT 1",
            (key,),
        ).fetchone()
        if row is None:
            return [], 0.0
        return msgspec.json.decode(row["report"], type=_Files).files, float(row["at"])

    def page_states(self, job_id: str) -> list[dict[str, Any]]:
        """Return the name, state and error of every page of a job, in order."""
        rows = self._connection.execute(
            "SELECT entry.name, coalesce(task.state, 'failed') AS state,"
            " coalesce(task.error_message, json_extract(entry.fault, '$.message')) AS message"
            " FROM entry LEFT JOIN task ON task.job_id = entry.job_id AND task.ordinal = entry.ordinal"
            " WHERE entry.job_id = ? AND entry.is_page ORDER BY entry.ordinal",
            (job_id,),
        )
        return [dict(row) for row in rows]

    def page_at(self, job_id: str, ordinal: int) -> tuple[str, str, str] | None:
        """Return the operation, the document's path and the name of a page; None when there is none."""
        row = self._connection.execute(
            "SELECT job.operation, job.source, entry.name FROM entry JOIN job ON job.id = entry.job_id"
            " WHERE entry.job_id = ? AND entry.ordinal = ?",
            (job_id, ordinal),
        ).fetchone()
        return None if row is None else (str(row[0]), str(row[1]), str(row[2]))

    def is_over(self, job_id: str) -> bool:
        """Tell whether a job ended so that nothing is kept for it, its pages neither."""
        return (
            self._connection.execute(
                "SELECT 1 FROM job WHERE id = ? AND state IN ('done', 'failed')", (job_id,)
            ).fetchone()
            is not None
        )

    def remove_finished(self) -> int:
        """Forget every job that nothing is kept for; return how many."""
        return self._connection.execute("DELETE FROM job WHERE state IN ('done', 'failed')").rowcount

    def replace(self, job_id: str, *, by: str) -> None:
        """Forget a job; what it wrote is on record with the one that does its work anew."""
        self._connection.execute(
            "UPDATE job SET (report, finished_at) ="
            " (SELECT report, coalesce(finished_at, created_at) FROM job WHERE id = ?) WHERE id = ?",
            (job_id, by),
        )
        self.remove(job_id)

    def remove(self, job_id: str) -> None:
        """Forget a job, its entries and tasks."""
        self._connection.execute("DELETE FROM job WHERE id = ?", (job_id,))

    def needed_blobs(self) -> set[str]:
        """Return the keys of all blobs an unfinished job needs."""
        return {str(row[0]) for row in self._connection.execute(_NEEDED_BLOBS)}

    def done_work(self, work_key: str, *, job_id: str | None = None) -> list[tuple[str | None, str | None]]:
        """Return the blobs and results of equal work in jobs that have not ended, the newest first.

        job_id  look at this job alone
        """
        rows = self._connection.execute(_DONE_WORK, {"work_key": work_key, "job_id": job_id})
        return [(row[0], row[1]) for row in rows]

    def work_keys(self, job_id: str) -> list[str]:
        """Return the keys of a job's work."""
        rows = self._connection.execute(
            "SELECT work_key FROM task WHERE job_id = ? AND work_key IS NOT NULL", (job_id,)
        )
        return [str(row[0]) for row in rows]

    def list(self) -> list[JobSummary]:
        """Return all jobs, newest first."""
        return [JobSummary(**dict(row)) for row in self._connection.execute(_LIST)]

    def find(self, job_id: str) -> dict[str, Any] | None:
        """Return one job's row; None when there is none."""
        row = self._connection.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()
        return None if row is None else dict(row)


def _entry_values(job_id: str, ordinal: int, taken: TakenEntry) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "ordinal": ordinal,
        "name": taken.entry.name,
        "is_page": taken.entry.is_page,
        "blob": taken.blob,
        "size_bytes": taken.size_bytes,
        "modified_at": taken.entry.modified_at,
        "info": None if taken.info is None else msgspec.json.encode(taken.info).decode(),
        "fault": None if taken.fault is None else msgspec.json.encode(taken.fault).decode(),
    }
