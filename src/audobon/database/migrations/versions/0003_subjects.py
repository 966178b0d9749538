"""Whose a job and a task are, so that what they say is sealed with the key of that subject.

Only adds: an earlier Audobon goes on working with what it wrote itself. The rows themselves are sealed
afterwards, by whoever opens the database with a keyring (`jobs/sealing_rows.py`), since keys are no business
of a migration.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
oldest_code = "0003"
contracts = "texts are sealed from now on, and code before 0003 would take them for clear ones"


def upgrade() -> None:
    """Add the subject to jobs and tasks."""
    for table in ("job", "task"):
        op.add_column(
            table,
            sa.Column(
                "subject",
                sa.Text(),
                nullable=False,
                server_default=sa.text("'personal'"),
                comment="whose it is",
            ),
        )
    op.create_table(
        "once",
        sa.Column("deed", sa.Text(), nullable=False, comment="what was done once to all rows there were"),
        sa.Column("done_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("deed"),
    )


def downgrade() -> None:
    """Refuse: a restore, not a downgrade, leads back."""
    raise RuntimeError("restore a backup to go back")
