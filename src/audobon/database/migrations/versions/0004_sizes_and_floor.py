"""Files beyond 2 GiB on PostgreSQL, and which older code may go on with a newer schema."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
# The oldest revision whose code may go on with the schema that this one makes.
oldest_code = "0003"


def upgrade() -> None:
    """Widen a column where it is narrow, and make the table of the floor."""
    op.create_table(
        "schema_floor",
        sa.Column("id", sa.Integer(), nullable=False, comment="always 1"),
        sa.Column(
            "revision", sa.Text(), nullable=False, comment="the oldest whose code may work with this schema"
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("entry", "size_bytes", existing_type=sa.Integer(), type_=sa.BigInteger())


def downgrade() -> None:
    """Refuse: a restore, not a downgrade, leads back."""
    raise RuntimeError("restore a backup to go back")
