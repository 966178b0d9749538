"""Tasks for the tests of the queue, and ways to look at what became of them."""

import sqlite3

from audobon.queue.service import Lease, NewTask, Queue

PLENTY = 1 << 40


def new_task(ordinal: int, *, work_key: str = "", ram_bytes: int = 100, units: int = 4) -> NewTask:
    return NewTask(
        ordinal=ordinal,
        work_key=work_key or f"work {ordinal}",
        model="waifu2x",
        ram_bytes=ram_bytes,
        payload=f'{{"page":{ordinal}}}',
        total_units=units,
    )


def enqueue(queue: Queue, *ordinals: int, priority: int = 0, job_id: str = "job") -> list[int]:
    return queue.enqueue(job_id, map(new_task, ordinals), category="batch", priority=priority)


def claim(queue: Queue, owner: str = "worker") -> Lease:
    lease = queue.claim("job", owner, free_ram_bytes=PLENTY)
    assert lease is not None
    return lease


def claimed_ordinals(queue: Queue) -> list[int]:
    found = []
    while (lease := queue.claim("job", "worker", free_ram_bytes=PLENTY)) is not None:
        found.append(lease.ordinal)
    return found


def events(connection: sqlite3.Connection) -> list[tuple[int, float, str, str]]:
    rows = connection.execute("SELECT task_id, at, kind, detail FROM task_event ORDER BY id")
    return [(row["task_id"], row["at"], row["kind"], row["detail"]) for row in rows]
