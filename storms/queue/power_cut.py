"""Cuts the power, in effigy: replays what was written to the disk up to random instants.

Processes that add and finish tasks run under strace, which notes every write to the database's files, every
wait for the disk, and every acknowledgement, in the order in which the system saw them. At a random instant
the disk is imagined: what was waited for is there; of every sector written since, it is drawn whether it is
there, torn files and all. The database is opened on that, and must hold all that was acknowledged before.
"""

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from power_cut_replay import STRACE, Deed, deeds_of, imagine

from audobon.database.service import Database
from audobon.queue.embedded import SqliteQueue

_HERE = Path(__file__).parent


def cut_power(folder: Path, *, cuts: int, tasks: int, seed: int, breaking: str = "") -> dict[str, Any] | None:
    """Return what was done and what was found wrong; None without strace.

    breaking  a way to break the queue, to see that it is noticed
    """
    strace = shutil.which("strace")
    if strace is None:
        return None
    data, before = folder / "data", folder / "before"
    SqliteQueue(Database(data).open()).close()
    with Database(data).open() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    shutil.copytree(data, before)
    trace = folder / "trace"
    subprocess.run(
        [
            strace,
            *STRACE,
            "-o",
            trace,
            sys.executable,
            _HERE / "power_process.py",
            data,
            str(tasks),
            breaking,
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    deeds = list(deeds_of(trace, data))
    draw = random.Random(seed)
    wrong = {"acknowledged and lost": 0, "finished and lost": 0, "database damaged": 0}
    for number in range(cuts):
        imagined = folder / f"cut-{number}"
        shutil.copytree(before, imagined)
        until = draw.randrange(len(deeds))
        imagine(deeds[:until], imagined, draw)
        for fault in _judge(imagined, deeds[:until]):
            wrong[fault] += 1
        shutil.rmtree(imagined)
    syncs = sum(deed.kind == "sync" for deed in deeds)
    notes = sum(deed.kind == "note" for deed in deeds)
    return {"cuts": cuts, "writes": len(deeds), "syncs": syncs, "acknowledgements": notes, "wrong": wrong}


def _judge(folder: Path, deeds: list[Deed]) -> Iterator[str]:
    notes = [
        word.split() for deed in deeds if deed.kind == "note" for word in deed.data.decode().splitlines()
    ]
    added = {int(note[1]) for note in notes if note[0] == "added"}
    finished = {int(note[1]) for note in notes if note[0] == "finished"}
    connection = Database(folder).open()
    try:
        if connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            yield "database damaged"
        states = {row[0]: row[1] for row in connection.execute("SELECT id, state FROM task")}
    finally:
        connection.close()
    if not added <= states.keys():
        yield "acknowledged and lost"
    if any(states.get(task_id) != "done" for task_id in finished):
        yield "finished and lost"
