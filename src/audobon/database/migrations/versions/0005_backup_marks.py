"""The marks that backups leave, by which a restore is proved."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
# The oldest revision whose code may go on with the schema that this one makes.
oldest_code = "0003"


def upgrade() -> None:
    """Make the table of marks."""
    op.create_table(
        "backup_mark",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sentinel", sa.Text(), nullable=False, comment="random; named by the backup's manifest"),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sentinel", name="backup_mark_once"),
    )


def downgrade() -> None:
    """Refuse: a restore, not a downgrade, leads back."""
    raise RuntimeError("restore a backup to go back")
