"""Commits rows to a database that is shipped, telling on standard output what is stored and acknowledged.

power_process.py FOLDER ROWS [unsynced]

unsynced  ships what the disk was not waited for, to see that the storm notices
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from audobon.database.continuous import ContinuousShipping
from audobon.database.shipping import Shipper
from audobon.database.wal_reader import LogReader
from audobon.keys.unlocking import open_keys
from audobon.sqlite import connect, transaction
from audobon.storage.embedded import FolderObjectStore


class Telling(FolderObjectStore):
    """Tells the name of each object before it can be there."""

    @contextmanager
    def create(self, name: str, **options: Any) -> Iterator[IO[bytes]]:  # type: ignore[override]
        """Write a new object."""
        with super().create(name, **options) as file:
            yield file
            tell("stored", name)


def tell(*words: object) -> None:
    """Say something, in one call."""
    os.write(1, " ".join(map(str, words)).encode() + b"\n")


def write(folder: Path, writer: str, rows: int) -> None:
    """Commit rows; each is acknowledged once it is on the disk and in the copy."""
    path = folder / "audobon.db"
    keys = open_keys(folder, unlock_folder=folder / "keyrings")
    connection = connect(path, grouped=True)
    store = Telling({"standard": folder})
    ContinuousShipping(path, lambda: Shipper(path, store, keys), mode="sync", seconds=0.02).attach(connection)
    for number in range(1, rows + 1):
        with transaction(connection):
            connection.execute(
                "INSERT INTO row VALUES (?, ?, ?)", (writer, number, os.urandom(100 + number * 977 % 9000))
            )
            connection.execute("DELETE FROM row WHERE writer = ? AND number < ?", (writer, number - 40))
        tell("acknowledged", writer, number)


if __name__ == "__main__":
    place, count = Path(sys.argv[1]), int(sys.argv[2])
    if "unsynced" in sys.argv:
        LogReader.sync = lambda self: None  # type: ignore[method-assign]
        os.fdatasync = lambda descriptor: None
    child = os.fork()
    write(place, "child" if child == 0 else "parent", count)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
