"""What does shipping the database lose, cost and take to undo? See the section in README.md.

bench_database.py [--quick] [--kills N] [--targets N] [--gigabytes G] [--repeats N] [--only loss,exact,...]
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from measuring import ROOT, median_ratio, save, table

sys.path.insert(0, str(ROOT / "tests" / "database"))

from shipped_desk import Desk, number_in, random_deed
from shipping_processes import shipper

from audobon.database.continuous import ContinuousShipping
from audobon.database.copies import own_copy
from audobon.database.restoring import restore_database
from audobon.database.service import Database
from audobon.keys.unlocking import open_keys
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Claimant, Needs, NewTask
from audobon.sqlite import connect, transaction

PROCESSES = ROOT / "tests" / "database" / "shipping_processes.py"
_TASKS = 1200
PARTS = ("loss", "exact", "restore", "writer", "queue")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes; saves nothing")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--folder", type=Path, help="where to work; the disk is part of what is measured")
    options = parser.parse_args()
    if options.quick:
        options.kills, options.targets, options.gigabytes, options.repeats = 6, 20, 0.05, 1
    measures: dict[str, Callable[[Path], dict[str, Any]]] = {
        "loss": lambda folder: {mode: loss(folder / mode, mode, options.kills) for mode in ("async", "sync")},
        "exact": lambda folder: exactness(folder, options.targets),
        "restore": lambda folder: restores(folder, options.gigabytes, options.repeats),
        "writer": lambda folder: writer_beside_snapshot(folder, options.gigabytes),
        "queue": lambda folder: queue_rates(folder, options.repeats),
    }
    figures: dict[str, Any] = {}
    for name in options.only.split(","):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            figures[name] = measures[name](Path(folder))
        table(name, ["figure", "value"], [[key, str(value)] for key, value in figures[name].items()])
    if not options.quick and options.only == ",".join(PARTS):
        save("database", figures)


def loss(folder: Path, mode: str, kills: int) -> dict[str, Any]:
    """Kill two writers, who ship, at random instants; return what they acknowledged and the copy lacks."""
    folder.mkdir()
    draw = random.Random(5)
    path = folder / "audobon.db"
    with closing(connect(path)) as connection:
        ContinuousShipping(path, lambda: shipper(folder), mode="async").attach(connection)
        connection.execute("CREATE TABLE row (writer TEXT, number INTEGER, at REAL, filling BLOB)")
    lost_rows, lost_seconds, acknowledged = 0, [], 0
    for turn in range(kills):
        acks = {name: folder / f"{name}{turn}.acknowledged" for name in "ab"}
        running = []
        for name, ack in acks.items():
            with ack.open("wb") as out:
                command = [sys.executable, str(PROCESSES), "write", str(folder), name, mode, "0.1"]
                running.append(subprocess.Popen(command, stdout=out))
        while any(ack.stat().st_size < 400 for ack in acks.values()):
            time.sleep(0.01)
        time.sleep(draw.random() * 0.6)
        for process in running:
            process.kill()
        killed_at = time.time()
        for process in running:
            process.wait()
        keys = open_keys(folder, unlock_folder=folder / "keyrings")
        restore_database(own_copy(folder), keys, folder / "restored.db", overwrite=True)
        keys.close()
        for name, ack in acks.items():
            lines = ack.read_text().split("\n")[:-1]
            acknowledged += len(lines)
            with closing(connect(folder / "restored.db")) as connection:
                row = connection.execute("SELECT max(number) FROM row WHERE writer = ?", (name,)).fetchone()
            missing = [line for line in lines if int(line.split()[0]) > (row[0] or 0)]
            lost_rows += len(missing)
            lost_seconds.append(killed_at - float(missing[0].split()[1]) if missing else 0.0)
    lost_seconds.sort()
    return {
        "kills": kills,
        "acknowledged": acknowledged,
        "lost": lost_rows,
        "lost_s_median": round(statistics.median(lost_seconds), 3),
        "lost_s_p99": round(lost_seconds[int(len(lost_seconds) * 0.99)], 3),
        "lost_s_most": round(lost_seconds[-1], 3),
    }


def exactness(folder: Path, targets: int) -> dict[str, Any]:
    """Restore random commits of a random history; return how many were exactly what was there."""
    draw = random.Random(9)
    desk = Desk(folder)
    first = desk.ship().commit
    for _ in range(600):
        desk.write(*random_deed(draw, desk.number))
        if draw.random() < 0.4:
            desk.ship()
        if draw.random() < 0.02:
            desk.reopen()
    last = desk.ship().commit
    exact = 0
    for commit in (draw.randrange(first, last + 1) for _ in range(targets)):
        found = desk.restored(commit)
        exact += found == desk.seen[number_in(found)]
    desk.close()
    return {"targets": targets, "exact": exact, "generations": len(desk.generations())}


def filled(folder: Path, gigabytes: float) -> Path:
    """Return a database of so many bytes, of which a half can be compressed."""
    path = folder / "audobon.db"
    with closing(connect(path, durable=False)) as connection:
        connection.execute("CREATE TABLE filling (id INTEGER PRIMARY KEY, random BLOB, plain TEXT)")
        rows = int(gigabytes * 1e9 / 8000)
        plain = "what is said on this page of the book " * 100
        for start in range(0, rows, 2000):
            with transaction(connection):
                connection.executemany(
                    "INSERT INTO filling (random, plain) VALUES (?, ?)",
                    ((os.urandom(3900), plain) for _ in range(min(2000, rows - start))),
                )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def restores(folder: Path, gigabytes: float, repeats: int) -> dict[str, Any]:
    """Return how long a restore takes, its check included, beside a plain copy of the same file."""
    path = filled(folder, gigabytes)
    size = path.stat().st_size / 1e9
    keys = open_keys(folder, unlock_folder=folder / "keyrings")
    with closing(connect(path)) as connection, closing(shipper(folder)) as ships:
        begun = time.perf_counter()
        ships.ship()
        snapshot_seconds = time.perf_counter() - begun
        for _ in range(50):
            with transaction(connection):
                connection.execute("UPDATE filling SET plain = 'new' WHERE id % 5000 = abs(random()) % 5000")
            ships.ship()
    ours, copies = [], []
    for _ in range(repeats):
        begun = time.perf_counter()
        subprocess.run(["cp", path, folder / "copy.db"], check=True)
        with (folder / "copy.db").open("rb") as file:
            os.fsync(file.fileno())
        copies.append(time.perf_counter() - begun)
        (folder / "copy.db").unlink()
        begun = time.perf_counter()
        restore_database(own_copy(folder), keys, folder / "restored.db")
        ours.append(time.perf_counter() - begun)
        (folder / "restored.db").unlink()
    keys.close()
    return {
        "size_gb": round(size, 3),
        "snapshot_s_per_gb": round(snapshot_seconds / size, 2),
        "copy_s_per_gb": round(statistics.median(copies) / size, 2),
        "restore_s_per_gb": round(statistics.median(ours) / size, 2),
        "restore_s_per_gb_range": [round(min(ours) / size, 2), round(max(ours) / size, 2)],
    }


def writer_beside_snapshot(folder: Path, gigabytes: float) -> dict[str, Any]:
    """Return how long commits take before and while a snapshot is taken."""
    path = filled(folder, gigabytes)
    found = {}
    with closing(connect(path, grouped=True)) as connection, closing(shipper(folder)) as ships:
        connection.execute("CREATE TABLE row (x)")

        def write(while_true: Callable[[], bool]) -> list[float]:
            taken = []
            while while_true():
                begun = time.perf_counter()
                with transaction(connection, is_hasty=True):
                    connection.execute("INSERT INTO row VALUES (randomblob(500))")
                taken.append((time.perf_counter() - begun) * 1000)
                time.sleep(0.002)
            return sorted(taken)

        end_at = time.monotonic() + 3
        for name, times in (
            ("alone", write(lambda: time.monotonic() < end_at)),
            ("beside", _while(ships.ship, write)),
        ):
            found[f"{name}_commits"] = len(times)
            found[f"{name}_p50_ms"] = round(times[len(times) // 2], 3)
            found[f"{name}_p99_ms"] = round(times[int(len(times) * 0.99)], 3)
            found[f"{name}_most_ms"] = round(times[-1], 3)
    return found


def _while(deed: Callable[[], object], write: Callable[[Callable[[], bool]], list[float]]) -> list[float]:
    thread = threading.Thread(target=deed)
    thread.start()
    times = write(thread.is_alive)
    thread.join()
    return times


def queue_rates(folder: Path, repeats: int) -> dict[str, Any]:
    """Return how many tasks a second are claimed and finished, by way of shipping and by how many workers.

    Each way has taken its first snapshot before the clock runs.
    """
    rates: dict[str, list[float]] = {}
    for turn in range(repeats):
        ways = [(mode, workers) for workers in (1, 4) for mode in ("off", "async", "sync")]
        for mode, workers in ways if turn % 2 == 0 else reversed(ways):
            place = folder / f"{mode}{workers}-{turn}"
            place.mkdir()
            rates.setdefault(f"{mode}_{workers}", []).append(queue_rate(place, mode, workers))
    found: dict[str, Any] = {f"{name}_per_s": round(statistics.median(each)) for name, each in rates.items()}
    for workers in (1, 4):
        for mode in ("async", "sync"):
            share = median_ratio(rates[f"{mode}_{workers}"], rates[f"off_{workers}"])
            found[f"{mode}_of_off_{workers}"] = [round(value, 2) for value in share]
    return found


def queue_rate(place: Path, mode: str, workers: int) -> float:
    """Return the tasks a second of some threads with a connection each."""
    path = place / "audobon.db"
    shipping = ContinuousShipping(path, lambda: shipper(place), mode=mode)  # type: ignore[arg-type]
    database = Database(place, shipping=shipping)
    done = threading.Barrier(workers + 1)

    def work(share: int) -> None:
        with closing(database.open(grouped=True)) as connection, SqliteQueue(connection) as queue:
            owner = Claimant(owner=threading.current_thread().name)
            done.wait()
            for _ in range(share):
                (lease,) = queue.claim(owner)
                queue.finish(lease)
            done.wait()

    with closing(database.open(grouped=True)) as connection, SqliteQueue(connection) as queue:
        queue.enqueue("batch", [NewTask(needs=Needs(kind="page")) for _ in range(_TASKS)])
        time.sleep(0.5)
        threads = [threading.Thread(target=work, args=(_TASKS // workers,)) for _ in range(workers)]
        for thread in threads:
            thread.start()
        done.wait()
        begun = time.perf_counter()
        done.wait()
        seconds = time.perf_counter() - begun
        for thread in threads:
            thread.join()
    return _TASKS / seconds


if __name__ == "__main__":
    main()
