"""The SQL by which tasks of the queue on PostgreSQL are released into Cloud Tasks.

Releases are few and tasks are many, so the task of each release is looked up by its id, whatever the planner
thinks of a join: that is what the subqueries are for.
"""

_OF_ITS_TASK = "FROM task WHERE task.id = released_task.task_id"
_IS_WAITING = f"(SELECT task.state = 'ready' AND task.token = released_task.token {_OF_ITS_TASK})"
_IS_WORKING = f"""(
    SELECT task.state = 'leased' AND task.token = released_task.token + 1
        AND released_task.taken_at IS NOT NULL
    {_OF_ITS_TASK}
)"""
_COLUMNS = "task_id, token, lane, url, name"

# So that two that release do not fill the same window.
HOLD_LANES = "SELECT pg_advisory_xact_lock(1634886768, hashtext(:queue))"

OUTSTANDING = f"""
SELECT lane, count(*) FILTER (WHERE is_waiting), count(*) FILTER (WHERE is_working)
FROM (
    SELECT lane, {_IS_WAITING} AS is_waiting, {_IS_WORKING} AS is_working FROM released_task
) AS release
GROUP BY lane
"""  # noqa: S608  (conditions of our own)

CLASSES = "SELECT id, kind, device, ram_bytes, vram_bytes FROM resource_class WHERE queue = :queue"

# Of each class the first ones, so that the backlog behind them costs nothing.
NEXT = """
SELECT head.id, head.token, head.class_id, head.rank
FROM unnest(:class_ids::int[]) AS class (id) CROSS JOIN LATERAL (
    SELECT id, token, class_id, rank FROM task
    WHERE class_id = class.id AND state = 'ready' AND NOT EXISTS (
        SELECT FROM released_task WHERE released_task.task_id = task.id AND released_task.token = task.token
    )
    ORDER BY rank, id LIMIT :limit
) AS head
ORDER BY head.rank, head.id LIMIT :limit
"""

# What was pruned meanwhile is passed over.
RELEASE = f"""
INSERT INTO released_task ({_COLUMNS}, released_at)
SELECT {_COLUMNS}, :now
FROM unnest(:task_ids::bigint[], :tokens::int[], :lanes::text[], :urls::text[], :names::text[])
     AS released_task (task_id, token, lane, url, name)
WHERE (SELECT true {_OF_ITS_TASK})
ON CONFLICT (task_id) DO UPDATE SET
    token = excluded.token, lane = excluded.lane, url = excluded.url, name = excluded.name,
    released_at = excluded.released_at, created_at = NULL, taken_at = NULL
RETURNING name
"""  # noqa: S608  (conditions of our own)

CONFIRM = """
UPDATE released_task SET created_at = :now
FROM unnest(:task_ids::bigint[], :names::text[]) AS known (task_id, name)
WHERE released_task.task_id = known.task_id AND released_task.name = known.name
"""

_RELEASES = f"SELECT {_COLUMNS} FROM released_task"  # noqa: S608

DOUBTFUL = f"{_RELEASES} WHERE created_at IS NULL AND released_at <= :before AND {_IS_WAITING}"

OVERDUE = f"{_RELEASES} WHERE lane = :lane AND created_at <= :before AND {_IS_WAITING}"

RENAME = f"""
UPDATE released_task SET name = known.fresh, released_at = :now, created_at = NULL
FROM unnest(:task_ids::bigint[], :names::text[], :fresh::text[]) AS known (id, old, fresh)
WHERE task_id = known.id AND name = known.old AND {_IS_WAITING}
RETURNING {_COLUMNS}
"""  # noqa: S608  (conditions of our own)

DROP_VOID = f"""
DELETE FROM released_task WHERE NOT {_IS_WAITING} AND NOT {_IS_WORKING}
RETURNING {_COLUMNS}, taken_at
"""  # noqa: S608  (conditions of our own)

DROP = "DELETE FROM released_task WHERE task_id = :id AND token = :token"

# Whoever delivers it a second time must see what became of the first.
DELIVERED = """
SELECT task.state, task.token, resource_class.id, resource_class.queue, resource_class.kind,
       resource_class.model, resource_class.device, resource_class.ram_bytes, resource_class.vram_bytes,
       task.rank, task.run_at
FROM task JOIN resource_class ON resource_class.id = task.class_id
WHERE task.id = :id FOR NO KEY UPDATE OF task
"""

TAKE_DELIVERED = """
UPDATE task SET
    state = 'leased', owner = :owner, pool = :pool, token = token + 1, attempt = attempt + 1,
    started_at = :now, ram_bytes = :ram_bytes, vram_bytes = :vram_bytes
WHERE id = :id AND token = :token AND coalesce(state, '') = 'ready'
RETURNING token, attempt, payload, job_id, ordinal, deadline_at, subject
"""

MARK_TAKEN = "UPDATE released_task SET taken_at = :now WHERE task_id = :id AND token = :token"
