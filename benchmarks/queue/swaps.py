"""How often models are swapped: our queue's own choice, in virtual time, against priority alone."""

import random
import tempfile
from pathlib import Path
from typing import Any

from systems.ours_sqlite import QUEUE

from audobon.database.service import Database
from audobon.queue.embedded import SqliteQueue
from audobon.queue.rules import QueueRules
from audobon.queue.tasks import Claimant, Needs, NewTask

RUN_SECONDS, SWAP_SECONDS, BETWEEN_SECONDS = 1.0, 8.0, 1.35
MODELS = ("upscaler", "cleaner", "reader", "painter", "letterer")
BONUSES = {"priority alone": 0.0, "warm bonus 120 s": 120.0, "warm bonus 600 s": 600.0}


def simulate_swaps(*, is_quick: bool) -> dict[str, dict[str, float]]:
    """Replay the same arrivals under each policy."""
    draw = random.Random(5)
    at, arrivals = 0.0, []
    for _ in range(300 if is_quick else 4000):
        at += draw.expovariate(1 / BETWEEN_SECONDS)
        needs = Needs(kind="run", model=draw.choice(MODELS))
        arrivals.append((at, NewTask(needs=needs, priority=draw.randrange(3), payload=str(at))))
    return {policy: _replay(arrivals, bonus) for policy, bonus in BONUSES.items()}


def _replay(arrivals: list[tuple[float, NewTask]], bonus_seconds: float) -> dict[str, Any]:
    now = 0.0
    with tempfile.TemporaryDirectory(prefix="audobon-bench-") as folder:
        connection = Database(Path(folder)).open(durable=False)
        with SqliteQueue(connection, clock=lambda: now) as queue:
            queue.configure(QueueRules(name=QUEUE, warm_bonus_seconds=bonus_seconds))
            loaded, swaps, waits, coming = "", 0, [], list(reversed(arrivals))
            free_at = 0.0
            while len(waits) < len(arrivals):
                # Each arrives at its own instant; the worker asks when it is free.
                while coming and coming[-1][0] <= free_at:
                    now, task = coming.pop()
                    queue.enqueue(QUEUE, [task])
                now = free_at
                models = frozenset({loaded} if loaded else ())
                leases = queue.claim(Claimant(owner="bench", models=models))
                if not leases:
                    free_at = coming[-1][0]
                    continue
                (lease,) = leases
                if lease.model != loaded:
                    loaded, swaps, free_at = lease.model, swaps + 1, free_at + SWAP_SECONDS
                waits.append(free_at - float(lease.payload))
                free_at += RUN_SECONDS
                now = free_at
                queue.finish(lease)
        connection.close()
    return {"swaps": swaps, "makespan_seconds": free_at, "longest_wait_seconds": max(waits)}
