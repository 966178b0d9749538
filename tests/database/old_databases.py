"""Databases as each revision left them, with rows to lose, on both engines."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from audobon.database import migrate

# What the first schema held; every later one carries it over.
OLD_ROWS = """
INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)
VALUES ('job', 'key', 'upscale', '{}', 'book.cbz', 'book', 'interrupted', 0);
INSERT INTO entry (job_id, ordinal, name, is_page, size_bytes) VALUES ('job', 0, 'page.png', 1, 7);
INSERT INTO queue (name, state, ageing_step_seconds, lease_seconds, max_attempts)
VALUES ('batch', 'run', 60, 10, 3);
INSERT INTO resource_class (id, queue, model, ram_bytes, vram_bytes) VALUES (4, 'batch', 'waifu2x', 500, 0);
INSERT INTO task (id, job_id, ordinal, class_id, work_key, state, priority, run_at, rank, attempt,
                  max_attempts, token, payload, done_units, total_units)
VALUES (7, 'job', 0, 4, 'work', 'leased', 0, 5, 5, 1, 3, 1, '{}', 0, 4);
INSERT INTO task_event (id, task_id, at, kind, detail) VALUES (9, 7, 5, 'leased', '')
"""
REVISIONS = [script.revision for script in migrate.revisions()]


def before(revision: str) -> str | None:
    """Return the revision before one; None before the first."""
    at = REVISIONS.index(revision)
    return REVISIONS[at - 1] if at else None


def make_file(path: Path, revision: str | None) -> None:
    """Make a database file of a revision."""
    if revision is None:
        return
    migrate.upgrade(path, REVISIONS[0])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(OLD_ROWS)
        connection.commit()
    migrate.upgrade(path, revision)


def make_postgres(connect: Callable[[], Any], revision: str | None) -> None:
    """Make the tables of a revision in an empty database of PostgreSQL."""
    if revision is None:
        return
    migrate.upgrade_postgres(connect, REVISIONS[0])
    connection = connect()
    connection.execute(OLD_ROWS)
    connection.close()
    migrate.upgrade_postgres(connect, revision)


def contents(path: Path) -> list[str]:
    """Return all that a database file holds, schema and rows."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        lines = list(connection.iterdump())
    # A database without a revision is as good as none.
    return [line for line in lines[1:-1] if "CREATE TABLE alembic_version" not in line]


def contents_of_postgres(connect: Callable[[], Any]) -> list[Any]:
    """Return all that a database of PostgreSQL holds: columns, indexes and rows."""
    connection = connect()
    try:
        found: list[Any] = connection.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name <> 'alembic_version' ORDER BY 1, 2"
        ).fetchall()
        found += connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
            " AND tablename <> 'alembic_version' ORDER BY 1"
        ).fetchall()
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        ).fetchall()
        for (table,) in tables:
            found += connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        return found
    finally:
        connection.close()
