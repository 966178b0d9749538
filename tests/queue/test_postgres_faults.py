"""PostgreSQL in trouble: killed under load, out of reach, full, and keeping a password to itself."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from subprocess import Popen

import psycopg
import pytest
from postgres_server import PostgresServer
from queue_tasks import TurnedClock, add, claim, claimed_names, new_task

from audobon.database.postgres import Address, open_postgres
from audobon.errors import (
    AudobonError,
    Conflict,
    Corrupt,
    Denied,
    DiskFull,
    InvalidInput,
    Misconfigured,
    NotFound,
    Unavailable,
)
from audobon.queue.postgres import PostgresQueue
from audobon.queue.tasks import NewTask

pytest_plugins = ("postgres_fixture",)

StartPython = Callable[..., "Popen[str]"]
Open = Callable[[], PostgresQueue]

PASSWORD = "s3cret-Words"

PLACE = """
import os, sys
from audobon.errors import LeaseLost, Unavailable
from audobon.queue.postgres import PostgresQueue
from audobon.queue.tasks import Claimant, Needs, NewTask

def try_on(call):
    while True:
        try:
            return call()
        except Unavailable:
            pass

queue = try_on(lambda: PostgresQueue(sys.argv[1]))
"""

ENQUEUE = """
while True:
    task = NewTask(needs=Needs(kind="page"), idempotency_key=os.urandom(8).hex())
    print(*try_on(lambda: queue.enqueue("batch", [task])))
"""

FINISH = """
claimant = Claimant(owner=str(os.getpid()))
while True:
    for lease in try_on(lambda: queue.claim(claimant, limit=3)):
        try:
            queue.finish(lease, result=claimant.owner)
        except (Unavailable, LeaseLost):
            continue
        print(lease.id, claimant.owner)
"""


@pytest.fixture
def open_queue(queue_url: str) -> Iterator[Open]:
    with ExitStack() as opened:
        yield lambda: opened.enter_context(PostgresQueue(queue_url, clock=TurnedClock()))


@pytest.fixture
def queue(open_queue: Open) -> PostgresQueue:
    return open_queue()


@pytest.fixture
def end_connection(queue_url: str) -> Callable[[PostgresQueue], None]:
    """End a queue's connection from the side of the server."""

    def end(queue: PostgresQueue) -> None:
        pid = queue.connection.info.backend_pid
        with psycopg.connect(queue_url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    return end


def on_adding(queue: PostgresQueue, statement: str, *, when: str = "BEFORE INSERT") -> None:
    """Let the server run a statement of PL/pgSQL whenever a task is added."""
    timing = "CONSTRAINT TRIGGER" if "AFTER" in when else "TRIGGER"
    late = "DEFERRABLE INITIALLY DEFERRED" if "AFTER" in when else ""
    queue.connection.execute(
        f"CREATE FUNCTION harm() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {statement}; RETURN NEW; END $$;"
        f"CREATE {timing} harm {when} ON task {late} FOR EACH ROW EXECUTE FUNCTION harm()".encode()
    )


def test_a_connection_that_was_lost_while_idle_is_opened_anew(
    queue: PostgresQueue, end_connection: Callable[[PostgresQueue], None]
) -> None:
    add(queue, "a")
    end_connection(queue)
    assert [task.payload for task in queue.select()] == ['"a"']
    end_connection(queue)
    add(queue, "b")
    end_connection(queue)
    with queue.transaction():
        add(queue, "c")
    assert claimed_names(queue) == ["a", "b", "c"]


def test_what_was_not_committed_when_the_connection_was_lost_is_done_again_and_once(
    queue: PostgresQueue, end_connection: Callable[[PostgresQueue], None]
) -> None:
    def clock() -> float:
        clocks.pop()()
        return 1.0

    clocks: list[Callable[[], object]] = [int, lambda: end_connection(queue)]
    queue._clock = clock
    ids = queue.enqueue("batch", (new_task(str(number)) for number in range(3)))
    assert [(task.id, task.payload) for task in queue.select()] == [
        (ids[2], '"2"'),
        (ids[1], '"1"'),
        (ids[0], '"0"'),
    ]
    assert clocks == []


def test_what_was_lost_inside_the_callers_block_is_left_to_the_caller(
    queue: PostgresQueue, end_connection: Callable[[PostgresQueue], None]
) -> None:
    def block() -> None:
        with queue.transaction():
            add(queue, "a")
            end_connection(queue)
            add(queue, "b")

    with pytest.raises(Unavailable):
        block()
    assert queue.select() == []


def test_a_commit_with_an_unknown_end_is_not_done_again(queue: PostgresQueue) -> None:
    queue.connection.execute("CREATE SEQUENCE tries")
    on_adding(
        queue,
        "IF nextval('tries') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF",
        when="AFTER INSERT",
    )
    with pytest.raises(Unavailable):
        add(queue, "a")
    assert queue.select() == []


def test_what_was_undone_because_others_were_in_the_way_is_done_again(queue: PostgresQueue) -> None:
    queue.connection.execute("CREATE SEQUENCE tries")
    on_adding(
        queue,
        "IF nextval('tries') = 1 THEN RAISE EXCEPTION USING ERRCODE = 'deadlock_detected'; END IF",
    )
    (task_id,) = add(queue, "a")
    assert [task.id for task in queue.select()] == [task_id]


def test_a_block_whose_statement_failed_unnoticed_says_that_it_was_undone(queue: PostgresQueue) -> None:
    def block() -> None:
        with queue.transaction():
            add(queue, "a")
            with pytest.raises(psycopg.errors.DivisionByZero):
                queue.connection.execute("SELECT 1 / 0")

    with pytest.raises(Conflict, match="a statement in it had failed"):
        block()
    assert queue.select() == []


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        ("disk_full", DiskFull),
        ("data_corrupted", Corrupt),
        ("index_corrupted", Corrupt),
        ("insufficient_privilege", Denied),
        ("too_many_connections", Unavailable),
        ("out_of_memory", Unavailable),
        ("io_error", Unavailable),
        ("query_canceled", Unavailable),
        ("numeric_value_out_of_range", InvalidInput),
        ("undefined_column", Misconfigured),
        ("division_by_zero", InvalidInput),
        ("feature_not_supported", AudobonError),
    ],
)
def test_each_complaint_of_the_server_has_our_name_and_says_of_which_database(
    queue: PostgresQueue, condition: str, error: type[AudobonError]
) -> None:
    on_adding(queue, f"RAISE EXCEPTION 'as told' USING ERRCODE = '{condition}'")
    with pytest.raises(error) as caught:
        add(queue, "a")
    assert type(caught.value) is error
    assert "the PostgreSQL database fresh_" in caught.value.message
    assert queue.select() == []


def test_what_a_caller_gets_wrong_has_a_name_too(queue: PostgresQueue) -> None:
    with pytest.raises(NotFound, match="is not there"):
        add(queue, new_task(job_id="nobody's", ordinal=0))
    add(queue, new_task(job_id="job", ordinal=0))
    with pytest.raises(Conflict, match="task_once"):
        add(queue, new_task(job_id="job", ordinal=0))
    with pytest.raises(InvalidInput, match="NUL"):
        queue.enqueue("batch", [NewTask(needs=new_task().needs, payload="\0")])


@pytest.fixture(scope="module")
def locked_server() -> Iterator[PostgresServer]:
    """A server whose user "guarded" needs a password, and may do nothing."""
    with PostgresServer(durable=False) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'".encode())
        rules = server.folder / "data" / "pg_hba.conf"
        rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
        server.restart()
        yield server


def told(url: str) -> AudobonError:
    """Return the error of opening a database, having looked for the password in all it says."""
    with pytest.raises(AudobonError) as caught:
        PostgresQueue(url)
    printed = "".join(traceback.format_exception(caught.value)) + str(caught.value.hint)
    assert all(part not in printed for part in PASSWORD.split("-")), printed
    return caught.value


def test_a_wrong_password_and_a_missing_right_are_denied(locked_server: PostgresServer) -> None:
    def url(password: str) -> str:
        return locked_server.url.replace("postgres@", f"guarded:{password}@")

    wrong = told(url(f"not-{PASSWORD}"))
    assert isinstance(wrong, Denied)
    assert 'password authentication failed for user "guarded"' in wrong.message
    assert isinstance(told(locked_server.url.replace("postgres@", "guarded@")), Denied)
    assert isinstance(told(locked_server.url.replace("postgres@", "nobody@")), Denied)
    open_postgres(Address(locked_server.url)).close()
    right = told(url(PASSWORD))
    assert isinstance(right, Denied)
    assert "permission denied" in right.message


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("postgresql://me:{p}@/x?host=/nowhere", Unavailable, "the PostgreSQL database x at /nowhere"),
        (
            "postgresql://me:{p}@127.0.0.1:1/x",
            Unavailable,
            "the PostgreSQL database x at 127.0.0.1:1 does not",
        ),
        ("postgresql://me:{p}/rest@host/x", Misconfigured, "cannot be read"),
        ("postgresql://me:{p}@rest@host/x", Misconfigured, "cannot be read"),
        ("postgresql://me:{p}@host/x?unheard={p}", Misconfigured, "cannot be read"),
        ("host=x password={p} port={p}", Misconfigured, "cannot be read"),
        ("password='{p}", Misconfigured, "cannot be read"),
    ],
)
def test_an_address_that_leads_nowhere_says_where_and_never_the_password(
    url: str, error: type[AudobonError], words: str
) -> None:
    found = told(url.format(p=PASSWORD))
    assert type(found) is error
    assert words in found.message
    assert found.hint is not None


def test_a_database_that_is_not_there_is_a_mistake_in_the_configuration(
    postgres_server: PostgresServer,
) -> None:
    found = told(postgres_server.url_of("nothing"))
    assert type(found) is Misconfigured
    assert found.message.startswith("the PostgreSQL database nothing at ")


def test_an_address_shows_itself_without_its_password() -> None:
    address = Address(f"postgresql://me:{PASSWORD}@host:5433/x")
    assert repr(address) == "Address('the PostgreSQL database x at host:5433')"


def test_a_server_killed_under_load_loses_nothing_acknowledged_and_nothing_is_finished_twice(
    start_python: StartPython,
) -> None:
    with PostgresServer(durable=False) as server:
        url = server.create_database()
        adders = [start_python(PLACE + ENQUEUE, url) for _ in range(2)]
        workers = [start_python(PLACE + FINISH, url) for _ in range(2)]
        lines: dict[int, list[str]] = {process.pid: [] for process in (*adders, *workers)}
        for _ in range(3):
            for process in (*adders, *workers):
                assert process.stdout is not None
                lines[process.pid] += [process.stdout.readline() for _ in range(60)]
            server.kill9()
            server.start()
        for process in (*adders, *workers):
            process.kill()
            assert process.stdout is not None
            lines[process.pid] += process.stdout.read().splitlines(keepends=True)
        whole = {pid: [line.split() for line in found if line.endswith("\n")] for pid, found in lines.items()}
        added = [int(task_id) for process in adders for (task_id,) in whole[process.pid]]
        finished = {int(line[0]): line[1] for process in workers for line in whole[process.pid]}
        assert len(finished) == sum(len(whole[process.pid]) for process in workers), "finished twice"
        with PostgresQueue(url) as queue:
            there = {task.id: task for task in queue.select(limit=1_000_000)}
            assert set(added) <= set(there)
            assert len(set(added)) == len(added)
            assert {task_id: (there[task_id].state, there[task_id].result) for task_id in finished} == {
                task_id: ("done", owner) for task_id, owner in finished.items()
            }
            for process in workers:
                queue.retire(str(process.pid), reason="killed", is_blameless=True)
            rest = claim(queue, limit=1_000_000)
            done = {task.id for task in queue.select(states=["done"], limit=1_000_000)}
            assert done | {lease.id for lease in rest} == set(there)
            assert done & {lease.id for lease in rest} == set()


def test_who_waits_hears_again_after_the_server_was_restarted() -> None:
    def wait_until_it_is_known_to_be_gone() -> None:
        # The last words of a server wake whoever waits.
        while True:
            waiting.wait(60.0)

    with PostgresServer(durable=False) as server:
        url = server.create_database()
        with PostgresQueue(url) as queue, PostgresQueue(url) as waiting:
            waiting.wait(0.0)
            server.kill9()
            with pytest.raises(Unavailable):
                wait_until_it_is_known_to_be_gone()
            with pytest.raises(Unavailable):
                add(queue, "a")
            server.start()
            waiting.wait(60.0)
            add(queue, "a")
            waiting.wait(60.0)
            assert claimed_names(waiting) == ["a"]
