"""Does the upkeep that the queue's schedules ask for."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec

from audobon.clock import utc_now
from audobon.errors import AlreadyRunning, UnknownOperation
from audobon.jobs.lifecycle import needed_by_jobs, run_lifecycle
from audobon.jobs.records import JobRecords
from audobon.jobs.sealing_rows import seal_rows
from audobon.keys.service import Keys
from audobon.queue.port import Queue
from audobon.storage.result_cache import ResultCache
from audobon.storage.service import Storage

_BROKEN_AFTER_SECONDS = 86_400.0
_KEEP_TASKS_SECONDS = 30 * 86_400.0


class Upkeep(msgspec.Struct, frozen=True):
    """What upkeep works on."""

    connection: sqlite3.Connection
    queue: Queue
    storage: Storage
    cache: ResultCache
    keys: Keys
    folder: Path


def maintain(kind: str, upkeep: Upkeep) -> str:
    """Do one kind of upkeep; return what came of it, as JSON.

    raises  UnknownOperation when nobody knows the kind
    """
    deed = _DEEDS.get(kind)
    if deed is None:
        raise UnknownOperation(f"no upkeep is named {kind!r}", hint="audobon queue schedule add --help")
    return msgspec.json.encode(deed(upkeep)).decode()


def _sweep_blobs(upkeep: Upkeep) -> dict[str, int]:
    records = JobRecords(upkeep.connection, upkeep.keys)
    try:
        freed = upkeep.storage.sweep(
            lambda: records.needed_blobs() | upkeep.cache.blobs(),
            broken_before=utc_now() - _BROKEN_AFTER_SECONDS,
        )
    except AlreadyRunning:
        # A run is taking pages in; what is left behind goes with the next sweep.
        freed = 0
    return {"freed_bytes": freed}


def _prune_tasks(upkeep: Upkeep) -> dict[str, int]:
    return {"forgotten_tasks": upkeep.queue.prune(finished_before=utc_now() - _KEEP_TASKS_SECONDS)}


def _seal_rows(upkeep: Upkeep) -> dict[str, int]:
    try:
        count = seal_rows(upkeep.connection, upkeep.keys, upkeep.folder)
    except AlreadyRunning:
        count = 0
    return {"sealed_rows": count}


def _apply_retention(upkeep: Upkeep) -> dict[str, int]:
    # Seldom, and the worker's start shall not pay for it.
    from audobon.data.retention import Retention

    retention = Retention(
        upkeep.folder,
        upkeep.connection,
        upkeep.cache,
        sweep=lambda: _sweep_blobs(upkeep)["freed_bytes"],
        now=utc_now(),
    )
    return {f"removed_{each.kind}": each.count for each in retention.apply(is_dry=False)}


def _run_lifecycle(upkeep: Upkeep) -> dict[str, int]:
    _, done = run_lifecycle(upkeep.storage, needed_by_jobs(upkeep.connection, upkeep.keys))
    return {name: int(value) for name, value in msgspec.to_builtins(done).items()}


_DEEDS: dict[str, Callable[[Upkeep], dict[str, int]]] = {
    "sweep-blobs": _sweep_blobs,
    "prune-tasks": _prune_tasks,
    "seal-rows": _seal_rows,
    "apply-retention": _apply_retention,
    "run-lifecycle": _run_lifecycle,
}
