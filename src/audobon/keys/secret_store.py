"""A key-encryption key in the secret store of the operating system."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from audobon.errors import Unavailable
from audobon.keys.versions import KeptVersions, decode_versions, encode_versions

_SERVICE = "audobon"
# What encrypts under the user's login. Whatever else calls itself a backend may write plain text.
_SECURE = (
    "keyring.backends.SecretService",
    "keyring.backends.libsecret",
    "keyring.backends.kwallet",
    "keyring.backends.macOS",
    "keyring.backends.Windows",
)


class Backend(Protocol):
    """What is used of a backend of the `keyring` library."""

    def get_password(self, service: str, username: str) -> str | None:
        """Return what is stored under a name."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store under a name."""

    def delete_password(self, service: str, username: str) -> None:
        """Remove what is stored under a name."""


def find_secret_store() -> Backend | None:
    """Return the secret store of this system; None when there is none that keeps a secret."""
    import keyring

    found = keyring.get_keyring()
    for backend in getattr(found, "backends", [found]):
        if is_secure(backend):
            return backend  # type: ignore[no-any-return]
    return None


def is_secure(backend: object) -> bool:
    """Tell whether a backend is one that encrypts under the user's login."""
    module = type(backend).__module__
    return any(module == name or module.startswith(name + ".") for name in _SECURE)


class SecretStore(KeptVersions):
    """A KEK as one secret of the operating system's store, named by the keystore."""

    def __init__(self, backend: Backend, name: str, *, is_new: Callable[[], bool]) -> None:
        super().__init__(f"the entry {_SERVICE}/{name} of the system's secret store", is_new=is_new)
        self._backend = backend
        self._name = name

    def discard(self) -> None:
        """Remove the secret."""
        with self._errors():
            if self._backend.get_password(_SERVICE, self._name) is not None:
                self._backend.delete_password(_SERVICE, self._name)

    def _load(self) -> dict[str, bytes] | None:
        with self._errors():
            text = self._backend.get_password(_SERVICE, self._name)
        return decode_versions(text.encode(), self._where) if text else None

    def _save(self, versions: dict[str, bytes]) -> None:
        with self._errors():
            self._backend.set_password(_SERVICE, self._name, encode_versions(versions).decode())

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from keyring.errors import KeyringError

        try:
            yield
        except KeyringError as error:
            # Its own words may hold anything; the kind says enough.
            raise Unavailable(
                f"{self._where} cannot be used: {type(error).__name__}",
                hint="unlock the system's secret store and try again",
            ) from error
