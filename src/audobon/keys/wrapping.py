"""How keys come from others and are wrapped by them: HKDF-SHA256, AES-256-GCM with random nonces."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from audobon.errors import CorruptKeyring

KEY_BYTES = 32
NONCE_BYTES = 12


def new_key() -> bytes:
    """Return a fresh key."""
    return os.urandom(KEY_BYTES)


def derived(key: bytes, purpose: bytes) -> bytes:
    """Return the key of a purpose, from which the one it comes from cannot be told."""
    return HKDF(SHA256(), KEY_BYTES, None, purpose).derive(key)


def sealed_by(cipher: AESGCM, data: bytes, context: bytes) -> bytes:
    """Return a nonce and data sealed with it; `context` must be the same to open it."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, context)


def opened_by(cipher: AESGCM, sealed: bytes, context: bytes, *, what: str, hint: str | None = None) -> bytes:
    """Return what `sealed_by` was given. raises CorruptKeyring, which calls it `what`."""
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except (InvalidTag, ValueError) as error:
        raise CorruptKeyring(f"{what} is not as it was written", hint=hint) from error


def wrap(key: bytes, secret: bytes, context: bytes) -> bytes:
    """Return a key wrapped by another."""
    return sealed_by(AESGCM(key), secret, context)


def unwrap(key: bytes, wrapped: bytes, context: bytes) -> bytes:
    """Return a wrapped key. raises CorruptKeyring."""
    return opened_by(AESGCM(key), wrapped, context, what="a wrapped key")
