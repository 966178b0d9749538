"""The PostgreSQL server that the tests and benchmarks start."""

import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import psutil
import psycopg
import pytest
from postgres_server import PostgresServer, await_end

OWNER = """
import sys
sys.path.insert(0, sys.argv[1])
from postgres_server import PostgresServer
server = PostgresServer(durable=False)
server.start()
print(server.folder, server.pid)
sys.stdin.read()
"""


def write(url: str, value: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS witness (value integer)")
        connection.execute("INSERT INTO witness VALUES (%s)", (value,))


def read(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [value for (value,) in connection.execute("SELECT value FROM witness ORDER BY value")]


def test_what_was_committed_survives_kills_and_restarts_and_closing_leaves_nothing() -> None:
    with PostgresServer(durable=False) as server:
        write(server.url, 1)
        server.kill9()
        server.start()
        write(server.url, 2)
        server.restart()
        assert read(server.url) == [1, 2]
        process = psutil.Process(server.pid)
    assert not server.folder.exists()
    assert not process.is_running()


def test_a_fresh_database_holds_what_its_template_held_and_no_more() -> None:
    with PostgresServer(durable=False) as server:
        server.create_template("prepared", lambda url: write(url, 7))
        first, second = server.create_database("prepared"), server.create_database("prepared")
        write(first, 8)
        assert (read(first), read(second)) == ([7, 8], [7])
        server.drop_database(first)
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            read(first)


def test_the_server_ends_and_its_folder_goes_when_its_owner_is_killed(
    start_python: Callable[..., "Popen[str]"],
) -> None:
    owner = start_python(OWNER, Path(__file__).parent)
    assert owner.stdout is not None
    folder, pid = owner.stdout.readline().split()
    processes = psutil.Process(owner.pid).children(recursive=True)
    assert int(pid) in [process.pid for process in processes]
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    await_end(processes)
    assert not Path(folder).exists()
