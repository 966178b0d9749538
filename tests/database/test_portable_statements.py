"""One schema for all tables on PostgreSQL: which of SQLite's statements would run there as they are."""

import re
from contextlib import closing

from test_previous_release import RECORDED, Postgres

pytest_plugins = ("postgres_fixture",)

# The queue has statements of its own for PostgreSQL; of the records of jobs these are written for SQLite: a
# truth for a number, a function on JSON, a sum of truths. They are left to do before jobs are recorded there.
ONLY_SQLITE = ["INSERT INTO entry", "json_extract(entry.fault", "sum(task.state = 'done')"]


def for_postgres(sql: str) -> str:
    """Return a statement with its parameters written as psycopg wants them."""
    return re.sub(r"(?<![:\w]):(\w+)", r"%(\1)s", sql.replace("%", "%%")).replace("?", "%s")


def test_the_records_of_jobs_run_on_postgres_but_for_three(queue_url: str) -> None:
    tables = re.compile(r"\b(FROM|INTO|UPDATE|JOIN) (job|entry)\b")
    records = [each for each in RECORDED["statements"]["sqlite"] if tables.search(each["sql"])]
    assert len(records) > 15
    with closing(Postgres(queue_url)) as postgres:
        refused = [
            each["sql"]
            for each in records
            if postgres.refuses(for_postgres(each["sql"]), each["parameters"]) is not None
        ]
    assert sorted(mark for sql in refused for mark in ONLY_SQLITE if mark in sql) == ONLY_SQLITE
    assert len(refused) == len(ONLY_SQLITE)
