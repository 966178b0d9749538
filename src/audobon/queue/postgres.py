"""The queue on PostgreSQL, for several machines that share it."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus

from audobon.clock import Clock, utc_now
from audobon.database.postgres import Address, Connection, is_lost, is_undone, open_postgres
from audobon.errors import Conflict
from audobon.keys.service import Keys
from audobon.queue import postgres_statements as sql
from audobon.queue.choosing import Choice, Head
from audobon.queue.listening import CHANNEL, Ear
from audobon.queue.port import Queue
from audobon.queue.sql_looking import SqlQueue
from audobon.queue.statements import BY_ID, BY_JOB, TASK_COLUMNS
from audobon.queue.tasks import Lease, Result

_BEGIN = b"BEGIN"
_BEGIN_HASTY = b"BEGIN; SET LOCAL synchronous_commit = off"
_CALL = f"NOTIFY {CHANNEL}".encode()
_COPY = f"COPY task ({', '.join(TASK_COLUMNS)}) FROM STDIN (FORMAT binary)".encode()
_COPIED_TYPES = (
    "int8", "int4", "text", "int4", "text", "text", "text", "int4", "float8", "float8", "float8", "float8",
    "int4", "text", "int4", "text",
)  # fmt: skip
_INSERT = (
    f"INSERT INTO task ({', '.join(TASK_COLUMNS)})"  # noqa: S608  (names of our own)
    f" VALUES ({', '.join(f':{name}' for name in TASK_COLUMNS)})"
)
# Below this many rows, single prepared inserts are quicker than a copy.
_COPIED_FROM = 8
_OWN_WAYS = {"transaction", "close", "wait", "wake"}

Driver = TypeVar("Driver", bound="type[PostgresQueue]")
Method = TypeVar("Method", bound=Callable[..., Any])


def tried_again(method: Method) -> Method:
    """Return a method that names PostgreSQL's errors, and is run again once where that is safe.

    It is when the transaction is known to be undone and was not the caller's: the connection was lost
    before the commit was asked for, or others were in the way.
    """

    @wraps(method)
    def call(self: "PostgresQueue", *arguments: Any, **named: Any) -> Any:
        if self._is_called:
            return method(self, *arguments, **named)
        arguments = tuple(list(each) if isinstance(each, Iterator) else each for each in arguments)
        is_callers = self._is_open
        self._is_called, self._is_committing = True, False
        try:
            try:
                return method(self, *arguments, **named)
            except psycopg.Error as error:
                if is_callers or not self._may_try_again(error):
                    raise
            return method(self, *arguments, **named)
        except psycopg.Error as error:
            raise self._address.named(error) from error
        finally:
            self._is_called = False

    return cast(Method, call)


def _trying_again(driver: Driver) -> Driver:
    for name in Queue.__abstractmethods__ - _OWN_WAYS:
        setattr(driver, name, tried_again(getattr(driver, name)))
    return driver


@_trying_again
class PostgresQueue(SqlQueue):
    """The queue in a PostgreSQL database, which is brought up to date when it is opened.

    Claimers that count no capacity and serve queues without limits never wait for each other. `connection`
    is for the caller's own statements inside `transaction`; where one of them fails, so has its block. A
    lost connection is opened anew when it is needed next.

    keys  seal what tasks say; see `Seals`

    The application works on SQLite for now: its other tables move with the database room.
    raises  Misconfigured, Denied, Unavailable when the database cannot be opened
    """

    def __init__(
        self,
        url: str,
        *,
        keys: Keys | None = None,
        clock: Clock = utc_now,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(keys=keys, clock=clock, draw=draw)
        self._address = Address(url)
        self._open(open_postgres(self._address))
        self._ear = Ear(self._address)
        self._is_open = False
        self._is_called = False
        self._is_committing = False
        self._must_wake = False

    @property
    def connection(self) -> Connection:
        """The connection in use now."""
        return self._connection

    def close(self) -> None:
        self._ear.close()
        self._connection.close()

    # Transactions

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._transaction(_BEGIN):
            yield

    @contextmanager
    def _hasty(self) -> Iterator[None]:
        with self._transaction(_BEGIN_HASTY):
            yield

    @contextmanager
    def _transaction(self, begin: bytes) -> Iterator[None]:
        if self._is_open:
            with self._inner_block():
                yield
            return
        try:
            self._begin(begin)
            self._is_open = True
            yield
            self._commit()
        except psycopg.Error as error:
            self._roll_back()
            if self._is_called:
                raise
            raise self._address.named(error) from error
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def _inner_block(self) -> Iterator[None]:
        self._connection.execute(b"SAVEPOINT inner_block")
        try:
            yield
        except BaseException:
            # Where the connection is lost, so is the whole transaction, and its end will tell.
            with suppress(psycopg.Error):
                self._connection.execute(b"ROLLBACK TO inner_block; RELEASE inner_block")
            raise
        self._connection.execute(b"RELEASE inner_block")

    def _begin(self, begin: bytes) -> None:
        try:
            self._connection.execute(begin)
        except psycopg.Error as error:
            if not is_lost(error):
                raise
            # Nothing was done yet, so nothing is lost with it.
            self._reopen()
            self._connection.execute(begin)

    def _commit(self) -> None:
        if self._connection.info.transaction_status is TransactionStatus.INERROR:
            # The server would undo it and say nothing.
            raise Conflict("the transaction was undone: a statement in it had failed")
        if self._must_wake:
            self._connection.execute(_CALL)
        self._is_committing = True
        self._connection.execute(b"COMMIT")
        self._is_open = self._is_committing = self._must_wake = False

    def _roll_back(self) -> None:
        self._must_wake = False
        if not self._is_open:
            return
        self._is_open = False
        try:
            self._connection.execute(b"ROLLBACK")
        except psycopg.Error:
            # The server undoes what a lost connection left behind.
            self._connection.close()

    def _may_try_again(self, error: psycopg.Error) -> bool:
        if is_undone(error):
            return True
        if is_lost(error) and not self._is_committing:
            self._reopen()
            return True
        return False

    def _reopen(self) -> None:
        self._connection.close()
        self._open(self._address.connect())

    def _open(self, connection: Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    # Waiting

    def wake(self) -> None:
        # Inside a transaction the call is heard when it commits, and not at all when it does not.
        if self._is_open:
            self._must_wake = True
            return
        with self.transaction():
            self._must_wake = True

    def wait(self, timeout_seconds: float) -> None:
        self._ear.wait(timeout_seconds)

    # What only many writers at once need

    def finish_all(self, results: Sequence[Result]) -> list[Lease]:
        if not results:
            return []
        values = {
            "ids": [done.lease.id for done in results],
            "tokens": [done.lease.token for done in results],
            "blobs": [done.blob for done in results],
            "results": [
                self._seals.seal(done.lease.subject, done.result, "task.result", done.lease.id)
                for done in results
            ],
            "now": self._clock(),
        }
        with self.transaction():
            held_bytes = {int(row[0]): int(row[1]) for row in self._rows(sql.FINISH_ALL, values)}
            queues = {done.lease.queue for done in results if done.lease.id in held_bytes}
            if any(held_bytes.values()) or any(map(self._is_crowded, queues)):
                self.wake()
        lost = []
        for done in results:
            # A lease that is named twice is void the second time.
            if held_bytes.pop(done.lease.id, None) is None:
                lost.append(done.lease)
        return lost

    def cancel(self, *, task_ids: Sequence[int] = (), job_id: str | None = None, reason: str) -> int:
        with self.transaction():
            # Else one that is just handed out or back would be neither called off nor asked to stop.
            for task_id in sorted(task_ids):
                self._rows(sql.HOLD_TASKS % BY_ID, {"id": task_id})
            if job_id is not None:
                self._rows(sql.HOLD_TASKS % BY_JOB, {"job_id": job_id})
            return super().cancel(task_ids=task_ids, job_id=job_id, reason=reason)

    def _held(self, lease: Lease) -> Sequence[Any] | None:
        if not self._is_open:
            return super()._held(lease)
        rows = self._rows(sql.HOLD_LEASE, {"id": lease.id, "token": lease.token})
        return rows[0] if rows else None

    def _hold_still(self, pool: str | None, limited: Iterable[str]) -> None:
        if pool is not None:
            self._rows(sql.HOLD_POOL, {"pool": pool})
        if names := list(limited):
            self._rows(sql.HOLD_QUEUES, {"names": names})

    def _settle(self, now: float) -> None:
        if self._rows(sql.IS_ANYTHING_TO_SETTLE, {"now": now})[0][0]:
            super()._settle(now)

    def _known(self, keys: Sequence[str]) -> dict[str, int]:
        self._rows(sql.HOLD_KEYS, {"keys": keys})
        return {key: int(task_id) for key, task_id in self._rows(sql.FIND_KEYS, {"keys": keys})}

    def _heads(self) -> list[Head]:
        return [Head(*row) for row in self._rows(sql.HEADS, {})]

    def _take(self, choice: Choice, values: dict[str, Any]) -> list[Sequence[Any]]:
        return self._rows(sql.TAKE, values)

    def _new_ids(self, count: int) -> Sequence[int]:
        first, last, scattered = self._rows(sql.NEW_IDS, {"count": count})[0]
        return scattered or range(first or 0, (last or -1) + 1)

    def _add_rows(self, rows: list[tuple[Any, ...]]) -> None:
        if len(rows) < _COPIED_FROM:
            for row in rows:
                self._count(_INSERT, dict(zip(TASK_COLUMNS, row, strict=True)))
            return
        with self._connection.cursor().copy(_COPY) as copy:
            copy.set_types(_COPIED_TYPES)
            for row in rows:
                copy.write_row(row)

    def _rows(self, statement: str, values: dict[str, Any]) -> list[Sequence[Any]]:
        return self._run(statement, values).fetchall()

    def _count(self, statement: str, values: dict[str, Any]) -> int:
        return self._run(statement, values).rowcount

    def _run(self, statement: str, values: dict[str, Any]) -> psycopg.Cursor[Any]:
        return self._cursor.execute(sql.translate(statement), values, prepare=True)
