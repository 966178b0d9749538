"""Key-encryption keys that lie in one place as a whole: what every such place has in common."""

import hashlib
import secrets
from abc import abstractmethod
from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audobon.errors import Conflict, CorruptKeyring, KeyringLost
from audobon.keys.port import KeyEncryption
from audobon.keys.wrapping import KEY_BYTES, opened_by, sealed_by

HINT = "audobon keys import-recovery"


class KeptVersions(KeyEncryption):
    """A KEK whose versions are kept somewhere together, read anew for each act and written whole.

    where   the place, for messages
    is_new  whether there may be none yet; otherwise their absence is a loss
    """

    def __init__(self, where: str, *, is_new: Callable[[], bool]) -> None:
        self._where = where
        self._is_new = is_new

    @property
    def version(self) -> str:
        """Return the name of the version that wraps now."""
        return self.versions()[-1]

    def versions(self) -> list[str]:
        """Return the names of all versions not destroyed, oldest first."""
        return list(self._present())

    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        """Return a key wrapped by the present version."""
        version, kek = list(self._present().items())[-1]
        name = version.encode()
        return name + b":" + sealed_by(AESGCM(kek), key, name + b"\0" + context)

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        """Return a key that any version not destroyed wrapped."""
        name, _, sealed = wrapped.partition(b":")
        if not name.isdigit() or len(name) > len(sealed):
            raise CorruptKeyring("the tenant key is not as it was written", hint=HINT)
        kek = self._present().get(name.decode())
        if kek is None:
            raise KeyringLost(f"{self._where} lacks the key that this keyring was locked with", hint=HINT)
        return opened_by(AESGCM(kek), sealed, name + b"\0" + context, what="the tenant key")

    def rotate(self) -> str:
        """Make a new version, which wraps from now on."""
        versions = self._present()
        version = str(int(list(versions)[-1]) + 1)
        self._save({**versions, version: secrets.token_bytes(KEY_BYTES)})
        return version

    def destroy(self, version: str) -> None:
        """Destroy a version."""
        versions = self._present()
        if version == list(versions)[-1]:
            raise Conflict(f"version {version} wraps now", hint="rotate first")
        if versions.pop(version, None) is not None:
            self._save(versions)

    @abstractmethod
    def _load(self) -> dict[str, bytes] | None:
        """Return the versions, oldest first; None when there are none."""

    @abstractmethod
    def _save(self, versions: dict[str, bytes]) -> None:
        """Keep these versions in the place of those before, or fail and keep those."""

    def _present(self) -> dict[str, bytes]:
        versions = self._load()
        if versions:
            return versions
        if not self._is_new():
            raise KeyringLost(f"{self._where}, which unlocks the keyring, is gone", hint=HINT)
        versions = {"1": secrets.token_bytes(KEY_BYTES)}
        self._save(versions)
        return versions


class Kept(msgspec.Struct):
    """Versions as they are kept, in hexadecimal; `check` tells damage from a wrong key."""

    format: int
    versions: dict[str, str]
    check: str = ""


def encode_versions(versions: dict[str, bytes]) -> bytes:
    """Return versions as JSON."""
    kept = Kept(1, {name: key.hex() for name, key in versions.items()})
    kept.check = _check(kept)
    return msgspec.json.encode(kept)


def decode_versions(data: bytes, where: str) -> dict[str, bytes]:
    """Return what `encode_versions` was given. raises CorruptKeyring."""
    try:
        kept = msgspec.json.decode(data, type=Kept)
        if kept.check == _check(kept):
            return {name: bytes.fromhex(key) for name, key in kept.versions.items()}
    except (msgspec.DecodeError, ValueError) as error:
        raise CorruptKeyring(f"{where} is not as it was written", hint=HINT) from error
    raise CorruptKeyring(f"{where} is not as it was written", hint=HINT)


def _check(kept: Kept) -> str:
    return hashlib.sha256(msgspec.json.encode([kept.format, list(kept.versions.items())])).hexdigest()[:16]
