"""The queue on PostgreSQL keeps the promise."""

from pathlib import Path

import pytest
from conformance import OpenQueue, QueueConformance
from queue_tasks import FixedDraw, TurnedClock, keys_in

from audobon.queue.postgres import PostgresQueue

pytest_plugins = ("postgres_fixture",)

OPENING = """
from pathlib import Path
from audobon.config import keyrings_folder
from audobon.keys.unlocking import open_keys
from audobon.queue.postgres import PostgresQueue

def open_queue():
    keys = open_keys(Path({keys!r}), unlock_folder=keyrings_folder())
    return PostgresQueue({url!r}, keys=keys)
"""


class TestPostgresQueue(QueueConformance):
    """The queue on a server."""

    @pytest.fixture
    def open_queue(self, queue_url: str, tmp_path: Path, clock: TurnedClock, draw: FixedDraw) -> OpenQueue:
        keys = keys_in(tmp_path)
        return lambda: PostgresQueue(queue_url, keys=keys, clock=clock, draw=draw)

    @pytest.fixture
    def opening(self, queue_url: str, tmp_path: Path) -> str:
        return OPENING.format(url=queue_url, keys=str(tmp_path))
