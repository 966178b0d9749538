"""Looks after storage: its index, its packs, and the jobs that need what is lost."""

from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial

from audobon.errors import AudobonError
from audobon.jobs.records import JobRecords
from audobon.recovery.packs_mending import faulty_packs, hit_jobs, lost_blobs
from audobon.recovery.parts import Parts
from audobon.recovery.told import Tell, mended

_FEW_PACKS = 1000


class StorageCare:
    """Looks after the storage of one data folder."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def look_after(self, note: Tell, *, is_thorough: bool) -> None:
        """Heal open packs, have a lost index and missing packs again, and name the jobs that lost pages."""
        del self._parts.told_of_storage[:]
        # Opening it heals what a killed writer left, and makes a lost index anew.
        count = self._parts.storage.index.rows("SELECT count(*) FROM pack")[0][0]
        for words in self._parts.told_of_storage:
            is_index = words.startswith("the index of storage")
            note(mended("index rebuilt" if is_index else "storage mended", words))
        is_thorough = is_thorough or bool(self._parts.told_of_storage)
        faulty = faulty_packs(self._parts.storage) if is_thorough or count <= _FEW_PACKS else []
        if faulty:
            self._fetch(note, faulty)
        if is_thorough or faulty:
            self._look_for_lost(note)

    def _fetch(self, note: Tell, names: list[str]) -> None:
        backups, storage = self._parts.backups(), self._parts.storage
        fetched = []
        for name in names:
            with suppress(AudobonError):
                if backups.fetch(name, partial(storage.store.replacing, name)):
                    storage.adopt_pack(name)
                    fetched.append(name)
        if fetched:
            note(
                mended(
                    "packs fetched",
                    f"{len(fetched)} packs were missing or torn, and were fetched from backups",
                    packs=fetched,
                )
            )
        if gone := sorted(set(names) - set(fetched)):
            note(
                mended(
                    "packs lost",
                    f"{len(gone)} packs are missing or torn, and no place that can be reached has them whole",
                    packs=gone,
                )
            )

    def _look_for_lost(self, note: Tell) -> None:
        if not self._parts.database.path.exists():
            return
        with closing(self._parts.database.open()) as connection, self._parts.database.errors():
            records = JobRecords(connection, self._parts.keys)
            lost = lost_blobs(self._parts.storage, records)
            if lost:
                self._fetch_lacking(note)
                lost = lost_blobs(self._parts.storage, records)
            for job in hit_jobs(connection, records, lost):
                remedy = (
                    "run the same command again: they are made anew from its document"
                    if job.can_go_on
                    else "its document is not where it was read, so they cannot be made anew"
                )
                note(
                    mended(
                        "pages lost",
                        f"job {job.id} lost {job.sources} pages as they were read and {job.results} as they"
                        f" were made; {remedy}",
                        job=job.id,
                        sources=job.sources,
                        results=job.results,
                        can_go_on=job.can_go_on,
                    )
                )

    def _fetch_lacking(self, note: Tell) -> None:
        """Fetch the packs that the newest backups have and nobody here knows of any more."""
        wanted = {name for place in self._newest_packs() for name in place}
        here = {pack.name for pack in self._parts.storage.packs(sealed_only=False)}
        if lacking := sorted(wanted - here):
            self._fetch(note, lacking)

    def _newest_packs(self) -> Iterator[list[str]]:
        for repository in self._parts.backups().repositories():
            # A place whose newest manifest is damaged is passed over; verifying it is another's work.
            with suppress(AudobonError):
                if (newest := repository.newest()) is not None:
                    yield [pack.name for pack in newest.manifest.packs]
