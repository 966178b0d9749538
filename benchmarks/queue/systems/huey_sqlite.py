"""huey on SQLite: one fsync per task in and one out; a killed worker loses its task.

Tuned: results are not kept, workers look for tasks every 5 ms without backing off.
"""

import sys
from pathlib import Path

from counters import run_task
from huey import SqliteHuey
from place import Place, here
from system import System


def _huey(place: Place, *, fsync: bool = True) -> SqliteHuey:
    file = str(Path(place.folder, "huey.db"))
    return SqliteHuey("bench", filename=file, fsync=fsync, timeout=30, results=False, store_none=False)


app = _huey(here())
task = app.task()(run_task)


class Adapter(System):
    has_bulk = False

    def connect(self) -> None:
        self.enqueue_one(range(0))

    def enqueue_one(self, indexes: range) -> None:
        for index in indexes:
            task(index)

    def fill(self, indexes: range) -> None:
        hasty = _huey(self.place, fsync=False).storage
        for index in indexes:
            hasty.enqueue(app.serialize_task(task.s(index)))
        hasty.close()

    def worker_commands(self, workers: int) -> list[list[str]]:
        consumer = str(Path(sys.executable).with_name("huey_consumer"))
        how = ["-k", "process", "-w", str(workers), "-d", "0.005", "-m", "0.005", "-b", "1", "-n", "-q"]
        return [[consumer, "systems.huey_sqlite.app", *how]]

    def unfinished(self) -> int:
        return int(app.pending_count())
