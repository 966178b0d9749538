"""The SQL by which tasks of the queue on PostgreSQL are released into Cloud Tasks."""

_IS_WAITING = "(task.state = 'ready' AND task.token = released_task.token)"
_IS_WORKING = (
    "(task.state = 'leased' AND task.token = released_task.token + 1 AND released_task.taken_at IS NOT NULL)"
)

# So that two that release do not fill the same window.
HOLD_LANES = "SELECT pg_advisory_xact_lock(1634886768, hashtext(:queue))"

OUTSTANDING = f"""
SELECT lane, count(*) FILTER (WHERE task.state = 'ready'), count(*) FILTER (WHERE task.state = 'leased')
FROM released_task JOIN task ON task.id = released_task.task_id
WHERE {_IS_WAITING} OR {_IS_WORKING}
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
RELEASE = """
INSERT INTO released_task (task_id, token, lane, url, name, released_at)
SELECT fresh.task_id, fresh.token, fresh.lane, fresh.url, fresh.name, :now
FROM unnest(:task_ids::bigint[], :tokens::int[], :lanes::text[], :urls::text[], :names::text[])
     AS fresh (task_id, token, lane, url, name)
JOIN task ON task.id = fresh.task_id
ON CONFLICT (task_id) DO UPDATE SET
    token = excluded.token, lane = excluded.lane, url = excluded.url, name = excluded.name,
    released_at = excluded.released_at, created_at = NULL, taken_at = NULL
RETURNING name
"""

CONFIRM = """
UPDATE released_task SET created_at = :now
FROM unnest(:task_ids::bigint[], :names::text[]) AS known (task_id, name)
WHERE released_task.task_id = known.task_id AND released_task.name = known.name
"""

_RELEASES = """
SELECT released_task.task_id, released_task.token, released_task.lane, released_task.url, released_task.name
FROM released_task JOIN task ON task.id = released_task.task_id
"""

DOUBTFUL = f"{_RELEASES} WHERE created_at IS NULL AND released_at <= :before AND {_IS_WAITING}"

OVERDUE = f"{_RELEASES} WHERE lane = :lane AND created_at <= :before AND {_IS_WAITING}"

RENAME = f"""
UPDATE released_task SET name = known.fresh, released_at = :now, created_at = NULL
FROM unnest(:task_ids::bigint[], :names::text[], :fresh::text[]) AS known (task_id, name, fresh), task
WHERE released_task.task_id = known.task_id AND released_task.name = known.name
    AND task.id = known.task_id AND {_IS_WAITING}
RETURNING released_task.task_id, released_task.token, released_task.lane, released_task.url,
          released_task.name
"""  # noqa: S608  (conditions of our own)

DROP_VOID = f"""
DELETE FROM released_task USING task
WHERE task.id = released_task.task_id AND NOT {_IS_WAITING} AND NOT {_IS_WORKING}
RETURNING released_task.task_id, released_task.token, released_task.lane, released_task.url,
          released_task.name, released_task.taken_at
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
