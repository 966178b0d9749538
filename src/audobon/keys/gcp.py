"""Topmost keys that only a key of Google's Cloud KMS opens.

They are made here and sealed there: so many keystores can share one CryptoKey, each can be destroyed alone,
and whoever works with them needs the right to encrypt and decrypt, not the right to make and destroy keys.
"""

import hashlib
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from audobon.errors import (
    AudobonError,
    CloudMisconfigured,
    CloudUnavailable,
    CorruptKeyring,
    KeyringLost,
    Misconfigured,
)
from audobon.gcloud import retrying
from audobon.gcloud.clients import grpc_client
from audobon.gcloud.errors import google_errors
from audobon.keys.unlock_file import read_private, remove_private, write_private
from audobon.keys.versions import HINT, KeptVersions
from audobon.settings import CRYPTO_KEY

_CONTEXT = b"audobon keyring by cloud kms"
# Google's advice for a checksum that does not fit: a limited number of attempts.
_ATTEMPTS = 3
_STATE = re.compile(r"current state is: ([A-Z_]+)")
_UNLOCKING = "unlocking the keyring by Cloud KMS"
_LOCKING = "locking the keyring by Cloud KMS"


class CloudKey:
    """A CryptoKey of Cloud KMS, which seals up to 64 KiB; every checksum is proved, both ways.

    name  projects/…/locations/…/keyRings/…/cryptoKeys/…: always the key, never one of its versions, since
          what a version is asked to encrypt the key alone can decrypt
    """

    def __init__(self, name: str) -> None:
        if re.fullmatch(CRYPTO_KEY, name) is None:
            raise Misconfigured(
                f"{name!r} is not the name of a key of Cloud KMS" if name else "no key of Cloud KMS is set",
                hint="cloud.kms_key = projects/PROJECT/locations/REGION/keyRings/RING/cryptoKeys/KEY",
            )
        self.name = name

    def seal(self, plain: bytes, *, context: bytes) -> tuple[bytes, str]:
        """Return bytes sealed by the primary version, and the full name of that version.

        raises  CloudUnavailable, CloudDenied, CloudNotFound, CloudMisconfigured, QuotaExceeded
        """
        with google_errors(_LOCKING, self.name), closing(_Client()) as client:
            from google_crc32c import value as crc32c

            answer = client.proved(
                "encrypt",
                {
                    "name": self.name,
                    "plaintext": plain,
                    "plaintext_crc32c": crc32c(plain),
                    "additional_authenticated_data": context,
                    "additional_authenticated_data_crc32c": crc32c(context),
                },
                is_whole=lambda answer: (
                    answer.verified_plaintext_crc32c
                    and answer.verified_additional_authenticated_data_crc32c
                    and answer.ciphertext_crc32c == crc32c(answer.ciphertext)
                ),
            )
            return bytes(answer.ciphertext), str(answer.name)

    def unseal(self, sealed: bytes, *, context: bytes, version: str) -> bytes:
        """Return what `seal` was given.

        version  that `seal` told, to find out what is wrong with it
        raises   CorruptKeyring when it was changed or the context differs, KeyringLost when the version is
                 destroyed, CloudMisconfigured when it is disabled, and as `seal`
        """
        with google_errors(_UNLOCKING, self.name), closing(_Client()) as client:
            from google.api_core import exceptions
            from google_crc32c import value as crc32c

            try:
                answer = client.proved(
                    "decrypt",
                    {
                        "name": self.name,
                        "ciphertext": sealed,
                        "ciphertext_crc32c": crc32c(sealed),
                        "additional_authenticated_data": context,
                        "additional_authenticated_data_crc32c": crc32c(context),
                    },
                    is_whole=lambda answer: answer.plaintext_crc32c == crc32c(answer.plaintext),
                )
            except exceptions.InvalidArgument as error:
                raise CorruptKeyring(
                    f"{self.name} does not open what locks the keyring", hint=HINT
                ) from error
            except exceptions.NotFound as error:
                raise KeyringLost(f"{self.name}, which unlocks the keyring, is gone", hint=HINT) from error
            except exceptions.FailedPrecondition as error:
                raise _unusable(client, version, error) from error
            return bytes(answer.plaintext)


class _Kept(msgspec.Struct):
    """The file: which key sealed the versions, and by which of its own; `check` tells damage."""

    format: int
    key: str
    sealed_by: str
    sealed: str
    check: str = ""


class CloudKeyFile(KeptVersions):
    """A KEK in a file of mode 0600 that only Cloud KMS opens, asked once per process.

    wanted  the CryptoKey for a file that is made or written anew; empty: the one that sealed it
    """

    def __init__(self, path: Path, wanted: str, *, is_new: Callable[[], bool]) -> None:
        super().__init__(str(path), is_new=is_new)
        self._path = path
        self._wanted = wanted
        self._opened: tuple[str, dict[str, bytes]] | None = None

    @property
    def sealed_by(self) -> str:
        """Return the full name of the version of the CryptoKey that sealed the file."""
        data = read_private(self._path)
        return "" if data is None else self._decoded(data).sealed_by

    def discard(self) -> None:
        """Remove the file; the CryptoKey, which others may share, is left alone."""
        remove_private(self._path)

    def _load(self) -> dict[str, bytes] | None:
        data = read_private(self._path)
        if data is None:
            return None
        kept = self._decoded(data)
        if self._opened is None or self._opened[0] != kept.sealed:
            plain = CloudKey(kept.key).unseal(
                bytes.fromhex(kept.sealed), context=_CONTEXT, version=kept.sealed_by
            )
            self._opened = kept.sealed, dict(msgspec.msgpack.decode(plain, type=list[tuple[str, bytes]]))
        return dict(self._opened[1])

    def _save(self, versions: dict[str, bytes]) -> None:
        data = read_private(self._path)
        name = self._wanted or ("" if data is None else self._decoded(data).key)
        plain = msgspec.msgpack.encode(list(versions.items()))
        sealed, sealed_by = CloudKey(name).seal(plain, context=_CONTEXT)
        kept = _Kept(1, name, sealed_by, sealed.hex())
        kept.check = _check(kept)
        write_private(self._path, msgspec.json.encode(kept))
        self._opened = kept.sealed, dict(versions)

    def _decoded(self, data: bytes) -> _Kept:
        try:
            kept = msgspec.json.decode(data, type=_Kept)
            bytes.fromhex(kept.sealed)
        except (msgspec.DecodeError, ValueError) as error:
            raise CorruptKeyring(f"{self._where} is not as it was written", hint=HINT) from error
        # Looked at before it is believed: a changed name would have another key asked.
        if kept.check != _check(kept):
            raise CorruptKeyring(f"{self._where} is not as it was written", hint=HINT)
        return kept


class _Client:
    """A client whose connection ends with it: it is needed once in the life of a process."""

    def __init__(self) -> None:
        from google.cloud.kms_v1 import KeyManagementServiceClient

        self._client: Any = grpc_client(KeyManagementServiceClient, "kms")

    def call(self, method: str, request: dict[str, Any]) -> Any:
        """Return the answer to a call."""
        return getattr(self._client, method)(
            request, retry=retrying.usual_retry(), timeout=retrying.CALL_SECONDS
        )

    def proved(self, method: str, request: dict[str, Any], *, is_whole: Callable[[Any], bool]) -> Any:
        """Return an answer whose checksums fit; asked for again when they do not, there or here."""
        from google.api_core.exceptions import InvalidArgument

        for _ in range(_ATTEMPTS):
            try:
                answer = self.call(method, request)
            except InvalidArgument as error:
                # Of all that can be wrong with a request, only this says nothing of the keyring.
                if "crc32c" not in error.message:
                    raise
                continue
            if is_whole(answer):
                return answer
        raise CloudUnavailable(
            f"Cloud KMS ({request['name']}): {_ATTEMPTS} times the bytes arrived other than they were sent",
            hint="look for what changes traffic between here and Google, then try again",
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.transport.close()


def _unusable(client: _Client, version: str, refusal: Any) -> AudobonError:
    """Return what to say of a version that refuses to decrypt: what became of it, and the way back."""
    from google.api_core import exceptions

    until = ""
    try:
        found = client.call("get_crypto_key_version", {"name": version})
        state = found.state.name
        if found.destroy_time is not None:
            until = f" on {found.destroy_time:%Y-%m-%d %H:%M} UTC"
    except (exceptions.Forbidden, exceptions.NotFound):
        # Who may decrypt need not have the right to look; the refusal itself says it in passing.
        match = _STATE.search(refusal.message)
        state = match[1] if match else "not enabled"
    if state == "DESTROYED":
        return KeyringLost(f"{version}, which unlocks the keyring, was destroyed", hint=HINT)
    if state == "DESTROY_SCHEDULED":
        return CloudMisconfigured(
            f"{version}, which unlocks the keyring, is to be destroyed{until}",
            hint=f"gcloud kms keys versions restore {version}; enable it; then audobon keys rotate",
        )
    return CloudMisconfigured(
        f"{version}, which unlocks the keyring, cannot be used: it is {state}",
        hint=f"gcloud kms keys versions enable {version}",
    )


def _check(kept: _Kept) -> str:
    return hashlib.sha256(
        msgspec.json.encode([kept.format, kept.key, kept.sealed_by, kept.sealed])
    ).hexdigest()[:16]
