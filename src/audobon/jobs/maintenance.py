"""Does the upkeep that the queue's schedules ask for."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from audobon.clock import utc_now
from audobon.database.copies import prune_own_copy
from audobon.errors import AlreadyRunning, CorruptBackup, UnknownOperation
from audobon.jobs.lifecycle import needed_by_jobs, run_lifecycle
from audobon.jobs.records import JobRecords
from audobon.jobs.scrubbing import note
from audobon.jobs.sealing_rows import seal_rows
from audobon.keys.service import Keys
from audobon.queue.port import Queue
from audobon.settings import Settings
from audobon.storage.result_cache import ResultCache
from audobon.storage.service import Storage
from audobon.telemetry.logs import Log

if TYPE_CHECKING:
    # Dear to import, and the start of a worker shall not pay for it.
    from audobon.backup.drill import DrillReport
    from audobon.backup.making import Made
    from audobon.backup.service import Backups
    from audobon.backup.sources import Progress, Tell
    from audobon.backup.verifying import Verified
    from audobon.storage.scrub_report import Scrubbed

Step = Callable[[int, int], None]
"""Told (done, total), in whatever the upkeep counts."""

_STEP_SECONDS = 1.0
_BROKEN_AFTER_SECONDS = 86_400.0
_KEEP_TASKS_SECONDS = 30 * 86_400.0


class Upkeep(msgspec.Struct, frozen=True):
    """What upkeep works on; `backups` opens them, `settings` reads them, when needed."""

    connection: sqlite3.Connection
    queue: Queue
    storage: Storage
    cache: ResultCache
    keys: Keys
    folder: Path
    backups: "Callable[[], Backups]"
    settings: Callable[[], Settings] = Settings


def maintain(kind: str, upkeep: Upkeep, step: Step = lambda done, total: None) -> str:
    """Do one kind of upkeep; return what came of it, as JSON.

    step    told how far it is, so that long upkeep is not taken for a stalled one
    raises  UnknownOperation when nobody knows the kind
    """
    deed = _DEEDS.get(kind)
    if deed is None:
        raise UnknownOperation(f"no upkeep is named {kind!r}", hint="audobon queue schedule add --help")
    return msgspec.json.encode(deed(upkeep, step)).decode()


def _sweep_blobs(upkeep: Upkeep, _: Step) -> dict[str, int]:
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


def _prune_tasks(upkeep: Upkeep, _: Step) -> dict[str, int]:
    return {"forgotten_tasks": upkeep.queue.prune(finished_before=utc_now() - _KEEP_TASKS_SECONDS)}


def _prune_database(upkeep: Upkeep, _: Step) -> dict[str, int]:
    pruned = prune_own_copy(upkeep.folder, upkeep.keys, keep_days=upkeep.settings().database.keep_days)
    return {"removed_objects": pruned.objects, "freed_bytes": pruned.size_bytes}


def _seal_rows(upkeep: Upkeep, _: Step) -> dict[str, int]:
    try:
        count = seal_rows(upkeep.connection, upkeep.keys, upkeep.folder)
    except AlreadyRunning:
        count = 0
    return {"sealed_rows": count}


def _run_lifecycle(upkeep: Upkeep, _: Step) -> dict[str, int]:
    done = run_lifecycle(upkeep.storage, needed_by_jobs(upkeep.connection, upkeep.keys))[1]
    facts: dict[str, int] = msgspec.to_builtins(done)
    with closing(Log(upkeep.folder, upkeep.keys.seal_text, level="info")) as log:
        log.write("storage", "lifecycle run", **dict[str, Any](facts))
    return facts


def _scrub(upkeep: Upkeep, step: Step) -> "Scrubbed":
    from audobon.storage.scrub_report import refuse

    backups = upkeep.backups()
    found = upkeep.storage.scrubber.scrub(
        copies=backups,
        on_step=lambda done, total: step(done >> 20, max(1, total >> 20)),
    )
    note(backups.log, found)
    refuse(found)
    return found


def _backup_now(upkeep: Upkeep, step: Step) -> "list[Made]":
    from audobon.backup.making import refuse_partial

    backups = upkeep.backups()
    made = backups.make(tell=_telling(step))
    backups.check()
    backups.raise_failures()
    refuse_partial(made)
    return made


def _backup_verify(upkeep: Upkeep, step: Step) -> "list[Verified]":
    from audobon.backup.verifying import refuse

    backups = upkeep.backups()
    found = backups.verify(tell=_telling(step))
    refuse(found)
    backups.raise_failures()
    return found


def _backup_drill(upkeep: Upkeep, step: Step) -> "list[DrillReport]":
    backups = upkeep.backups()
    reports = backups.drill(tell=_telling(step))
    backups.check()
    for report in reports:
        if not report.is_well:
            raise CorruptBackup(f"the drill failed for {report.place}", hint="audobon backup drill")
    backups.raise_failures()
    return reports


def _telling(step: Step) -> "Tell":
    told = 0.0

    def tell(progress: "Progress") -> None:
        nonlocal told
        if time.monotonic() - told > _STEP_SECONDS:
            told = time.monotonic()
            step(progress.done_bytes >> 20, max(1, progress.total_bytes >> 20))

    return tell


def _apply_retention(upkeep: Upkeep, step: Step) -> dict[str, int]:
    # Seldom, and the worker's start shall not pay for it.
    from audobon.data.retention import Retention

    retention = Retention(
        upkeep.folder,
        upkeep.connection,
        upkeep.cache,
        sweep=lambda: _sweep_blobs(upkeep, step)["freed_bytes"],
        now=utc_now(),
    )
    return {f"removed_{each.kind}": each.count for each in retention.apply(is_dry=False)}


def _finish_erasures(upkeep: Upkeep, _: Step) -> dict[str, int]:
    from audobon.data.certificate import KeepTimes
    from audobon.data.finishing import finish_erasures

    places = [place.path for place in upkeep.backups().places.list()]
    finished = finish_erasures(
        upkeep.folder,
        upkeep.connection,
        upkeep.queue,
        upkeep.storage,
        upkeep.cache,
        upkeep.keys,
        places,
        KeepTimes.of(upkeep.settings()),
    )
    return {
        "finished_erasures": sum(not each.pending for each in finished),
        "pending_erasures": sum(bool(each.pending) for each in finished),
    }


_DEEDS: dict[str, Callable[[Upkeep, Step], object]] = {
    "sweep-blobs": _sweep_blobs,
    "prune-tasks": _prune_tasks,
    "prune-database": _prune_database,
    "seal-rows": _seal_rows,
    "apply-retention": _apply_retention,
    "run-lifecycle": _run_lifecycle,
    "finish-erasures": _finish_erasures,
    "scrub": _scrub,
    "backup-now": _backup_now,
    "backup-verify": _backup_verify,
    "backup-drill": _backup_drill,
}
