"""Does anything cost more than its work when there is a hundred times as much? See the section in README.md.

    python benchmarks/bench_scale.py [--quick] [--folder FOLDER]

At three sizes, each ten times the one before: rows of the index of storage naming packs that are not read,
and empty files of their sizes in a place; real packs, real jobs and real segments where those are read.
Nothing is synced while they are made.
"""

import argparse
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from measuring import ROOT, save, table, verdict

sys.path.insert(0, str(ROOT / "tests" / "backup"))

from desk import Desk

from audobon.backup.repository import PACKS
from audobon.database.copies import own_copy
from audobon.database.looking import shipping_status
from audobon.database.shipping import Shipper
from audobon.sqlite import connect, transaction
from audobon.storage.looking import Wanted

SIZES = (10_000, 100_000, 1_000_000)
MOST_GROWTH = 1.25
"""The exponent of processor time: 1 is in step with the work. A few milliseconds say nothing of it.

On the wall's clock what takes long waits for its neighbours, and what is over at once does not."""

_BLOBS_PER_PACK = 10
_BLOB_BYTES = 3 << 20
_PACK_BYTES = _BLOBS_PER_PACK * _BLOB_BYTES
_ROWS_PER_JOB = 100
_TIMES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of it; saves nothing")
    parser.add_argument(
        "--part", type=int, default=1, help="only the SIZES divided by so many; saves nothing"
    )
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    part = 100 if options.quick else options.part
    sizes = tuple(size // part for size in SIZES)
    found: dict[str, list[Taken]] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder, closing(Desk(Path(folder))) as desk:
            for name, seconds in measured(desk, size).items():
                found.setdefault(name, []).append(seconds)
        print(f"{size:,}: { ({name: each[-1].told for name, each in found.items()}) }", flush=True)
    rows = []
    for name, taken in found.items():
        growth = math.log(
            max(taken[-1].processor_seconds, 1e-6) / max(taken[-2].processor_seconds, 1e-6)
        ) / math.log(sizes[-1] / sizes[-2])
        is_met = growth <= MOST_GROWTH or taken[-1].processor_seconds < 0.01
        rows.append([name, *(each.told for each in taken), f"{growth:.2f}", verdict(is_met)])
    table(
        f"milliseconds of processor time (by the wall's clock), load {os.getloadavg()[0]:.1f}",
        ["what", *(f"{size:,}" for size in sizes), "exponent", ""],
        rows,
    )
    if part == 1:
        save("scale", {"sizes": sizes, "seconds": found, "rows": rows})


class Taken(NamedTuple):
    """What a command took, of all threads of this process, and by the wall's clock."""

    processor_seconds: float
    seconds: float

    @property
    def told(self) -> str:
        """Both in milliseconds."""
        return f"{self.processor_seconds * 1000:,.1f} ({self.seconds * 1000:,.1f})"


def measured(desk: Desk, blobs: int) -> dict[str, Taken]:
    """Return what each command takes on so many blobs and what goes with them."""
    with nothing_synced():
        desk.backups.add(desk.place)
        packs = max(1, blobs // _BLOBS_PER_PACK)
        of_rebuild = rebuilt(desk, max(1, packs // 100))
        names = fill_index(desk, blobs, packs)
        fill_place(desk, names)
        jobs = max(1, blobs // _ROWS_PER_JOB)
        fill_jobs(desk, jobs)
        ship_segments(desk, jobs)
    storage = desk.storage
    some = storage.find(Wanted(), newest=1)[0].key
    taken = {
        "storage rebuild, a hundredth of the packs": of_rebuild,
        "storage usage": best(storage.usage),
        "storage find KEY": best(lambda: storage.find(Wanted(prefix=some[:12]))),
        "storage list (newest 50)": best(lambda: storage.find(Wanted(), newest=50)),
        "storage put": best(lambda: storage.put(os.urandom(1000))),
        "storage gc --dry-run": best(lambda: storage.collect(is_dry=True)),
        "storage gc, nothing dead": best(storage.collect),
        "database status": best(
            lambda: shipping_status(desk.database.path, own_copy(desk.folder), desk.keys)
        ),
        "backup now, unchanged": best(desk.backups.make),
    }
    assert not desk.backups.failures, desk.backups.failures
    assert desk.backups.make()[0].new_packs <= 1
    return taken


def rebuilt(desk: Desk, count: int) -> Taken:
    """Make so many packs; return what it takes to make the index anew from them."""
    for _ in range(count):
        with desk.storage.batch(kind="page") as batch:
            for _ in range(_BLOBS_PER_PACK):
                batch.put(desk.chance.randbytes(100))
        desk.storage.seal_open_packs()

    def rebuild() -> None:
        found = desk.storage.rebuild()
        assert (found.packs, found.blobs, found.faults) == (count, count * _BLOBS_PER_PACK, []), found

    return best(rebuild, times=1)


def fill_index(desk: Desk, blobs: int, packs: int) -> list[str]:
    """Add rows for blobs nobody reads; return the names of their packs."""
    subject = desk.storage.usage()[0].subject
    desk.storage.close()
    chance = random.Random(3)
    names = []
    with closing(connect(desk.folder / "storage.db", durable=False)) as connection, transaction(connection):
        first = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM pack").fetchone()[0]
        for number in range(packs):
            pack_id = chance.randbytes(16).hex()
            names.append(f"page/{subject}/{pack_id[:2]}/{pack_id}.pack")
            connection.execute(
                "INSERT INTO pack (id, pack_id, name, subject, kind, tier, tier_since, state, size_bytes,"
                " digest, created_at) VALUES (?, ?, ?, ?, 'page', 'standard', 1, 'sealed', ?, 'none', ?)",
                (first + number, pack_id, names[-1], subject, _PACK_BYTES, 1e9 + number),
            )
        connection.executemany(
            "INSERT INTO blob (key, pack, offset, stored_bytes, size_bytes, flags, created_at)"
            " VALUES (?, ?, ?, ?, ?, 0, ?)",
            (
                (
                    chance.randbytes(32),
                    first + number % packs,
                    number // packs,
                    _BLOB_BYTES,
                    _BLOB_BYTES,
                    1e9 + number,
                )
                for number in range(blobs)
            ),
        )
    return names


def fill_place(desk: Desk, names: list[str]) -> None:
    for name in names:
        path = desk.place / (PACKS + name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(_PACK_BYTES)


def fill_jobs(desk: Desk, count: int) -> None:
    with closing(desk.database.open()) as connection, transaction(connection):
        for number in range(count):
            connection.execute(
                "INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
                " VALUES (?, ?, 'upscale', '{}', '/comic', 'folder', 'interrupted', ?)",
                (f"job{number}", f"job{number}", desk.now + number),
            )


def ship_segments(desk: Desk, count: int) -> None:
    path = desk.database.path
    with (
        closing(desk.database.open()) as connection,
        closing(Shipper(path, own_copy(desk.folder), desk.keys)) as shipper,
    ):
        for number in range(count):
            with transaction(connection):
                connection.execute("UPDATE job SET created_at = ? WHERE id = 'job0'", (desk.now + number,))
            shipper.ship(takes_snapshots=number == 0)


def best(deed: Callable[[], Any], *, times: int = _TIMES) -> Taken:
    """Return the least of a few times: neighbours only add."""
    taken = []
    for _ in range(times):
        begun = Taken(time.process_time(), time.perf_counter())
        deed()
        ended = Taken(time.process_time(), time.perf_counter())
        taken.append(Taken(*(end - start for end, start in zip(ended, begun, strict=True))))
    return Taken(*map(min, zip(*taken, strict=True)))


@contextmanager
def nothing_synced() -> Any:
    """Have no sync wait for the disk during the block."""
    real = os.fsync, os.fdatasync
    os.fsync = os.fdatasync = lambda _: None
    try:
        yield
    finally:
        os.fsync, os.fdatasync = real


if __name__ == "__main__":
    main()
