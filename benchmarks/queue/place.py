"""Where a system under measure keeps its data; every process of it finds it in the environment."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

_VARIABLE = "AUDOBON_BENCH_PLACE"


class Place(NamedTuple):
    """What a slice may use.

    folder        empty at the start, on the disk whose speed is probed
    postgres_url  an empty database; "" where none is needed
    options       of the system, as its adapter names them
    """

    folder: str
    postgres_url: str
    options: dict[str, Any]

    @property
    def counters(self) -> Path:
        """The file in which the tasks leave their marks."""
        return Path(self.folder, "counters")

    @property
    def redis_socket(self) -> str:
        """The address of the Redis server of this slice."""
        return str(Path(self.folder, "redis.sock"))

    def publish(self) -> None:
        """Let every process started from now on find it."""
        os.environ[_VARIABLE] = json.dumps(self)


def here() -> Place:
    """Return the place of this process."""
    return Place(*json.loads(os.environ[_VARIABLE]))
