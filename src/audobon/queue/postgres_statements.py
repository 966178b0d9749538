"""The queue's SQL that PostgreSQL needs otherwise, since there many write at once."""

import re
from functools import lru_cache

from audobon.queue import looking
from audobon.queue import statements as sql

HEADS = """
SELECT resource_class.id, resource_class.queue, resource_class.kind, resource_class.model,
       resource_class.device, resource_class.ram_bytes, resource_class.vram_bytes,
       head.id, head.rank, head.run_at
FROM resource_class CROSS JOIN LATERAL (
    SELECT id, rank, run_at FROM task
    WHERE class_id = resource_class.id AND state = 'ready' ORDER BY rank, id LIMIT 1
) AS head
"""

# Rows that others are just taking are passed over. A row is read, locked and looked at again before the
# limit counts it, and only once: inside IN (...) the planner might run the search anew for every row.
TAKE = """
WITH next AS MATERIALIZED (
    SELECT id FROM task
    WHERE class_id = :class_id AND state = 'ready' AND (rank, id) < (:rank_bound, :id_bound)
    ORDER BY rank, id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE task SET
    state = 'leased', owner = :owner, pool = :pool, token = token + 1, attempt = attempt + 1,
    started_at = :now, ram_bytes = :ram_bytes, vram_bytes = :vram_bytes
FROM next WHERE task.id = next.id
RETURNING task.id, token, attempt, payload, job_id, ordinal, deadline_at, rank, subject
"""


def _by_id(statement: str) -> str:
    """Return a statement about one lease so that the planner finds it by its id.

    While nothing is leased the index of all leases seems cheaper, and the plan outlives that.
    """
    return statement.replace("AND state = 'leased'", "AND coalesce(state, '') = 'leased'")


FINISH_ALL = """
UPDATE task SET
    state = 'done', result_blob = done.blob, result = done.result, finished_at = :now, owner = NULL,
    pool = NULL, done_units = total_units, error_code = NULL, error_message = NULL,
    stop_asked_at = NULL, stop_reason = NULL
FROM unnest(:ids::bigint[], :tokens::bigint[], :blobs::text[], :results::text[])
     AS done (id, token, blob, result)
WHERE task.id = done.id AND task.token = done.token AND coalesce(task.state, '') = 'leased'
RETURNING task.id, coalesce(ram_bytes, 0) + coalesce(vram_bytes, 0)
"""

HOLD_POOL = "SELECT 1 FROM pool WHERE name = :pool FOR NO KEY UPDATE"

HOLD_QUEUES = "SELECT 1 FROM queue WHERE name = ANY(:names) ORDER BY name FOR NO KEY UPDATE"

HOLD_LEASE = _by_id(sql.HELD) + "FOR NO KEY UPDATE"

HOLD_TASKS = "SELECT 1 FROM task WHERE %s AND finished_at IS NULL ORDER BY id FOR NO KEY UPDATE"

HOLD_KEYS = """
SELECT pg_advisory_xact_lock(1634886767, bucket) FROM (
    SELECT DISTINCT hashtext(key) & 255 AS bucket FROM unnest(:keys::text[]) AS key ORDER BY bucket OFFSET 0
) AS buckets
"""

FIND_KEYS = "SELECT idempotency_key, id FROM task WHERE idempotency_key = ANY(:keys::text[])"

NEW_IDS = """
SELECT min(id), max(id), CASE WHEN max(id) - min(id) >= :count THEN array_agg(id) END
FROM (SELECT nextval('task_id_seq') AS id FROM generate_series(1, :count)) AS fresh
"""

IS_ANYTHING_TO_SETTLE = """
SELECT EXISTS (SELECT FROM task WHERE state = 'waiting' AND run_at <= :now)
    OR EXISTS (
        SELECT FROM task
        WHERE deadline_at <= :now AND finished_at IS NULL AND state IN ('waiting', 'ready')
    )
"""

_PROMOTE = """
UPDATE task SET state = 'ready' WHERE id = ANY (ARRAY(
    SELECT id FROM task WHERE state = 'waiting' AND run_at <= :now ORDER BY run_at LIMIT 1000
    FOR NO KEY UPDATE SKIP LOCKED
))
"""

_EXPIRE = """
UPDATE task SET
    state = 'failed', finished_at = :now, error_code = 'deadline_exceeded',
    error_message = 'its deadline passed before its turn came'
WHERE id = ANY (ARRAY(
    SELECT id FROM task
    WHERE deadline_at <= :now AND finished_at IS NULL AND state IN ('waiting', 'ready') LIMIT 1000
    FOR NO KEY UPDATE SKIP LOCKED
))
RETURNING id
"""

# Ids are given out before the commit, so a lower one may still come to light. Whoever reads on from the last
# id must not be shown one from a transaction younger than the oldest at work. A transaction that writes is
# shown all, its own events too.
_IS_SETTLED = """
AND (age(xmin) > age(pg_snapshot_xmin(pg_current_snapshot())::xid)
     OR pg_current_xact_id_if_assigned() IS NOT NULL)
ORDER BY"""

INSTEAD = {
    **{each: _by_id(each) for each in (sql.HELD, sql.RESERVE, sql.PROGRESS, sql.LET_GO)},
    sql.PROMOTE: _PROMOTE,
    sql.EXPIRE: _EXPIRE,
    sql.HELD_BY: sql.HELD_BY + "ORDER BY task.id FOR NO KEY UPDATE",
    looking.EVENTS: looking.EVENTS.replace("ORDER BY", _IS_SETTLED),
    looking.EVENTS_OF_TASK: looking.EVENTS_OF_TASK.replace("ORDER BY", _IS_SETTLED),
}
"""What is run in the place of a statement that both databases understand."""

_TOKEN = re.compile(r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | ::\w+ | :(\w+) | %""", re.VERBOSE)


@lru_cache(maxsize=256)
def translate(statement: str) -> bytes:
    """Return a statement with its values named as psycopg names them, `%(name)s` for `:name`."""
    return _TOKEN.sub(_in_psycopgs_way, INSTEAD.get(statement, statement)).encode()


def _in_psycopgs_way(found: re.Match[str]) -> str:
    if found[1] is not None:
        return f"%({found[1]})s"
    return found[0].replace("%", "%%")
