"""Cuts the power, in effigy: replays what was written to the disk up to random instants.

Processes that add and finish tasks run under strace, which notes every write to the database's files, every
wait for the disk, and every acknowledgement, in the order in which the system saw them. At a random instant
the disk is imagined: what was waited for is there; of every sector written since, it is drawn whether it is
there, torn files and all. The database is opened on that, and must hold all that was acknowledged before.
"""

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from audobon.database.service import Database
from audobon.queue.embedded import SqliteQueue

_HERE = Path(__file__).parent
_SECTOR_BYTES = 512
_TRACED = "trace=pwrite64,write,fsync,fdatasync,ftruncate"
# -y names the file behind a descriptor; -xx and -s write all bytes out.
_STRACE = ["-f", "-qq", "-y", "-xx", "-s", "1000000", "-e", _TRACED]
_CALL = re.compile(r"^\d+ +(\w+)\((\d+)<([^>]*)>(?:, (.*))?\) += (-?\d+)")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
_UNFINISHED = re.compile(r"^(\d+) +(.*) <unfinished \.\.\.>$")
_TEXT = re.compile(r'^"((?:\\x[0-9a-f]{2})*)"')


class Deed(NamedTuple):
    """A call in the trace.

    kind  write, sync, truncate or note (an acknowledgement)
    at    offset, or new size
    """

    kind: str
    file: str
    at: int = 0
    data: bytes = b""


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
            *_STRACE,
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
    deeds = list(_deeds(trace, data))
    draw = random.Random(seed)
    wrong = {"acknowledged and lost": 0, "finished and lost": 0, "database damaged": 0}
    for number in range(cuts):
        imagined = folder / f"cut-{number}"
        shutil.copytree(before, imagined)
        until = draw.randrange(len(deeds))
        _imagine(deeds[:until], imagined, draw)
        for fault in _judge(imagined, deeds[:until]):
            wrong[fault] += 1
        shutil.rmtree(imagined)
    syncs = sum(deed.kind == "sync" for deed in deeds)
    notes = sum(deed.kind == "note" for deed in deeds)
    return {"cuts": cuts, "writes": len(deeds), "syncs": syncs, "acknowledgements": notes, "wrong": wrong}


def _deeds(trace: Path, data: Path) -> Iterator[Deed]:
    offsets: dict[str, int] = {}
    for line in _whole_lines(trace):
        match = _CALL.match(line)
        if match is None or int(match[5]) < 0:
            continue
        call, descriptor, path, rest = match[1], int(match[2]), match[3], match[4] or ""
        path = _decoded(path).decode()
        if call == "write" and descriptor == 1:
            yield Deed("note", "", data=_bytes(rest))
        elif not path.startswith(f"{data}/audobon.db") or path.endswith("-shm"):
            continue
        elif call == "pwrite64":
            at = int(rest.rsplit(", ", 1)[1])
            yield Deed("write", Path(path).name, at, _bytes(rest))
        elif call in ("fsync", "fdatasync"):
            yield Deed("sync", Path(path).name)
        elif call == "ftruncate":
            yield Deed("truncate", Path(path).name, int(rest))
        else:
            raise SystemExit(f"the replay does not know this call: {line[:120]} {offsets}")


def _whole_lines(trace: Path) -> Iterator[str]:
    """Yield the calls, those that others ran into put together; a call counts when it ended."""
    begun: dict[str, str] = {}
    with trace.open(encoding="ascii") as file:
        for line in file:
            if match := _UNFINISHED.match(line):
                begun[match[1]] = match[2]
            elif match := _RESUMED.match(line):
                yield f"{match[1]} {begun.pop(match[1], '')}{match[3]}"
            else:
                yield line


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if "\\x" in text else text.encode()


def _bytes(rest: str) -> bytes:
    match = _TEXT.match(rest)
    return b"" if match is None else _decoded(match[1])


def _imagine(deeds: list[Deed], folder: Path, draw: random.Random) -> None:
    """Write what the disk could hold after these deeds and a power cut."""
    synced = {deed.file: index for index, deed in enumerate(deeds) if deed.kind == "sync"}
    # A disk that kept nothing of what it need not, one that kept most, and all between.
    kept = draw.choice([0.0, 0.5, 0.9, 1.0])
    for index, deed in enumerate(deeds):
        if deed.kind not in ("write", "truncate"):
            continue
        is_safe = index < synced.get(deed.file, -1)
        path = folder / deed.file
        path.touch()
        if deed.kind == "truncate":
            if is_safe or draw.random() < kept:
                with path.open("r+b") as file:
                    file.truncate(deed.at)
            continue
        with path.open("r+b") as file:
            for start in range(0, len(deed.data), _SECTOR_BYTES):
                if is_safe or draw.random() < kept:
                    file.seek(deed.at + start)
                    file.write(deed.data[start : start + _SECTOR_BYTES])


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
