"""Which tasks of the queue were released into Cloud Tasks, under what name."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
# The oldest revision whose code may go on with the schema that this one makes.
oldest_code = "0003"


def upgrade() -> None:
    """Make the table of released tasks."""
    op.create_table(
        "released_task",
        sa.Column("task_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False, comment="of the task when it was released"),
        sa.Column("lane", sa.Text(), nullable=False, comment="the queue of Cloud Tasks it lies in"),
        sa.Column("url", sa.Text(), nullable=False, comment="of the worker service it is for"),
        sa.Column("name", sa.Text(), nullable=False, comment="its name there, drawn by lot"),
        sa.Column("released_at", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Float(), comment="known to lie there since; NULL while in doubt"),
        sa.Column("taken_at", sa.Float(), comment="when it was delivered and taken up"),
        sa.PrimaryKeyConstraint("task_id"),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], ondelete="CASCADE"),
    )


def downgrade() -> None:
    """Refuse: a restore, not a downgrade, leads back."""
    raise RuntimeError("restore a backup to go back")
