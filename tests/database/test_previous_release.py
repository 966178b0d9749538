"""What the release before sends to its database is still taken by the schema of today."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audobon.database.postgres import Address
from audobon.database.service import Database

pytest_plugins = ("postgres_fixture",)

RECORDED = json.loads((Path(__file__).parent / "previous_release" / "statements.json").read_text())
FEWEST = 70


class Sqlite:
    """Takes statements apart as SQLite would run them; nothing is changed."""

    def __init__(self, folder: Path) -> None:
        self._connection = Database(folder).open()

    def refuses(self, sql: str, parameters: Any) -> str | None:
        import sqlite3

        try:
            self._connection.execute(f"EXPLAIN {sql}", parameters or ())
        except sqlite3.Error as error:
            return f"{sql}: {error}"
        return None

    def change(self, statement: str) -> None:
        self._connection.execute(statement)

    def close(self) -> None:
        self._connection.close()


class Postgres:
    """The same for PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._connection = Address(url).connect()

    def refuses(self, sql: str, parameters: Any) -> str | None:
        try:
            self._connection.execute(f"EXPLAIN {sql}".encode(), parameters)
        except psycopg.Error as error:
            return f"{sql}: {error}"
        return None

    def change(self, statement: str) -> None:
        self._connection.execute(statement.encode())

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, queue_url: str) -> Iterator[tuple[str, Any]]:
    with closing(Sqlite(tmp_path) if request.param == "sqlite" else Postgres(queue_url)) as opened:
        yield request.param, opened


def refused(name: str, engine: Any) -> list[str]:
    found = (engine.refuses(each["sql"], each["parameters"]) for each in RECORDED["statements"][name])
    return [words for words in found if words is not None]


def test_every_statement_of_the_release_before_is_taken(engine: tuple[str, Any]) -> None:
    assert len(RECORDED["statements"][engine[0]]) >= FEWEST
    assert refused(*engine) == []


def test_a_schema_that_took_something_away_is_noticed(engine: tuple[str, Any]) -> None:
    engine[1].change("ALTER TABLE task RENAME COLUMN rank TO place")
    assert len(refused(*engine)) > 3
