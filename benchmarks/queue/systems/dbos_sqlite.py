"""DBOS on SQLite, looking for tasks every 50 ms instead of every second."""

import sqlite3
import sys
import threading
from pathlib import Path

from counters import run_task
from dbos import DBOS, DBOSClient, DBOSConfig
from place import Place, here
from system import System

_QUEUE = "bench"


def _file(place: Place) -> Path:
    return Path(place.folder, "dbos.db")


def _launch(executor: str) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": f"sqlite:///{_file(here())}",
        "executor_id": executor,
        "application_version": "1",
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.workflow(name="run_task")(_workflow)
    DBOS.launch()
    DBOS.register_queue(_QUEUE, polling_interval_sec=0.05)


def _workflow(index: int) -> None:
    run_task(index)


class Adapter(System):
    has_bulk = False

    def lay(self) -> None:
        _launch("layer")
        DBOS.destroy()

    def connect(self) -> None:
        self._client = DBOSClient(system_database_url=f"sqlite:///{_file(self.place)}")

    def enqueue_one(self, indexes: range) -> None:
        for index in indexes:
            self._client.enqueue(
                {"queue_name": _QUEUE, "workflow_name": "run_task", "app_version": "1"}, index
            )

    def worker_commands(self, workers: int) -> list[list[str]]:
        return [[sys.executable, "-m", "systems.dbos_sqlite", str(number)] for number in range(workers)]

    def unfinished(self) -> int:
        query = "SELECT count(*) FROM workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"
        with sqlite3.connect(_file(self.place), timeout=30) as connection:
            return int(connection.execute(query).fetchone()[0])


if __name__ == "__main__":
    _launch(f"worker-{sys.argv[1]}")
    threading.Event().wait()
