"""Jobs and the files of their documents, in the database."""

import sqlite3
from collections.abc import Collection
from typing import Any

import msgspec

from audobon.errors import SubjectErased, SubjectNotFound
from audobon.jobs.ingest import Fault, TakenEntry
from audobon.keys.service import PERSONAL, Keys
from audobon.pages.documents import Entry
from audobon.pages.picture_info import PictureInfo
from audobon.queue.sealing import ERASED, Seals, cell_context

UNFINISHED = ("running", "interrupted", "partial")

_INSERT_JOB = """
INSERT INTO job (id, key, operation, settings, source, target, document_kind, state, created_at, subject)
VALUES (:id, :key, :operation, :settings, :source, :target, :document_kind, 'running', :created_at, :subject)
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
_WHO_NEEDS = """
SELECT entry.job_id, entry.ordinal, entry.blob FROM entry JOIN job ON job.id = entry.job_id
WHERE job.state IN ('running', 'interrupted', 'partial') AND entry.blob IS NOT NULL
"""
# Work of jobs that have ended is not told: what made it may be another version by now, or be cleared away.
_DONE_WORK = """
SELECT task.id, task.result_blob, task.result FROM task JOIN job ON job.id = task.job_id
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


JOB_CELLS = ("settings", "source", "target", "report")
ENTRY_CELLS = ("name", "info", "fault")
"""The columns that are sealed."""


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
    """The job and entry tables; what they hold of names and contents is sealed for the job's subject.

    Of a job whose subject was erased, names are told as erased.
    """

    def __init__(self, connection: sqlite3.Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self._seals = Seals(keys)

    def add(self, values: dict[str, Any], entries: list[TakenEntry]) -> None:
        """Record a job and its document's files. raises SubjectErased."""
        job_id, subject = values["id"], values["subject"]
        sealed = {
            column: self._seal(subject, values[column], f"job.{column}", job_id) for column in JOB_CELLS[:3]
        }
        self._connection.execute(_INSERT_JOB, values | sealed)
        for ordinal, taken in enumerate(entries):
            entry = _entry_values(job_id, ordinal, taken)
            for column in ENTRY_CELLS:
                place = entry_row(job_id, ordinal)
                entry[column] = self._seal(subject, entry[column], f"entry.{column}", place)
            self._connection.execute(_INSERT_ENTRY, entry)

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
        return [self._entry(row) for row in rows]

    def _entry(self, row: sqlite3.Row) -> TakenEntry:
        name, info, fault = (
            self._unseal(row[column], f"entry.{column}", entry_row(row["job_id"], row["ordinal"]))
            for column in ENTRY_CELLS
        )
        return TakenEntry(
            Entry(name or ERASED, bool(row["is_page"]), row["size_bytes"], row["modified_at"]),
            row["blob"],
            row["size_bytes"],
            None if info is None else msgspec.json.decode(info, type=PictureInfo),
            None if fault is None else msgspec.json.decode(fault, type=Fault),
        )

    def set_state(
        self, job_id: str, state: str, *, at: float | None = None, report: str | None = None
    ) -> None:
        """Note what became of a job. raises SubjectErased when there is a report to keep."""
        sealed = report and self._seal(self.subject_of(job_id), report, "job.report", job_id)
        self._connection.execute(
            "UPDATE job SET state = ?, finished_at = ?, report = coalesce(?, report) WHERE id = ?",
            (state, at, sealed, job_id),
        )

    def files_written(self, key: str) -> tuple[list[str], float]:
        """Return the files the last finished job with this key put into its folder, and when it ended."""
        row = self._connection.execute(
            "SELECT id, report, coalesce(finished_at, created_at) AS at FROM job"
            " WHERE key = ? AND report IS NOT NULL AND state <> 'failed' ORDER BY at DESC LIMIT 1",
            (key,),
        ).fetchone()
        report = None if row is None else self._unseal(row["report"], "job.report", row["id"])
        if report is None:
            return [], 0.0
        return msgspec.json.decode(report, type=_Files).files, float(row["at"])

    def page_states(self, job_id: str) -> list[dict[str, Any]]:
        """Return the name, state and error of every page of a job, in order."""
        rows = self._connection.execute(
            "SELECT entry.ordinal, entry.name, coalesce(task.state, 'failed') AS state,"
            " task.id, task.error_message, entry.fault"
            " FROM entry LEFT JOIN task ON task.job_id = entry.job_id AND task.ordinal = entry.ordinal"
            " WHERE entry.job_id = ? AND entry.is_page ORDER BY entry.ordinal",
            (job_id,),
        )
        return [
            {
                "name": self._unseal(row["name"], "entry.name", entry_row(job_id, row["ordinal"])) or ERASED,
                "state": row["state"],
                "message": self._message(row, job_id),
            }
            for row in rows
        ]

    def _message(self, row: sqlite3.Row, job_id: str) -> str | None:
        if row["error_message"] is not None:
            message: str = self._seals.unseal(row["error_message"], "task.error_message", row["id"])
            return message
        fault = self._unseal(row["fault"], "entry.fault", entry_row(job_id, row["ordinal"]))
        return None if fault is None else msgspec.json.decode(fault, type=Fault).message

    def page_at(self, job_id: str, ordinal: int) -> tuple[str, str, str] | None:
        """Return the operation, the document's path and the name of a page; None when there is none."""
        row = self._connection.execute(
            "SELECT job.operation, job.source, entry.name FROM entry JOIN job ON job.id = entry.job_id"
            " WHERE entry.job_id = ? AND entry.ordinal = ?",
            (job_id, ordinal),
        ).fetchone()
        if row is None:
            return None
        source = self._unseal(row[1], "job.source", job_id)
        name = self._unseal(row[2], "entry.name", entry_row(job_id, ordinal))
        return str(row[0]), source or ERASED, name or ERASED

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
        report, at = self._connection.execute(
            "SELECT report, coalesce(finished_at, created_at) FROM job WHERE id = ?", (job_id,)
        ).fetchone()
        clear = self._unseal(report, "job.report", job_id)
        sealed = self._seal(self.subject_of(by), clear, "job.report", by)
        self._connection.execute("UPDATE job SET report = ?, finished_at = ? WHERE id = ?", (sealed, at, by))
        self.remove(job_id)

    def remove(self, job_id: str) -> None:
        """Forget a job, its entries and tasks."""
        self._connection.execute("DELETE FROM job WHERE id = ?", (job_id,))

    def needed_blobs(self) -> set[str]:
        """Return the keys of all blobs an unfinished job needs."""
        return {str(row[0]) for row in self._connection.execute(_NEEDED_BLOBS)}

    def who_needs(self, blobs: Collection[str]) -> dict[str, list[str]]:
        """Return for each of these blobs the unfinished jobs, and files in them, that need it."""
        found: dict[str, list[str]] = {}
        for job_id, ordinal, blob in self._connection.execute(_WHO_NEEDS):
            if blob in blobs:
                page = self.page_at(str(job_id), int(ordinal))
                words = f"job {job_id}" if page is None else f"{page[2]} of job {job_id}"
                found.setdefault(str(blob), []).append(words)
        return found

    def done_work(self, work_key: str, *, job_id: str | None = None) -> list[tuple[str | None, str | None]]:
        """Return the blobs and results of equal work in jobs that have not ended, the newest first.

        job_id  look at this job alone
        """
        rows = self._connection.execute(_DONE_WORK, {"work_key": work_key, "job_id": job_id})
        return [(row[1], self._seals.unseal(row[2], "task.result", row[0])) for row in rows]

    def work_keys(self, job_id: str) -> list[str]:
        """Return the keys of a job's work."""
        rows = self._connection.execute(
            "SELECT work_key FROM task WHERE job_id = ? AND work_key IS NOT NULL", (job_id,)
        )
        return [str(row[0]) for row in rows]

    def list(self) -> list[JobSummary]:
        """Return all jobs, newest first."""
        return [self._summary(JobSummary(**dict(row))) for row in self._connection.execute(_LIST)]

    def _summary(self, job: JobSummary) -> JobSummary:
        source = self._unseal(job.source, "job.source", job.id)
        if source is None:
            target = None if job.target is None else ERASED
            return msgspec.structs.replace(job, source=ERASED, target=target, state=ERASED)
        target = self._unseal(job.target, "job.target", job.id)
        return msgspec.structs.replace(job, source=source, target=target)

    def find(self, job_id: str) -> dict[str, Any] | None:
        """Return one job's row; None when there is none."""
        row = self._connection.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            return None
        found = dict(row)
        for column in JOB_CELLS:
            found[column] = self._unseal(found[column], f"job.{column}", job_id)
        if found["source"] is None:
            found |= {"source": ERASED, "settings": "{}", "state": ERASED}
        return found

    def subject_of(self, job_id: str) -> str:
        """Return the id of the subject of a job."""
        row = self._connection.execute("SELECT subject FROM job WHERE id = ?", (job_id,)).fetchone()
        return PERSONAL if row is None else str(row[0])

    def _seal(self, subject: str, text: str | None, cell: str, row: str) -> str | None:
        return None if text is None else self._keys.seal_text(subject, text, context=cell_context(cell, row))

    def _unseal(self, text: str | None, cell: str, row: str) -> str | None:
        """Return what a cell holds; None when it holds nothing, or its subject was erased."""
        try:
            return None if text is None else self._keys.unseal_text(text, context=cell_context(cell, row))
        except (SubjectErased, SubjectNotFound):
            return None


def entry_row(job_id: str, ordinal: int) -> str:
    """Return what names the row of an entry."""
    return f"{job_id}/{ordinal}"


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
