"""A copy of a keyring for another data folder of this machine, which the same protector unlocks."""

import sqlite3
from contextlib import closing
from pathlib import Path

from audobon.atomic import disk_errors, make_private_folder, sync_folder, write_bytes
from audobon.errors import Conflict, KeyringLost
from audobon.keys.keystore import HINT, Keystore, forget_home, keystore_path, read_marker, write_marker


def copy_keyring(source: Path, target: Path) -> None:
    """Give a data folder the keyring of another, with its ledger of erasures.

    The first who opens it gives it a topmost key of its own.
    raises  KeyringLost when there is none, Conflict when the target has one
    """
    store, ledger = keystore_path(source), source / "keys" / "ledger.jsonl"
    keyring_id = read_marker(source)
    if keyring_id is None or not store.is_file():
        raise KeyringLost(f"{source} has no keyring", hint=HINT)
    copy = keystore_path(target)
    if copy.exists():
        raise Conflict(f"{target} has a keyring already", hint="name a new folder")
    with disk_errors(copy), Keystore(target).errors():
        make_private_folder(copy.parent)
        copy.touch(mode=0o600)
        # Read as one transaction, whatever is changed there meanwhile.
        with closing(sqlite3.connect(store)) as original, closing(sqlite3.connect(copy)) as made:
            original.backup(made)
            forget_home(made)
        if ledger.is_file():
            write_bytes(copy.parent / ledger.name, ledger.read_bytes())
        sync_folder(copy.parent)
    write_marker(target, keyring_id)
