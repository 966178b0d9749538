"""What both SQL drivers of the queue share: owners, stopping, trying again and forgetting."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from audobon.queue import statements as sql
from audobon.queue.sql import SqlTasks
from audobon.queue.tasks import Lease, Owner, StopRequest


class SqlStopping(SqlTasks):
    """Takes tasks from owners that are gone, calls tasks off, and makes them ready again."""

    # Owners

    def register(self, owner: Owner) -> None:
        with self._hasty():
            self._count(sql.REGISTER, msgspec.structs.asdict(owner))

    def beat(self, owners: Iterable[str]) -> None:
        with self._hasty():
            for name in owners:
                self._count(sql.BEAT, {"name": name})

    def owners(self) -> list[Owner]:
        return [Owner(*row) for row in self._rows(sql.OWNERS, {})]

    def retire(self, owner: str, *, reason: str, is_blameless: bool) -> int:
        with self.transaction():
            rows = sorted(self._rows(sql.HELD_BY, {"owner": owner}), key=lambda row: row[0])
            for task_id, token, attempt, most, asked_at, asked_why, deadline_at in rows:
                lease = Lease(task_id, token, attempt, "", "", "", "", None, None, 0, 0, deadline_at)
                self._give_back(
                    lease, asked_at, asked_why, deadline_at, most, reason, is_blameless=is_blameless
                )
            self._count(sql.FORGET_OWNER, {"name": owner})
            if rows:
                self.wake()
        return len(rows)

    # Stopping and trying again

    def cancel(self, *, task_ids: Sequence[int] = (), job_id: str | None = None, reason: str) -> int:
        values = {"now": self._clock(), "reason": reason}
        count = 0
        with self.transaction():
            for where, which in _chosen(task_ids, job_id):
                for (task_id,) in self._rows(sql.CANCEL_PENDING % where, values | which):
                    self._record(task_id, "cancelled", reason)
                    count += 1
                for (task_id,) in self._rows(sql.CANCEL_LEASED % where, values | which):
                    self._record(task_id, "asked to stop", reason)
                    count += 1
            if count:
                # A big task that kept smaller ones out may be gone.
                self.wake()
        return count

    def stop_requests(self) -> list[StopRequest]:
        return [StopRequest(*row) for row in self._rows(sql.STOP_REQUESTS, {"now": self._clock()})]

    def replay(self, *, task_ids: Sequence[int] = (), job_id: str | None = None) -> int:
        count = 0
        with self.transaction():
            for where, which in _chosen(task_ids, job_id):
                for (task_id,) in self._rows(sql.REPLAY % where, which | {"now": self._clock()}):
                    self._record(task_id, "replayed", "")
                    count += 1
                for (task_id,) in self._rows(sql.WITHDRAW_STOP % where, which):
                    self._record(task_id, "replayed", "it was still at work")
                    count += 1
            if count:
                self.wake()
        return count

    def clock_moved(self, seconds: float) -> None:
        with self.transaction():
            self._count(sql.CLOCK_MOVED, {"seconds": seconds})

    def amend(self, task_id: int, payload: str) -> bool:
        with self.transaction():
            sealed = self._seals.seal(self._subject_of(task_id), payload, "task.payload", task_id)
            return self._count(sql.AMEND, {"id": task_id, "payload": sealed}) == 1

    def make_due(self, job_id: str) -> None:
        with self.transaction():
            if self._count(sql.MAKE_DUE, {"job_id": job_id, "now": self._clock()}):
                self.wake()

    def set_deadline(self, job_id: str, deadline_at: float | None) -> None:
        with self.transaction():
            self._count(sql.SET_DEADLINE, {"job_id": job_id, "deadline_at": deadline_at})

    def prune(self, *, finished_before: float) -> int:
        with self.transaction():
            return self._count(sql.PRUNE, {"before": finished_before})


def _chosen(task_ids: Sequence[int], job_id: str | None) -> list[tuple[str, dict[str, Any]]]:
    """Return the conditions that pick tasks, each with its values."""
    chosen: list[tuple[str, dict[str, Any]]] = [(sql.BY_ID, {"id": task_id}) for task_id in task_ids]
    if job_id is not None:
        chosen.append((sql.BY_JOB, {"job_id": job_id}))
    return chosen
