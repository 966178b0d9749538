"""Looks after the database: a damaged or lost one comes back from what was shipped of it."""

from datetime import datetime
from typing import TYPE_CHECKING

from audobon.database.copies import own_copy
from audobon.database.generations import in_words
from audobon.database.shipping_state import StateFile
from audobon.recovery.database_mending import DatabaseMending, PutBack, Source
from audobon.recovery.database_state import Doubt, examine
from audobon.recovery.parts import Parts
from audobon.recovery.told import Mended, Tell, mended

if TYPE_CHECKING:
    from audobon.backup.locations import Location

_ASKED = "a person asked for it"


class DatabaseCare:
    """Looks after the database of one data folder; call it while holding the engine's lock."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def look_after(self, note: Tell, *, is_thorough: bool) -> bool:
        """Mend the database; tell whether one was put in place."""
        mending = self._mending()
        path = self._parts.database.path
        with self._parts.database.errors():
            if (finished := mending.resume()) is not None:
                note(self._restored(*finished))
                return True
            doubt = self._doubt(is_thorough=is_thorough)
            if doubt is None:
                mending.finish()
                return False
            if doubt.kind == "older":
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
            if doubt.kind == "exchanged":
                kept = mending.without_log()
                note(
                    mended(
                        "database rolled back",
                        f"{doubt.why}; it is the database now, without that log, which is in {kept}. To have"
                        f" what was shipped last: audobon database restore --to {doubt.commit} --in-place",
                        commit=doubt.commit,
                        kept=kept,
                    )
                )
                return True
            if doubt.kind == "gone" and not any(source.has_any() for source in self._sources()):
                StateFile(path).remove()
                note(
                    mended(
                        "database lost",
                        f"{doubt.why}, and no place that can be reached has a copy: it begins anew. Finished"
                        " output is not in it; what jobs were about is lost",
                    )
                )
                return False
            put_back = mending.newest(doubt.why)
            note(self._restored(put_back, doubt.why))
            return True

    def _doubt(self, *, is_thorough: bool) -> Doubt | None:
        path = self._parts.database.path
        doubt = examine(
            path,
            own_copy(self._parts.folder),
            self._parts.keys,
            is_thorough=is_thorough,
            is_shipped=self._parts.is_shipped,
        )
        if doubt is None and not path.exists() and StateFile(path).read() is not None:
            return Doubt("gone", f"{path.name} was gone, and so was its own copy")
        return doubt

    def _mending(self) -> DatabaseMending:
        return DatabaseMending(
            self._parts.folder, self._parts.keys, self._sources, ships=self._parts.is_shipped
        )

    def _sources(self) -> list[Source]:
        own = Source("its own copy", own_copy(self._parts.folder), is_own=True)
        return [own, *(Source(str(each.path), each.store) for each in self._parts.backups().repositories())]

    def restore(
        self, place: "Location | None", *, to: datetime | int | None, as_far_as_possible: bool
    ) -> tuple[PutBack, Mended]:
        """Put what a copy holds of an instant or a commit in the place of the database, which is kept.

        place   that holds "wal"; None: the own copy
        raises  AlreadyRunning while an engine has the folder, Unavailable while others have the database
                open, and as `database.restoring.restore_database`
        """
        from audobon.backup.locations import open_store

        store = own_copy(self._parts.folder) if place is None else open_store(place, rights="read")
        source = Source("its own copy" if place is None else str(place), store, is_own=place is None)
        put_back = self._mending().exactly(source, _ASKED, to=to, as_far_as_possible=as_far_as_possible)
        return put_back, self._restored(put_back, _ASKED)

    def _restored(self, put_back: PutBack, why: str) -> Mended:
        restored = put_back.restored
        position = restored.position
        lost = "what was committed after that, and not shipped, is not in it"
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
