"""What both SQL drivers of the queue share: rules, and working on tasks."""

import random
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from audobon.clock import Clock, utc_now
from audobon.errors import Cancelled, DeadlineExceeded, LeaseLost, QueueNotFound, WorkerDied
from audobon.keys.service import PERSONAL, Keys
from audobon.queue import statements as sql
from audobon.queue.port import Queue
from audobon.queue.rules import QueueRules, default_rules
from audobon.queue.sealing import Seals
from audobon.queue.tasks import (
    CATEGORIES,
    Capacity,
    Lease,
    QueueState,
    Result,
    Standing,
    TaskState,
)

Row = Sequence[Any]


class QueueRow(NamedTuple):
    """A row of the queue table."""

    rules: QueueRules
    rate_tokens: float | None
    rate_at: float | None


class SqlTasks(Queue):
    """The part of the queue that works on tasks, over statements both databases understand.

    A driver brings `_rows` and `_count` to run a statement, and `transaction`.
    """

    def __init__(
        self, *, keys: Keys | None, clock: Clock = utc_now, draw: Callable[[], float] = random.random
    ) -> None:
        self._seals = Seals(keys)
        self._clock = clock
        self._draw = draw
        # Queues that allow so many tasks at work at once, as last seen; None while not known.
        self._crowded: frozenset[str] | None = None

    @abstractmethod
    def _rows(self, statement: str, values: dict[str, Any]) -> list[Row]:
        """Run a statement; return its rows."""

    @abstractmethod
    def _count(self, statement: str, values: dict[str, Any]) -> int:
        """Run a statement; return how many rows it changed."""

    def _hasty(self) -> AbstractContextManager[None]:
        """A transaction whose end need not reach the disk."""
        return self.transaction()

    # Rules and capacity

    def configure(self, rules: QueueRules) -> None:
        rules.check()
        values = {"name": rules.name, "state": rules.state, "rules": msgspec.json.encode(rules).decode()}
        with self.transaction():
            self._count(sql.PUT_QUEUE, values)
            self.wake()

    def rules(self) -> list[QueueRules]:
        known = {name: row.rules for name, row in self._queues().items()}
        for category in CATEGORIES:
            known.setdefault(category, default_rules(category))
        return [known[name] for name in sorted(known)]

    def set_state(self, queue: str, state: QueueState) -> None:
        with self.transaction():
            self._ensure(queue)
            self._count(sql.SET_STATE, {"name": queue, "state": state})
            self.wake()

    def set_capacity(self, pool: str, capacity: Capacity) -> None:
        values = {"name": pool, "ram_bytes": capacity.ram_bytes, "vram_bytes": capacity.vram_bytes}
        with self.transaction():
            self._count(sql.SET_CAPACITY, values)
            self.wake()

    def _queues(self) -> dict[str, QueueRow]:
        queues = {
            name: QueueRow(_parse_rules(rules, state), tokens, at)
            for name, state, rules, tokens, at in self._rows(sql.QUEUES, {})
        }
        self._crowded = frozenset(name for name, row in queues.items() if row.rules.max_running is not None)
        return queues

    def _ensure(self, queue: str) -> QueueRules:
        """Return the rules of a queue, creating a category's on first use."""
        known = self._queues().get(queue)
        if known is not None:
            return known.rules
        for category in CATEGORIES:
            if category == queue:
                rules = default_rules(category)
                text = msgspec.json.encode(rules).decode()
                self._count(sql.ADD_QUEUE, {"name": queue, "state": rules.state, "rules": text})
                return rules
        raise QueueNotFound(f"there is no queue {queue!r}", hint="audobon queue list")

    # Working

    def progress(self, lease: Lease, done_units: int, total_units: int, *, note: str = "") -> Standing:
        values = {"id": lease.id, "token": lease.token, "done_units": done_units, "total_units": total_units}
        with self._hasty():
            rows = self._rows(sql.PROGRESS, values)
            if rows and note:
                self._record(lease.id, "progress", self._sealed_detail(lease, note))
        return self._standing(*rows[0]) if rows else "lost"

    def standing(self, lease: Lease) -> Standing:
        held = self._held(lease)
        return "lost" if held is None else self._standing(held[3], held[5])

    def _standing(self, stop_asked_at: float | None, deadline_at: float | None) -> Standing:
        is_late = deadline_at is not None and deadline_at <= self._clock()
        return "asked to stop" if is_late or stop_asked_at is not None else "held"

    def _held(self, lease: Lease) -> Row | None:
        rows = self._rows(sql.HELD, {"id": lease.id, "token": lease.token})
        return rows[0] if rows else None

    def finish(self, lease: Lease, *, blob: str | None = None, result: str | None = None) -> None:
        if self.finish_all([Result(lease, blob, result)]):
            raise lost(lease)

    def finish_all(self, results: Sequence[Result]) -> list[Lease]:
        now = self._clock()
        void: list[Lease] = []
        makes_room = False
        with self.transaction():
            for done in results:
                values = {
                    "id": done.lease.id,
                    "token": done.lease.token,
                    "blob": done.blob,
                    "result": self._seals.seal(done.lease.subject, done.result, "task.result", done.lease.id),
                    "now": now,
                }
                rows = self._rows(sql.FINISH, values)
                if not rows:
                    void.append(done.lease)
                elif not makes_room:
                    makes_room = rows[0][0] > 0 or self._is_crowded(done.lease.queue)
            if makes_room:
                self.wake()
        return void

    def _is_crowded(self, queue: str) -> bool:
        """Tell whether tasks of a queue may wait for others of it to end."""
        if self._crowded is None:
            self._queues()
        assert self._crowded is not None
        return queue in self._crowded

    def fail(self, lease: Lease, *, code: str, message: str, retry: bool) -> TaskState:
        with self.transaction():
            state = self._fail(lease, code, message, retry)
            self.wake()
        return state

    def _fail(self, lease: Lease, code: str, message: str, retry: bool) -> TaskState:
        held = self._held(lease)
        if held is None:
            raise lost(lease)
        _, _, _, asked_at, asked_why, deadline_at, max_attempts = held
        end = self._end_of_stopped(asked_at, asked_why, deadline_at)
        sealed = self._seals.seal(lease.subject, message, "task.error_message", lease.id)
        if end is None and retry and lease.attempt < max_attempts:
            policy = self._ensure(lease.queue).retry_for(lease.kind)
            rest = policy.rest_seconds(lease.attempt, draw=self._draw)
            self._let_go(lease, "waiting" if rest > 0 else "ready", lease.attempt, rest, code, sealed)
            self._record(lease.id, "retried", self._sealed_detail(lease, message))
            return "waiting" if rest > 0 else "ready"
        if end is not None:
            state, code, message = end
            self._let_go(lease, state, lease.attempt, 0.0, code, message)
            self._record(lease.id, state, message)
            return state
        self._let_go(lease, "failed", lease.attempt, 0.0, code, sealed)
        self._record(lease.id, "failed", self._sealed_detail(lease, message))
        return "failed"

    def release(self, lease: Lease, *, reason: str) -> None:
        with self.transaction():
            held = self._held(lease)
            if held is not None:
                self._give_back(lease, held[3], held[4], held[5], held[6], reason, is_blameless=True)
                self.wake()

    def _let_go(
        self,
        lease: Lease,
        state: TaskState,
        attempt: int,
        rest_seconds: float,
        code: str | None,
        message: str | None,
    ) -> None:
        now = self._clock()
        values = {
            "id": lease.id,
            "token": lease.token,
            "state": state,
            "run_at": now + rest_seconds,
            "finished_at": None if state in ("waiting", "ready") else now,
            "attempt": attempt,
            "error_code": code,
            "error_message": message,
        }
        self._count(sql.LET_GO, values)

    def _end_of_stopped(
        self, asked_at: float | None, asked_why: str | None, deadline_at: float | None
    ) -> tuple[TaskState, str, str] | None:
        if asked_at is not None:
            return "cancelled", Cancelled.code, asked_why or ""
        if deadline_at is not None and deadline_at <= self._clock():
            return "failed", DeadlineExceeded.code, "its deadline passed while it was worked on"
        return None

    def _give_back(
        self,
        lease: Lease,
        asked_at: float | None,
        asked_why: str | None,
        deadline_at: float | None,
        max_attempts: int,
        reason: str,
        *,
        is_blameless: bool,
    ) -> None:
        end = self._end_of_stopped(asked_at, asked_why, deadline_at)
        if end is None and (is_blameless or lease.attempt < max_attempts):
            attempt = lease.attempt - 1 if is_blameless else lease.attempt
            code = None if is_blameless else WorkerDied.code
            self._let_go(lease, "ready", attempt, 0.0, code, None if is_blameless else reason)
            self._record(lease.id, "given back", reason)
            return
        state, code, message = end or ("failed", WorkerDied.code, reason)
        self._let_go(lease, state, lease.attempt, 0.0, code, message)
        self._record(lease.id, state, message)

    def _sealed_detail(self, lease: Lease, detail: str) -> str:
        return self._seals.seal(lease.subject, detail, "task_event.detail", lease.id)

    def _subject_of(self, task_id: int) -> str:
        rows = self._rows(sql.SUBJECT, {"id": task_id})
        return str(rows[0][0]) if rows else PERSONAL

    def _record(self, task_id: int, kind: str, detail: str) -> None:
        values = {"task_id": task_id, "now": self._clock(), "kind": kind, "detail": detail}
        self._count(sql.RECORD_EVENT, values)


@lru_cache(maxsize=64)
def _parse_rules(text: str, state: QueueState) -> QueueRules:
    return msgspec.structs.replace(msgspec.json.decode(text, type=QueueRules), state=state)


def lost(lease: Lease) -> LeaseLost:
    """Return the error for a lease that is void."""
    return LeaseLost(f"task {lease.id} was handed on while it was being worked on")
