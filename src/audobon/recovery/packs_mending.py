"""Which packs are missing or torn, and the jobs whose pages are lost."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from audobon.errors import ObjectNotFound
from audobon.jobs.records import JobRecords
from audobon.storage.service import Storage


class HitJob(msgspec.Struct, frozen=True):
    """An unfinished job that lost blobs.

    sources, results  blobs of its pages, and of what was made of them
    can_go_on         whether its document is still where it was read
    """

    id: str
    sources: int
    results: int
    can_go_on: bool


def faulty_packs(storage: Storage) -> list[str]:
    """Return the packs that are gone, or not as long as they were sealed, by the names of their objects."""
    found = []
    for pack in storage.packs():
        try:
            if storage.store.stat(pack.name).size_bytes != pack.size_bytes:
                found.append(pack.name)
        except ObjectNotFound:
            found.append(pack.name)
    return found


def lost_blobs(storage: Storage, records: JobRecords) -> set[str]:
    """Return the keys of blobs that unfinished jobs need and storage has not."""
    return {key for key in records.needed_blobs() if not storage.has(key)}


def hit_jobs(connection: sqlite3.Connection, records: JobRecords, lost: set[str]) -> Iterator[HitJob]:
    """Yield the unfinished jobs that need what is lost, oldest first."""
    for summary in reversed(records.list()):
        sources = _count(connection, "SELECT blob FROM entry WHERE job_id = ?", summary.id, lost)
        results = _count(connection, "SELECT result_blob FROM task WHERE job_id = ?", summary.id, lost)
        if sources or results:
            yield HitJob(summary.id, sources, results, Path(summary.source).exists())


def _count(connection: sqlite3.Connection, query: str, job_id: str, lost: set[str]) -> int:
    return sum(row[0] in lost for row in connection.execute(query, (job_id,)))
