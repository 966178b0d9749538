"""The queue's SQL for those who look: views of jobs, lists, figures, schedules."""

from audobon.queue.tasks import TaskState

_VIEW = """
SELECT id, ordinal, state, attempt, owner, result_blob, result, error_code, error_message,
       done_units, total_units, finished_at
FROM task WHERE job_id = :job_id"""

TASKS_OF_JOB = _VIEW + " ORDER BY ordinal"

# The id as an expression, and unordered, so that SQLite looks through the leased tasks, not all of the job.
LEASED_OF_JOB = _VIEW.replace("job_id =", "coalesce(job_id, '') =") + " AND state = 'leased'"

FINISHED_SINCE = _VIEW + " AND finished_at IS NOT NULL AND finished_at >= :since ORDER BY finished_at, id"

RECORD_COLUMNS = (
    "id",
    "queue",
    "kind",
    "model",
    "device",
    "state",
    "priority",
    "job_id",
    "ordinal",
    "idempotency_key",
    "attempt",
    "max_attempts",
    "token",
    "owner",
    "pool",
    "ram_bytes",
    "vram_bytes",
    "payload",
    "result_blob",
    "result",
    "error_code",
    "error_message",
    "done_units",
    "total_units",
    "enqueued_at",
    "run_at",
    "deadline_at",
    "started_at",
    "finished_at",
    "stop_asked_at",
)

_OF_THE_CLASS = ("queue", "kind", "model", "device")

# A task holds memory while it is leased; before, it is what its class asks for.
_COLUMNS = ", ".join(
    f"resource_class.{name}"
    if name in _OF_THE_CLASS
    else f"CASE WHEN task.state = 'leased' THEN task.{name} ELSE resource_class.{name} END"
    if name in ("ram_bytes", "vram_bytes")
    else f"task.{name}"
    for name in RECORD_COLUMNS
)

RECORDS = f"SELECT {_COLUMNS} FROM task JOIN resource_class ON resource_class.id = task.class_id"  # noqa: S608

IDS_OF_STATE: dict[TaskState, str] = {
    state: f"SELECT id FROM task WHERE state = '{state}'"  # noqa: S608  (names of our own)
    for state in ("waiting", "ready", "leased", "failed")
}
"""For the states that have an index of their own: what looks for them does not pass by finished tasks."""

ENDED_SINCE = f"""{RECORDS}
WHERE task.finished_at IS NOT NULL AND task.finished_at >= :since
ORDER BY task.finished_at DESC, task.id DESC LIMIT :limit
"""

EVENTS = """
SELECT id, task_id, at, kind, detail FROM task_event WHERE id > :after_id ORDER BY id LIMIT :limit
"""

EVENTS_OF_TASK = """
SELECT id, task_id, at, kind, detail FROM task_event
WHERE task_id = :task_id AND id > :after_id ORDER BY id LIMIT :limit
"""

# State by state, since each has an index of its own, and the tasks that ended are many.
DEPTHS = " UNION ALL ".join(
    f"""
SELECT resource_class.queue, '{state}', count(*), min(task.run_at)
FROM task JOIN resource_class ON resource_class.id = task.class_id
WHERE task.state = '{state}' GROUP BY resource_class.queue
"""  # noqa: S608  (states of our own)
    for state in ("waiting", "ready", "leased")
)

DEAD = """
SELECT resource_class.queue, count(*)
FROM task JOIN resource_class ON resource_class.id = task.class_id
WHERE task.state = 'failed' GROUP BY resource_class.queue
"""

ENDED = """
SELECT resource_class.queue, resource_class.kind, task.state, count(*)
FROM task JOIN resource_class ON resource_class.id = task.class_id
WHERE task.finished_at > :since AND task.finished_at IS NOT NULL AND task.state IN ('done', 'failed')
GROUP BY resource_class.queue, resource_class.kind, task.state
ORDER BY resource_class.queue, resource_class.kind
"""

PUT_SCHEDULE = """
INSERT INTO schedule (name, queue, needs, cron, payload, priority, misfire, is_paused, next_at)
VALUES (:name, :queue, :needs, :cron, :payload, :priority, :misfire, :is_paused, :next_at)
ON CONFLICT (name) DO UPDATE SET
    queue = excluded.queue, needs = excluded.needs, cron = excluded.cron, payload = excluded.payload,
    priority = excluded.priority, misfire = excluded.misfire, is_paused = excluded.is_paused,
    next_at = excluded.next_at
"""

REMOVE_SCHEDULE = "DELETE FROM schedule WHERE name = :name"

SCHEDULES = """
SELECT name, queue, needs, cron, payload, priority, misfire, is_paused, next_at FROM schedule ORDER BY name
"""

ADVANCE_SCHEDULE = "UPDATE schedule SET next_at = :next_at WHERE name = :name AND next_at = :expected_at"
