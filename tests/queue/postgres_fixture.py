"""Fixtures of a real PostgreSQL server: one for the session, a fresh database for each test."""

from collections.abc import Iterator

import pytest
from postgres_server import PostgresServer


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
