"""Finishes erasures that a place, or the end of a process, left unfinished; for upkeep."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from audobon.backup.locations import Location
from audobon.clock import utc_now
from audobon.data.certificate import KeepTimes
from audobon.data.erasing import Erased, Eraser
from audobon.data.erasure_notes import NoteBook
from audobon.data.erasure_places import ErasurePlaces
from audobon.data.holdings import Holdings
from audobon.jobs.records import JobRecords
from audobon.keys.service import Keys
from audobon.processes import FileLock
from audobon.queue.port import Queue
from audobon.storage.result_cache import ResultCache
from audobon.storage.service import Storage


def finish_erasures(
    folder: Path,
    connection: sqlite3.Connection,
    queue: Queue,
    storage: Storage,
    cache: ResultCache,
    keys: Keys,
    places: Sequence[Location],
    keep_times: KeepTimes,
) -> list[Erased]:
    """Go on with all erasures that are not over; at once when there are none. raises as `Eraser.resume`."""
    if not NoteBook(folder).unfinished():
        return []
    records = JobRecords(connection, keys)
    eraser = Eraser(
        folder,
        connection,
        queue,
        lambda subject: Holdings(connection, queue, records, subject),
        storage,
        cache,
        keys,
        ErasurePlaces(places, keys, clock=utc_now),
        keep_times,
        job_lock=lambda key: FileLock(folder / "locks" / f"run-{key[:32]}.lock", purpose="this job"),
        # Its work was ended before the erasure was begun.
        rest=lambda: None,
        clock=utc_now,
    )
    return eraser.resume()
