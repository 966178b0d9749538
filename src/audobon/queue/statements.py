"""The SQL of the queue, for SQLite and PostgreSQL alike; tests assert the plans of hot statements."""

QUEUES = "SELECT name, state, rules, rate_tokens, rate_at FROM queue ORDER BY name"

PUT_QUEUE = """
INSERT INTO queue (name, state, rules) VALUES (:name, :state, :rules)
ON CONFLICT (name) DO UPDATE SET state = excluded.state, rules = excluded.rules
"""

ADD_QUEUE = """
INSERT INTO queue (name, state, rules) VALUES (:name, :state, :rules) ON CONFLICT (name) DO NOTHING
"""

SET_STATE = "UPDATE queue SET state = :state WHERE name = :name"

SET_RATE = "UPDATE queue SET rate_tokens = :rate_tokens, rate_at = :rate_at WHERE name = :name"

SET_CAPACITY = """
INSERT INTO pool (name, ram_bytes, vram_bytes) VALUES (:name, :ram_bytes, :vram_bytes)
ON CONFLICT (name) DO UPDATE SET ram_bytes = excluded.ram_bytes, vram_bytes = excluded.vram_bytes
"""

CAPACITY = "SELECT ram_bytes, vram_bytes FROM pool WHERE name = :pool"

RESERVED = """
SELECT coalesce(sum(ram_bytes), 0), coalesce(sum(vram_bytes), 0), count(*)
FROM task WHERE state = 'leased' AND pool = :pool
"""

RUNNING = """
SELECT count(*) FROM task JOIN resource_class ON resource_class.id = task.class_id
WHERE task.state = 'leased' AND resource_class.queue = :queue
"""

POOLS = """
SELECT pool.name, pool.ram_bytes, pool.vram_bytes,
       coalesce(sum(task.ram_bytes), 0), coalesce(sum(task.vram_bytes), 0)
FROM pool LEFT JOIN task ON task.pool = pool.name AND task.state = 'leased'
GROUP BY pool.name, pool.ram_bytes, pool.vram_bytes ORDER BY pool.name
"""

FIND_CLASS = """
SELECT id FROM resource_class
WHERE queue = :queue AND kind = :kind AND model = :model AND device = :device
  AND ram_bytes = :ram_bytes AND vram_bytes = :vram_bytes
"""

ADD_CLASS = """
INSERT INTO resource_class (queue, kind, model, device, ram_bytes, vram_bytes)
VALUES (:queue, :kind, :model, :device, :ram_bytes, :vram_bytes)
ON CONFLICT (queue, kind, model, device, ram_bytes, vram_bytes) DO UPDATE SET queue = excluded.queue
RETURNING id
"""

TASK_COLUMNS = (
    "id",
    "class_id",
    "job_id",
    "ordinal",
    "idempotency_key",
    "work_key",
    "state",
    "priority",
    "enqueued_at",
    "run_at",
    "rank",
    "deadline_at",
    "max_attempts",
    "payload",
    "total_units",
    "subject",
)
"""What an added task brings; the rest has defaults."""

SUBJECT = "SELECT subject FROM task WHERE id = :id"

FIND_KEY = "SELECT id FROM task WHERE idempotency_key = :key"

ADOPT = """
UPDATE task SET
    state = 'done', result_blob = :blob, result = :result, finished_at = :now, done_units = total_units,
    error_code = NULL, error_message = NULL
WHERE id = :id AND state IN ('waiting', 'ready')
"""

# Delayed tasks become ready in handfuls, so that a crowd of them costs no single claim dear.
PROMOTE = """
UPDATE task SET state = 'ready' WHERE id IN (
    SELECT id FROM task WHERE state = 'waiting' AND run_at <= :now ORDER BY run_at LIMIT 1000
)
"""

EXPIRE = """
UPDATE task SET
    state = 'failed', finished_at = :now, error_code = 'deadline_exceeded',
    error_message = 'its deadline passed before its turn came'
WHERE id IN (
    SELECT id FROM task
    WHERE deadline_at <= :now AND finished_at IS NULL AND state IN ('waiting', 'ready') LIMIT 1000
)
RETURNING id
"""

CLAIM = """
UPDATE task SET
    state = 'leased', owner = :owner, pool = :pool, token = token + 1, attempt = attempt + 1,
    started_at = :now, ram_bytes = :ram_bytes, vram_bytes = :vram_bytes
WHERE id IN (
    SELECT id FROM task
    WHERE class_id = :class_id AND state = 'ready' AND (rank, id) < (:rank_bound, :id_bound)
    ORDER BY rank, id LIMIT :limit
)
RETURNING id, token, attempt, payload, job_id, ordinal, deadline_at, rank, subject
"""

READY_AFTER = """
SELECT id, rank, run_at FROM task
WHERE class_id = :class_id AND state = 'ready' AND (rank, id) > (:rank, :id)
ORDER BY rank, id LIMIT 1
"""

WAITING_IS_DUE = """
SELECT task.id FROM task
JOIN resource_class ON resource_class.id = task.class_id JOIN queue ON queue.name = resource_class.queue
WHERE task.state = 'waiting' AND task.run_at <= :now AND queue.state <> 'pause' LIMIT 1
"""

NEXT_RUN_AT = "SELECT min(run_at) FROM task WHERE state = 'waiting'"

# Passes by what waits in paused queues, which may be much: only for when one is paused.
NEXT_RUN_AT_BESIDE_PAUSED = """
SELECT min(task.run_at) FROM task
JOIN resource_class ON resource_class.id = task.class_id JOIN queue ON queue.name = resource_class.queue
WHERE task.state = 'waiting' AND queue.state <> 'pause'
"""

RESERVE = """
UPDATE task SET ram_bytes = :ram_bytes, vram_bytes = :vram_bytes
WHERE id = :id AND token = :token AND state = 'leased'
"""

HELD = """
SELECT pool, ram_bytes, vram_bytes, stop_asked_at, stop_reason, deadline_at, max_attempts
FROM task WHERE id = :id AND token = :token AND state = 'leased'
"""

PROGRESS = """
UPDATE task SET done_units = :done_units, total_units = :total_units
WHERE id = :id AND token = :token AND state = 'leased'
RETURNING stop_asked_at, deadline_at
"""

FINISH = """
UPDATE task SET
    state = 'done', result_blob = :blob, result = :result, finished_at = :now, owner = NULL, pool = NULL,
    done_units = total_units, error_code = NULL, error_message = NULL,
    stop_asked_at = NULL, stop_reason = NULL
WHERE id = :id AND token = :token AND state = 'leased'
RETURNING coalesce(ram_bytes, 0) + coalesce(vram_bytes, 0)
"""

# The token rises, so that whoever had the task can change nothing more.
LET_GO = """
UPDATE task SET
    state = :state, run_at = :run_at, finished_at = :finished_at, attempt = :attempt, token = token + 1,
    owner = NULL, pool = NULL, done_units = 0, error_code = :error_code, error_message = :error_message,
    stop_asked_at = NULL, stop_reason = NULL
WHERE id = :id AND token = :token AND state = 'leased'
"""

REGISTER = """
INSERT INTO owner (name, pool, boot_id, pid, beat, started_at)
VALUES (:name, :pool, :boot_id, :pid, :beat, :started_at)
ON CONFLICT (name) DO UPDATE SET
    pool = excluded.pool, boot_id = excluded.boot_id, pid = excluded.pid, started_at = excluded.started_at
"""

BEAT = "UPDATE owner SET beat = beat + 1 WHERE name = :name"

# One that was thought dead and is not may hold tasks still: it must be there to be retired again.
OWNERS = """
SELECT name, pool, boot_id, pid, beat, started_at FROM owner
UNION ALL
SELECT owner, coalesce(pool, ''), '', 0, 0, min(started_at) FROM task
WHERE state = 'leased' AND owner NOT IN (SELECT name FROM owner)
GROUP BY owner, coalesce(pool, '')
ORDER BY 1
"""

FORGET_OWNER = "DELETE FROM owner WHERE name = :name"

# Unordered, or SQLite would walk through all tasks in their order.
HELD_BY = """
SELECT task.id, task.token, task.attempt, task.max_attempts, task.stop_asked_at, task.stop_reason,
       task.deadline_at
FROM task WHERE task.state = 'leased' AND task.owner = :owner
"""

CANCEL_PENDING = """
UPDATE task SET state = 'cancelled', finished_at = :now, error_code = 'cancelled', error_message = :reason
WHERE %s AND state IN ('waiting', 'ready') RETURNING id
"""

CANCEL_LEASED = """
UPDATE task SET stop_asked_at = :now, stop_reason = :reason
WHERE %s AND state = 'leased' AND stop_asked_at IS NULL RETURNING id
"""

STOP_REQUESTS = """
SELECT id, owner, coalesce(stop_asked_at, deadline_at), coalesce(stop_reason, 'its deadline passed')
FROM task
WHERE state = 'leased' AND (stop_asked_at IS NOT NULL OR deadline_at <= :now) ORDER BY 3, 1
"""

REPLAY = """
UPDATE task SET
    state = 'ready', attempt = 0, token = token + 1, run_at = :now, done_units = 0, finished_at = NULL,
    deadline_at = NULL, error_code = NULL, error_message = NULL
WHERE %s AND state IN ('failed', 'cancelled') RETURNING id
"""

WITHDRAW_STOP = """
UPDATE task SET stop_asked_at = NULL, stop_reason = NULL
WHERE %s AND state = 'leased' AND stop_asked_at IS NOT NULL RETURNING id
"""

CLOCK_MOVED = """
UPDATE task SET run_at = run_at + :seconds, rank = rank + :seconds
WHERE state IN ('waiting', 'ready', 'leased')
"""

BY_ID = "id = :id"

BY_JOB = "job_id = :job_id"

AMEND = """
UPDATE task SET payload = :payload
WHERE id = :id AND state IN ('waiting', 'ready', 'failed', 'cancelled')
"""

MAKE_DUE = "UPDATE task SET state = 'ready', run_at = :now WHERE job_id = :job_id AND state = 'waiting'"

SET_DEADLINE = "UPDATE task SET deadline_at = :deadline_at WHERE job_id = :job_id AND finished_at IS NULL"

PRUNE = """
DELETE FROM task WHERE job_id IS NULL AND finished_at IS NOT NULL AND finished_at < :before
"""

RECORD_EVENT = "INSERT INTO task_event (task_id, at, kind, detail) VALUES (:task_id, :now, :kind, :detail)"
