"""What both SQL drivers of the queue share: schedules, and looking at what is there."""

from collections.abc import Sequence
from typing import Any

import msgspec

from audobon.errors import ScheduleNotFound, TaskNotFound
from audobon.keys.service import SYSTEM
from audobon.queue import looking as sql
from audobon.queue.figures import WINDOW_SECONDS, KindFigures, PoolFigures, QueueFigures
from audobon.queue.schedule import Schedule, due_runs, next_after
from audobon.queue.sql_handout import SqlHandout
from audobon.queue.statements import POOLS
from audobon.queue.tasks import Needs, NewTask, TaskEvent, TaskRecord, TaskState, TaskView


class SqlQueue(SqlHandout):
    """The queue over SQL, whole but for what the databases do differently."""

    # Schedules

    def put_schedule(self, schedule: Schedule) -> Schedule:
        due = msgspec.structs.replace(schedule, next_at=next_after(schedule.cron, self._clock()))
        values: dict[str, Any] = msgspec.structs.asdict(due)
        values["needs"] = msgspec.json.encode(due.needs).decode()
        values["is_paused"] = int(due.is_paused)
        values["payload"] = self._seals.seal(SYSTEM, due.payload, "schedule.payload", due.name)
        with self.transaction():
            self._ensure(due.queue)
            self._count(sql.PUT_SCHEDULE, values)
        return due

    def remove_schedule(self, name: str) -> None:
        with self.transaction():
            if self._count(sql.REMOVE_SCHEDULE, {"name": name}) == 0:
                raise ScheduleNotFound(f"there is no schedule {name!r}", hint="audobon queue schedule list")

    def schedules(self) -> list[Schedule]:
        return [
            Schedule(
                name=name,
                queue=queue,
                needs=msgspec.json.decode(needs, type=Needs),
                cron=cron,
                payload=self._seals.unseal(payload, "schedule.payload", name),
                priority=priority,
                misfire=misfire,
                is_paused=bool(is_paused),
                next_at=next_at,
            )
            for name, queue, needs, cron, payload, priority, misfire, is_paused, next_at in self._rows(
                sql.SCHEDULES, {}
            )
        ]

    def run_schedules(self) -> int:
        now = self._clock()
        return sum(
            self._run_schedule(schedule, now)
            for schedule in self.schedules()
            if schedule.next_at <= now and not schedule.is_paused
        )

    def _run_schedule(self, schedule: Schedule, now: float) -> int:
        runs, next_at = due_runs(schedule, now)
        values = {"name": schedule.name, "next_at": next_at, "expected_at": schedule.next_at}
        with self.transaction():
            if self._count(sql.ADVANCE_SCHEDULE, values) != 1:
                # Another caller was quicker.
                return 0
            if self._ensure(schedule.queue).state == "drain":
                return 0
            tasks = [
                NewTask(
                    needs=schedule.needs,
                    payload=schedule.payload,
                    priority=schedule.priority,
                    idempotency_key=f"schedule {schedule.name} {run:.0f}",
                    subject=SYSTEM,
                )
                for run in runs
            ]
            self.enqueue(schedule.queue, tasks)
        return len(runs)

    # Looking

    def tasks(self, job_id: str) -> list[TaskView]:
        return [self._view(row) for row in self._rows(sql.TASKS_OF_JOB, {"job_id": job_id})]

    def finished_since(self, job_id: str, since: float) -> list[TaskView]:
        rows = self._rows(sql.FINISHED_SINCE, {"job_id": job_id, "since": since})
        return [self._view(row) for row in rows]

    def leased(self, job_id: str) -> list[TaskView]:
        found = [self._view(row) for row in self._rows(sql.LEASED_OF_JOB, {"job_id": job_id})]
        return sorted(found, key=lambda task: task.ordinal)

    def find(self, task_id: int) -> TaskRecord:
        rows = self._rows(f"{sql.RECORDS} WHERE task.id = :id", {"id": task_id})
        if not rows:
            raise TaskNotFound(f"there is no task {task_id}", hint="audobon queue show")
        return self._opened(_record(rows[0]))

    def select(
        self,
        *,
        queue: str | None = None,
        states: Sequence[TaskState] = (),
        job_id: str | None = None,
        limit: int = 100,
    ) -> list[TaskRecord]:
        conditions, values = ["1 = 1"], dict[str, Any](limit=limit)
        for name, column, value in (
            ("queue", "resource_class.queue", queue),
            ("job_id", "task.job_id", job_id),
        ):
            if value is not None:
                conditions.append(f"{column} = :{name}")
                values[name] = value
        if states and set(states) <= set(sql.IDS_OF_STATE):
            found = " UNION ALL ".join(sql.IDS_OF_STATE[state] for state in dict.fromkeys(states))
            conditions.append(f"task.id IN ({found})")
        elif states:
            names = {f"state_{index}": state for index, state in enumerate(states)}
            conditions.append(f"task.state IN ({', '.join(':' + name for name in names)})")
            values.update(names)
        where = " AND ".join(conditions)
        rows = self._rows(f"{sql.RECORDS} WHERE {where} ORDER BY task.id DESC LIMIT :limit", values)
        return [self._opened(_record(row)) for row in rows]

    def ended_since(self, since: float, *, limit: int = 1000) -> list[TaskRecord]:
        rows = self._rows(sql.ENDED_SINCE, {"since": since, "limit": limit})
        return [self._opened(_record(row)) for row in reversed(rows)]

    def events(self, *, task_id: int | None = None, after_id: int = 0, limit: int = 1000) -> list[TaskEvent]:
        statement = sql.EVENTS if task_id is None else sql.EVENTS_OF_TASK
        values = {"task_id": task_id, "after_id": after_id, "limit": limit}
        if task_id is None:
            del values["task_id"]
        return [
            TaskEvent(event_id, of_task, at, kind, self._seals.unseal(detail, "task_event.detail", of_task))
            for event_id, of_task, at, kind, detail in self._rows(statement, values)
        ]

    def _view(self, row: Sequence[Any]) -> TaskView:
        view = TaskView(*row)
        unseal = self._seals.unseal
        return msgspec.structs.replace(
            view,
            result=unseal(view.result, "task.result", view.id),
            error_message=unseal(view.error_message, "task.error_message", view.id),
        )

    def _opened(self, record: TaskRecord) -> TaskRecord:
        unseal = self._seals.unseal
        return msgspec.structs.replace(
            record,
            payload=unseal(record.payload, "task.payload", record.id),
            result=unseal(record.result, "task.result", record.id),
            error_message=unseal(record.error_message, "task.error_message", record.id),
        )

    def figures(self) -> list[QueueFigures]:
        now = self._clock()
        depths: dict[str, dict[str, tuple[int, float]]] = {}
        for queue, state, count, run_at in self._rows(sql.DEPTHS, {}):
            depths.setdefault(queue, {})[state] = (int(count), run_at)
        dead = {queue: int(count) for queue, count in self._rows(sql.DEAD, {})}
        ended: dict[str, dict[str, dict[str, int]]] = {}
        for queue, kind, state, count in self._rows(sql.ENDED, {"since": now - WINDOW_SECONDS}):
            ended.setdefault(queue, {}).setdefault(kind, {})[state] = int(count)
        return [
            _figures(
                rules.name, rules.state, depths.get(rules.name, {}), dead, ended.get(rules.name, {}), now
            )
            for rules in self.rules()
        ]

    def pools(self) -> list[PoolFigures]:
        return [
            PoolFigures(pool, int(ram), int(vram), int(reserved), int(reserved_vram))
            for pool, ram, vram, reserved, reserved_vram in self._rows(POOLS, {})
        ]


def _record(row: Sequence[Any]) -> TaskRecord:
    values = dict(zip(sql.RECORD_COLUMNS, row, strict=True))
    if values["idempotency_key"] is not None:
        # Kept with the queue's name before it, since it counts within a queue.
        values["idempotency_key"] = values["idempotency_key"].removeprefix(values["queue"] + "/")
    return TaskRecord(**values)


def _figures(
    queue: str,
    state: Any,
    depths: dict[str, tuple[int, float]],
    dead: dict[str, int],
    ended: dict[str, dict[str, int]],
    now: float,
) -> QueueFigures:
    nothing = (0, now)
    ready, ready_since = depths.get("ready", nothing)
    # Tasks become ready when somebody claims; those that are due wait, even if nobody does.
    waiting, waiting_since = depths.get("waiting", nothing)
    done = sum(counts.get("done", 0) for counts in ended.values())
    failed = sum(counts.get("failed", 0) for counts in ended.values())
    return QueueFigures(
        queue=queue,
        state=state,
        ready=ready,
        waiting=waiting,
        leased=depths.get("leased", nothing)[0],
        dead=dead.get(queue, 0),
        oldest_age_seconds=max(0.0, now - min(ready_since, waiting_since)),
        done_per_second=done / WINDOW_SECONDS,
        failed_per_second=failed / WINDOW_SECONDS,
        by_kind=tuple(
            KindFigures(kind, counts.get("done", 0), counts.get("failed", 0))
            for kind, counts in sorted(ended.items())
        ),
    )
