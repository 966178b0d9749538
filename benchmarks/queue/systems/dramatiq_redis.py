"""Dramatiq on Redis: eight threads per process, its own default.

option appendfsync  of the Redis server
"""

import sys
from pathlib import Path

import dramatiq
import redis
from counters import run_task
from dramatiq.brokers.redis import RedisBroker
from place import here
from system import RedisServer, System

broker = RedisBroker(url=f"unix://{here().redis_socket}")
dramatiq.set_broker(broker)
task = dramatiq.actor(run_task)


class Adapter(System):
    has_bulk = False

    def lay(self) -> None:
        self._server = RedisServer(self.place, appendfsync=self.place.options["appendfsync"])

    def connect(self) -> None:
        self._redis = redis.Redis(unix_socket_path=self.place.redis_socket)

    def enqueue_one(self, indexes: range) -> None:
        for index in indexes:
            task.send(index)

    def fill(self, indexes: range) -> None:
        self._redis.config_set("appendfsync", "no")
        self.enqueue_one(indexes)
        self._redis.config_set("appendfsync", self.place.options["appendfsync"])

    def worker_commands(self, workers: int) -> list[list[str]]:
        program = str(Path(sys.executable).with_name("dramatiq"))
        return [[program, "systems.dramatiq_redis", "-p", str(workers), "-t", "8", "--skip-logging"]]

    def unfinished(self) -> int:
        # A message leaves this hash when it is acknowledged.
        return int(self._redis.hlen("dramatiq:default.msgs"))

    def stop(self) -> None:
        self._server.stop()
