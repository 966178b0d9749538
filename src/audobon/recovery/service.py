"""Looks after a data folder before an engine works in it: finds what is amiss, mends it, and tells."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from audobon.atomic import clear_leftovers
from audobon.compute.clean_stop import RunningMark
from audobon.compute.engine import engine_lock
from audobon.database.copies import own_copy
from audobon.database.service import damage_mark
from audobon.database.shipping_state import StateFile
from audobon.errors import AlreadyRunning
from audobon.recovery.database_care import DatabaseCare
from audobon.recovery.keyring_care import KeyringCare
from audobon.recovery.parts import Parts
from audobon.recovery.recovery_words import NOBODY, Words
from audobon.recovery.storage_care import StorageCare
from audobon.recovery.told import Mended, RecoveryBook, Tell, mended

if TYPE_CHECKING:
    from audobon.backup.locations import Location
    from audobon.recovery.database_mending import PutBack

_CLOCK_TOLERANCE_SECONDS = 2.0


class Recovery:
    """Mends one data folder."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._mark = RunningMark(parts.folder)

    @property
    def book(self) -> RecoveryBook:
        """The list of what was mended."""
        return RecoveryBook(self._parts.folder)

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
            self.book.add([news])
            self._parts.log.write(
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
                held.enter_context(engine_lock(self._parts.folder))
            except AlreadyRunning:
                if waits:
                    raise
                return told
            self._mend(note, words, is_thorough=is_thorough)
        return told

    def restore_database(
        self, place: "Location | None", *, to: datetime | int | None, as_far_as_possible: bool
    ) -> "PutBack":
        """Put what a copy holds of an instant or a commit in the place of the database, which is kept.

        place   that holds "wal"; None: the own copy
        raises  AlreadyRunning while an engine has the folder, Unavailable while others have the database
                open, and as `database.restoring.restore_database`
        """
        with engine_lock(self._parts.folder):
            put_back, news = DatabaseCare(self._parts).restore(
                place, to=to, as_far_as_possible=as_far_as_possible
            )
            self.book.add([news])
            # It may have brought back what was erased.
            self._parts.settle()
        return put_back

    def _is_used(self) -> bool:
        return self._parts.keys.exists or any(
            (self._parts.folder / name).exists() for name in ("keyring.id", "audobon.db", "blobs", "wal")
        )

    def _mend(self, note: Tell, words: Words, *, is_thorough: bool) -> None:
        is_unclean = self._mark.is_left
        is_thorough = is_thorough or is_unclean or damage_mark(self._parts.database.path).exists()
        if is_thorough:
            self._clear_abandoned()
        with self._unclean(note, is_unclean=is_unclean):
            KeyringCare(self._parts).look_after(note, words, is_thorough=is_thorough)
            is_restored = DatabaseCare(self._parts).look_after(note, is_thorough=is_thorough)
            StorageCare(self._parts).look_after(note, is_thorough=is_thorough or is_restored)
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
            clear_leftovers(self._parts.folder / name)
        self._parts.storage.store.clear_abandoned()
        own_copy(self._parts.folder).clear_abandoned()

    def _settle_ledger(self, note: Tell) -> None:
        keys = self._parts.keys
        # Dear to import, and for few.
        if not keys.exists or all(subject.erased_at is None for subject in keys.subjects()):
            return
        if not self._parts.database.path.exists():
            return
        for subject in self._parts.settle():
            note(
                mended(
                    "erased again",
                    f"rows and packs of {subject} were here again, and were removed: it is erased",
                    subject=subject,
                )
            )

    def _look_at_clock(self, note: Tell) -> None:
        noted = StateFile(self._parts.database.path).read()
        behind = 0.0 if noted is None else noted.at - self._parts.clock()
        if behind > _CLOCK_TOLERANCE_SECONDS:
            note(
                mended(
                    "clock behind",
                    f"the clock stands {behind:.0f} s before the last commit that was shipped, so what is"
                    " made now would look older than that. Set it right; nothing is damaged",
                    behind_seconds=behind,
                )
            )
