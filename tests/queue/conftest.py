"""A migrated database file to copy, and the queue on SQLite over it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from queue_tasks import OpenConnection

from audobon.database.service import Database

pytest.register_assert_rewrite(
    "conformance_adding",
    "conformance_handout",
    "conformance_limits",
    "conformance_looking",
    "conformance_memory",
    "conformance_processes",
    "conformance_schedules",
    "conformance_stopping",
    "conformance_upcoming",
    "conformance_working",
)

ADD_JOB = """
INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)
VALUES (?, 'key', 'upscale', '{}', 'book.cbz', 'book', 'running', 0)
"""


@pytest.fixture(scope="session")
def migrated_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database file with the jobs "job" and "other"."""
    folder = tmp_path_factory.mktemp("migrated")
    with closing(Database(folder).open(durable=False)) as connection:
        connection.executemany(ADD_JOB, [("job",), ("other",)])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (folder / "audobon.db").read_bytes()


@pytest.fixture
def data_folder(tmp_path: Path, migrated_bytes: bytes) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "audobon.db").write_bytes(migrated_bytes)
    return folder


@pytest.fixture
def open_connection(data_folder: Path) -> Iterator[OpenConnection]:
    opened: list[sqlite3.Connection] = []

    def open_one() -> sqlite3.Connection:
        opened.append(Database(data_folder).open(durable=False))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()
