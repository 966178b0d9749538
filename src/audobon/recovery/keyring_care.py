"""Looks after the keyring: a lost one comes back from the newest export in the places, and the words."""

from pathlib import Path
from typing import TYPE_CHECKING

from audobon.database.generations import in_words
from audobon.errors import AudobonError, CorruptKeyring, KeyringLost
from audobon.keys.keystore import read_marker
from audobon.keys.service import Keys
from audobon.recovery.parts import Parts
from audobon.recovery.recovery_words import WITH_FILE, Words
from audobon.recovery.told import Tell, mended

if TYPE_CHECKING:
    from audobon.backup.locations import Location
    from audobon.backup.repository import Repository
    from audobon.keys.importing import Imported


class KeyringCare:
    """Looks after the keyring of one data folder."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def look_after(self, note: Tell, words: Words, *, is_thorough: bool) -> None:
        """Open the keyring, or have it made anew. raises KeyringLost, WrongPassphrase, InvalidInput."""
        try:
            _prove(self._parts.keys, is_thorough=is_thorough)
            strangers = _unknown_subjects(self._parts.keys, self._parts.folder)
        except (KeyringLost, CorruptKeyring) as error:
            self._import_keyring(note, words, error.message)
            strangers = _unknown_subjects(self._parts.keys, self._parts.folder)
        else:
            if strangers and words.are_given:
                self._import_keyring(note, words, "the keyring is older than what it encrypted")
                strangers = _unknown_subjects(self._parts.keys, self._parts.folder)
        for erased in self._parts.keys.erased_again():
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
        self._parts.keys.close()
        found, place = self._newest_export(why, words)
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

        for store in self._parts.backups().ledgers():
            for subject in learn_erasures(store, self._parts.keys):
                note(mended("erased again", f"{subject} is erased: a ledger says so", subject=subject))

    def _newest_export(self, why: str, words: Words) -> "tuple[Imported, Location]":
        """Import the newest export that the words open; return what it held, and its place.

        What is there of the old keyring is kept beside.
        raises  KeyringLost when no place has an export, or nobody gives the words; WrongPassphrase,
                InvalidInput for words that are none
        """
        # Dear to import, and needed when all else is lost.
        from audobon.keys.importing import import_recovery, look_into

        found = self._exports()
        if not found:
            raise KeyringLost(
                f"{why}; and no place that can be reached holds an export of it",
                hint="audobon keys import-recovery FILE, with the newest file of keystores/ in a backup",
            )
        given = words.get(why)
        failure: AudobonError | None = None
        for name, repository in found:
            try:
                data = repository.read(name)
                if self._is_of_another(look_into(given, data)):
                    continue
                return import_recovery(
                    self._parts.folder, given, data, self._parts.protectors, replace=True
                ), repository.path
            except AudobonError as error:
                # Of a damaged one the next is as good: the ledger erases what was erased since.
                failure = failure or error
        raise failure or KeyringLost(f"{why}; the exports are of another keyring")

    def _is_of_another(self, imported: "Imported") -> bool:
        known = read_marker(self._parts.folder)
        return known is not None and imported.id != known

    def _exports(self) -> "list[tuple[str, Repository]]":
        """Return all exports at all places, the newest first: their names begin with the instant."""
        from audobon.backup.repository import KEYSTORES, open_repository

        found = []
        for path in [place.path for place in self._parts.backups().places.list()]:
            try:
                repository = open_repository(path, None, rights="read")
                found += [(info.name, repository) for info in repository.store.list(KEYSTORES)]
            except AudobonError:
                # Another place may be there.
                continue
        return sorted(found, key=lambda each: each[0], reverse=True)


def _prove(keys: Keys, *, is_thorough: bool) -> None:
    """Open the keyring, and all keys in it if it is to be thorough. raises KeyringLost, CorruptKeyring."""
    if is_thorough:
        keys.status()
    else:
        keys.sign(b"")


def _unknown_subjects(keys: Keys, folder: Path) -> list[str]:
    """Return whose packs lie in the standard tier, though the keyring does not know them."""
    known = {subject.id for subject in keys.subjects()}
    return sorted(_subjects_with_packs(folder) - known)


def _subjects_with_packs(folder: Path) -> set[str]:
    """Return the subjects whose packs lie in the standard tier, by the names of folders alone."""
    return {
        path.name
        for kind in ("page", "result", "other", "user")
        if (folder / "blobs" / kind).is_dir()
        for path in (folder / "blobs" / kind).iterdir()
        if path.is_dir() and any(path.iterdir())
    }
