"""Celery on Redis, at least once: late acknowledgements, prefetching four tasks per process.

option appendfsync  of the Redis server
"""

import sys
from pathlib import Path

import redis
from celery import Celery
from counters import run_task
from place import here
from system import RedisServer, System

app = Celery("bench", broker=f"redis+socket://{here().redis_socket}")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=4,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)
task = app.task(name="run_task")(run_task)


class Adapter(System):
    has_bulk = False

    def lay(self) -> None:
        self._server = RedisServer(self.place, appendfsync=self.place.options["appendfsync"])

    def connect(self) -> None:
        self._redis = redis.Redis(unix_socket_path=self.place.redis_socket)
        self._redis.ping()

    def enqueue_one(self, indexes: range) -> None:
        for index in indexes:
            task.delay(index)

    def fill(self, indexes: range) -> None:
        self._redis.config_set("appendfsync", "no")
        self.enqueue_one(indexes)
        self._redis.config_set("appendfsync", self.place.options["appendfsync"])

    def worker_commands(self, workers: int) -> list[list[str]]:
        celery = str(Path(sys.executable).with_name("celery"))
        how = ["-c", str(workers), "-P", "prefork", "-l", "ERROR"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [[celery, "-A", "systems.celery_redis", "worker", *how, *quiet]]

    def unfinished(self) -> int:
        return int(self._redis.llen("celery")) + int(self._redis.hlen("unacked"))

    def stop(self) -> None:
        self._server.stop()
