"""What every system under measure can do; one adapter each in `systems/`."""

import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from place import Place


class System(ABC):
    """A queue, set up in a place of its own. Indexes name tasks; a task is `run_task(index)`.

    has_bulk  it can take many tasks in one call
    """

    has_bulk: ClassVar[bool] = True

    def __init__(self, place: Place) -> None:
        self.place = place

    def lay(self) -> None:  # noqa: B027  (some have nothing to lay)
        """Start its server, create its tables; once for a place."""

    @abstractmethod
    def connect(self) -> None:
        """Make this process ready to enqueue."""

    @abstractmethod
    def enqueue_one(self, indexes: range) -> None:
        """Enqueue tasks, one call and one acknowledgement each."""

    def enqueue_bulk(self, indexes: range) -> None:
        """Enqueue tasks in one call."""
        raise NotImplementedError

    def fill(self, indexes: range) -> None:
        """Lay a backlog as fast as can be; not measured."""
        if self.has_bulk:
            self.enqueue_bulk(indexes)
        else:
            self.enqueue_one(indexes)

    @abstractmethod
    def worker_commands(self, workers: int) -> list[list[str]]:
        """Return the commands that run so many worker processes together."""

    @abstractmethod
    def unfinished(self) -> int:
        """Return how many tasks the system holds that are not acknowledged as done."""

    def stop(self) -> None:  # noqa: B027  (some have nothing to stop)
        """Disconnect, end its server."""


class RedisServer:
    """A Redis server of one slice, on a Unix socket, appending every write to its log.

    appendfsync  always: each acknowledged write has reached the disk; everysec: up to a second may be lost
    """

    def __init__(self, place: Place, *, appendfsync: str) -> None:
        settings = {
            "port": "0",
            "unixsocket": place.redis_socket,
            "dir": place.folder,
            "appendonly": "yes",
            "appendfsync": appendfsync,
            "save": "",
            "auto-aof-rewrite-percentage": "0",
        }
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is not installed"
        command = [program, *(part for name, value in settings.items() for part in (f"--{name}", value))]
        with Path(place.folder, "redis.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + 10
        while not Path(place.redis_socket).exists():
            assert self._process.poll() is None, "redis-server ended"
            assert time.monotonic() < until, "redis-server did not start"
            time.sleep(0.005)

    def stop(self) -> None:
        """Kill it: what it holds was for this slice alone."""
        self._process.kill()
        self._process.wait()
