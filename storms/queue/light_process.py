"""The small processes of the storm: those that add tasks, those that do them, and the engine over them.

light_process.py enqueue FOLDER JOURNAL SEED      adds tasks for ever, and notes what was acknowledged
light_process.py engine  FOLDER JOURNALS          the real engine, with light workers
python -m light_process                           one light worker, as the engine starts it

With STORM_BREAKING=unfenced, workers finish whatever token they hold, to see that the storm notices.

A journal is a file that only grows: what was written to it outlasts the death of the process that wrote.
"""

import os
import random
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from audobon.compute import crew
from audobon.compute.engine import Engine
from audobon.compute.engine_settings import EngineSettings
from audobon.compute.orders import Orders
from audobon.compute.worker_messages import Hello
from audobon.config import keyrings_folder
from audobon.database.service import Database
from audobon.errors import AlreadyRunning, LeaseLost, WorkerDied
from audobon.keys.service import Keys
from audobon.keys.unlocking import open_keys
from audobon.pages.picture_limits import PictureLimits
from audobon.queue import statements
from audobon.queue.embedded import SqliteQueue
from audobon.queue.port import Queue
from audobon.queue.tasks import Claimant, Lease, Needs, NewTask, Result
from audobon.telemetry.logs import Log

KIND = "storm"
BUDGET_BYTES = 1 << 30
_FENCE = "AND token = :token AND state = 'leased'"
_WORKERS = 3
_MOST_OPEN_TASKS = 400


def keys_of(folder: Path) -> Keys:
    """Return the keys that seal what the tasks say, as in earnest."""
    return open_keys(folder, unlock_folder=keyrings_folder())


class Journal:
    """Notes, one a line, of what a process saw."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, mark: str, *numbers: int) -> None:
        """Write a line; it is there as soon as this returns."""
        os.write(self._descriptor, " ".join([mark, *map(str, numbers)]).encode() + b"\n")


def enqueue(folder: Path, journal_path: Path, seed: int) -> None:
    """Add tasks of all sizes and kinds of urgency, some of them twice."""
    draw, journal = random.Random(seed), Journal(journal_path)
    with SqliteQueue(Database(folder).open(grouped=True), keys=keys_of(folder)) as queue:
        for number in range(sys.maxsize):
            while _open_tasks(queue) > _MOST_OPEN_TASKS:
                time.sleep(0.01)
            tasks = [
                NewTask(
                    needs=Needs(
                        kind=KIND, model=draw.choice("abc"), ram_bytes=draw.choice([1, 300, 900]) << 20
                    ),
                    priority=draw.randint(-2, 2),
                    delay_seconds=draw.choice([0.0, 0.0, 0.0, 0.05]),
                    idempotency_key=f"{seed}/{number}/{index}",
                )
                for index in range(draw.randint(1, 12))
            ]
            category = draw.choice(["interactive", "batch"])
            ids = queue.enqueue(category, tasks)
            journal.note("added", *ids)
            if draw.random() < 0.2 and queue.enqueue(category, tasks) != ids:
                journal.note("doubled", *ids)


def _open_tasks(queue: Queue) -> int:
    return sum(figures.ready + figures.waiting + figures.leased for figures in queue.figures())


def engine(folder: Path, journals: Path) -> None:
    """Run the real engine with light workers until it is killed."""
    crew._WORKER_MODULE = "light_process"
    os.environ["STORM_JOURNALS"] = str(journals)
    settings = EngineSettings(
        folder=folder, limits=PictureLimits(1, 1, 1), max_seconds=1.0, workers=_WORKERS, stall_seconds=5.0
    )
    # Workers killed one after the other end an engine by design; the storm starts another.
    with (
        suppress(AlreadyRunning, WorkerDied),
        SqliteQueue(Database(folder).open(), keys=keys_of(folder)) as queue,
    ):
        log = Log(folder, keys_of(folder).seal_text, level="error")
        with Engine(settings, queue, log, budget_bytes=lambda: BUDGET_BYTES) as running:
            while True:
                running.tick()
                running.wait(0.05)


def work() -> None:
    """Do tasks: some finish at once, some hold on, some fail and are tried again."""
    hello = msgspec.json.decode(_first_line(), type=Hello)
    Orders(on_budget=lambda _: None).listen(sys.stdin.buffer)
    journal = Journal(Path(os.environ["STORM_JOURNALS"]) / f"worker-{os.getpid()}-{hello.owner}")
    draw = random.Random(hello.owner)
    if os.environ.get("STORM_BREAKING") == "unfenced":
        assert _FENCE in statements.FINISH
        statements.FINISH = statements.FINISH.replace(_FENCE, "AND :token > 0")
    with SqliteQueue(
        Database(Path(hello.folder)).open(grouped=True), keys=keys_of(Path(hello.folder))
    ) as queue:
        while True:
            claimant = Claimant(owner=hello.owner, pool=hello.pool, models=frozenset(draw.choice("abc")))
            leases = queue.claim(claimant, limit=draw.choice([1, 1, 4]))
            if leases:
                _do(queue, leases, draw, journal)
            else:
                queue.wait(0.2)


def _do(queue: Queue, leases: list[Lease], draw: random.Random, journal: Journal) -> None:
    for lease in leases:
        with suppress(LeaseLost):
            queue.progress(lease, 1, 2)
            if draw.random() < 0.2:
                time.sleep(draw.random() * 0.05)
            if draw.random() < 0.05:
                queue.fail(lease, code="storm", message="thrown back", retry=True)
                continue
            lost = queue.finish_all([Result(lease, f"{lease.id}-{lease.token}", "{}")])
            if lost:
                journal.note("lost", lease.id, lease.token)
            else:
                journal.note("published", lease.id, lease.token)


def _first_line() -> bytes:
    line = b""
    while (byte := os.read(sys.stdin.fileno(), 1)) not in (b"", b"\n"):
        line += byte
    return line


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["enqueue", folder, journal, seed]:
            enqueue(Path(folder), Path(journal), int(seed))
        case ["engine", folder, journals]:
            engine(Path(folder), Path(journals))
        case _:
            work()
