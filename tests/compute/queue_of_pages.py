"""A queue in a database of its own, with a job whose pages are the tasks."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from audobon.clock import Clock, utc_now
from audobon.compute.work import PAGE_KIND, Work
from audobon.database.service import Database
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Capacity, Needs, NewTask

POOL = "here"
Draw = Callable[[], float]


class TurnedClock:
    """A clock that only moves when told to."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


@contextmanager
def queue_of_pages(
    folder: Path, *, pool_bytes: int = 1000, clock: Clock = utc_now, draw: Draw = lambda: 0.0
) -> Iterator[SqliteQueue]:
    """Open a queue whose retries rest as `draw` says of their longest rest; 0 is no rest at all."""
    with closing(Database(folder).open(durable=False)) as connection:
        _add_job(connection)
        with SqliteQueue(connection, clock=clock, draw=draw) as queue:
            queue.set_capacity(POOL, Capacity(pool_bytes))
            yield queue


def _add_job(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
        " VALUES ('job', 'key', 'upscale', '{}', '/book.cbz', 'book', 'running', 0)"
    )


def add_pages(queue: SqliteQueue, *pages: tuple[str, int]) -> list[int]:
    """Enqueue pages as (settings, bytes needed); return their ids."""
    new = [
        NewTask(
            needs=Needs(kind=PAGE_KIND, model="m", ram_bytes=ram_bytes),
            job_id="job",
            ordinal=ordinal,
            work_key=str(ordinal),
            payload=msgspec.json.encode(Work("upscale", settings, "blob")).decode(),
        )
        for ordinal, (settings, ram_bytes) in enumerate(pages)
    ]
    return queue.enqueue("batch", new)
