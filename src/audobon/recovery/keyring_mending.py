"""Brings a lost or damaged keyring back, from the newest export in the places and the recovery words."""

from collections.abc import Sequence
from pathlib import Path

from audobon.backup.repository import KEYSTORES, Repository, open_repository
from audobon.errors import AudobonError, KeyringLost
from audobon.keys.importing import Imported, import_recovery, look_into
from audobon.keys.keystore import read_marker
from audobon.keys.protector import Protectors
from audobon.keys.service import Keys
from audobon.recovery.recovery_words import Words


def prove_keyring(keys: Keys, *, is_thorough: bool) -> None:
    """Open the keyring, and all keys in it if it is to be thorough. raises KeyringLost, CorruptKeyring."""
    if is_thorough:
        keys.status()
    else:
        keys.sign(b"")


def unknown_subjects(keys: Keys, folder: Path) -> list[str]:
    """Return whose packs lie in the standard tier, though the keyring does not know them."""
    known = {subject.id for subject in keys.subjects()}
    return sorted(_subjects_with_packs(folder) - known)


class KeyringMending:
    """Makes the keyring of a data folder anew.

    places  folders that hold backups
    """

    def __init__(self, folder: Path, places: Sequence[Path], protectors: Protectors) -> None:
        self._folder = folder
        self._places = places
        self._protectors = protectors

    def mend(self, why: str, words: Words) -> tuple[Imported, Path]:
        """Import the newest export that the words open; return what it held, and its place.

        What is there of the old keyring is kept beside.
        raises  KeyringLost when no place has an export, or nobody gives the words; WrongPassphrase,
                InvalidInput for words that are none
        """
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
                    self._folder, given, data, self._protectors, replace=True
                ), repository.path
            except AudobonError as error:
                # Of a damaged one the next is as good: the ledger erases what was erased since.
                failure = failure or error
        raise failure or KeyringLost(f"{why}; the exports are of another keyring")

    def _is_of_another(self, imported: Imported) -> bool:
        known = read_marker(self._folder)
        return known is not None and imported.id != known

    def _exports(self) -> list[tuple[str, Repository]]:
        """Return all exports at all places, the newest first: their names begin with the instant."""
        found = []
        for path in self._places:
            try:
                repository = open_repository(path, None, rights="read")
                found += [(info.name, repository) for info in repository.store.list(KEYSTORES)]
            except AudobonError:
                # Another place may be there.
                continue
        return sorted(found, key=lambda each: each[0], reverse=True)


def _subjects_with_packs(folder: Path) -> set[str]:
    """Return the subjects whose packs lie in the standard tier, by the names of folders alone."""
    return {
        path.name
        for kind in ("page", "result", "other", "user")
        if (folder / "blobs" / kind).is_dir()
        for path in (folder / "blobs" / kind).iterdir()
        if path.is_dir() and any(path.iterdir())
    }
