"""Fixtures of a real PostgreSQL server: one for the session, a fresh database for each test."""

from collections.abc import Iterator

import pytest
from postgres_server import PostgresServer

ADD_JOB = """
INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)
VALUES (%s, 'key', 'upscale', '{}', 'book.cbz', 'book', 'running', 0)
"""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server for tests of behaviour: `fsync` is off, so it promises nothing about a loss of power."""
    with PostgresServer(durable=False) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database that is dropped after the test."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(scope="session")
def queue_template(postgres_server: PostgresServer) -> str:
    """The name of a database to copy: an up-to-date schema with the jobs "job" and "other"."""
    from audobon.database.postgres import Address, open_postgres

    def prepare(url: str) -> None:
        with open_postgres(Address(url)) as connection:
            connection.cursor().executemany(ADD_JOB, [("job",), ("other",)])

    postgres_server.create_template("queue_template", prepare)
    return "queue_template"


@pytest.fixture
def queue_url(postgres_server: PostgresServer, queue_template: str) -> Iterator[str]:
    """The URL of a copy of it that is dropped after the test."""
    url = postgres_server.create_database(queue_template)
    yield url
    postgres_server.drop_database(url)
