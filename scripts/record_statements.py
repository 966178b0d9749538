"""Record the statements a release sends to its database, for tests of later ones.

    python scripts/record_statements.py > tests/database/previous_release/statements.json

It runs the tests of the queue on SQLite and PostgreSQL, and every method of the records of jobs, and notes
each statement once, with the first parameters it was sent with. Run it in the tree of that release: a later
Audobon proves that its schema still takes them all.
"""

import json
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

SUITES = ["tests/queue/test_embedded.py", "tests/queue/test_postgres.py"]
_VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_NOT_OURS = ("sqlite_", "pg_", "alembic_version", "old_", "to_regclass", "information_schema")
_found: dict[str, dict[str, Any]] = {"sqlite": {}, "postgresql": {}}
_connect = sqlite3.connect
_execute, _executemany = psycopg.Cursor.execute, psycopg.Cursor.executemany


def _note(engine: str, sql: object, parameters: Any) -> None:
    text = sql.decode() if isinstance(sql, bytes) else sql
    if not isinstance(text, str) or not text.lstrip().startswith(_VERBS):
        return
    if any(word in text for word in _NOT_OURS):
        return
    if parameters is not None and not isinstance(parameters, dict):
        parameters = list(parameters)
    try:
        json.dumps(parameters)
    except TypeError:
        return
    _found[engine].setdefault(" ".join(text.split()), parameters)


def _recording_connect(place: Any, *arguments: Any, factory: Any = sqlite3.Connection, **options: Any) -> Any:
    if "audobon.db" not in str(place):
        return _connect(place, *arguments, factory=factory, **options)

    class Recording(factory):  # type: ignore[misc]
        def execute(self, sql: str, parameters: Any = ()) -> Any:
            _note("sqlite", sql, parameters)
            return super().execute(sql, parameters)

        def executemany(self, sql: str, rows: Any) -> Any:
            listed = list(rows)
            _note("sqlite", sql, listed[0] if listed else ())
            return super().executemany(sql, listed)

    return _connect(place, *arguments, factory=Recording, **options)


def _recording_execute(self: Any, query: Any, params: Any = None, **options: Any) -> Any:
    _note("postgresql", query, params)
    return _execute(self, query, params, **options)


def _recording_executemany(self: Any, query: Any, rows: Any, **options: Any) -> Any:
    listed = list(rows)
    _note("postgresql", query, listed[0] if listed else None)
    return _executemany(self, query, listed, **options)


def _use_records() -> None:
    from audobon.database.service import Database
    from audobon.jobs.ingest import TakenEntry
    from audobon.jobs.records import JobRecords
    from audobon.pages.documents import Entry

    values = ("id", "key", "operation", "settings", "source", "target", "document_kind")
    with tempfile.TemporaryDirectory() as folder, closing(Database(Path(folder)).open()) as connection:
        records = JobRecords(connection)
        page = TakenEntry(Entry("page.png", True, 1, None), "blob", 1, None, None)
        for name in ("one", "two", "three"):
            records.add(dict.fromkeys(values, name) | {"created_at": 1.0}, [page])
        records.unfinished("one"), records.running(), records.entries("one")
        records.set_state("one", "done", at=2.0, report='{"files": []}')
        records.files_written("one"), records.page_states("one"), records.page_at("one", 0)
        records.is_over("one"), records.needed_blobs(), records.done_work("work"), records.work_keys("one")
        records.list(), records.find("one"), records.replace("two", by="three"), records.remove("three")
        records.remove_finished()


def main() -> int:
    """Run the suites and print what was recorded."""
    sqlite3.connect = _recording_connect
    psycopg.Cursor.execute = _recording_execute  # type: ignore[method-assign]
    psycopg.Cursor.executemany = _recording_executemany  # type: ignore[method-assign]
    _use_records()
    standard, sys.stdout = sys.stdout, sys.stderr
    status = pytest.main(["-q", "-p", "no:cacheprovider", *SUITES])
    sys.stdout = standard
    commit = subprocess.run(
        ["/usr/bin/env", "git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    statements = {
        engine: [{"sql": sql, "parameters": found[sql]} for sql in sorted(found)]
        for engine, found in _found.items()
    }
    print(json.dumps({"commit": commit.stdout.strip(), "statements": statements}, indent=1))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
