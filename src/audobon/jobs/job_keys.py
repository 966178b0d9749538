"""Keys that tell a job, and the place of its output, without telling their names.

Hashes under a key of the subject: without the keyring nobody can try names until one fits.
"""

import blake3
import msgspec

from audobon.keys.service import SYSTEM, Keys


def job_key(
    keys: Keys, subject: str, *, operation: str, settings_identity: object, source: str, target: str | None
) -> str:
    """Return what is equal for the same operation, settings, source and target of the same subject."""
    return _hashed(keys, subject, b"job", (operation, settings_identity, source, target))


def place_key(keys: Keys, target: str) -> str:
    """Return what is equal for the same output, whoever writes it."""
    return "place-" + _hashed(keys, SYSTEM, b"place", target)


def _hashed(keys: Keys, subject: str, purpose: bytes, facts: object) -> str:
    key = blake3.blake3(purpose, key=keys.blob_id_key(subject)).digest()
    return blake3.blake3(msgspec.json.encode(facts), key=key).hexdigest()
