"""The conformance suite catches drivers that break the promises of KeyEncryption."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from key_encryption_conformance import KeyEncryptionConformance

from audobon.errors import AudobonError, CorruptKeyring
from audobon.keys.port import KeyEncryption
from audobon.keys.unlock_file import UnlockFile
from audobon.keys.versions import HINT


class IgnoresContext(UnlockFile):
    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        return super().wrap(key, context=b"")

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        return super().unwrap(wrapped, context=b"")


class KeepsTheKeyInClear(UnlockFile):
    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        return super().wrap(key, context=context) + key

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        return super().unwrap(wrapped[:-32], context=context)


class UsesOneNonce(UnlockFile):
    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        version = self.version.encode()
        cipher = AESGCM(self._present()[version.decode()])
        nonce = bytes(12)
        return version + b":" + nonce + cipher.encrypt(nonce, key, version + b"\0" + context)


class ForgetsOlderVersions(UnlockFile):
    def rotate(self) -> str:
        version = super().rotate()
        self._save({version: self._present()[version]})
        return version


class NeverDestroys(UnlockFile):
    def destroy(self, version: str) -> None:
        if version == self.version:
            super().destroy(version)


class DestroysThePresentOne(UnlockFile):
    def destroy(self, version: str) -> None:
        versions = self._present()
        del versions[version]
        self._save(versions)


class CountsVersions(UnlockFile):
    def rotate(self) -> str:
        versions = self._present()
        version = str(len(versions) + 1)
        self._save({**versions, version: bytes(32)})
        return version


class SortsVersionsAsWords(UnlockFile):
    def versions(self) -> list[str]:
        return sorted(super().versions())


class UsesOneKeyForAll(UnlockFile):
    def rotate(self) -> str:
        versions = self._present()
        version = str(int(self.version) + 1)
        self._save({**versions, version: versions[self.version]})
        return version

    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        name, _, sealed = super().wrap(key, context=context).partition(b":")
        plain = AESGCM(self._present()[name.decode()]).decrypt(
            sealed[:12], sealed[12:], name + b"\0" + context
        )
        return (
            name
            + b":"
            + sealed[:12]
            + AESGCM(self._present()[name.decode()]).encrypt(sealed[:12], plain, context)
        )

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        name, _, sealed = wrapped.partition(b":")
        key = self._present().get(name.decode("ascii", "replace"))
        try:
            assert key is not None
            return AESGCM(key).decrypt(sealed[:12], sealed[12:], context)
        except Exception as error:
            raise CorruptKeyring("x", hint=HINT) from error


class MakesALostOneAnew(UnlockFile):
    def __init__(self, path: Path, *, is_new: Callable[[], bool]) -> None:
        super().__init__(path, is_new=lambda: True)


class DiscardsNothing(UnlockFile):
    def discard(self) -> None:
        return


class DiscardsOnce(UnlockFile):
    def discard(self) -> None:
        self._path.unlink()


class HoldsItInMemory(UnlockFile):
    """Another process finds nothing."""

    def _load(self) -> dict[str, bytes] | None:
        return vars(self).get("held")

    def _save(self, versions: dict[str, bytes]) -> None:
        vars(self)["held"] = versions


BROKEN = [
    IgnoresContext,
    KeepsTheKeyInClear,
    UsesOneNonce,
    ForgetsOlderVersions,
    NeverDestroys,
    DestroysThePresentOne,
    CountsVersions,
    SortsVersionsAsWords,
    UsesOneKeyForAll,
    MakesALostOneAnew,
    DiscardsNothing,
    DiscardsOnce,
    HoldsItInMemory,
]


def failures(kind: type[UnlockFile], folder: Path) -> list[str]:
    """Return the names of the suite's tests that a driver fails."""
    failed = []
    for name in [each for each in dir(KeyEncryptionConformance) if each.startswith("test_")]:
        path = folder / name / "kek.json"

        class Suite(KeyEncryptionConformance):
            place, is_new = path, True

            def opened(self) -> KeyEncryption:
                return kind(self.place, is_new=lambda: self.is_new)

            def lose(self) -> None:
                self.place.unlink()
                self.is_new = False

        try:
            getattr(Suite(), name)()
        except (
            AssertionError,
            AudobonError,
            OSError,
            ValueError,
            KeyError,
            IndexError,
            pytest.fail.Exception,
        ):
            failed.append(name)
    return failed


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_driver_is_caught(kind: type[UnlockFile], tmp_path: Path) -> None:
    assert failures(kind, tmp_path)


def test_a_sound_driver_passes(tmp_path: Path) -> None:
    assert failures(UnlockFile, tmp_path) == []
