"""Looks after a data folder before an engine works in it: finds what is amiss, mends it, and tells."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from audobon.atomic import clear_leftovers
from audobon.clock import Clock, utc_now
from audobon.compute.clean_stop import RunningMark
from audobon.compute.engine import engine_lock
from audobon.database.copies import own_copy
from audobon.database.generations import in_words
from audobon.database.service import Database, damage_mark
from audobon.database.shipping_state import StateFile
from audobon.errors import AlreadyRunning, AudobonError, CorruptKeyring, KeyringLost
from audobon.jobs.records import JobRecords
from audobon.keys.protector import Protectors
from audobon.keys.service import Keys
from audobon.recovery.recovery_words import NOBODY, WITH_FILE, Words
from audobon.recovery.told import Mended, RecoveryBook, Tell, mended
from audobon.storage.service import Storage
from audobon.telemetry.logs import Log

if TYPE_CHECKING:
    from audobon.backup.service import Backups
    from audobon.recovery.database_mending import DatabaseMending, PutBack, Source
    from audobon.recovery.database_state import Doubt

_CLOCK_TOLERANCE_SECONDS = 2.0
_FEW_PACKS = 1000


class Recovery:
    """Mends one data folder.

    is_shipped   whether its database is shipped into its own copy
    settle       removes what a restore brought back of whoever is erased; returns their ids
    told_of_storage  gets in words what the storage mended by itself when it was opened
    """

    def __init__(
        self,
        folder: Path,
        keys: Keys,
        protectors: Protectors,
        database: Database,
        storage: Storage,
        log: Log,
        backups: "Callable[[], Backups]",
        *,
        is_shipped: bool,
        settle: Callable[[], list[str]],
        told_of_storage: list[str],
        clock: Clock = utc_now,
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._protectors = protectors
        self._database = database
        self._storage = storage
        self._log = log
        self._backups = backups
        self._is_shipped = is_shipped
        self._settle = settle
        self._told_of_storage = told_of_storage
        self._clock = clock
        self._mark = RunningMark(folder)

    @property
    def book(self) -> RecoveryBook:
        """The list of what was mended."""
        return RecoveryBook(self._folder)

    def mend(
        self,
        *,
        tell: Tell = lambda _: None,
        words: Words = NOBODY,
        is_thorough: bool = False,
        waits: bool = False,
    ) -> list[Mended]:
        """Look after the folder unless an engine has it; return what was mended, told and noted already.

        words        the recovery words, for when the keyring is lost
        is_thorough  look at everything, as after an unclean stop
        waits        AlreadyRunning while an engine has the folder, instead of nothing
        raises       KeyringLost, CorruptBackup when the database cannot be had again, and as the rooms do
        """
        told: list[Mended] = []

        def note(news: Mended) -> None:
            told.append(news)
            self._log.write(
                "recovery",
                news.what,
                level="warning" if news.is_grave else "info",
                words=news.words,
                **news.facts,
            )
            tell(news)

        if not self._is_used():
            return told
        with ExitStack() as held:
            try:
                held.enter_context(engine_lock(self._folder))
            except AlreadyRunning:
                if waits:
                    raise
                return told
            try:
                self._mend(note, words, is_thorough=is_thorough)
            finally:
                self.book.add(told)
        return told

    def restore_database(
        self, place: Path | None, *, to: datetime | int | None, as_far_as_possible: bool
    ) -> "PutBack":
        """Put what a copy holds of an instant or a commit in the place of the database, which is kept.

        place   the folder that holds "wal"; None: the own copy
        raises  AlreadyRunning while an engine has the folder, Unavailable while others have the database
                open, and as `database.restoring.restore_database`
        """
        from audobon.recovery.database_mending import Source
        from audobon.storage.embedded import FolderObjectStore

        store = (
            own_copy(self._folder) if place is None else FolderObjectStore({"standard": place}, rights="read")
        )
        source = Source("its own copy" if place is None else str(place), store, is_own=place is None)
        with engine_lock(self._folder):
            mending = self._database_mending()
            put_back = mending.exactly(source, to=to, as_far_as_possible=as_far_as_possible)
            self.book.add([_restored(put_back, "a person asked for it", None)])
            # A restore may have brought back what was erased.
            self._settle()
        return put_back

    def _is_used(self) -> bool:
        return self._keys.exists or any(
            (self._folder / name).exists() for name in ("keyring.id", "audobon.db", "blobs", "wal")
        )

    def _mend(self, note: Tell, words: Words, *, is_thorough: bool) -> None:
        is_unclean = self._mark.is_left
        is_thorough = is_thorough or is_unclean or damage_mark(self._database.path).exists()
        if is_thorough:
            self._clear_abandoned()
        with self._unclean(note, is_unclean=is_unclean):
            self._mend_keyring(note, words, is_thorough=is_thorough)
            is_restored = self._mend_database(note, is_thorough=is_thorough)
            self._mend_storage(note, is_thorough=is_thorough or is_restored)
            self._settle_ledger(note)
            self._look_at_clock(note)

    @contextmanager
    def _unclean(self, note: Tell, *, is_unclean: bool) -> Iterator[None]:
        """Tell of an unclean stop once everything was looked at; it is one until then."""
        yield
        if is_unclean:
            note(
                mended(
                    "unclean stop",
                    "the last engine did not end by itself; the database and the packs were looked at",
                    is_grave=False,
                )
            )
            self._mark.clear()

    def _clear_abandoned(self) -> None:
        """Remove what killed processes left half written; whole files are never touched."""
        for name in ("audobon.db", "places.json", "backups.json", "recoveries.json", "storage.db"):
            clear_leftovers(self._folder / name)
        self._storage.store.clear_abandoned()
        own_copy(self._folder).clear_abandoned()

    # The keyring

    def _mend_keyring(self, note: Tell, words: Words, *, is_thorough: bool) -> None:
        from audobon.recovery.keyring_mending import prove_keyring, unknown_subjects

        try:
            prove_keyring(self._keys, is_thorough=is_thorough)
            strangers = unknown_subjects(self._keys, self._folder)
        except (KeyringLost, CorruptKeyring) as error:
            self._import_keyring(note, words, error.message)
            strangers = unknown_subjects(self._keys, self._folder)
        else:
            if strangers and words.are_given:
                self._import_keyring(note, words, "the keyring is older than what it encrypted")
                strangers = unknown_subjects(self._keys, self._folder)
        for erased in self._keys.erased_again():
            note(
                mended(
                    "erased again",
                    f"{erased} was in the keyring again, and is erased: the ledger says so",
                    subject=erased,
                )
            )
        if strangers:
            note(
                mended(
                    "keyring older",
                    f"packs of {len(strangers)} subjects are here that the keyring does not know, so it may"
                    f" be an old one; to have the newest export of it: {WITH_FILE}",
                    subjects=strangers,
                )
            )

    def _import_keyring(self, note: Tell, words: Words, why: str) -> None:
        from audobon.recovery.keyring_mending import KeyringMending

        self._keys.close()
        places = [place.path for place in self._backups().places.list()]
        found, place = KeyringMending(self._folder, places, self._protectors).mend(why, words)
        note(
            mended(
                "keyring imported",
                f"{why}; it was made anew from the newest export in {place}, of"
                f" {in_words(found.created_at)}, with {found.subjects} subjects",
                place=str(place),
                subjects=found.subjects,
            )
        )
        self._learn_erasures(note)

    def _learn_erasures(self, note: Tell) -> None:
        from audobon.backup.ledger_copies import learn_erasures

        for store in self._backups().ledgers():
            for subject in learn_erasures(store, self._keys):
                note(mended("erased again", f"{subject} is erased: a ledger says so", subject=subject))

    # The database

    def _mend_database(self, note: Tell, *, is_thorough: bool) -> bool:
        """Mend the database; tell whether one was put in place."""
        from audobon.recovery.database_state import examine

        mending = self._database_mending()
        path = self._database.path
        with self._database.errors():
            doubt = examine(
                path,
                own_copy(self._folder),
                self._keys,
                is_thorough=is_thorough,
                is_shipped=self._is_shipped,
            )
            if doubt is None and not path.exists() and self._has_packs():
                doubt = self._gone_with_its_copy()
        if doubt is None:
            mending.finish()
            return False
        if doubt.kind == "older" and not mending.was_broken_off:
            note(
                mended(
                    "database rolled back",
                    f"{doubt.why}; it was left as it is. To have the newer one:"
                    f" audobon database restore --to {doubt.commit} --in-place",
                    commit=doubt.commit,
                )
            )
            mending.finish()
            return False
        put_back = mending.newest()
        note(_restored(put_back, doubt.why, doubt.commit))
        return True

    def _gone_with_its_copy(self) -> "Doubt | None":
        from audobon.recovery.database_state import Doubt

        if any(source.has_any() for source in self._sources()):
            return Doubt("gone", "audobon.db was gone, and so was its own copy")
        return None

    def _has_packs(self) -> bool:
        return next((self._folder / "blobs").glob("*/*/*/*.pack"), None) is not None

    def _database_mending(self) -> "DatabaseMending":
        from audobon.recovery.database_mending import DatabaseMending

        return DatabaseMending(self._folder, self._keys, self._sources, ships=self._is_shipped)

    def _sources(self) -> "list[Source]":
        from audobon.recovery.database_mending import Source

        own = Source("its own copy", own_copy(self._folder), is_own=True)
        return [own, *(Source(str(each.path), each.store) for each in self._backups().repositories())]

    # Storage

    def _mend_storage(self, note: Tell, *, is_thorough: bool) -> None:
        from audobon.recovery.packs_mending import faulty_packs, keep_aside

        del self._told_of_storage[:]
        # Opening it heals what a killed writer left, and makes a lost index anew.
        count = self._storage.index.rows("SELECT count(*) FROM pack")[0][0]
        for words in self._told_of_storage:
            is_index = words.startswith("the index of storage")
            note(mended("index rebuilt" if is_index else "storage mended", words))
        is_thorough = is_thorough or bool(self._told_of_storage)
        faulty = faulty_packs(self._storage) if is_thorough or count <= _FEW_PACKS else []
        if faulty:
            kept = keep_aside(self._storage, faulty, self._folder)
            self._fetch(note, faulty, kept)
        if is_thorough or faulty:
            self._look_for_lost(note)

    def _fetch(self, note: Tell, names: list[str], kept: str | None) -> None:
        fetched = self._backups().restore_blobs(names)
        if fetched:
            places = ", ".join(sorted(set(fetched.values())))
            note(
                mended(
                    "packs fetched",
                    f"{len(fetched)} packs were missing or torn, and were fetched from {places}"
                    + (f"; the torn ones are in {kept}" if kept else ""),
                    packs=sorted(fetched),
                    kept=kept,
                )
            )
        if gone := sorted(set(names) - set(fetched)):
            note(
                mended(
                    "packs lost",
                    f"{len(gone)} packs are missing or torn, and no place that can be reached has them"
                    + (f"; the torn ones are in {kept}" if kept else ""),
                    packs=gone,
                    kept=kept,
                )
            )

    def _look_for_lost(self, note: Tell) -> None:
        from audobon.recovery.packs_mending import hit_jobs, lost_blobs

        if not self._database.path.exists():
            return
        with closing(self._database.open()) as connection, self._database.errors():
            records = JobRecords(connection, self._keys)
            lost = lost_blobs(self._storage, records)
            if lost:
                self._fetch_lacking(note)
                lost = lost_blobs(self._storage, records)
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
        here = {pack.name for pack in self._storage.packs(sealed_only=False)}
        if lacking := sorted(wanted - here):
            self._fetch(note, lacking, None)

    def _newest_packs(self) -> Iterator[list[str]]:
        for repository in self._backups().repositories():
            # A place whose newest manifest is damaged is passed over; verifying it is another's work.
            with suppress(AudobonError):
                if (newest := repository.newest()) is not None:
                    yield [pack.name for pack in newest.manifest.packs]

    # The rest

    def _settle_ledger(self, note: Tell) -> None:
        if not self._database.path.exists():
            return
        for subject in self._settle():
            note(
                mended(
                    "erased again",
                    f"rows and packs of {subject} were here again, and were removed: it is erased",
                    subject=subject,
                )
            )

    def _look_at_clock(self, note: Tell) -> None:
        noted = StateFile(self._database.path).read()
        behind = 0.0 if noted is None else noted.at - self._clock()
        if behind > _CLOCK_TOLERANCE_SECONDS:
            note(
                mended(
                    "clock behind",
                    f"the clock stands {behind:.0f} s before the last commit that was shipped, so what is"
                    " made now would look older than that. Set it right; nothing is damaged",
                    behind_seconds=behind,
                )
            )


def _restored(put_back: "PutBack", why: str, shipped: int | None) -> Mended:
    restored = put_back.restored
    position = restored.position
    lost = "what was committed after that, and not shipped, is not in it"
    if shipped is not None and restored.broken_off is None and position.commit >= shipped:
        lost = "all that was shipped is in it"
    if restored.broken_off is not None:
        lost = f"it ends there because {restored.broken_off}"
    return mended(
        "database restored",
        f"{why}; it was restored from {put_back.source} up to commit {position.commit} of"
        f" {in_words(position.at)}; {lost}"
        + (f". What was there is in {put_back.kept}" if put_back.kept else ""),
        source=put_back.source,
        commit=position.commit,
        committed_at=position.at,
        broken_off=restored.broken_off,
        kept=put_back.kept,
    )
