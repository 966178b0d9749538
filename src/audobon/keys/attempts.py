"""Tries every key of a keyring on something sealed: to prove that none is left that opens it."""

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audobon.errors import CorruptKeyring
from audobon.keys.ring import Ring
from audobon.keys.wrapping import derived, opened_by

_PURPOSES = (b"wrap", b"seal", b"blob id")


def try_every_key(ring: Ring, sealed: bytes, *, context: bytes) -> tuple[int, list[str]]:
    """Return how many keys were tried, and the names of those that open it.

    Tried are the keys of every subject in every version, as they are and as they are derived for each
    purpose, and the tenant keys that wrap them.
    sealed  a nonce and what was sealed with it
    """
    with ring.lock, ring.store.errors():
        connection = ring.store.connection()
        subjects = connection.execute("SELECT subject_id, version FROM subject_key").fetchall()
        tenants = connection.execute("SELECT version FROM tenant_key").fetchall()
        keys = {f"tenant key {version}": ring.tenant_key(version) for (version,) in tenants}
        for subject, version in subjects:
            keys[f"key {version} of {subject}"] = ring.subject_key(subject, version)
    opened = [name for name, key in keys.items() if _opens(key, sealed, context)]
    return len(keys), opened


def _opens(key: bytes, sealed: bytes, context: bytes) -> bool:
    for candidate in (key, *(derived(key, purpose) for purpose in _PURPOSES)):
        try:
            opened_by(AESGCM(candidate), sealed, context, what="it")
        except CorruptKeyring:
            continue
        return True
    return False
