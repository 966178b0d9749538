"""Finds what unlocks the keyring of a data folder."""

from pathlib import Path

from audobon.keys.embedded import UnlockFile
from audobon.keys.keystore import Keystore
from audobon.keys.port import KeyEncryption
from audobon.keys.service import Keys


def open_keys(folder: Path, *, unlock_folder: Path) -> Keys:
    """Return the keys of a data folder.

    unlock_folder  where the files lie that unlock keyrings; outside the data folder, so that neither it nor
                   a copy of it can be read alone
    """

    def kek(store: Keystore) -> KeyEncryption:
        connection = store.connection()
        keystore_id = connection.execute("SELECT value FROM meta WHERE name = 'id'").fetchone()[0].decode()
        return UnlockFile(
            unlock_folder / f"{keystore_id}.json",
            is_new=lambda: connection.execute("SELECT 1 FROM tenant_key").fetchone() is None,
        )

    return Keys(folder, kek)
