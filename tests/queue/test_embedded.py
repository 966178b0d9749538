"""The queue on SQLite keeps the promise, and what only a file can break."""

from pathlib import Path

import pytest
from conformance import OpenQueue, QueueConformance
from queue_tasks import FixedDraw, OpenConnection, TurnedClock, keys_in

from audobon.queue.embedded import SqliteQueue

OPENING = """
from pathlib import Path
from audobon.database.service import Database
from audobon.config import keyrings_folder
from audobon.keys.unlocking import open_keys
from audobon.queue.embedded import SqliteQueue

def open_queue():
    keys = open_keys(Path({keys!r}), unlock_folder=keyrings_folder())
    return SqliteQueue(Database(Path({folder!r})).open(grouped=True), keys=keys)
"""


class TestSqliteQueue(QueueConformance):
    """The queue in a file."""

    @pytest.fixture
    def open_queue(
        self, open_connection: OpenConnection, tmp_path: Path, clock: TurnedClock, draw: FixedDraw
    ) -> OpenQueue:
        keys = keys_in(tmp_path)
        return lambda: SqliteQueue(open_connection(), keys=keys, clock=clock, draw=draw)

    @pytest.fixture
    def opening(self, data_folder: Path, tmp_path: Path) -> str:
        return OPENING.format(folder=str(data_folder), keys=str(tmp_path))
