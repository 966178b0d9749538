"""A key-encryption key on this machine, in a file that only its user can read."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audobon.atomic import disk_errors, write_bytes
from audobon.errors import Conflict, Corrupt, CorruptKeyring, KeyringLost
from audobon.keys.port import KeyEncryption

_KEY_BYTES = 32
_NONCE_BYTES = 12


class _File(msgspec.Struct):
    """The versions of the key, in hexadecimal; the last one wraps."""

    format: int
    versions: dict[str, str]


class UnlockFile(KeyEncryption):
    """A KEK in a file of mode 0600, outside the folder it protects, made when it is first needed.

    is_new  whether there may be none yet; otherwise its absence is a loss
    """

    def __init__(self, path: Path, *, is_new: Callable[[], bool]) -> None:
        self._path = path
        self._is_new = is_new

    @property
    def version(self) -> str:
        """Return the name of the version that wraps now."""
        return next(reversed(self._read().versions))

    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        """Return a key wrapped by the present version."""
        version = self.version
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(bytes.fromhex(self._read().versions[version])).encrypt(nonce, key, context)
        return version.encode() + b":" + nonce + sealed

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        """Return a key that any version not destroyed wrapped."""
        name, _, rest = wrapped.partition(b":")
        key = self._read().versions.get(name.decode("ascii", "replace"))
        if key is None:
            raise KeyringLost(
                f"{self._path} does not have the key that this keyring was locked with",
                hint="audobon keys import-recovery",
            )
        try:
            return AESGCM(bytes.fromhex(key)).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError) as error:
            raise CorruptKeyring("a wrapped key is not as it was written") from error

    def rotate(self) -> str:
        """Make a new version, which wraps from now on."""
        file = self._read()
        version = str(int(next(reversed(file.versions))) + 1)
        file.versions[version] = secrets.token_hex(_KEY_BYTES)
        self._write(file)
        return version

    def destroy(self, version: str) -> None:
        """Destroy a version."""
        file = self._read()
        if version == next(reversed(file.versions)):
            raise Conflict(f"version {version} wraps now", hint="rotate first")
        file.versions.pop(version, None)
        self._write(file)

    def _read(self) -> _File:
        with disk_errors(self._path):
            try:
                data = self._path.read_bytes()
            except FileNotFoundError:
                if not self._is_new():
                    raise KeyringLost(
                        f"{self._path}, which unlocks the keyring, is gone",
                        hint="audobon keys import-recovery",
                    ) from None
                file = _File(1, {"1": secrets.token_hex(_KEY_BYTES)})
                self._write(file)
                return file
        try:
            return msgspec.json.decode(data, type=_File)
        except msgspec.DecodeError as error:
            raise Corrupt(f"{self._path} is not as it was written") from error

    def _write(self, file: _File) -> None:
        with disk_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_bytes(self._path, msgspec.json.encode(file))
        self._path.chmod(0o600)
