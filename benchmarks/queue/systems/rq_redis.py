"""RQ on Redis: workers that run tasks in their own process, and keep no results.

option appendfsync  of the Redis server
"""

import sys
from pathlib import Path

import redis
from counters import run_task
from rq import Queue
from system import RedisServer, System


class Adapter(System):
    def lay(self) -> None:
        self._server = RedisServer(self.place, appendfsync=self.place.options["appendfsync"])

    def connect(self) -> None:
        self._redis = redis.Redis(unix_socket_path=self.place.redis_socket)
        self._queue = Queue("bench", connection=self._redis, serializer="json")

    def enqueue_one(self, indexes: range) -> None:
        for index in indexes:
            self._queue.enqueue(run_task, index, result_ttl=0)

    def enqueue_bulk(self, indexes: range) -> None:
        tasks = [Queue.prepare_data(run_task, args=[index], result_ttl=0) for index in indexes]
        self._queue.enqueue_many(tasks)

    def worker_commands(self, workers: int) -> list[list[str]]:
        rq = str(Path(sys.executable).with_name("rq"))
        how = ["-w", "rq.SimpleWorker", "-S", "json", "-q", "-u", f"unix://{self.place.redis_socket}"]
        return [[rq, "worker", *how, "bench"]] * workers

    def unfinished(self) -> int:
        return int(self._redis.llen("rq:queue:bench")) + int(self._redis.zcard("rq:wip:bench"))

    def stop(self) -> None:
        self._server.stop()
