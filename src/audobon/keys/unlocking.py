"""Finds what unlocks the keyring of a data folder."""

from collections.abc import Callable
from pathlib import Path

from audobon.errors import Misconfigured
from audobon.keys.gcp import CloudKeyFile
from audobon.keys.keystore import Keystore
from audobon.keys.passphrase import Passphrase, PassphraseFile
from audobon.keys.port import KeyEncryption
from audobon.keys.protector import Protector
from audobon.keys.secret_store import Backend, SecretStore, find_secret_store
from audobon.keys.service import Keys
from audobon.keys.unlock_file import UnlockFile

_PROTECTORS: dict[str, Protector] = {
    "unlock-file": "unlock-file",
    "passphrase": "passphrase",
    "secret-store": "secret-store",
    "cloud-kms": "cloud-kms",
}


class HereProtectors:
    """The protectors of this machine.

    wanted     for a keyring that is made: one of them, or auto
    cloud_key  the key of Cloud KMS that seals what is made; empty: there is none
    """

    def __init__(
        self,
        unlock_folder: Path,
        passphrase: Passphrase,
        *,
        wanted: str = "auto",
        cloud_key: str = "",
        find_store: Callable[[], Backend | None] = find_secret_store,
    ) -> None:
        self._folder = unlock_folder
        self.passphrase = passphrase
        self._wanted = wanted
        self._cloud_key = cloud_key
        self._find_store = find_store

    def choose(self) -> Protector:
        """Return what was wanted; else a passphrase that is configured, the secret store, the unlock file."""
        if (protector := _PROTECTORS.get(self._wanted)) is not None:
            return protector
        if self.passphrase.is_configured:
            return "passphrase"
        return "unlock-file" if self._find_store() is None else "secret-store"

    def kek(
        self, store: Keystore, protector: Protector, *, may_be_new: bool = False, name: str | None = None
    ) -> KeyEncryption:
        """Return the key-encryption key of a keystore."""

        def is_new() -> bool:
            return may_be_new or store.row("SELECT 1 FROM tenant_key") is None

        name = name or store.lock_name
        if protector == "secret-store":
            backend = self._find_store()
            if backend is None:
                raise Misconfigured(
                    "this system has no secret store that can be used",
                    hint="log in to a desktop session, or choose another: audobon keys protect",
                )
            return SecretStore(backend, name, is_new=is_new)
        if protector == "passphrase":
            path = self._folder / f"{name}.passphrase.json"
            return PassphraseFile(path, self.passphrase, is_new=is_new)
        if protector == "cloud-kms":
            return CloudKeyFile(self._folder / f"{name}.cloud-kms.json", self._cloud_key, is_new=is_new)
        return UnlockFile(self._folder / f"{name}.json", is_new=is_new)


def open_keys(
    folder: Path,
    *,
    unlock_folder: Path,
    protector: str = "auto",
    passphrase: Passphrase | None = None,
) -> Keys:
    """Return the keys of a data folder.

    unlock_folder  where the files lie that unlock keyrings; outside the data folder, so that neither it nor
                   a copy of it can be read alone
    protector      of a keyring that is made: auto, secret-store, passphrase or unlock-file
    passphrase     where it comes from, when one is needed
    """
    return Keys(folder, HereProtectors(unlock_folder, passphrase or Passphrase(), wanted=protector))
