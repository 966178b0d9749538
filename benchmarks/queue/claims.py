"""Claims of our own queue: how long one takes over a large backlog, and whether the budget ever breaks."""

import multiprocessing
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from brackets import RESAMPLES
from goals import CLAIM_P50_MILLISECONDS, CLAIM_P99_MILLISECONDS, NOTHING_FITS_MILLISECONDS
from lineup import LINEUP, absent
from place import Place
from postgres_server import PostgresServer
from systems.ours_sqlite import QUEUE

from audobon.database.service import Database
from audobon.queue.embedded import SqliteQueue
from audobon.queue.port import Queue
from audobon.queue.rules import QueueRules
from audobon.queue.tasks import Capacity, Claimant, Lease, Needs, NewTask

GIB = 1 << 30
MODELS = ("", "upscaler", "cleaner", "reader", "painter")
NEEDS = [
    Needs(kind="run", model=model, ram_bytes=ram * GIB // 4, vram_bytes=vram * GIB)
    for model in MODELS
    for ram in (1, 4, 10, 30)
    for vram in (0, 2)
]
BUDGET = Capacity(12 * GIB, 8 * GIB)
CLAIMANT = Claimant(owner="bench", pool="bench", models=frozenset({"upscaler"}))
CLAIMERS = 4


class Driver(NamedTuple):
    """Where a queue lies: "sqlite" or "postgres", and its place."""

    name: str
    place: Place

    def open(self, *, durable: bool = True) -> Queue:
        """Open the queue; not durable where only the right answer counts."""
        if self.name == "sqlite":
            return SqliteQueue(Database(Path(self.place.folder)).open(durable=durable, grouped=durable))
        from systems import ours_postgres

        return ours_postgres.open_queue(self.place)


def measure_claims(postgres: PostgresServer | None, *, is_quick: bool) -> dict[str, Any]:
    """Measure both drivers; G8 and the budget of G9."""
    found: dict[str, Any] = {}
    for name in ("sqlite", "postgres"):
        if absent(LINEUP[f"ours {name}"], has_postgres=postgres is not None):
            continue
        backlog, claims, random_claims = (50_000, 200, 4_000) if is_quick else (1_000_000, 2_000, 100_000)
        for what, measure, count in (
            ("claim", claim_times, (backlog, claims)),
            ("budget", budget_kept, (random_claims,)),
        ):
            folder = tempfile.mkdtemp(prefix="audobon-bench-")
            url = postgres.create_database() if name == "postgres" and postgres is not None else ""
            try:
                found[f"{what} {name}"] = measure(Driver(name, Place(folder, url, {})), *count)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                if url and postgres is not None:
                    postgres.drop_database(url)
    return found


def claim_times(driver: Driver, backlog: int, claims: int) -> dict[str, Any]:
    """Claim one task at a time from a large backlog; then as one that nothing fits."""
    draw = random.Random(8)
    with driver.open() as queue:
        queue.configure(QueueRules(name=QUEUE))
        queue.set_capacity("bench", BUDGET)
        for start in range(0, backlog, 50_000):
            count = min(50_000, backlog - start)
            queue.enqueue(
                QUEUE, [NewTask(needs=draw.choice(NEEDS), priority=draw.randrange(3)) for _ in range(count)]
            )
        fits, leases = _time_each(claims, lambda: queue.claim(CLAIMANT), queue.finish)
        assert len({lease.id for lease in leases}) == claims, "a task was given twice, or none was given"
        queue.set_capacity("bench", Capacity(1, 0))
        nothing, leases = _time_each(claims, lambda: queue.claim(CLAIMANT), queue.finish)
        assert leases == [], "a task was given that does not fit"
    return {
        "backlog": backlog,
        "claims": claims,
        "claim_p50_milliseconds": quantile(fits, 50),
        "claim_p99_milliseconds": quantile(fits, 99),
        "nothing_fits_p50_milliseconds": quantile(nothing, 50),
        "limits": [CLAIM_P50_MILLISECONDS, CLAIM_P99_MILLISECONDS, NOTHING_FITS_MILLISECONDS],
    }


def _time_each(
    count: int, claim: Callable[[], list[Lease]], finish: Callable[[Lease], None]
) -> tuple[list[float], list[Lease]]:
    times, leases = [], []
    for _ in range(count):
        started = time.perf_counter_ns()
        claimed = claim()
        times.append((time.perf_counter_ns() - started) / 1e6)
        leases += claimed
        for lease in claimed:
            finish(lease)
    return times, leases


def quantile(values: Sequence[float], percent: float) -> tuple[float, float, float]:
    """Return a percentile and its 95 % interval, by resampling."""
    import numpy as np

    found = np.asarray(values)
    resamples = min(RESAMPLES, 20_000_000 // len(found))
    drawn = np.random.default_rng(20).choice(found, (resamples, len(found)))
    low, high = np.percentile(np.percentile(drawn, percent, axis=1), [2.5, 97.5])
    return float(np.percentile(found, percent)), float(low), float(high)


def budget_kept(driver: Driver, claims: int) -> dict[str, Any]:
    """Let several claim and give back at random; add up what they held, by their own clocks."""
    draw = random.Random(9)
    with driver.open(durable=False) as queue:
        queue.configure(QueueRules(name=QUEUE))
        queue.set_capacity("bench", BUDGET)
        # What is handed back is there again, so these suffice for all.
        queue.enqueue(QUEUE, [NewTask(needs=draw.choice(NEEDS)) for _ in range(claims + 1000)])
    context = multiprocessing.get_context("spawn")
    started = time.perf_counter()
    with context.Pool(CLAIMERS) as pool:
        shares = [(driver, number, claims // CLAIMERS) for number in range(CLAIMERS)]
        held = [each for some in pool.starmap(_claim_at_random, shares) for each in some]
    seconds = time.perf_counter() - started
    return {"claims": len(held), "seconds": seconds, **_peaks(held)}


Held = tuple[int, int, int, int]
"""From and to (monotonic nanoseconds), memory, graphics memory."""


def _claim_at_random(driver: Driver, number: int, claims: int) -> list[Held]:
    draw = random.Random(number)
    held: list[Held] = []
    mine: list[tuple[int, Lease]] = []
    count = 0
    with driver.open(durable=False) as queue:
        claimant = Claimant(owner=f"bench-{number}", pool="bench")
        while count < claims or mine:
            leases: list[Lease] = []
            if count < claims and len(mine) < 4:
                leases = queue.claim(claimant, limit=draw.randint(1, 3))
                now = time.monotonic_ns()
                mine += [(now, lease) for lease in leases]
                count += len(leases)
            if mine and (not leases or draw.random() < 0.7):
                since, lease = mine.pop(draw.randrange(len(mine)))
                held.append((since, time.monotonic_ns(), lease.ram_bytes, lease.vram_bytes))
                if draw.random() < 0.2:
                    queue.release(lease, reason="at random")
                else:
                    queue.finish(lease)
    return held


def _peaks(held: list[Held]) -> dict[str, Any]:
    # A lease was held for longer than its holder's clock says, never for less; ends before starts at a tie.
    changes = sorted(
        [(since, 1, ram, vram) for since, _, ram, vram in held]
        + [(until, 0, -ram, -vram) for _, until, ram, vram in held]
    )
    ram_bytes = vram_bytes = most_ram = most_vram = broken = 0
    for _, _, ram, vram in changes:
        ram_bytes, vram_bytes = ram_bytes + ram, vram_bytes + vram
        most_ram, most_vram = max(most_ram, ram_bytes), max(most_vram, vram_bytes)
        broken += ram_bytes > BUDGET.ram_bytes or vram_bytes > BUDGET.vram_bytes
    return {
        "broken": broken,
        "most_ram": most_ram / BUDGET.ram_bytes,
        "most_vram": most_vram / BUDGET.vram_bytes,
    }
