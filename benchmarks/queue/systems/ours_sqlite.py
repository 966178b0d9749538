"""Audobon's queue on SQLite; every acknowledgement has reached the disk.

option batch  tasks a worker claims at once; the last batch is finished and the next claimed in one commit
"""

import os
import sys
from pathlib import Path

from counters import run_task
from place import Place, here
from system import System

from audobon.database.service import Database
from audobon.keys.service import Keys
from audobon.keys.unlocking import open_keys
from audobon.queue.embedded import SqliteQueue
from audobon.queue.port import Queue
from audobon.queue.rules import QueueRules
from audobon.queue.tasks import Claimant, Needs, NewTask, Owner, Result

QUEUE = "bench"
NEEDS = Needs(kind="run")
IDLE_SECONDS = 0.5


def open_queue(place: Place) -> Queue:
    """Open the queue of a place, with group commit; what its tasks say is sealed, as in earnest."""
    return SqliteQueue(Database(Path(place.folder)).open(grouped=True), keys=keys_of(place))


def keys_of(place: Place) -> Keys:
    """Return the keys of a place."""
    return open_keys(Path(place.folder), unlock_folder=Path(place.folder) / "unlock")


class OursAdapter(System):
    """The queue behind its port; a driver brings `open_queue`."""

    program: str

    def open(self) -> Queue:
        """Open the queue."""
        raise NotImplementedError

    def lay(self) -> None:
        with self.open() as queue:
            queue.configure(QueueRules(name=QUEUE))

    def connect(self) -> None:
        self.queue = self.open()

    def enqueue_one(self, indexes: range) -> None:
        for index in indexes:
            self.queue.enqueue(QUEUE, [NewTask(needs=NEEDS, payload=str(index))])

    def enqueue_bulk(self, indexes: range) -> None:
        self.queue.enqueue(QUEUE, [NewTask(needs=NEEDS, payload=str(index)) for index in indexes])

    def worker_commands(self, workers: int) -> list[list[str]]:
        return [[sys.executable, "-m", self.program]] * workers

    def unfinished(self) -> int:
        return sum(found.ready + found.waiting + found.leased for found in self.queue.figures())

    def stop(self) -> None:
        self.queue.close()


class Adapter(OursAdapter):
    program = "systems.ours_sqlite"

    def open(self) -> Queue:
        return open_queue(self.place)


def work(queue: Queue, batch: int) -> None:
    """Be a worker: finish the last batch and claim the next in one transaction."""
    name = f"bench-{os.getpid()}"
    queue.register(Owner(name, "bench", "this boot", os.getpid(), 0, 0.0))
    claimant = Claimant(owner=name)
    done: list[Result] = []
    while True:
        with queue.transaction():
            if done and queue.finish_all(done):
                sys.exit("a lease was lost though nobody took it")
            leases = queue.claim(claimant, limit=batch)
        for lease in leases:
            run_task(int(lease.payload))
        done = [Result(lease) for lease in leases]
        if not leases:
            queue.wait(IDLE_SECONDS)


if __name__ == "__main__":
    work(open_queue(here()), here().options["batch"])
