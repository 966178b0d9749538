"""Adds tasks in one process and finishes them in another, telling on standard output what is acknowledged.

power_process.py FOLDER TASKS [unsynced]

unsynced  acknowledges before the disk was waited for, to see that the storm notices
"""

import os
import sys
from pathlib import Path

from audobon.database.service import Database
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Claimant, Needs, NewTask, Result
from audobon.sqlite import GroupedConnection


def tell(*words: object) -> None:
    """Acknowledge something, in one call."""
    os.write(1, " ".join(map(str, words)).encode() + b"\n")


def add(folder: Path, tasks: int) -> None:
    """Add tasks one by one and in handfuls."""
    with SqliteQueue(Database(folder).open(grouped=True)) as queue:
        added = 0
        while added < tasks:
            new = [NewTask(needs=Needs(kind="storm", model=f"{added % 3}")) for _ in range(1 + added % 5)]
            for task_id in queue.enqueue("batch", new):
                tell("added", task_id)
            added += len(new)


def finish(folder: Path, tasks: int) -> None:
    """Finish as many tasks, one or a few at a time."""
    with SqliteQueue(Database(folder).open(grouped=True)) as queue:
        finished = 0
        while finished < tasks:
            leases = queue.claim(Claimant(owner="worker"), limit=1 + finished % 3)
            if not leases:
                queue.wait(0.05)
            queue.finish_all([Result(lease, f"blob {lease.id}") for lease in leases])
            for lease in leases:
                tell("finished", lease.id)
            finished += len(leases)


if __name__ == "__main__":
    place, count = Path(sys.argv[1]), int(sys.argv[2])
    if "unsynced" in sys.argv:
        GroupedConnection.sync_log = lambda self: None  # type: ignore[method-assign]
    child = os.fork()
    if child == 0:
        finish(place, count)
        os._exit(0)
    add(place, count)
    os.waitpid(child, 0)
