"""The queue at full strength: categories with rules, needs by class, owners, pools, schedules."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
oldest_code = "0002"
contracts = "the queue's tables are made anew; before the first release, so no older code meets them"

# SQLite counts rows in its own INTEGER alone; PostgreSQL's is too small for bytes.
_COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_CARRIED_OVER = ("queue", "resource_class", "task", "task_event")
_CARRY_OVER = (
    """
    INSERT INTO queue (name, state, rules)
    SELECT name, state, CASE name
        WHEN 'interactive' THEN '{"name": "interactive", "lead_seconds": 3600.0}'
        WHEN 'maintenance' THEN '{"name": "maintenance", "lead_seconds": -3600.0, "max_running": 1}'
        ELSE '{"name": "' || name || '"}' END
    FROM old_queue
    """,
    """
    INSERT INTO resource_class (id, queue, kind, model, device, ram_bytes, vram_bytes)
    SELECT id, queue, 'page', CASE model WHEN 'none' THEN '' ELSE model END, 'any', ram_bytes, vram_bytes
    FROM old_resource_class
    """,
    """
    INSERT INTO task (
        id, class_id, job_id, ordinal, work_key, state, priority, enqueued_at, run_at, rank, attempt,
        max_attempts, token, payload, result_blob, result, error_code, error_message, done_units,
        total_units, finished_at
    )
    SELECT
        id, class_id, job_id, ordinal, work_key, CASE state WHEN 'leased' THEN 'ready' ELSE state END,
        priority, run_at, run_at, rank, attempt, max_attempts, token + 1, payload, result_blob, result,
        error_code, error_message, done_units, total_units, finished_at
    FROM old_task
    """,
    """
    INSERT INTO task_event (id, task_id, at, kind, detail)
    SELECT id, task_id, at, kind, detail FROM old_task_event
    """,
)


def upgrade() -> None:
    """Make the queue's tables anew, and carry over what was in them."""
    for table in _CARRIED_OVER:
        op.execute(f"CREATE TABLE old_{table} AS SELECT * FROM {table}")  # noqa: S608
    for table in reversed(_CARRIED_OVER):
        op.drop_table(table)
    _create()
    for statement in _CARRY_OVER:
        op.execute(statement)
    for table in _CARRIED_OVER:
        op.drop_table(f"old_{table}")
    if op.get_bind().dialect.name == "postgresql":
        for table in ("resource_class", "task", "task_event"):
            op.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 0) + 1, false)"  # noqa: S608
                f" FROM {table}"
            )


def downgrade() -> None:
    """Refuse: a restore, not a downgrade, leads back."""
    raise RuntimeError("restore a backup to go back")


def _partial(name: str, table: str, columns: list[str], *, where: str, unique: bool) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _create() -> None:
    op.create_table(
        "owner",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column(
            "boot_id", sa.Text(), nullable=False, comment="of its machine; another one means that it rebooted"
        ),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("beat", _COUNT, nullable=False, comment="rises while it lives"),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "pool",
        sa.Column("name", sa.Text(), nullable=False, comment="a machine"),
        sa.Column("ram_bytes", _COUNT, nullable=False, comment="what tasks may hold together"),
        sa.Column("vram_bytes", _COUNT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "queue",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "rules", sa.Text(), nullable=False, comment="JSON of its limits, ageing, leases and retries"
        ),
        sa.Column(
            "rate_tokens",
            sa.Float(),
            nullable=True,
            comment="tasks that might begin at rate_at; NULL while never limited",
        ),
        sa.Column("rate_at", sa.Float(), nullable=True),
        sa.CheckConstraint("state IN ('run', 'pause', 'drain')", name="queue_state"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "resource_class",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("ram_bytes", _COUNT, nullable=False),
        sa.Column("vram_bytes", _COUNT, nullable=False),
        sa.ForeignKeyConstraint(
            ["queue"],
            ["queue.name"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "queue", "kind", "model", "device", "ram_bytes", "vram_bytes", name="resource_class_once"
        ),
    )
    op.create_table(
        "schedule",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("needs", sa.Text(), nullable=False, comment="JSON of what its tasks need"),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("misfire", sa.Text(), nullable=False),
        sa.Column("is_paused", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
        sa.CheckConstraint("misfire IN ('skip', 'once', 'all')", name="schedule_misfire"),
        sa.ForeignKeyConstraint(
            ["queue"],
            ["queue.name"],
        ),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "task",
        sa.Column("id", _COUNT, nullable=False),
        sa.Column("class_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column(
            "ordinal", sa.Integer(), nullable=True, comment="the entry of the job's document it works on"
        ),
        sa.Column("idempotency_key", sa.Text(), nullable=True, comment="queue/key"),
        sa.Column(
            "work_key", sa.Text(), nullable=True, comment="same operation, settings, model and page bytes"
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("enqueued_at", sa.Float(), nullable=False),
        sa.Column("run_at", sa.Float(), nullable=False),
        sa.Column(
            "rank", sa.Float(), nullable=False, comment="run_at - lead - priority * ageing step; lowest first"
        ),
        sa.Column("deadline_at", sa.Float(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column(
            "token",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="rises; fences off late finishers",
        ),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("pool", sa.Text(), nullable=True),
        sa.Column("ram_bytes", _COUNT, nullable=True, comment="what it holds of its pool while it is leased"),
        sa.Column("vram_bytes", _COUNT, nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("result_blob", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("done_units", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("total_units", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=True),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("stop_asked_at", sa.Float(), nullable=True),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'ready', 'leased', 'done', 'failed', 'cancelled')", name="task_state"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    _partial("task_dead", "task", ["class_id"], where="state = 'failed'", unique=False)
    _partial(
        "task_deadline",
        "task",
        ["deadline_at"],
        where="deadline_at IS NOT NULL AND finished_at IS NULL",
        unique=False,
    )
    _partial(
        "task_done_work", "task", ["work_key"], where="state = 'done' AND work_key IS NOT NULL", unique=False
    )
    _partial("task_ended", "task", ["finished_at"], where="finished_at IS NOT NULL", unique=False)
    _partial(
        "task_ended_of_job",
        "task",
        ["job_id", "finished_at"],
        where="job_id IS NOT NULL AND finished_at IS NOT NULL",
        unique=False,
    )
    _partial("task_key", "task", ["idempotency_key"], where="idempotency_key IS NOT NULL", unique=True)
    _partial("task_leased", "task", ["pool", "owner"], where="state = 'leased'", unique=False)
    _partial("task_once", "task", ["job_id", "ordinal"], where="job_id IS NOT NULL", unique=True)
    _partial("task_ready", "task", ["class_id", "rank", "id"], where="state = 'ready'", unique=False)
    _partial("task_waiting", "task", ["run_at"], where="state = 'waiting'", unique=False)
    op.create_table(
        "task_event",
        sa.Column("id", _COUNT, nullable=False),
        sa.Column("task_id", _COUNT, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("task_event_by_task", "task_event", ["task_id", "id"], unique=False)
