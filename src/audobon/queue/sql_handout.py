"""What both SQL drivers of the queue share: adding tasks, and handing them out."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from audobon.queue import statements as sql
from audobon.queue.choosing import Choice, Head, Room, choose
from audobon.queue.rules import QueueRules, drained
from audobon.queue.sql import QueueRow, lost
from audobon.queue.sql_stopping import SqlStopping
from audobon.queue.tasks import Capacity, Claimant, Lease, Needs, NewTask


class SqlHandout(SqlStopping):
    """Adds and hands out tasks; a driver brings the statements that differ."""

    @abstractmethod
    def _heads(self) -> list[Head]:
        """Return the first ready task of every class that has one."""

    @abstractmethod
    def _add_rows(self, rows: list[tuple[Any, ...]]) -> None:
        """Insert tasks; values as in `TASK_COLUMNS`."""

    @abstractmethod
    def _new_ids(self, count: int) -> Sequence[int]:
        """Return ids never given before, in rising order."""

    @abstractmethod
    def _take(self, choice: Choice, values: dict[str, Any]) -> list[Sequence[Any]]:
        """Lease the tasks of a choice; return the rows of the CLAIM statement."""

    def _hold_still(self, pool: str | None, limited: Iterable[str]) -> None:
        """Keep others from taking of a pool, or of queues with limits, until the transaction ends."""

    # Adding

    def enqueue(self, queue: str, tasks: Iterable[NewTask]) -> list[int]:
        with self.transaction():
            rules = self._ensure(queue)
            if rules.state == "drain":
                raise drained(queue)
            ids = self._add(queue, rules, list(tasks))
            self.wake()
        return ids

    def _add(self, queue: str, rules: QueueRules, tasks: list[NewTask]) -> list[int]:
        now = self._clock()
        classes: dict[Needs, int] = {}
        keys = [f"{queue}/{task.idempotency_key}" for task in tasks if task.idempotency_key is not None]
        keyed = self._known(keys) if keys else {}
        rows: list[tuple[Any, ...]] = []
        ids: list[int] = []
        fresh: Iterator[int] = iter(self._new_ids(len(tasks)))
        for task in tasks:
            key = None if task.idempotency_key is None else f"{queue}/{task.idempotency_key}"
            if key is not None:
                known = keyed.get(key)
                if known is not None:
                    ids.append(known)
                    continue
            task_id = next(fresh)
            if key is not None:
                keyed[key] = task_id
            class_id = classes.get(task.needs)
            if class_id is None:
                class_id = classes[task.needs] = self._class_of(queue, task.needs)
            run_at = now + max(0.0, task.delay_seconds)
            rank = run_at - rules.lead_seconds - task.priority * rules.ageing_step_seconds
            state = "waiting" if task.delay_seconds > 0 else "ready"
            most = rules.retry_for(task.needs.kind).max_attempts
            rows.append(
                (
                    task_id, class_id, task.job_id, task.ordinal, key, task.work_key, state, task.priority,
                    now, run_at, rank, task.deadline_at, most,
                    self._seals.seal(task.subject, task.payload, "task.payload", task_id),
                    task.total_units, task.subject,
                )
            )  # fmt: skip
            ids.append(task_id)
        self._add_rows(rows)
        return ids

    def _known(self, keys: Sequence[str]) -> dict[str, int]:
        """Return the tasks that have one of these keys; nobody adds another before the transaction ends."""
        found = {key: self._rows(sql.FIND_KEY, {"key": key}) for key in keys}
        return {key: int(rows[0][0]) for key, rows in found.items() if rows}

    def _class_of(self, queue: str, needs: Needs) -> int:
        values = {"queue": queue, **msgspec.structs.asdict(needs)}
        found = self._rows(sql.FIND_CLASS, values) or self._rows(sql.ADD_CLASS, values)
        return int(found[0][0])

    def adopt(self, task_id: int, blob: str | None, result: str | None) -> None:
        with self.transaction():
            sealed = self._seals.seal(self._subject_of(task_id), result, "task.result", task_id)
            values = {"id": task_id, "blob": blob, "result": sealed, "now": self._clock()}
            if self._count(sql.ADOPT, values) == 1:
                self._record(task_id, "adopted", "")
                # A big task that kept smaller ones out may be gone.
                self.wake()

    # Handing out

    def claim(self, claimant: Claimant, *, limit: int = 1, may_exceed: bool = False) -> list[Lease]:
        with self.transaction():
            return self._claim(claimant, limit, may_exceed)

    def _claim(self, claimant: Claimant, limit: int, may_exceed: bool) -> list[Lease]:
        now = self._clock()
        self._settle(now)
        leases: list[Lease] = []
        others: set[int] = set()
        while len(leases) < limit:
            most = limit - len(leases)
            taken = self._claim_of_one_class(claimant, now, most, may_exceed=may_exceed, others=others)
            if taken is None:
                break
            leases += taken
        return leases

    def _settle(self, now: float) -> None:
        """Make ready what is due by now, and give up what is too late."""
        self._count(sql.PROMOTE, {"now": now})
        expired = self._rows(sql.EXPIRE, {"now": now})
        for (task_id,) in expired:
            self._record(task_id, "failed", "deadline")
        if expired:
            self.wake()

    def _claim_of_one_class(
        self, claimant: Claimant, now: float, limit: int, *, may_exceed: bool, others: set[int]
    ) -> list[Lease] | None:
        """Lease what comes next of one class; None when there is none to choose.

        others  classes whose next tasks are just being taken by others; one that is seen so is added
        """
        heads = [head for head in self._heads() if head.class_id not in others]
        if not heads:
            return None
        queues = self._queues()
        served = {head.queue for head in heads if claimant.queues is None or head.queue in claimant.queues}
        limited = sorted(name for name in served if is_limited(queues[name].rules))
        self._hold_still(claimant.pool, limited)
        if limited:
            queues = self._queues()
        rules = {name: row.rules for name, row in queues.items()}
        room = self._room(claimant.pool, {name: queues[name] for name in limited}, now)
        choice = choose(heads, claimant, rules, room, now=now, limit=limit, may_exceed=may_exceed)
        if choice is None:
            return None
        head = choice.head
        values = {
            "owner": claimant.owner,
            "pool": claimant.pool,
            "now": now,
            "class_id": head.class_id,
            "ram_bytes": head.ram_bytes,
            "vram_bytes": head.vram_bytes,
            "rank_bound": choice.rank_bound,
            "id_bound": choice.id_bound,
            "limit": choice.limit,
        }
        # The database returns them in any order; (rank, id) is theirs.
        rows = sorted(self._take(choice, values), key=lambda row: (row[7], row[0]))
        if not rows:
            others.add(head.class_id)
        if head.queue in limited and rules[head.queue].rate_per_second is not None:
            self._spend(head.queue, queues[head.queue], now, len(rows))
        return [
            Lease(
                task_id,
                token,
                attempt,
                head.queue,
                head.kind,
                head.model,
                self._seals.unseal(payload, "task.payload", task_id),
                job_id,
                ordinal,
                head.ram_bytes,
                head.vram_bytes,
                deadline_at,
                subject,
            )
            for task_id, token, attempt, payload, job_id, ordinal, deadline_at, _, subject in rows
        ]

    def _room(self, pool: str | None, limited: dict[str, QueueRow], now: float) -> Room:
        starts = {}
        for name, row in limited.items():
            starts[name] = 1 << 30
            if row.rules.max_running is not None:
                running = int(self._rows(sql.RUNNING, {"queue": name})[0][0])
                starts[name] = row.rules.max_running - running
            if row.rules.rate_per_second is not None:
                if row.rate_at is not None and row.rate_at > now:
                    # The clock was set back: what comes in from now on counts from now on.
                    self._spend(name, row, now, 0)
                starts[name] = min(starts[name], int(_rate_tokens(row, now)))
        if pool is None:
            return Room(None, None, True, starts)
        whole = self._whole(pool)
        ram_bytes, vram_bytes, count = self._rows(sql.RESERVED, {"pool": pool})[0]
        free = Capacity(whole.ram_bytes - int(ram_bytes), whole.vram_bytes - int(vram_bytes))
        return Room(free, whole, count == 0, starts)

    def _spend(self, queue: str, row: QueueRow, now: float, count: int) -> None:
        values = {"name": queue, "rate_tokens": _rate_tokens(row, now) - count, "rate_at": now}
        self._count(sql.SET_RATE, values)

    def upcoming(self, claimant: Claimant, *, limit: int = 1) -> list[str]:
        heads = {head.class_id: head for head in self._heads()}
        if not heads:
            return []
        rules = {name: row.rules for name, row in self._queues().items()}
        room = self._room_of_all(claimant.pool)
        now = self._clock()
        found: list[str] = []
        while len(found) < limit:
            choice = choose(heads.values(), claimant, rules, room, now=now, limit=1, may_exceed=False)
            if choice is None:
                break
            head = heads.pop(choice.head.class_id)
            if head.model:
                found.append(head.model)
                claimant = msgspec.structs.replace(claimant, models=claimant.models | {head.model})
            if len(found) < limit:
                values = {"class_id": head.class_id, "rank": head.rank, "id": head.task_id}
                for task_id, rank, run_at in self._rows(sql.READY_AFTER, values):
                    heads[head.class_id] = head._replace(task_id=task_id, rank=rank, run_at=run_at)
        return found

    def _room_of_all(self, pool: str | None) -> Room:
        """Return the room there is when nothing runs."""
        if pool is None:
            return Room(None, None, True, {})
        whole = self._whole(pool)
        return Room(whole, whole, True, {})

    def _whole(self, pool: str) -> Capacity:
        rows = self._rows(sql.CAPACITY, {"pool": pool})
        return Capacity(*rows[0]) if rows else Capacity(0, 0)

    def has_due(self) -> bool:
        heads = self._heads()
        if heads:
            queues = self._queues()
            if any(queues[head.queue].rules.state != "pause" for head in heads):
                return True
        return bool(self._rows(sql.WAITING_IS_DUE, {"now": self._clock()}))

    def next_run_at(self) -> float | None:
        is_any_paused = any(row.rules.state == "pause" for row in self._queues().values())
        at = self._rows(sql.NEXT_RUN_AT_BESIDE_PAUSED if is_any_paused else sql.NEXT_RUN_AT, {})[0][0]
        return None if at is None else float(at)

    def reserve(self, lease: Lease, *, ram_bytes: int, vram_bytes: int = 0) -> bool:
        with self._hasty():
            held = self._held(lease)
            if held is None:
                raise lost(lease)
            pool, held_ram_bytes, held_vram_bytes = held[:3]
            if pool is not None:
                self._hold_still(pool, ())
                free = self._room(pool, {}, self._clock()).free
                assert free is not None
                # A pool whose capacity was lowered may hold too much; that refuses only those who want more.
                if ram_bytes - held_ram_bytes > max(0, free.ram_bytes):
                    return False
                if vram_bytes - held_vram_bytes > max(0, free.vram_bytes):
                    return False
            values = {"id": lease.id, "token": lease.token, "ram_bytes": ram_bytes, "vram_bytes": vram_bytes}
            self._count(sql.RESERVE, values)
            if ram_bytes < held_ram_bytes or vram_bytes < held_vram_bytes:
                self.wake()
        return True


def is_limited(rules: QueueRules) -> bool:
    """Tell whether a queue may have only so many tasks at work, or begun."""
    return rules.max_running is not None or rules.rate_per_second is not None


def _rate_tokens(row: QueueRow, now: float) -> float:
    """Return how many tasks a rate lets begin now; a bucket that was never used is full."""
    rate, burst = row.rules.rate_per_second, row.rules.burst
    if rate is None or row.rate_tokens is None or row.rate_at is None:
        return float(burst)
    # A clock set back must not empty the bucket for as long as it was set back.
    return min(float(burst), row.rate_tokens + max(0.0, now - row.rate_at) * rate)
