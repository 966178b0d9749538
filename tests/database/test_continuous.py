"""A process ships for as long as it has the database open, and what is killed at any instant loses little."""

import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from shipped_desk import content
from shipping_processes import shipper

from audobon.database.continuous import ContinuousShipping
from audobon.database.copies import own_copy
from audobon.database.generations import generations, latest_position
from audobon.database.restoring import restore_database
from audobon.database.shipping import Shipper
from audobon.database.shipping_state import FailureFile
from audobon.errors import DiskFull
from audobon.keys.unlocking import open_keys
from audobon.sqlite import Connection, connect, transaction
from audobon.storage.embedded import FolderObjectStore

PROCESSES = Path(__file__).with_name("shipping_processes.py")


def opened(folder: Path, mode: str = "async", **options: object) -> Connection:
    connection = connect(folder / "audobon.db", grouped=True, keeps_log=True)
    shipping = ContinuousShipping(folder / "audobon.db", lambda: shipper(folder), mode=mode, **options)  # type: ignore[arg-type]
    shipping.attach(connection)
    return connection


def restored(folder: Path) -> list[tuple[object, ...]]:
    keys = open_keys(folder, unlock_folder=folder / "keyrings")
    restore_database(own_copy(folder), keys, folder / "restored.db", overwrite=True)
    keys.close()
    with closing(sqlite3.connect(f"file:{folder}/restored.db?immutable=1", uri=True)) as connection:
        return content(connection)


def wait_for(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        threading.Event().wait(0.01)


def test_what_is_committed_is_shipped_while_the_connection_stays_open(tmp_path: Path) -> None:
    with closing(opened(tmp_path, seconds=0.02)) as connection:
        connection.execute("CREATE TABLE note (text)")
        wait_for(lambda: any(generation.snapshots for generation in generations(own_copy(tmp_path))))
        for number in range(3):
            with transaction(connection):
                connection.execute("INSERT INTO note VALUES (?)", (number,))
            expected = content(connection)
            wait_for(lambda expected=expected: restored(tmp_path) == expected)  # type: ignore[misc]


def test_a_command_that_ends_at_once_ships_before_it_closes(tmp_path: Path) -> None:
    for number in range(3):
        with closing(opened(tmp_path, seconds=60.0)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS note (text)")
            connection.execute("INSERT INTO note VALUES (?)", (number,))
            expected = content(connection)
        assert restored(tmp_path) == expected
    assert len(generations(own_copy(tmp_path))) == 1


def test_a_command_with_nothing_to_ship_asks_no_keys(tmp_path: Path) -> None:
    with closing(opened(tmp_path, seconds=60.0)) as connection:
        connection.execute("CREATE TABLE note (text)")
    (tmp_path / "keys" / "keystore.db").write_bytes(b"not to be read")
    told: list[str] = []
    opened(tmp_path, seconds=60.0, tell=told.append).close()
    assert told == []


def test_synchronously_a_block_ends_only_when_it_is_in_the_copy(tmp_path: Path) -> None:
    with closing(opened(tmp_path, "sync", seconds=60.0)) as connection:
        with transaction(connection):
            connection.execute("CREATE TABLE note (text)")
        for number in range(5):
            with transaction(connection):
                connection.execute("INSERT INTO note VALUES (?)", (number,))
            assert restored(tmp_path) == content(connection)


def test_off_ships_nothing(tmp_path: Path) -> None:
    with closing(opened(tmp_path, "off")) as connection:
        connection.execute("CREATE TABLE note (text)")
    assert generations(own_copy(tmp_path)) == []


class FullDisk(FolderObjectStore):
    """A store whose disk is full while it is said to be."""

    is_full = True

    def create(self, *arguments: object, **options: object):  # type: ignore[no-untyped-def,override]
        if self.is_full:
            raise DiskFull("no room left for the copy")
        return super().create(*arguments, **options)  # type: ignore[arg-type]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[tuple[FullDisk, Callable[[], Shipper]]]:
    store = FullDisk({"standard": tmp_path})
    keys = open_keys(tmp_path, unlock_folder=tmp_path / "keyrings")
    yield store, lambda: Shipper(tmp_path / "audobon.db", store, keys)
    keys.close()


def test_a_copy_without_room_stops_no_work_and_is_told_once(
    tmp_path: Path, full_disk: tuple[FullDisk, Callable[[], Shipper]]
) -> None:
    store, open_shipper = full_disk
    told: list[str] = []
    failure = FailureFile(tmp_path / "audobon.db")
    path = tmp_path / "audobon.db"

    def work() -> list[tuple[object, ...]]:
        connection = connect(path, grouped=True, keeps_log=True)
        ContinuousShipping(path, open_shipper, seconds=0.01, tell=told.append).attach(connection)
        with closing(connection):
            connection.execute("CREATE TABLE IF NOT EXISTS note (text)")
            with transaction(connection):
                connection.execute("INSERT INTO note VALUES (1)")
            return content(connection)

    work()
    work()
    assert told == ["the database is not shipped: no room left for the copy"]
    noted = failure.read()
    assert noted is not None
    assert noted.message == "no room left for the copy"
    store.is_full = False
    expected = work()
    assert told[1:] == ["the database is shipped again"]
    assert failure.read() is None
    assert restored(tmp_path) == expected


def test_a_log_that_cannot_be_shipped_does_not_grow_for_ever(
    tmp_path: Path, full_disk: tuple[FullDisk, Callable[[], Shipper]]
) -> None:
    store, open_shipper = full_disk
    connection = connect(tmp_path / "audobon.db", keeps_log=True)
    connection.execute("PRAGMA wal_autocheckpoint = 300")
    connection.execute("CREATE TABLE note (text)")
    ships = open_shipper()
    store.is_full = False
    ships.ship()
    store.is_full = True
    for _ in range(30):
        with transaction(connection):
            connection.execute("INSERT INTO note VALUES (hex(randomblob(40000)))")
            connection.execute("DELETE FROM note WHERE rowid % 3")
        with pytest.raises(DiskFull):
            ships.ship()
    assert (tmp_path / "audobon.db-wal").stat().st_size < 3_000_000
    store.is_full = False
    ships.ship()
    assert len(generations(store)) == 2
    assert restored(tmp_path) == content(connection)
    ships.close()
    connection.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_killed_writers_and_shippers_lose_nothing_acknowledged(tmp_path: Path, mode: str) -> None:
    draw = random.Random(11)
    running: dict[str, subprocess.Popen[bytes]] = {}
    lost_seconds = []
    opened(tmp_path).close()

    def start(name: str) -> None:
        with (tmp_path / f"{name}.acknowledged").open("wb") as out:
            command = [sys.executable, str(PROCESSES), "write", str(tmp_path), name, mode]
            running[name] = subprocess.Popen(command, stdout=out)

    try:
        for turn in range(6):
            start(f"a{turn}")
            start(f"b{turn}")
            outputs = [tmp_path / f"{name}{turn}.acknowledged" for name in "ab"]
            wait_for(lambda outputs=outputs: all(path.stat().st_size > 800 for path in outputs))  # type: ignore[misc]
            threading.Event().wait(draw.random() / 5)
            for process in running.values():
                process.kill()
            killed_at = time.time()
            for process in running.values():
                process.wait()
            running.clear()
            rows = restored(tmp_path)
            for path in tmp_path.glob("*.acknowledged"):
                lines = path.read_text().split("\n")[:-1]
                numbers = [int(str(row[2])) for row in rows if row[0] == "row" and row[1] == path.stem]
                missing = lines[max(numbers, default=0) :]
                # What one writer wrote is there without a hole, up to where the copy ends.
                assert sorted(numbers) == list(range(min(numbers, default=1), max(numbers, default=0) + 1))
                if mode == "sync":
                    assert missing == []
                elif missing:
                    lost_seconds.append(killed_at - float(missing[0].split()[1]))
        assert len(generations(own_copy(tmp_path))) == 1
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    keys = open_keys(tmp_path, unlock_folder=tmp_path / "keyrings")
    assert latest_position(own_copy(tmp_path), keys) is not None
    keys.close()
    # Far above what is measured (see the benchmarks), since tests share the machine.
    assert all(seconds < 5 for seconds in lost_seconds)
