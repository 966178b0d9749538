"""A queue with tasks in every state, and the commands that look after it."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audobon.database.service import Database
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Capacity, Claimant, Lease, Needs, NewTask, Owner

# Saturday, 3 January 2026, noon in UTC.
START = 1767441600.0
JOB = "20260103-115900-abc123"
MODEL = "waifu2x-upconv7-x2"
MB = 1 << 20
HOSTILE = "red\x1b[31m\r\nnext\u202eline\x07"
"""What would colour a terminal, begin a line, turn its direction and ring its bell."""
HARMLESS = "red\ufffd[31m\ufffd\ufffdnext\ufffdline\ufffd"


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON, when it said nothing else."""
        assert (self.status, self.err) == (0, ""), self
        return json.loads(self.out)


class Desk:
    """Where a person sits, with a data folder nobody else uses; `now` is the time of day."""

    def __init__(self, folder: Path, run: Callable[[tuple[str, ...]], tuple[int, str, str]]) -> None:
        self.folder = folder
        self.now = 0.0
        self._run = run

    def audobon(self, *arguments: object) -> Outcome:
        """Type `audobon` with arguments."""
        return Outcome(*self._run(tuple(map(str, arguments))))

    def queue(self, *arguments: object) -> Outcome:
        """Type `audobon queue` with arguments."""
        return Outcome(*self._run(("queue", *map(str, arguments))))

    @contextmanager
    def opened(self) -> Iterator[SqliteQueue]:
        """Open the queue as a worker does."""
        with (
            closing(Database(self.folder).open(durable=False)) as connection,
            SqliteQueue(connection, draw=lambda: 1.0) as queue,
        ):
            yield queue

    def add_job(self, *pages: str, source: str = "/books/fox.cbz", job_id: str = JOB) -> list[int]:
        """Put a job on record, with a ready task for each page."""
        with closing(Database(self.folder).open(durable=False)) as connection:
            connection.execute(
                "INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
                " VALUES (?, 'key', 'upscale', '{}', ?, 'book', 'running', ?)",
                (job_id, source, self.now),
            )
            for ordinal, page in enumerate(pages):
                connection.execute(
                    "INSERT INTO entry (job_id, ordinal, name, is_page, size_bytes) VALUES (?, ?, ?, 1, 9)",
                    (job_id, ordinal, page),
                )
            with SqliteQueue(connection) as queue:
                return queue.enqueue("batch", [page_task(job_id, n) for n in range(len(pages))])

    def add(self, kind: str = "sweep-blobs", *, queue: str = "maintenance", **facts: Any) -> int:
        """Add one task without a job."""
        with self.opened() as opened:
            return opened.enqueue(queue, [NewTask(needs=Needs(kind=kind), **facts)])[0]

    def claim(self, queue: SqliteQueue, *, limit: int = 1) -> list[Lease]:
        """Take tasks up as the only worker, process 4711."""
        queue.set_capacity("here", Capacity(2048 * MB))
        queue.register(Owner("worker", "here", "boot", 4711, 0, self.now))
        return queue.claim(Claimant(owner="worker", pool="here"), limit=limit)

    def fail(self, message: str = "no picture", *, code: str = "unreadable_picture") -> int:
        """Take the next task up, and give it up for good; return its id."""
        with self.opened() as queue:
            (lease,) = self.claim(queue)
            queue.fail(lease, code=code, message=message, retry=False)
            return lease.id


def page_task(job_id: str, ordinal: int) -> NewTask:
    needs = Needs(kind="page", model=MODEL, ram_bytes=192 * MB)
    return NewTask(needs=needs, job_id=job_id, ordinal=ordinal, total_units=24)
