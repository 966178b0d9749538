"""Destroys what unlocks a keyring whose data folder is about to be thrown away."""

from contextlib import suppress

from audobon.errors import AudobonError
from audobon.keys.ring import Ring


def abandon(ring: Ring) -> None:
    """Destroy the key-encryption key of a keystore, as far as one can; what unlocks another is left."""
    store = ring.store
    if not store.exists:
        return
    with suppress(AudobonError), ring.lock:
        if store.is_copy():
            # Killed before it was a keystore of its own, it may have had the key for that made already.
            with ring.changing():
                store.take_lock(store.next_lock())
        ring.protectors.kek(store, ring.protector(), may_be_new=True).discard()
    ring.forget()
