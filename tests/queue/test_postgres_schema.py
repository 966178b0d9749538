"""The schema on PostgreSQL: the same revisions, applied once, whole, by however many start at once."""

from collections.abc import Callable
from subprocess import Popen

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import NullPool, create_engine

from audobon.database import migrate
from audobon.database.postgres import Address, open_postgres
from audobon.database.revisions import SCHEMA_REVISION
from audobon.database.schema import metadata
from audobon.errors import NewerFormat
from audobon.queue.postgres import PostgresQueue

pytest_plugins = ("postgres_fixture",)

StartPython = Callable[..., "Popen[str]"]

OPEN = """
import sys
from audobon.queue.postgres import PostgresQueue

print("here")
sys.stdin.readline()
with PostgresQueue(sys.argv[1]) as queue:
    print(queue.connection.execute("SELECT version_num FROM alembic_version").fetchall())
"""

OPEN_AND_TELL_WHAT_WAS_IMPORTED = """
import sys
from audobon.queue.postgres import PostgresQueue

PostgresQueue(sys.argv[1]).close()
print({"alembic", "sqlalchemy"} & set(sys.modules))
"""

STOP_INSIDE_THE_MIGRATION = """
import sys
import alembic.op
from audobon.queue.postgres import PostgresQueue

create_index = alembic.op.create_index

def stop(name, *arguments, **options):
    create_index(name, *arguments, **options)
    if name == "task_key":
        print("halfway")
        sys.stdin.read()

alembic.op.create_index = stop
PostgresQueue(sys.argv[1])
"""

OLD_ROWS = """
INSERT INTO job VALUES ('job', 'key', 'upscale', '{}', 'book.cbz', NULL, 'book', 'running', 0, NULL, NULL);
INSERT INTO queue VALUES ('batch', 'run', 60, 10, 3);
INSERT INTO resource_class VALUES (4, 'batch', 'waifu2x', 100, 0);
INSERT INTO task (id, job_id, ordinal, class_id, work_key, state, priority, run_at, rank, attempt,
                  max_attempts, token, payload, done_units, total_units)
VALUES (7, 'job', 0, 4, 'work', 'leased', 0, 5, 5, 1, 3, 1, '{}', 0, 4);
INSERT INTO task_event VALUES (9, 7, 5, 'leased', '')
"""


def read_line(process: "Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def let_go(process: "Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("now\n")
    process.stdin.flush()


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {
            name
            for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        }


def test_the_migrations_make_exactly_the_schema(postgres_url: str) -> None:
    address = Address(postgres_url)
    open_postgres(address).close()
    engine = create_engine("postgresql+psycopg://", creator=address.connect, poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    assert tables(postgres_url) == set(metadata.tables) | {"alembic_version"}


def test_partial_indexes_are_those_of_the_schema(postgres_url: str) -> None:
    # Alembic does not compare their conditions.
    def conditions() -> set[str]:
        with psycopg.connect(postgres_url) as connection:
            rows = connection.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'")
            return {line for (line,) in rows if "alembic_version" not in line}

    open_postgres(Address(postgres_url)).close()
    migrated = conditions()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    engine = create_engine("postgresql+psycopg://", creator=Address(postgres_url).connect, poolclass=NullPool)
    metadata.create_all(engine)
    assert migrated == conditions()
    assert sum(" WHERE " in line for line in migrated) == 10


def test_what_an_older_audobon_left_is_carried_over_and_ids_go_on(postgres_url: str) -> None:
    address = Address(postgres_url)
    engine = create_engine("postgresql+psycopg://", creator=address.connect, poolclass=NullPool)
    with engine.connect() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(OLD_ROWS)
        connection.commit()
    with PostgresQueue(postgres_url) as queue:
        (task,) = queue.select()
        assert (task.id, task.state, task.model, task.job_id, task.payload) == (
            7,
            "ready",
            "waifu2x",
            "job",
            "{}",
        )
        assert [(event.id, event.kind) for event in queue.events()] == [(9, "leased")]
        queue.cancel(task_ids=[7], reason="")
        assert [event.id for event in queue.events()] == [9, 10]
        assert list(queue._new_ids(2)) == [8, 9]


def test_however_many_start_at_once_one_migrates(postgres_url: str, start_python: StartPython) -> None:
    processes = [start_python(OPEN, postgres_url) for _ in range(4)]
    assert {read_line(process) for process in processes} == {"here"}
    for process in processes:
        let_go(process)
    assert [read_line(process) for process in processes] == [f"[('{SCHEMA_REVISION}',)]"] * 4


def test_a_kill_inside_a_migration_leaves_nothing_half_done(
    postgres_url: str, start_python: StartPython
) -> None:
    process = start_python(STOP_INSIDE_THE_MIGRATION, postgres_url)
    assert read_line(process) == "halfway"
    process.kill()
    process.wait()
    with PostgresQueue(postgres_url) as queue:
        assert queue.select() == []
    assert tables(postgres_url) == set(metadata.tables) | {"alembic_version"}


def test_an_up_to_date_database_is_opened_without_the_tools_of_migration(
    queue_url: str, start_python: StartPython
) -> None:
    assert read_line(start_python(OPEN_AND_TELL_WHAT_WAS_IMPORTED, queue_url)) == "set()"


def test_a_database_of_a_newer_audobon_is_left_alone(queue_url: str) -> None:
    with psycopg.connect(queue_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE schema_floor SET revision = '9999'")
    with pytest.raises(NewerFormat, match=r"newer Audobon \(schema 9999\)") as caught:
        PostgresQueue(queue_url)
    assert caught.value.hint == "upgrade Audobon"
