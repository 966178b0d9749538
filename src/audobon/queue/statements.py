"""The queue's SQL, as text: these run for every task, and their plans are asserted in tests."""

ENSURE_QUEUE = """
INSERT INTO queue (name, state, ageing_step_seconds, lease_seconds, max_attempts)
VALUES (:name, 'run', :ageing_step_seconds, :lease_seconds, :max_attempts)
ON CONFLICT (name) DO NOTHING
"""

ENSURE_CLASS = """
INSERT INTO resource_class (queue, model, ram_bytes, vram_bytes)
VALUES (:queue, :model, :ram_bytes, 0)
ON CONFLICT (queue, model, ram_bytes, vram_bytes) DO UPDATE SET queue = excluded.queue
RETURNING id
"""

ENQUEUE = """
INSERT INTO task (
    job_id, ordinal, class_id, work_key, state, priority, run_at, rank, attempt, max_attempts, token,
    payload, done_units, total_units
)
SELECT
    :job_id, :ordinal, :class_id, :work_key, 'ready', :priority, :now,
    :now - :priority * queue.ageing_step_seconds, 0, queue.max_attempts, 0, :payload, 0, :total_units
FROM queue WHERE queue.name = :queue
RETURNING id
"""

# Work done before, for this job or another, is adopted instead of repeated.
FIND_DONE = """
SELECT result_blob, result FROM task
WHERE work_key = :work_key AND state = 'done'
ORDER BY finished_at DESC LIMIT 1
"""

ADOPT = """
UPDATE task SET
    state = 'done', result_blob = :result_blob, result = :result, finished_at = :now,
    done_units = total_units, error_code = NULL, error_message = NULL
WHERE id = :id AND state = 'ready'
"""

CLAIM = """
UPDATE task SET
    state = 'leased', owner = :owner, token = token + 1, attempt = attempt + 1,
    lease_until = :now + (
        SELECT queue.lease_seconds FROM resource_class JOIN queue ON queue.name = resource_class.queue
        WHERE resource_class.id = task.class_id
    )
WHERE id = (
    SELECT task.id FROM task JOIN resource_class ON resource_class.id = task.class_id
    WHERE task.job_id = :job_id AND task.state = 'ready' AND task.run_at <= :now
      AND resource_class.ram_bytes <= :free_ram_bytes
    ORDER BY task.rank, task.id LIMIT 1
)
RETURNING id, job_id, ordinal, token, attempt, payload
"""

# Every transition compares state and token, so a late finisher changes nothing.
FINISH = """
UPDATE task SET
    state = 'done', result_blob = :result_blob, result = :result, finished_at = :now, owner = NULL,
    lease_until = NULL, done_units = total_units, error_code = NULL, error_message = NULL
WHERE id = :id AND token = :token AND state = 'leased'
"""

FAIL = """
UPDATE task SET
    state = CASE WHEN :retry AND attempt < max_attempts THEN 'ready' ELSE 'failed' END,
    finished_at = CASE WHEN :retry AND attempt < max_attempts THEN NULL ELSE :now END,
    run_at = :retry_at, owner = NULL, lease_until = NULL, done_units = 0,
    error_code = :error_code, error_message = :error_message
WHERE id = :id AND token = :token AND state = 'leased'
RETURNING state
"""

PROGRESS = """
UPDATE task SET done_units = :done_units, total_units = :total_units
WHERE id = :id AND token = :token AND state = 'leased'
"""

RENEW = """
UPDATE task SET lease_until = :lease_until WHERE job_id = :job_id AND owner = :owner AND state = 'leased'
"""

# An owner that is known to be gone gives its tasks back.
ABANDONED = """
SELECT id FROM task
WHERE job_id = :job_id AND state = 'leased' AND (:owner IS NULL OR owner = :owner)
"""

GIVE_BACK = """
UPDATE task SET
    state = CASE WHEN attempt < max_attempts OR :is_blameless THEN 'ready' ELSE 'failed' END,
    finished_at = CASE WHEN attempt < max_attempts OR :is_blameless THEN NULL ELSE :now END,
    attempt = CASE WHEN :is_blameless THEN max(0, attempt - 1) ELSE attempt END,
    token = token + 1, owner = NULL, lease_until = NULL, done_units = 0,
    error_code = CASE WHEN :is_blameless THEN NULL ELSE 'worker_died' END,
    error_message = CASE WHEN :is_blameless THEN NULL ELSE :reason END
WHERE id = :id AND state = 'leased'
RETURNING state
"""

RETRY_FAILED = """
UPDATE task SET
    state = 'ready', attempt = 0, run_at = :now, done_units = 0, finished_at = NULL,
    error_code = NULL, error_message = NULL
WHERE job_id = :job_id AND state = 'failed'
RETURNING id
"""

# A clock that was set back would otherwise keep tasks waiting until it has caught up.
MAKE_DUE = "UPDATE task SET run_at = :now WHERE job_id = :job_id AND state = 'ready' AND run_at > :now"

RECORD_EVENT = "INSERT INTO task_event (task_id, at, kind, detail) VALUES (:task_id, :now, :kind, :detail)"

_VIEW = """
SELECT id, ordinal, state, attempt, owner, result_blob, result, error_code, error_message,
       done_units, total_units, finished_at
FROM task WHERE job_id = :job_id"""

TASKS_OF_JOB = _VIEW + " ORDER BY ordinal"

LEASED = _VIEW + " AND state = 'leased'"

FINISHED_SINCE = _VIEW + " AND state IN ('done', 'failed') AND finished_at >= :since ORDER BY finished_at, id"

NEXT_RUN_AT = "SELECT min(run_at) AS run_at FROM task WHERE job_id = :job_id AND state = 'ready'"
