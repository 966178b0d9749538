"""Processes for the tests of shipping to start and kill: writers, and a shipper.

`python shipping_processes.py write FOLDER NAME MODE` commits rows and prints the number of each once it is
acknowledged, going on where an earlier one of that name ended; `ship FOLDER` ships every 50 ms.
"""

import os
import sys
import time
from pathlib import Path

from audobon.database.continuous import ContinuousShipping
from audobon.database.copies import own_copy
from audobon.database.shipping import Shipper
from audobon.keys.unlocking import open_keys
from audobon.sqlite import connect, transaction


def shipper(folder: Path) -> Shipper:
    keys = open_keys(folder, unlock_folder=folder / "keyrings")
    return Shipper(folder / "audobon.db", own_copy(folder), keys)


def write(folder: Path, name: str, mode: str, seconds: float) -> None:
    path = folder / "audobon.db"
    connection = connect(path, grouped=True, keeps_log=True)
    connection.execute("CREATE TABLE IF NOT EXISTS row (writer TEXT, number INTEGER, at REAL, filling BLOB)")
    if mode != "off":
        ContinuousShipping(path, lambda: shipper(folder), mode=mode, seconds=seconds).attach(connection)  # type: ignore[arg-type]
    query = "SELECT coalesce(max(number), 0) FROM row WHERE writer = ?"
    (number,) = connection.execute(query, (name,)).fetchone()
    while True:
        number += 1
        with transaction(connection):
            connection.execute(
                "INSERT INTO row VALUES (?, ?, ?, ?)", (name, number, time.time(), os.urandom(3000))
            )
            connection.execute("DELETE FROM row WHERE writer = ? AND number < ?", (name, number - 300))
        os.write(1, f"{number} {time.time()}\n".encode())


def ship(folder: Path) -> None:
    ships = shipper(folder)
    os.write(1, b"ready\n")
    while True:
        ships.ship()
        time.sleep(0.05)


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    if sys.argv[1] == "write":
        write(folder, sys.argv[3], sys.argv[4], float((sys.argv[5:] or [0.05])[0]))
    ship(folder)
