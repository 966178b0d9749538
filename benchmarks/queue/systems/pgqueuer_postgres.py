"""PgQueuer on PostgreSQL, its tables logged: batches of 100, over asyncpg and uvloop.

option batch  tasks a worker takes at once
"""

import sys
from datetime import timedelta

import asyncpg
import uvloop
from counters import run_task
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries
from place import here
from system import System


class Adapter(System):
    def lay(self) -> None:
        async def install() -> None:
            connection = await asyncpg.connect(self.place.postgres_url)
            await Queries(AsyncpgDriver(connection)).install()
            await connection.close()

        uvloop.run(install())

    def connect(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._connection = self._loop.run_until_complete(asyncpg.connect(self.place.postgres_url))
        self._queries = Queries(AsyncpgDriver(self._connection))

    def enqueue_one(self, indexes: range) -> None:
        async def enqueue() -> None:
            for index in indexes:
                await self._queries.enqueue("run_task", str(index).encode())

        self._loop.run_until_complete(enqueue())

    def enqueue_bulk(self, indexes: range) -> None:
        count = len(indexes)
        payloads: list[bytes | None] = [str(index).encode() for index in indexes]
        self._loop.run_until_complete(self._queries.enqueue(["run_task"] * count, payloads, [0] * count))

    def worker_commands(self, workers: int) -> list[list[str]]:
        return [[sys.executable, "-m", "systems.pgqueuer_postgres"]] * workers

    def unfinished(self) -> int:
        query = "SELECT count(*) FROM pgqueuer"
        return int(self._loop.run_until_complete(self._connection.fetchval(query)))


async def work() -> None:
    """Be a worker."""
    place = here()
    pgq = PgQueuer(AsyncpgDriver(await asyncpg.connect(place.postgres_url)))

    @pgq.entrypoint("run_task")
    async def run(job) -> None:  # type: ignore[no-untyped-def]
        run_task(int(job.payload))

    await pgq.run(batch_size=place.options["batch"], dequeue_timeout=timedelta(seconds=30))


if __name__ == "__main__":
    uvloop.run(work())
