"""Tasks for the tests of the queue, ways to hand them out, and to look at what became of them."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from audobon.config import keyrings_folder
from audobon.keys.service import Keys
from audobon.keys.unlocking import open_keys
from audobon.queue.port import Queue
from audobon.queue.tasks import Claimant, Lease, Needs, NewTask, TaskRecord

GIGABYTE = 1 << 30


def keys_in(folder: Path) -> Keys:
    """Return the keys of a folder, unlocked by a file beside them."""
    return open_keys(folder, unlock_folder=keyrings_folder())


OpenConnection = Callable[[], sqlite3.Connection]


class TurnedClock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


class FixedDraw:
    """A draw from 0 to 1 that is what it was set to."""

    def __init__(self) -> None:
        self.drawn = 1.0

    def __call__(self) -> float:
        return self.drawn


def new_task(
    name: str = "task",
    *,
    kind: str = "page",
    model: str = "",
    device: str = "any",
    ram_bytes: int = 0,
    vram_bytes: int = 0,
    **others: Any,
) -> NewTask:
    """Return a task whose payload is its name."""
    needs = Needs(kind=kind, model=model, device=device, ram_bytes=ram_bytes, vram_bytes=vram_bytes)
    return NewTask(needs=needs, payload=json.dumps(name), **others)


def add(queue: Queue, *tasks: NewTask | str, to: str = "batch") -> list[int]:
    """Enqueue tasks, or plain ones of these names."""
    return queue.enqueue(to, [new_task(task) if isinstance(task, str) else task for task in tasks])


def claim(
    queue: Queue, owner: str = "worker", *, limit: int = 1, may_exceed: bool = False, **claimant: Any
) -> list[Lease]:
    return queue.claim(Claimant(owner=owner, **claimant), limit=limit, may_exceed=may_exceed)


def claim_one(queue: Queue, owner: str = "worker", **claimant: Any) -> Lease:
    (lease,) = claim(queue, owner, **claimant)
    return lease


def names(leases: list[Lease]) -> list[str]:
    return [json.loads(lease.payload) for lease in leases]


def claimed_names(queue: Queue, owner: str = "worker", **claimant: Any) -> list[str]:
    """Claim one by one until nothing is handed out; return the names in that order."""
    found: list[str] = []
    while leases := claim(queue, owner, **claimant):
        found += names(leases)
    return found


def changes(before: TaskRecord, after: TaskRecord) -> dict[str, Any]:
    """Return what is not as it was, and so that nothing else changed."""
    old, new = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
    return {name: new[name] for name in new if new[name] != old[name]}


def events(queue: Queue, task_id: int | None = None) -> list[tuple[str, str]]:
    return [(event.kind, event.detail) for event in queue.events(task_id=task_id)]
