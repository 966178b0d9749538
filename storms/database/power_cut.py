"""Cuts the power, in effigy, while a database is shipped: the copy must never be ahead, nor behind.

Two processes that commit, and ship before they acknowledge, run under strace, as the queue's do
(`storms/queue/power_cut.py`). At a random instant the disk is imagined. The database on that disk must hold
every commit that any object of the copy holds by then; the copy must hold every commit acknowledged by then;
and shipping must go on from there, so that the copy ends as the database does.

power_cut.py [--cuts 100] [--rows 120] [--seed N]
Ends with status 1 when the copy and the database differed otherwise than they may.
"""

import argparse
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from audobon.database.generations import latest_position
from audobon.database.restoring import faults_in, restore_database
from audobon.database.shipping import Shipper
from audobon.keys.service import Keys
from audobon.keys.unlocking import open_keys
from audobon.sqlite import connect
from audobon.storage.embedded import FolderObjectStore

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE.parent / "queue"))

from power_cut_replay import STRACE, Deed, deeds_of, imagine  # noqa: E402

Rows = dict[str, set[int]]


def cut_power(folder: Path, *, cuts: int, rows: int, seed: int, breaking: str = "") -> dict[str, Any] | None:
    """Return what was done and what was found wrong; None without strace.

    breaking  a way to break shipping, to see that it is noticed
    """
    strace = shutil.which("strace")
    if strace is None:
        return None
    data, before = folder / "data", folder / "before"
    with closing(connect(data_file(data))) as connection:
        connection.execute("CREATE TABLE row (writer TEXT, number INTEGER, filling BLOB)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    open_keys(data, unlock_folder=data / "keyrings").close()
    before.mkdir()
    shutil.copy(data_file(data), before)
    trace = folder / "trace"
    command = [sys.executable, _HERE / "power_process.py", data, str(rows), *([breaking] if breaking else [])]
    subprocess.run([strace, *STRACE, "-o", trace, *command], check=True, stdout=subprocess.DEVNULL)
    deeds = list(deeds_of(trace, data))
    draw = random.Random(seed)
    wrong = {
        "copy ahead of the database": 0,
        "acknowledged and not in the copy": 0,
        "damaged": 0,
        "not gone on": 0,
    }
    with closing(open_keys(data, unlock_folder=data / "keyrings")) as keys:
        for number in range(cuts):
            imagined = folder / f"cut-{number}"
            shutil.copytree(before, imagined)
            until = draw.randrange(len(deeds))
            imagine(deeds[:until], imagined, draw)
            for fault in _judge(data, imagined, keys, deeds[:until]):
                wrong[fault] += 1
            shutil.rmtree(imagined)
    notes = [word for deed in deeds if deed.kind == "note" for word in deed.data.decode().split("\n") if word]
    return {
        "cuts": cuts,
        "writes": len(deeds),
        "objects": sum(note.startswith("stored") for note in notes),
        "acknowledgements": sum(note.startswith("acknowledged") for note in notes),
        "wrong": wrong,
    }


def data_file(folder: Path) -> Path:
    """Return where the database of a folder lies; the folder is there then."""
    folder.mkdir(exist_ok=True)
    return folder / "audobon.db"


def _judge(data: Path, folder: Path, keys: Keys, deeds: list[Deed]) -> Iterator[str]:
    notes = [
        line.split()
        for deed in deeds
        if deed.kind == "note"
        for line in deed.data.decode().splitlines()
        if line
    ]
    for name in (note[1] for note in notes if note[0] == "stored"):
        # One that another had stored already was told as well.
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data / name, folder / name)
    store = FolderObjectStore({"standard": folder})
    path = folder / "audobon.db"
    acknowledged = {(note[1], int(note[2])) for note in notes if note[0] == "acknowledged"}
    copied: Rows = {}
    if latest_position(store, keys) is not None:
        restore_database(store, keys, folder / "copy.db")
        with closing(sqlite3.connect(folder / "copy.db")) as connection:
            copied = _rows(connection)
    elif acknowledged:
        yield "acknowledged and not in the copy"
    with closing(connect(path)) as connection:
        if faults_in(connection):
            yield "damaged"
            return
        held = _rows(connection)
        if any(max(numbers) > max(held.get(writer, {0})) for writer, numbers in copied.items()):
            yield "copy ahead of the database"
        if any(number > max(copied.get(writer, {0})) for writer, number in acknowledged):
            yield "acknowledged and not in the copy"
        with closing(Shipper(path, store, keys)) as shipper:
            shipper.ship()
    restore_database(store, keys, folder / "again.db")
    with closing(sqlite3.connect(folder / "again.db")) as connection:
        if _rows(connection) != held:
            yield "not gone on"


def _rows(connection: sqlite3.Connection) -> Rows:
    found: Rows = {}
    for writer, number in connection.execute("SELECT writer, number FROM row"):
        found.setdefault(writer, set()).add(number)
    return found


def main() -> int:
    """Cut, and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--rows", type=int, default=120)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--breaking", default="", help="unsynced: ship what the disk was not waited for")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="audobon-storm-") as folder:
        found = cut_power(
            Path(folder), cuts=asked.cuts, rows=asked.rows, seed=asked.seed, breaking=asked.breaking
        )
    if found is None:
        print("not tried, strace is not installed (Debian: apt install strace)")
        return 0
    print(f"seed {asked.seed}")
    for name, value in found.items():
        print(f"  {name:<18} {value}")
    return 1 if any(found["wrong"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
