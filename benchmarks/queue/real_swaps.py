"""How often real models are loaded: our queue's choice among tasks of five models, against priority alone.

One worker has room for one model at a time; loading and running are real. The same arrivals, recorded once,
come in real time under each policy. The bonus is to a swap here what 120 s are to the swap of 8 s in virtual
time: fifteen times as long.
"""

import random
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from systems.ours_sqlite import QUEUE

from audobon.database.service import Database
from audobon.models.service import Models
from audobon.models.sessions import Tensor
from audobon.queue.embedded import SqliteQueue
from audobon.queue.rules import QueueRules
from audobon.queue.tasks import Claimant, Needs, NewTask

# Each with the small picture that it is fed, as lines of lettering and thumbnails are: runs are short then,
# and swaps weigh most.
MODELS = {
    "waifu2x-upconv7-x2": (32, 32),
    "realesrgan-animevideov3-x4": (24, 24),
    "ppocr-v6-detector": (64, 64),
    "ppocr-v2-classifier": (48, 192),
    "ppocr-v6-recogniser": (48, 96),
}
_SWAPS_PER_BONUS = 15
_PACE = 1.05


class _Costs(NamedTuple):
    """What this machine takes for a run, and for a swap of models with the first run after it."""

    run_seconds: float
    swap_seconds: float


def measure_real_swaps(*, is_quick: bool) -> dict[str, dict[str, float]]:
    """Replay the same arrivals with real models under each policy."""
    with (
        tempfile.TemporaryDirectory(prefix="audobon-bench-") as folder,
        closing(Models(Path(folder) / "models", threads=1)) as models,
    ):
        costs = _costs(models)
        draw = random.Random(9)
        at, arrivals = 0.0, []
        for _ in range(100 if is_quick else 1000):
            # Hardly slower than runs alone would take: who swaps too often falls behind.
            at += draw.expovariate(1 / (_PACE * costs.run_seconds))
            needs = Needs(kind="run", model=draw.choice(list(MODELS)))
            arrivals.append((at, NewTask(needs=needs, priority=draw.randrange(3), payload=str(at))))
        bonus = _SWAPS_PER_BONUS * costs.swap_seconds
        found = {
            "priority alone": _replay(models, Path(folder) / "plain", arrivals, 0.0),
            "warm bonus": _replay(models, Path(folder) / "warm", arrivals, bonus),
        }
    return found | {"costs": costs._asdict() | {"bonus_seconds": bonus}}


def _tensor(name: str) -> Tensor:
    return np.zeros((1, 3, *MODELS[name]), np.float32)


def _costs(models: Models) -> _Costs:
    swaps, runs = [], []
    for name in [*MODELS] * 4:
        models.set_budget(0)
        models.set_budget(None)
        began = time.perf_counter()
        with models.lease(name) as model:
            model(_tensor(name))
            swaps.append(time.perf_counter() - began)
            began = time.perf_counter()
            model(_tensor(name))
            runs.append(time.perf_counter() - began)
    # The first round prepares the models.
    half = len(MODELS)
    return _Costs(statistics.mean(runs[half:]), statistics.mean(swaps[half:]))


def _replay(
    models: Models, folder: Path, arrivals: list[tuple[float, NewTask]], bonus_seconds: float
) -> dict[str, Any]:
    loads, loaded, waits = 0, "", []
    coming = list(reversed(arrivals))
    with SqliteQueue(Database(folder).open(durable=False)) as queue:
        # A priority is to the time of the replay what a minute is to hours.
        step = bonus_seconds / 2 or 1.0
        queue.configure(QueueRules(name=QUEUE, warm_bonus_seconds=bonus_seconds, ageing_step_seconds=step))
        began = time.perf_counter()
        while len(waits) < len(arrivals):
            now = time.perf_counter() - began
            due = []
            while coming and coming[-1][0] <= now:
                due.append(coming.pop()[1])
            if due:
                queue.enqueue(QUEUE, due)
            leases = queue.claim(Claimant(owner="bench", models=frozenset({loaded} if loaded else ())))
            for lease in leases:
                if lease.model != loaded:
                    # Room for one: what is in memory goes first.
                    models.set_budget(0)
                    models.set_budget(None)
                    loads, loaded = loads + 1, lease.model
                with models.lease(lease.model) as model:
                    model(_tensor(lease.model))
                waits.append(time.perf_counter() - began - float(lease.payload))
                queue.finish(lease)
        makespan = time.perf_counter() - began
    return {"swaps": loads, "makespan_seconds": makespan, "longest_wait_seconds": max(waits)}
