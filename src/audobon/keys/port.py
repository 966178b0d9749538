"""What encrypts the topmost keys: a key of its own that never leaves it."""

from abc import ABC, abstractmethod


class KeyEncryption(ABC):
    """Wraps tenant keys with a key-encryption key (KEK) in versions.

    Asked once per process and tenant key, so a driver may be as far away as a network. What a version
    wrapped can be unwrapped as long as that version is not destroyed. Changed by one process at a time (the
    keystore's transaction sees to that), read by many.
    """

    @property
    @abstractmethod
    def version(self) -> str:
        """Return the name of the version that wraps now."""

    @abstractmethod
    def versions(self) -> list[str]:
        """Return the names of all versions not destroyed, oldest first."""

    @abstractmethod
    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        """Return a key wrapped by the present version; the result tells which it was."""

    @abstractmethod
    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        """Return a key that any version not destroyed wrapped, under the same context.

        raises  CorruptKeyring when it was changed or the context differs, WrongPassphrase, KeyringLost
        """

    @abstractmethod
    def rotate(self) -> str:
        """Make a new version, which wraps from now on; return its name. Older ones still unwrap."""

    @abstractmethod
    def destroy(self, version: str) -> None:
        """Destroy a version: what it wrapped is lost for good. Conflict when it is the present one."""

    @abstractmethod
    def discard(self) -> None:
        """Destroy every version, since something else protects the keyring now; again is no error."""
