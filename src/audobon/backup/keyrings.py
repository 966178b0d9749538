"""Where a restore has its keyring from: a data folder of this machine, or an export and its words."""

from collections.abc import Callable
from pathlib import Path

from audobon.backup.repository import KEYSTORES, Repository
from audobon.errors import AudobonError, CorruptBackup
from audobon.keys.importing import import_recovery
from audobon.keys.keyring_copy import copy_keyring
from audobon.keys.protector import Protectors

BringKeyring = Callable[[Path], None]
"""Gives a new data folder its keyring."""


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
