"""How fast are blobs put and got, encrypted, beside the copy of plain files?

    python benchmarks/bench_storage.py [--rounds N] [--small]

Each round does in turn: a plain copy with sync, a large put, a plain copy again; the ratio is to the mean
of both copies. Then 10,000 objects of 10 KiB, half text and half noise: in one batch; 2,000 of them one by one
from eight threads, and as plain files, each written, synced, renamed and its folder synced. Then a mix of
large and small, one gibibyte. Every put ends durable, so the disk is in all figures; what is read again comes
from the system's memory. Checked before any time is told: what was got equals what was put.
"""

import os
import random
import shutil
import statistics
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from audobon.keys.unlocking import open_keys
from audobon.storage.service import Storage
from measuring import save, scratch, table, verdict

LARGE_BYTES = 256 << 20
OBJECTS = 10_000
OBJECT_BYTES = 10 << 10
LEAST_LARGE_RATIO = 0.6
LEAST_SMALL_RATIO = 8.0
LEAST_SMALL_MBS = 32.0

_PIECE = 1 << 20


def main() -> None:
    rounds = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 3
    large_bytes = LARGE_BYTES // 8 if "--small" in sys.argv else LARGE_BYTES
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        with scratch() as (folder, _environment):
            for name, value in one_round(folder, large_bytes).items():
                found.setdefault(name, []).append(value)
    tell(found, rounds)


def one_round(folder: Path, large_bytes: int) -> dict[str, float]:
    source = folder / "large"
    write_noise(source, large_bytes)
    objects = small_objects()
    figures: dict[str, float] = {}
    keys = open_keys(folder / "data", unlock_folder=folder / "unlock")
    with closing(Storage(folder / "data", keys)) as storage:
        storage.put(b"the first blob makes the keyring and the index")
        before = copied(source, folder / "copy")
        seconds, key = timed(lambda: put_file(storage, source))
        figures["large put"] = large_bytes / seconds / 1e6
        after = copied(source, folder / "copy")
        figures["plain copy"] = large_bytes / statistics.mean((before, after)) / 1e6
        figures["large put / copy"] = statistics.mean((before, after)) / seconds
        figures["large get"] = large_bytes / check_large(storage, key, source) / 1e6
        storage.sweep(set, broken_before=0)
        source.unlink()

        total = OBJECTS * OBJECT_BYTES
        seconds, stored = timed(lambda: put_batch(storage, objects))
        figures["small put, batch"] = total / seconds / 1e6
        seconds, got = timed(lambda: [storage.get(key) for key in stored])
        assert got == objects
        figures["small get"] = total / seconds / 1e6
        few = [os.urandom(OBJECT_BYTES) for _ in range(2000)]
        figures["small put, 8 threads"] = len(few) * OBJECT_BYTES / put_by_threads(storage, few) / 1e6
        seconds, _ = timed(lambda: write_each(folder / "each", few))
        figures["file by file"] = len(few) * OBJECT_BYTES / seconds / 1e6
        figures["batch / file by file"] = figures["small put, batch"] / figures["file by file"]
        storage.sweep(set, broken_before=0)
        figures |= mixed(storage, folder, objects, large_bytes)
    return figures


def mixed(storage: Storage, folder: Path, objects: list[bytes], large_bytes: int) -> dict[str, float]:
    """Return the figures of large and small together: three files of noise, one of text, and the objects."""
    tree = folder / "tree"
    tree.mkdir()
    for number in range(3):
        write_noise(tree / f"noise{number}", large_bytes)
    (tree / "text").write_bytes(b"line work, lettering and gutters " * (large_bytes // 33))
    for number, data in enumerate(objects):
        (tree / f"object{number}").write_bytes(data)
    total = sum(path.stat().st_size for path in tree.iterdir())
    os.sync()

    def copy() -> None:
        shutil.copytree(tree, folder / "tree copy")
        os.sync()

    before, _ = timed(copy)
    shutil.rmtree(folder / "tree copy")

    def put() -> list[str]:
        stored = []
        with storage.batch() as batch:
            for path in tree.iterdir():
                if path.stat().st_size < _PIECE:
                    stored.append(batch.put(path.read_bytes()))
                else:
                    stored.append(put_file(storage, path))
        return stored

    seconds, stored = timed(put)
    after, _ = timed(copy)

    def get() -> None:
        with (folder / "null").open("wb") as target:
            for key in stored:
                target.seek(0)
                storage.copy_to(key, target)

    got, _ = timed(get)
    copy_seconds = statistics.mean((before, after))
    return {
        "mixed put": total / seconds / 1e6,
        "mixed copy": total / copy_seconds / 1e6,
        "mixed put / copy": copy_seconds / seconds,
        "mixed get": total / got / 1e6,
    }


def small_objects() -> list[bytes]:
    words = [b"%d balloons, panels and gutters " % number for number in range(500)]
    made = random.Random(4)
    return [
        os.urandom(OBJECT_BYTES)
        if number % 2
        else b"".join(made.choices(words, k=400))[:OBJECT_BYTES].ljust(OBJECT_BYTES)
        for number in range(OBJECTS)
    ]


def write_noise(path: Path, count: int) -> None:
    with path.open("wb") as file:
        for _ in range(count // _PIECE):
            file.write(os.urandom(_PIECE))


def copied(source: Path, target: Path) -> float:
    """Return the seconds that a plain copy with sync takes; the copy is removed again."""

    def copy() -> None:
        with source.open("rb") as one, target.open("wb") as other:
            shutil.copyfileobj(one, other, _PIECE)
            other.flush()
            os.fsync(other.fileno())

    seconds, _ = timed(copy)
    target.unlink()
    return seconds


def put_file(storage: Storage, path: Path) -> str:
    with path.open("rb") as source, storage.writing() as target:
        while piece := source.read(_PIECE):
            target.write(piece)
    return target.key


def put_batch(storage: Storage, objects: list[bytes]) -> list[str]:
    with storage.batch() as batch:
        return [batch.put(data) for data in objects]


def put_by_threads(storage: Storage, objects: list[bytes]) -> float:
    threads = [
        threading.Thread(target=lambda part=objects[first::8]: [storage.put(data) for data in part])
        for first in range(8)
    ]

    def run() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return timed(run)[0]


def write_each(folder: Path, objects: list[bytes]) -> None:
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY)
    for number, data in enumerate(objects):
        temporary = folder / f"{number}.part"
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(folder / str(number))
        os.fsync(handle)
    os.close(handle)


def check_large(storage: Storage, key: str, source: Path) -> float:
    """Return the seconds that reading a blob takes; it must be what was put."""
    with storage.open(key) as file, source.open("rb") as expected:
        while piece := expected.read(_PIECE):
            assert file.read(len(piece)) == piece
    with Path(os.devnull).open("wb") as target:
        return timed(lambda: storage.copy_to(key, target))[0]


def timed(act: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    answer = act()
    return time.perf_counter() - started, answer


def tell(found: dict[str, list[float]], rounds: int) -> None:
    median = {name: statistics.median(values) for name, values in found.items()}
    rows = [
        (name, f"{median[name]:.2f}", f"{min(values):.2f}", f"{max(values):.2f}")
        for name, values in found.items()
    ]
    table(f"Storage, MB/s or ratio, {rounds} rounds", ["what", "median", "least", "most"], rows)
    goals = {
        "large put / copy": LEAST_LARGE_RATIO,
        "small put, batch": LEAST_SMALL_MBS,
        "batch / file by file": LEAST_SMALL_RATIO,
    }
    for name, least in goals.items():
        print(f"{name} at least {least:g}: {verdict(median[name] >= least)}")
    save("storage", {"rounds": rounds, "figures": found})


if __name__ == "__main__":
    main()
