"""The durable queue, on SQLite."""

import sqlite3
from collections.abc import Iterable
from typing import Literal

import msgspec

from audobon.clock import Clock, utc_now
from audobon.errors import LeaseLost
from audobon.queue import statements as sql
from audobon.sqlite import transaction

Category = Literal["interactive", "batch", "maintenance"]
State = Literal["ready", "leased", "done", "failed"]

# A task passed over for this long counts as one priority higher.
_AGEING_STEP_SECONDS = 60.0
# Only for workers on machines that vanish; here their death is seen at once.
_LEASE_SECONDS = 60.0
_MAX_ATTEMPTS = 3
_RETRY_AFTER_SECONDS = 1.0


class NewTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task to enqueue.

    ordinal      the entry of the job's document it works on
    work_key     equal for equal work, so that a finished result can be adopted
    ram_bytes    least memory it can run in
    payload      JSON for the worker
    total_units  model runs expected
    """

    ordinal: int
    work_key: str
    model: str
    ram_bytes: int
    payload: str
    total_units: int


class Lease(msgspec.Struct, frozen=True):
    """The right to work on a task; void once another token was given out."""

    id: int
    job_id: str
    ordinal: int
    token: int
    attempt: int
    payload: str


class TaskView(msgspec.Struct, frozen=True):
    """A task as others see it."""

    id: int
    ordinal: int
    state: State
    attempt: int
    owner: str | None
    result_blob: str | None
    result: str | None
    error_code: str | None
    error_message: str | None
    done_units: int
    total_units: int
    finished_at: float | None


class Queue:
    """Tasks in the database of a data folder.

    Every method is one transaction, or joins the caller's. A commit has reached the disk when the
    connection is durable. Safe for many processes at once.
    """

    def __init__(self, connection: sqlite3.Connection, *, clock: Clock = utc_now) -> None:
        self._connection = connection
        self._clock = clock

    def enqueue(
        self, job_id: str, tasks: Iterable[NewTask], *, category: Category, priority: int = 0
    ) -> list[int]:
        """Add tasks of a job; return their ids in order."""
        with transaction(self._connection) as connection:
            connection.execute(
                sql.ENSURE_QUEUE,
                {
                    "name": category,
                    "ageing_step_seconds": _AGEING_STEP_SECONDS,
                    "lease_seconds": _LEASE_SECONDS,
                    "max_attempts": _MAX_ATTEMPTS,
                },
            )
            return [self._enqueue_one(job_id, task, category, priority) for task in tasks]

    def _enqueue_one(self, job_id: str, task: NewTask, category: str, priority: int) -> int:
        needs = {"queue": category, "model": task.model, "ram_bytes": task.ram_bytes}
        (class_id,) = self._connection.execute(sql.ENSURE_CLASS, needs).fetchone()
        row = self._connection.execute(
            sql.ENQUEUE,
            {
                "job_id": job_id,
                "ordinal": task.ordinal,
                "class_id": class_id,
                "work_key": task.work_key,
                "priority": priority,
                "now": self._clock(),
                "payload": task.payload,
                "total_units": task.total_units,
                "queue": category,
            },
        ).fetchone()
        self._record(int(row["id"]), "enqueued")
        return int(row["id"])

    def find_done(self, work_key: str) -> tuple[str | None, str | None] | None:
        """Return the result blob and result of equal work done before; None when there is none."""
        row = self._connection.execute(sql.FIND_DONE, {"work_key": work_key}).fetchone()
        return None if row is None else (row["result_blob"], row["result"])

    def adopt(self, task_id: int, result_blob: str | None, result: str | None) -> None:
        """Finish a waiting task with the result of equal work; does nothing to one that no longer waits."""
        with transaction(self._connection) as connection:
            values = {"id": task_id, "result_blob": result_blob, "result": result, "now": self._clock()}
            if connection.execute(sql.ADOPT, values).rowcount == 1:
                self._record(task_id, "adopted")

    def claim(self, job_id: str, owner: str, *, free_ram_bytes: int) -> Lease | None:
        """Lease the next task of a job that fits; None when there is none now."""
        values = {
            "job_id": job_id,
            "owner": owner,
            "free_ram_bytes": free_ram_bytes,
            "now": self._clock(),
        }
        with transaction(self._connection) as connection:
            row = connection.execute(sql.CLAIM, values).fetchone()
            if row is None:
                return None
            self._record(int(row["id"]), "leased", f"attempt {row['attempt']} by {owner}")
        return Lease(**dict(row))

    def next_run_at(self, job_id: str) -> float | None:
        """Return when the next waiting task of a job may run; None when none waits."""
        row = self._connection.execute(sql.NEXT_RUN_AT, {"job_id": job_id}).fetchone()
        return None if row["run_at"] is None else float(row["run_at"])

    def progress(self, lease: Lease, done_units: int, total_units: int) -> None:
        """Note how far a leased task is; says nothing when the lease is void."""
        values = {"id": lease.id, "token": lease.token, "done_units": done_units, "total_units": total_units}
        self._connection.execute(sql.PROGRESS, values)

    def finish(self, lease: Lease, *, result_blob: str | None, result: str | None) -> None:
        """Publish a result; the task is done with it, or nothing happened.

        raises  LeaseLost when the task was given to another worker meanwhile
        """
        values = {
            "id": lease.id,
            "token": lease.token,
            "result_blob": result_blob,
            "result": result,
            "now": self._clock(),
        }
        with transaction(self._connection) as connection:
            if connection.execute(sql.FINISH, values).rowcount != 1:
                raise LeaseLost(f"task {lease.id} was handed on while it was being worked on")
            self._record(lease.id, "done")

    def fail(self, lease: Lease, *, error_code: str, error_message: str, retry: bool) -> State:
        """Give a task up, or back for another attempt; return its new state.

        raises  LeaseLost as `finish` does
        """
        now = self._clock()
        values = {
            "id": lease.id,
            "token": lease.token,
            "retry": retry,
            "now": now,
            "retry_at": now + _RETRY_AFTER_SECONDS * lease.attempt,
            "error_code": error_code,
            "error_message": error_message,
        }
        with transaction(self._connection) as connection:
            row = connection.execute(sql.FAIL, values).fetchone()
            if row is None:
                raise LeaseLost(f"task {lease.id} was handed on while it was being worked on")
            self._record(lease.id, "failed" if row["state"] == "failed" else "retried", error_message)
        state: State = row["state"]
        return state

    def renew(self, job_id: str, owner: str) -> None:
        """Prolong the leases an owner holds, from a process that sees it alive."""
        until = self._clock() + _LEASE_SECONDS
        self._connection.execute(sql.RENEW, {"job_id": job_id, "owner": owner, "lease_until": until})

    def give_back(self, job_id: str, *, owner: str | None, reason: str, is_blameless: bool) -> int:
        """Take leased tasks from an owner known to be gone; return how many.

        owner         None: whoever held them
        is_blameless  the owner was stopped on purpose, so the attempt does not count
        """
        with transaction(self._connection) as connection:
            rows = connection.execute(sql.ABANDONED, {"job_id": job_id, "owner": owner}).fetchall()
            for row in rows:
                values = {
                    "id": row["id"],
                    "is_blameless": is_blameless,
                    "reason": reason,
                    "now": self._clock(),
                }
                (state,) = connection.execute(sql.GIVE_BACK, values).fetchone()
                self._record(int(row["id"]), "failed" if state == "failed" else "given back", reason)
        return len(rows)

    def retry_failed(self, job_id: str) -> int:
        """Make the failed tasks of a job ready again; return how many."""
        with transaction(self._connection) as connection:
            values = {"job_id": job_id, "now": self._clock()}
            rows = connection.execute(sql.RETRY_FAILED, values).fetchall()
            for row in rows:
                self._record(int(row["id"]), "made ready again")
        return len(rows)

    def make_due(self, job_id: str) -> None:
        """Let every waiting task of a job run at once."""
        self._connection.execute(sql.MAKE_DUE, {"job_id": job_id, "now": self._clock()})

    def tasks(self, job_id: str) -> list[TaskView]:
        """Return the tasks of a job in the order of its document."""
        rows = self._connection.execute(sql.TASKS_OF_JOB, {"job_id": job_id})
        return [TaskView(**dict(row)) for row in rows]

    def finished_since(self, job_id: str, since: float) -> list[TaskView]:
        """Return the tasks of a job finished or failed at an instant or later, earliest first."""
        rows = self._connection.execute(sql.FINISHED_SINCE, {"job_id": job_id, "since": since})
        return [TaskView(**dict(row)) for row in rows]

    def leased(self, job_id: str) -> list[TaskView]:
        """Return the tasks of a job that are being worked on."""
        rows = self._connection.execute(sql.LEASED, {"job_id": job_id})
        return [TaskView(**dict(row)) for row in rows]

    def _record(self, task_id: int, kind: str, detail: str = "") -> None:
        values = {"task_id": task_id, "now": self._clock(), "kind": kind, "detail": detail}
        self._connection.execute(sql.RECORD_EVENT, values)
