"""procrastinate on PostgreSQL: one task at a time per worker process."""

import sys
from pathlib import Path

import procrastinate
from counters import run_task
from place import here
from system import System

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=here().postgres_url))
task = app.task(name="run_task")(run_task)


class Adapter(System):
    def lay(self) -> None:
        with app.open():
            app.schema_manager.apply_schema()

    def connect(self) -> None:
        app.open()

    def enqueue_one(self, indexes: range) -> None:
        for index in indexes:
            task.defer(index=index)

    def enqueue_bulk(self, indexes: range) -> None:
        task.batch_defer(*({"index": index} for index in indexes))

    def worker_commands(self, workers: int) -> list[list[str]]:
        program = str(Path(sys.executable).with_name("procrastinate"))
        return [[program, "-a", "systems.procrastinate_postgres.app", "worker", "-c", "1"]] * workers

    def unfinished(self) -> int:
        query = "SELECT count(*) AS count FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        return int(app.connector.get_sync_connector().execute_query_one(query)["count"])

    def stop(self) -> None:
        app.close()
