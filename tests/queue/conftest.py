"""A database with two jobs, and a clock that moves only when told to."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from audobon.database.service import Database
from audobon.queue.service import Queue


class TurnedClock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(Database(tmp_path).open(durable=False)) as connection:
        for job in ("job", "other"):
            connection.execute(
                "INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
                " VALUES (?, 'key', 'upscale', '{}', 'book.cbz', 'book', 'running', 0)",
                (job,),
            )
        yield connection


@pytest.fixture
def queue(connection: sqlite3.Connection, clock: TurnedClock) -> Queue:
    return Queue(connection, clock=clock)
