"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
oldest_code = "0001"


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "job",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="same operation, settings, source and target"),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("document_kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("report", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('running', 'interrupted', 'partial', 'done', 'failed')", name="job_state"
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("job_by_key", "job", ["key", "created_at"], unique=False)
    op.create_table(
        "queue",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ageing_step_seconds", sa.Float(), nullable=False),
        sa.Column("lease_seconds", sa.Float(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.CheckConstraint("state IN ('run', 'pause', 'drain')", name="queue_state"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "entry",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False, comment="place in the document"),
        sa.Column("name", sa.Text(), nullable=False, comment="path inside the document, forward slashes"),
        sa.Column("is_page", sa.Integer(), nullable=False),
        sa.Column("blob", sa.Text(), nullable=True, comment="its bytes; NULL when they could not be read"),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("modified_at", sa.Float(), nullable=True),
        sa.Column(
            "info",
            sa.Text(),
            nullable=True,
            comment="JSON of the page's header; NULL for other files and faulty pages",
        ),
        sa.Column(
            "fault",
            sa.Text(),
            nullable=True,
            comment="JSON of why the page cannot be worked on; NULL when it can",
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "ordinal"),
    )
    op.create_table(
        "resource_class",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("ram_bytes", sa.Integer(), nullable=False),
        sa.Column("vram_bytes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["queue"],
            ["queue.name"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("queue", "model", "ram_bytes", "vram_bytes", name="resource_class_once"),
    )
    op.create_table(
        "task",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False, comment="the entry it works on"),
        sa.Column("class_id", sa.Integer(), nullable=False),
        sa.Column(
            "work_key", sa.Text(), nullable=False, comment="same operation, settings, model and page bytes"
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("run_at", sa.Float(), nullable=False),
        sa.Column(
            "rank", sa.Float(), nullable=False, comment="run_at - priority * ageing step; lowest first"
        ),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column(
            "token", sa.Integer(), nullable=False, comment="rises with every lease; fences off late finishers"
        ),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("result_blob", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("done_units", sa.Integer(), nullable=False),
        sa.Column("total_units", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.CheckConstraint("state IN ('ready', 'leased', 'done', 'failed')", name="task_state"),
        sa.ForeignKeyConstraint(
            ["class_id"],
            ["resource_class.id"],
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job_id", "ordinal", name="task_once"),
    )
    op.create_index(
        "task_done_work", "task", ["work_key"], unique=False, sqlite_where=sa.text("state = 'done'")
    )
    op.create_index(
        "task_finished",
        "task",
        ["job_id", "finished_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('done', 'failed')"),
    )
    op.create_index(
        "task_leased", "task", ["job_id", "owner"], unique=False, sqlite_where=sa.text("state = 'leased'")
    )
    op.create_index(
        "task_ready", "task", ["job_id", "rank", "id"], unique=False, sqlite_where=sa.text("state = 'ready'")
    )
    op.create_table(
        "task_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("task_event_by_task", "task_event", ["task_id", "id"], unique=False)


def downgrade() -> None:
    """Refuse: a restore, not a downgrade, leads back."""
    raise RuntimeError("restore a backup to go back")
