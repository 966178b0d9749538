"""The queue on PostgreSQL, whose tasks may also be released into Cloud Tasks."""

import secrets
from collections.abc import Sequence
from typing import Any

from audobon.queue import postgres_release_statements as sql
from audobon.queue.choosing import Head, choose
from audobon.queue.deliveries import Turned
from audobon.queue.dispatching import Candidate, Outstanding, QueueDispatcher, Release, ResourceClass
from audobon.queue.postgres import PostgresQueue, tried_again
from audobon.queue.sql_handout import is_limited
from audobon.queue.tasks import Claimant, Lease


class ReleasingQueue(PostgresQueue):
    """Keeps state, order, retries and cancellation in its tables; a release only notes where a task lies.

    It is void as soon as its task is taken up by anybody, ends, or is cancelled: the token tells. So it harms
    nobody that Cloud Tasks delivers twice, late, out of order, or never.
    """

    @tried_again
    def release_next(
        self, queue: str, dispatcher: QueueDispatcher, *, limit: int | None = None
    ) -> list[Release]:
        """Note which tasks of a queue go into which lanes now, and return them to be created there.

        They count as lying there from now on, and as doubtful until `confirm` is told.
        """
        with self.transaction():
            now = self._clock()
            self._settle(now)
            row = self._queues().get(queue)
            if row is None:
                return []
            self._rows(sql.HOLD_LANES, {"queue": queue})
            outstanding = self._outstanding()
            limited = {queue: row} if is_limited(row.rules) else {}
            starts = self._room(None, limited, now).starts.get(queue)
            room = dispatcher.room(row.rules, outstanding, starts=starts)
            candidates, urls = self._candidates(
                queue, dispatcher, room if limit is None else min(room, limit)
            )
            assigned = dispatcher.assign(candidates, row.rules, outstanding, now=now)
            releases = [
                Release(each.task_id, each.token, lane.name, urls[each.class_id], _new_name())
                for each, lane in assigned
            ]
            return self._note(releases, now)

    def _outstanding(self) -> dict[str, Outstanding]:
        return {
            lane: Outstanding(int(waiting), int(working))
            for lane, waiting, working in self._rows(sql.OUTSTANDING, {})
        }

    def _candidates(
        self, queue: str, dispatcher: QueueDispatcher, limit: int
    ) -> tuple[list[Candidate], dict[int, str]]:
        """Return the first tasks that a service can do, and which service that is for each class."""
        if limit < 1:
            return [], {}
        urls = {}
        for row in self._rows(sql.CLASSES, {"queue": queue}):
            needed = ResourceClass(*row)
            service = dispatcher.service_for(needed)
            if service is not None:
                urls[needed.class_id] = service.url
        values = {"class_ids": sorted(urls), "limit": limit}
        return [Candidate(*row) for row in self._rows(sql.NEXT, values)], urls

    def _note(self, releases: Sequence[Release], now: float) -> list[Release]:
        if not releases:
            return []
        values = {
            "task_ids": [each.task_id for each in releases],
            "tokens": [each.token for each in releases],
            "lanes": [each.lane for each in releases],
            "urls": [each.url for each in releases],
            "names": [each.name for each in releases],
            "now": now,
        }
        noted = {name for (name,) in self._rows(sql.RELEASE, values)}
        return [each for each in releases if each.name in noted]

    @tried_again
    def confirm(self, releases: Sequence[Release]) -> None:
        """Note that tasks are known to lie in Cloud Tasks."""
        if releases:
            with self._hasty():
                self._count(sql.CONFIRM, {**_named(releases), "now": self._clock()})

    @tried_again
    def doubtful(self, *, seconds: float) -> list[Release]:
        """Return what was released so long ago and is still not known to lie in Cloud Tasks.

        To be created again under the same name: if it is there, that is refused, and the doubt is over.
        """
        rows = self._rows(sql.DOUBTFUL, {"before": self._clock() - seconds})
        return [Release(*row) for row in rows]

    @tried_again
    def overdue(self, lane: str, *, seconds: float) -> list[Release]:
        """Return what lies in a lane for so long that nobody took up."""
        rows = self._rows(sql.OVERDUE, {"lane": lane, "before": self._clock() - seconds})
        return [Release(*row) for row in rows]

    @tried_again
    def release_again(self, missing: Sequence[Release]) -> list[Release]:
        """Give new names to releases that Cloud Tasks has no more, and return them to be created.

        A name cannot be used again there. One that was taken up meanwhile is passed over.
        """
        if not missing:
            return []
        values = {**_named(missing), "fresh": [_new_name() for _ in missing], "now": self._clock()}
        with self.transaction():
            return [Release(*row) for row in self._rows(sql.RENAME, values)]

    @tried_again
    def drop_void(self) -> list[Release]:
        """Forget the releases that are void; return those that may still lie in Cloud Tasks."""
        with self._hasty():
            rows = self._rows(sql.DROP_VOID, {})
        return [Release(*row[:5]) for row in rows if row[5] is None]

    @tried_again
    def claim_released(self, claimant: Claimant, *, task_id: int, token: int) -> Lease | Turned:
        """Lease the task of a delivery, by the right of its token; or return why that was not done.

        The limits of its queue and the memory of the claimant's pool hold as in `claim`. Of all deliveries of
        a release one at most is given a lease.
        """
        with self.transaction():
            now = self._clock()
            self._settle(now)
            rows = self._rows(sql.DELIVERED, {"id": task_id})
            if not rows or tuple(rows[0][:2]) != ("ready", token):
                return "stale"
            class_id, of_queue, kind, model, device, ram_bytes, vram_bytes, rank, run_at = rows[0][2:]
            head = Head(class_id, of_queue, kind, model, device, ram_bytes, vram_bytes, task_id, rank, run_at)
            return self._take_delivered(claimant, head, token, now)

    def _take_delivered(self, claimant: Claimant, head: Head, token: int, now: float) -> Lease | Turned:
        row = self._queues()[head.queue]
        if row.rules.state == "pause":
            self._count(sql.DROP, {"id": head.task_id, "token": token})
            return "paused"
        limited = [head.queue] if is_limited(row.rules) else []
        self._hold_still(claimant.pool, limited)
        if limited:
            row = self._queues()[head.queue]
        room = self._room(claimant.pool, dict.fromkeys(limited, row), now)
        rules = {head.queue: row.rules}
        if choose([head], claimant, rules, room, now=now, limit=1, may_exceed=False) is None:
            return "busy"
        values: dict[str, Any] = {
            "id": head.task_id,
            "token": token,
            "owner": claimant.owner,
            "pool": claimant.pool,
            "now": now,
            "ram_bytes": head.ram_bytes,
            "vram_bytes": head.vram_bytes,
        }
        taken = self._rows(sql.TAKE_DELIVERED, values)[0]
        self._count(sql.MARK_TAKEN, {"id": head.task_id, "token": token, "now": now})
        if row.rules.rate_per_second is not None:
            self._spend(head.queue, row, now, 1)
        new_token, attempt, payload, job_id, ordinal, deadline_at, subject = taken
        return Lease(
            head.task_id,
            new_token,
            attempt,
            head.queue,
            head.kind,
            head.model,
            self._seals.unseal(payload, "task.payload", head.task_id),
            job_id,
            ordinal,
            head.ram_bytes,
            head.vram_bytes,
            deadline_at,
            subject,
        )


def _new_name() -> str:
    # Drawn evenly, as Cloud Tasks asks for: it spreads tasks by their names.
    return secrets.token_hex(16)


def _named(releases: Sequence[Release]) -> dict[str, Any]:
    return {
        "task_ids": [each.task_id for each in releases],
        "names": [each.name for each in releases],
    }
