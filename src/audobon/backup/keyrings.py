"""The keyring in a place: exported into it, and where a restore has its own from."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import blake3

from audobon.backup.manifest import KeystoreEntry
from audobon.backup.repository import KEYSTORES, Repository, export_name, is_named_by
from audobon.errors import AudobonError, CorruptBackup, CorruptKeyring
from audobon.keys.importing import import_recovery
from audobon.keys.keyring_copy import copy_keyring
from audobon.keys.protector import Protectors
from audobon.keys.recovery import read_heading
from audobon.keys.service import Keys

BringKeyring = Callable[[Path], None]
"""Gives a new data folder its keyring."""


def export_keyring(repository: Repository, keys: Keys) -> tuple[KeystoreEntry, str | None]:
    """Put the keys into a place, for the recovery words alone; apart from all that they open.

    return  what was written and None; of a damaged keystore the newest export of before, and the fault
    raises  CorruptKeyring when the keystore is damaged and there is no export of before
    """
    try:
        data = keys.export_for_recovery()
    except CorruptKeyring as error:
        # The pages must not go without a backup for that; its words alone may lack what is new since.
        if (earlier := _newest_sound(repository, keys.id)) is None:
            raise
        return earlier, error.message
    name = export_name(data)
    repository.write(name, data)
    return _entry(name, data), None


def _newest_sound(repository: Repository, keyring_id: str) -> KeystoreEntry | None:
    for name in sorted((info.name for info in repository.store.list(KEYSTORES)), reverse=True):
        with suppress(AudobonError):
            data = repository.read(name)
            if read_heading(data)[0].keyring == keyring_id and is_named_by(name, data):
                return _entry(name, data)
    return None


def _entry(name: str, data: bytes) -> KeystoreEntry:
    return KeystoreEntry(name, len(data), blake3.blake3(data).hexdigest())


def from_folder(folder: Path) -> BringKeyring:
    """Return what copies the keyring of a data folder of this machine."""
    return lambda target: copy_keyring(folder, target)


def from_words(repository: Repository, words: str, protectors: Protectors) -> BringKeyring:
    """Return what makes the keyring from the newest export of a repository that the words open.

    raises  CorruptBackup when there is no export; from the call, WrongPassphrase
    """

    def bring(target: Path) -> None:
        failure: AudobonError | None = None
        names = sorted((info.name for info in repository.store.list(KEYSTORES)), reverse=True)
        for name in names:
            try:
                import_recovery(target, words, repository.read(name), protectors)
            except AudobonError as error:
                # An older export is as good: the ledger erases what has been erased since.
                failure = failure or error
                continue
            return
        raise failure or CorruptBackup(f"{repository.path} holds no export of the keystore")

    return bring
