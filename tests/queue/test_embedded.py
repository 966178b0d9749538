"""The queue on SQLite keeps the promise, and what only a file can break."""

from pathlib import Path

import pytest
from conformance import OpenQueue, QueueConformance
from queue_tasks import FixedDraw, OpenConnection, TurnedClock

from audobon.queue.embedded import SqliteQueue

OPENING = """
from pathlib import Path
from audobon.database.service import Database
from audobon.queue.embedded import SqliteQueue

def open_queue():
    return SqliteQueue(Database(Path({folder!r})).open(grouped=True))
"""


class TestSqliteQueue(QueueConformance):
    """The queue in a file."""

    @pytest.fixture
    def open_queue(self, open_connection: OpenConnection, clock: TurnedClock, draw: FixedDraw) -> OpenQueue:
        return lambda: SqliteQueue(open_connection(), clock=clock, draw=draw)

    @pytest.fixture
    def opening(self, data_folder: Path) -> str:
        return OPENING.format(folder=str(data_folder))
