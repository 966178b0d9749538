"""What the queue on SQLite acknowledged outlasts a power cut, and what need not waits for no disk."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from queue_tasks import add, claim_one, claimed_names, new_task

from audobon.database.service import Database
from audobon.errors import Unavailable
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Owner


class SyncedLog:
    """What a power cut would leave: the database as it was, and its log as far as it was synced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = b""
        self._database = (folder / "audobon.db").read_bytes()
        self.syncs = 0

    def sync(self, _descriptor: int) -> None:
        self.syncs += 1
        self._log = (self._folder / "audobon.db-wal").read_bytes()

    def restore(self, folder: Path) -> sqlite3.Connection:
        folder.mkdir()
        (folder / "audobon.db").write_bytes(self._database)
        (folder / "audobon.db-wal").write_bytes(self._log)
        return Database(folder).open()


@pytest.fixture
def log(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> SyncedLog:
    log = SyncedLog(data_folder)
    monkeypatch.setattr("audobon.sqlite.os.fdatasync", log.sync)
    return log


def test_what_a_grouped_connection_acknowledged_outlasts_a_power_cut(
    data_folder: Path, tmp_path: Path, log: SyncedLog
) -> None:
    with closing(Database(data_folder).open(grouped=True)) as connection:
        queue = SqliteQueue(connection)
        for number, change in enumerate(
            (
                lambda: add(queue, *(new_task(str(number)) for number in range(5))),
                lambda: queue.finish(claim_one(queue), result="1"),
                lambda: queue.fail(claim_one(queue), code="corrupt", message="", retry=False),
                lambda: queue.release(claim_one(queue), reason="stop"),
                lambda: queue.cancel(task_ids=[4], reason="stop"),
                lambda: queue.replay(task_ids=[2, 4]),
                lambda: queue.set_state("batch", "pause"),
            )
        ):
            syncs = log.syncs
            change()
            assert log.syncs == syncs + 1, "one sync for each acknowledgement"
            with closing(log.restore(tmp_path / str(number))) as restored:
                copy = SqliteQueue(restored)
                assert copy.select() == queue.select()
                assert copy.events() == queue.events()
                assert copy.rules() == queue.rules()


def test_what_need_not_outlast_a_power_cut_waits_for_no_disk(data_folder: Path, log: SyncedLog) -> None:
    with closing(Database(data_folder).open(grouped=True)) as connection:
        queue = SqliteQueue(connection)
        add(queue, "a")
        syncs = log.syncs
        queue.register(Owner("worker", "here", "boot", 1, 0, 0.0))
        lease = claim_one(queue)
        queue.beat(["worker"])
        queue.progress(lease, 1, 2, note="note")
        queue.standing(lease)
        assert log.syncs == syncs
        with queue.transaction():
            add(queue, "b")
            add(queue, "c")
        assert log.syncs == syncs + 1, "one sync for a whole block"


def test_a_log_that_cannot_be_synced_is_told_and_not_acknowledged(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with closing(Database(data_folder).open(grouped=True)) as connection:
        queue = SqliteQueue(connection)
        with monkeypatch.context() as patch:
            patch.setattr("audobon.sqlite.os.fdatasync", refuse)
            with pytest.raises(Unavailable, match="Input/output error"):
                add(queue, "a")
        # The system tells of it once only; this connection does not trust the next answer.
        with pytest.raises(Unavailable, match="an earlier sync failed"):
            add(queue, "b")
    with closing(Database(data_folder).open(grouped=True)) as connection:
        queue = SqliteQueue(connection)
        add(queue, "c")
        assert claimed_names(queue)[-1] == "c"
