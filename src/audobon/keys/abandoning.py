"""Destroys what unlocks a keyring whose data folder is about to be thrown away."""

from typing import get_args

from audobon.keys.protector import Protector
from audobon.keys.ring import Ring


def abandon(ring: Ring) -> None:
    """Destroy the key-encryption key of a keystore; what unlocks another as well is left.

    Writes nothing in the folder, since the disk may be full. raises Denied, Unavailable, CorruptKeyring
    """
    store = ring.store
    if not store.exists:
        return
    with ring.lock:
        # Killed before it was a keystore of its own, it may have had the key for that made already.
        name = store.noted_lock() if store.is_copy() else store.lock_name
        present = ring.protector()
        for protector in get_args(Protector):
            # One may be half left for another; a secret store is asked only by whoever has one.
            if name is not None and (protector == present or protector != "secret-store"):
                ring.protectors.kek(store, protector, may_be_new=True, name=name).discard()
    ring.forget()
