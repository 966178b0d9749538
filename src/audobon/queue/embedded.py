"""The queue on SQLite: no server, one file."""

import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from audobon import sqlite
from audobon.clock import Clock, utc_now
from audobon.database.service import named
from audobon.keys.service import Keys
from audobon.queue import statements as sql
from audobon.queue.choosing import Choice, Head
from audobon.queue.sql_looking import SqlQueue
from audobon.queue.tasks import Claimant, Lease
from audobon.queue.waking import Bell

_HEADS = """
SELECT resource_class.id, resource_class.queue, resource_class.kind, resource_class.model,
       resource_class.device, resource_class.ram_bytes, resource_class.vram_bytes,
       task.id, task.rank, task.run_at
FROM resource_class JOIN task ON task.id = (
    SELECT head.id FROM task AS head
    WHERE head.class_id = resource_class.id AND head.state = 'ready' ORDER BY head.rank, head.id LIMIT 1
)
"""
_LAST_ID = "SELECT seq FROM sqlite_sequence WHERE name = 'task'"
_ADD = (
    f"INSERT INTO task ({', '.join(sql.TASK_COLUMNS)})"  # noqa: S608  (names of our own)
    f" VALUES ({', '.join('?' * len(sql.TASK_COLUMNS))})"
)
# What nothing fits, nobody need be kept out for; and what is late must be given up by somebody.
_MAY_CLAIM = """
SELECT EXISTS (
    SELECT 1 FROM resource_class
    WHERE (
        :pool IS NULL
        OR (:may_exceed AND NOT EXISTS (SELECT 1 FROM task WHERE state = 'leased' AND pool = :pool))
        OR (
            (ram_bytes = 0 OR ram_bytes <= (SELECT ram_bytes FROM pool WHERE name = :pool)
                - (SELECT coalesce(sum(ram_bytes), 0) FROM task WHERE state = 'leased' AND pool = :pool))
            AND (vram_bytes = 0 OR vram_bytes <= (SELECT vram_bytes FROM pool WHERE name = :pool)
                - (SELECT coalesce(sum(vram_bytes), 0) FROM task WHERE state = 'leased' AND pool = :pool))
        )
    ) AND EXISTS (SELECT 1 FROM task WHERE class_id = resource_class.id AND state = 'ready')
)
OR """
_TO_SETTLE = """
EXISTS (SELECT 1 FROM task WHERE state = 'waiting' AND run_at <= :now)
OR EXISTS (
    SELECT 1 FROM task
    WHERE deadline_at IS NOT NULL AND finished_at IS NULL AND deadline_at <= :now
        AND state IN ('waiting', 'ready')
)
"""
_MAY_CLAIM += _TO_SETTLE
_IS_TO_SETTLE = "SELECT " + _TO_SETTLE


class SqliteQueue(SqlQueue):
    """The queue in the database of a data folder, over a connection of `sqlite.connect`.

    keys  seal what tasks say; see `Seals`
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        keys: Keys | None = None,
        clock: Clock = utc_now,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(keys=keys, clock=clock, draw=draw)
        self._connection = connection
        self._path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
        self._bell = Bell(self._path.parent / "wake")
        self._must_wake = False

    def transaction(self) -> AbstractContextManager[None]:
        return self._block(is_hasty=False)

    def _hasty(self) -> AbstractContextManager[None]:
        return self._block(is_hasty=True)

    @contextmanager
    def _block(self, *, is_hasty: bool) -> Iterator[None]:
        is_outermost = not self._connection.in_transaction
        try:
            with sqlite.transaction(self._connection, is_hasty=is_hasty):
                yield
        except sqlite3.Error as error:
            raise self._named(error) from error
        if is_outermost and self._must_wake:
            self._must_wake = False
            self._bell.ring()

    def close(self) -> None:
        self._bell.close()

    def wake(self) -> None:
        if self._connection.in_transaction:
            self._must_wake = True
        else:
            self._bell.ring()

    def wait(self, timeout_seconds: float) -> None:
        self._bell.wait(timeout_seconds)

    def claim(self, claimant: Claimant, *, limit: int = 1, may_exceed: bool = False) -> list[Lease]:
        # In the caller's own transaction others are kept out already.
        if not self._connection.in_transaction:
            values = {"now": self._clock(), "pool": claimant.pool, "may_exceed": may_exceed}
            ((may_claim,),) = self._rows(_MAY_CLAIM, values)
            if not may_claim:
                return []
        # The disk is not waited for: a power cut that forgets a lease ends its worker too.
        with self._hasty():
            return self._claim(claimant, limit, may_exceed)

    def _settle(self, now: float) -> None:
        ((is_anything_due,),) = self._rows(_IS_TO_SETTLE, {"now": now})
        if is_anything_due:
            super()._settle(now)

    def _rows(self, statement: str, values: dict[str, Any]) -> list[Sequence[Any]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._named(error) from error

    def _count(self, statement: str, values: dict[str, Any]) -> int:
        try:
            return self._connection.execute(statement, values).rowcount
        except sqlite3.Error as error:
            raise self._named(error) from error

    def _named(self, error: sqlite3.Error) -> Exception:
        # A rule of the tables that was broken is the caller's mistake, and no fault of the file.
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            return error
        return named(error, self._path)

    def _heads(self) -> list[Head]:
        return [Head(*row) for row in self._rows(_HEADS, {})]

    def _take(self, choice: Choice, values: dict[str, Any]) -> list[Sequence[Any]]:
        return self._rows(sql.CLAIM, values)

    def _new_ids(self, count: int) -> Sequence[int]:
        rows = self._rows(_LAST_ID, {})
        first = int(rows[0][0]) + 1 if rows else 1
        return range(first, first + count)

    def _add_rows(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._connection.executemany(_ADD, rows)
