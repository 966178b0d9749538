"""The queue on PostgreSQL keeps the promise."""

import pytest
from conformance import OpenQueue, QueueConformance
from queue_tasks import FixedDraw, TurnedClock

from audobon.queue.postgres import PostgresQueue

pytest_plugins = ("postgres_fixture",)

OPENING = """
from audobon.queue.postgres import PostgresQueue

def open_queue():
    return PostgresQueue({url!r})
"""


class TestPostgresQueue(QueueConformance):
    """The queue on a server."""

    @pytest.fixture
    def open_queue(self, queue_url: str, clock: TurnedClock, draw: FixedDraw) -> OpenQueue:
        return lambda: PostgresQueue(queue_url, clock=clock, draw=draw)

    @pytest.fixture
    def opening(self, queue_url: str) -> str:
        return OPENING.format(url=queue_url)
