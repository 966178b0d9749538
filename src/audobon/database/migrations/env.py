"""Runs revisions on the connection it is handed, each in its own transaction."""

from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo

from audobon.database.schema import metadata, schema_floor


def note_floor(ctx: MigrationContext, step: MigrationInfo, heads: object, run_args: object) -> None:
    """Note, in the transaction of a revision, which code may go on with the schema it made."""
    script: Any = step.up_revision
    assert ctx.connection is not None
    if sa.inspect(ctx.connection).has_table(schema_floor.name):
        ctx.connection.execute(schema_floor.delete())
        ctx.connection.execute(schema_floor.insert().values(id=1, revision=script.module.oldest_code))


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    transaction_per_migration=True,
    render_as_batch=connection.dialect.name == "sqlite",
    on_version_apply=note_floor,
)
with context.begin_transaction():
    context.run_migrations()
