"""Cloud KMS: key rings, symmetric keys and their versions, rotation and destruction on the clock.

source  cloud.google.com/kms/docs/reference/rpc/google.cloud.kms.v1; what it has beyond is UNIMPLEMENTED
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import google_crc32c
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.cloud import kms_v1
from google.protobuf.duration_pb2 import Duration

from fakes.api import DAY_SECONDS, FakeApi, timestamp
from fakes.faults import Faults
from fakes.grpc_server import GrpcServer
from fakes.names import Name
from fakes.pages import page_of
from fakes.refusal import Refused, invalid, not_found

_ID = r"[a-zA-Z0-9_-]{1,63}"
_LOCATION = Name("projects/{project}/locations/{location}")
_RING = Name("projects/{project}/locations/{location}/keyRings/{key_ring}", _ID)
_KEY = Name("projects/{project}/locations/{location}/keyRings/{key_ring}/cryptoKeys/{crypto_key}", _ID)
_VERSION = Name(_KEY.pattern + "/cryptoKeyVersions/{version}", r"[0-9]+")

_MOST_BYTES = 64 * 1024
_USUAL_DESTROY_DAYS = 30
_SHORTEST_DESTROY_DAYS, _LONGEST_DESTROY_DAYS = 1, 120
_SHORTEST_ROTATION_SECONDS, _LONGEST_ROTATION_SECONDS = 24 * 3600, 876_000 * 3600
_KEY_ID_BYTES = 16

_State = kms_v1.CryptoKeyVersion.CryptoKeyVersionState
_CHANGEABLE = {"labels", "rotation_period", "next_rotation_time", "version_template"}


@dataclass
class _Version:
    public: kms_v1.CryptoKeyVersion
    key_id: bytes = field(default_factory=lambda: os.urandom(_KEY_ID_BYTES))
    key: bytes | None = field(default_factory=lambda: os.urandom(32))


@dataclass
class _Key:
    public: kms_v1.CryptoKey
    versions: dict[str, _Version] = field(default_factory=dict)
    primary: str = ""


class FakeKms(FakeApi):
    """The service KeyManagementService.

    spoiled_answers  so many of the next answers of Encrypt and Decrypt arrive with a flipped bit
    spoiled_requests so many of the next requests of Encrypt and Decrypt do
    unproved         so many of the next requests to encrypt arrive without their checksums
    """

    api: ClassVar[str] = "kms"

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        super().__init__(clock, faults)
        self._rings: dict[str, kms_v1.KeyRing] = {}
        self._keys: dict[str, _Key] = {}
        self.spoiled_answers = 0
        self.spoiled_requests = 0
        self.unproved = 0

    def install(self, server: GrpcServer) -> None:
        """Serve it."""
        server.serve("google.cloud.kms.v1.KeyManagementService", self)

    def make_key(self, name: str, *, rotation_days: float | None = None) -> str:
        """Make a key, and its ring if need be, as somebody else did before; return its name."""
        ring, _, key_id = name.partition("/cryptoKeys/")
        with self.lock:
            self._rings.setdefault(ring, kms_v1.KeyRing(name=ring, create_time=self.now()))
            key = kms_v1.CryptoKey(purpose=kms_v1.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT)
            if rotation_days is not None:
                key.rotation_period = Duration(seconds=int(rotation_days * DAY_SECONDS))
                key.next_rotation_time = timestamp(self.clock() + rotation_days * DAY_SECONDS)
            request = kms_v1.CreateCryptoKeyRequest(parent=ring, crypto_key_id=key_id, crypto_key=key)
            return str(self.create_crypto_key(request).name)

    def disable(self, version: str) -> None:
        """Switch a version off, as somebody else does."""
        with self.lock:
            self._version(version).public.state = _State.DISABLED

    def forget_key(self, name: str) -> None:
        """Take a key away as if its project had been deleted."""
        with self.lock:
            del self._keys[name]

    def create_key_ring(self, request: kms_v1.CreateKeyRingRequest) -> kms_v1.KeyRing:
        """Make a key ring."""
        _LOCATION.parse(request.parent)
        name = f"{request.parent}/keyRings/{request.key_ring_id}"
        _RING.parse(name)
        if name in self._rings:
            raise Refused("ALREADY_EXISTS", f"KeyRing {name} already exists.")
        self._rings[name] = kms_v1.KeyRing(name=name, create_time=self.now())
        return kms_v1.KeyRing(self._rings[name])

    def get_key_ring(self, request: kms_v1.GetKeyRingRequest) -> kms_v1.KeyRing:
        """Return a key ring."""
        return kms_v1.KeyRing(self._ring(request.name))

    def list_key_rings(self, request: kms_v1.ListKeyRingsRequest) -> kms_v1.ListKeyRingsResponse:
        """List the key rings of a place."""
        _LOCATION.parse(request.parent)
        found = [ring for name, ring in self._rings.items() if name.startswith(f"{request.parent}/keyRings/")]
        rings, token = _page(request, found)
        return kms_v1.ListKeyRingsResponse(key_rings=rings, next_page_token=token, total_size=len(found))

    def create_crypto_key(self, request: kms_v1.CreateCryptoKeyRequest) -> kms_v1.CryptoKey:
        """Make a key, with its first version unless that is not wanted."""
        self._ring(request.parent)
        name = f"{request.parent}/cryptoKeys/{request.crypto_key_id}"
        _KEY.parse(name)
        if name in self._keys:
            raise Refused("ALREADY_EXISTS", f"CryptoKey {name} already exists.")
        wanted = kms_v1.CryptoKey(request.crypto_key)
        if wanted.purpose != kms_v1.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT:
            raise invalid("crypto_key.purpose: this fake has keys of the purpose ENCRYPT_DECRYPT alone")
        _check_rotation(wanted)
        self._check_destruction(wanted)
        wanted.name, wanted.create_time = name, self.now()
        template = wanted.version_template
        template.protection_level = template.protection_level or kms_v1.ProtectionLevel.SOFTWARE
        symmetric = kms_v1.CryptoKeyVersion.CryptoKeyVersionAlgorithm.GOOGLE_SYMMETRIC_ENCRYPTION
        if template.algorithm not in (0, symmetric):
            raise invalid("crypto_key.version_template.algorithm does not fit the purpose ENCRYPT_DECRYPT")
        template.algorithm = symmetric
        wanted.version_template = template
        key = self._keys[name] = _Key(wanted)
        if not request.skip_initial_version_creation:
            key.primary = self._new_version(key)
        return self._shown(key)

    def get_crypto_key(self, request: kms_v1.GetCryptoKeyRequest) -> kms_v1.CryptoKey:
        """Return a key with its primary version."""
        return self._shown(self._key(request.name))

    def list_crypto_keys(self, request: kms_v1.ListCryptoKeysRequest) -> kms_v1.ListCryptoKeysResponse:
        """List the keys of a ring."""
        self._ring(request.parent)
        names = [name for name in self._keys if name.startswith(f"{request.parent}/cryptoKeys/")]
        found = [self._shown(self._key(name)) for name in names]
        keys, token = _page(request, found)
        return kms_v1.ListCryptoKeysResponse(crypto_keys=keys, next_page_token=token, total_size=len(found))

    def update_crypto_key(self, request: kms_v1.UpdateCryptoKeyRequest) -> kms_v1.CryptoKey:
        """Change what may be changed of a key."""
        key = self._key(request.crypto_key.name)
        paths = list(request.update_mask.paths)
        if not paths or not set(paths) <= _CHANGEABLE:
            raise invalid(f"update_mask {paths} must name some of {sorted(_CHANGEABLE)}")
        changed = kms_v1.CryptoKey(key.public)
        for path in paths:
            setattr(changed, path, getattr(request.crypto_key, path))
        _check_rotation(changed)
        key.public = changed
        return self._shown(key)

    def update_crypto_key_primary_version(
        self, request: kms_v1.UpdateCryptoKeyPrimaryVersionRequest
    ) -> kms_v1.CryptoKey:
        """Have another version encrypt from now on."""
        key = self._key(request.name)
        version = key.versions.get(request.crypto_key_version_id)
        if version is None:
            raise not_found(f"CryptoKeyVersion {request.name}/…/{request.crypto_key_version_id}")
        _demand_enabled(version)
        key.primary = request.crypto_key_version_id
        return self._shown(key)

    def create_crypto_key_version(
        self, request: kms_v1.CreateCryptoKeyVersionRequest
    ) -> kms_v1.CryptoKeyVersion:
        """Make a version; it does not become the primary one by that."""
        key = self._key(request.parent)
        return kms_v1.CryptoKeyVersion(key.versions[self._new_version(key)].public)

    def get_crypto_key_version(self, request: kms_v1.GetCryptoKeyVersionRequest) -> kms_v1.CryptoKeyVersion:
        """Return a version."""
        return kms_v1.CryptoKeyVersion(self._version(request.name).public)

    def list_crypto_key_versions(
        self, request: kms_v1.ListCryptoKeyVersionsRequest
    ) -> kms_v1.ListCryptoKeyVersionsResponse:
        """List the versions of a key, in every state."""
        key = self._key(request.parent)
        found = [kms_v1.CryptoKeyVersion(version.public) for version in key.versions.values()]
        versions, token = _page(request, found)
        return kms_v1.ListCryptoKeyVersionsResponse(
            crypto_key_versions=versions, next_page_token=token, total_size=len(found)
        )

    def update_crypto_key_version(
        self, request: kms_v1.UpdateCryptoKeyVersionRequest
    ) -> kms_v1.CryptoKeyVersion:
        """Switch a version off or on again."""
        version = self._version(request.crypto_key_version.name)
        if list(request.update_mask.paths) != ["state"]:
            raise invalid("update_mask must be state")
        states = (_State.ENABLED, _State.DISABLED)
        if request.crypto_key_version.state not in states:
            raise invalid("crypto_key_version.state must be ENABLED or DISABLED")
        if version.public.state not in states:
            raise _precondition(version)
        version.public.state = request.crypto_key_version.state
        return kms_v1.CryptoKeyVersion(version.public)

    def destroy_crypto_key_version(
        self, request: kms_v1.DestroyCryptoKeyVersionRequest
    ) -> kms_v1.CryptoKeyVersion:
        """Schedule the destruction of a version."""
        version = self._version(request.name)
        if version.public.state not in (_State.ENABLED, _State.DISABLED):
            raise _precondition(version)
        key = self._key(request.name.partition("/cryptoKeyVersions/")[0])
        waits = key.public.destroy_scheduled_duration.total_seconds()
        version.public.state = _State.DESTROY_SCHEDULED
        version.public.destroy_time = timestamp(self.clock() + waits)
        return kms_v1.CryptoKeyVersion(version.public)

    def restore_crypto_key_version(
        self, request: kms_v1.RestoreCryptoKeyVersionRequest
    ) -> kms_v1.CryptoKeyVersion:
        """Take back the destruction of a version that waits for it; it is switched off then."""
        version = self._version(request.name)
        if version.public.state != _State.DESTROY_SCHEDULED:
            raise _precondition(version)
        version.public.state = _State.DISABLED
        version.public.destroy_time = None
        return kms_v1.CryptoKeyVersion(version.public)

    def encrypt(self, request: kms_v1.EncryptRequest) -> kms_v1.EncryptResponse:
        """Encrypt by a version, or by a key's primary one."""
        if _VERSION.fits(request.name):
            version = self._version(request.name)
        else:
            key = self._key(request.name)
            if not key.primary:
                raise Refused("FAILED_PRECONDITION", f"{request.name} has no primary version.")
            version = key.versions[key.primary]
        _demand_enabled(version)
        _check_sizes(request.plaintext, request.additional_authenticated_data)
        is_unproved = self.unproved > 0
        self.unproved -= is_unproved
        self._spoil_request(request, "plaintext")
        if not is_unproved:
            _check_sums(request, "plaintext", "additional_authenticated_data")
        nonce = os.urandom(12)
        assert version.key is not None
        sealed = AESGCM(version.key).encrypt(nonce, request.plaintext, request.additional_authenticated_data)
        ciphertext = version.key_id + nonce + sealed
        return kms_v1.EncryptResponse(
            name=version.public.name,
            ciphertext=self._spoiled(ciphertext),
            ciphertext_crc32c=google_crc32c.value(ciphertext),
            verified_plaintext_crc32c=_has(request, "plaintext_crc32c") and not is_unproved,
            verified_additional_authenticated_data_crc32c=(
                _has(request, "additional_authenticated_data_crc32c") and not is_unproved
            ),
            protection_level=version.public.protection_level,
        )

    def decrypt(self, request: kms_v1.DecryptRequest) -> kms_v1.DecryptResponse:
        """Decrypt by whichever version of a key encrypted it."""
        key = self._key(request.name)
        self._spoil_request(request, "ciphertext")
        _check_sums(request, "ciphertext", "additional_authenticated_data")
        ciphertext = request.ciphertext
        found = [each for each in key.versions.values() if each.key_id == bytes(ciphertext[:_KEY_ID_BYTES])]
        failed = invalid("Decryption failed: verify that 'name' refers to the correct CryptoKey.")
        if not found:
            raise failed
        _demand_enabled(found[0])
        assert found[0].key is not None
        rest = ciphertext[_KEY_ID_BYTES:]
        try:
            plaintext = AESGCM(found[0].key).decrypt(
                rest[:12], rest[12:], request.additional_authenticated_data
            )
        except (InvalidTag, ValueError) as error:
            raise failed from error
        return kms_v1.DecryptResponse(
            plaintext=self._spoiled(plaintext),
            plaintext_crc32c=google_crc32c.value(plaintext),
            used_primary=found[0].public.name.endswith(f"/cryptoKeyVersions/{key.primary}"),
            protection_level=found[0].public.protection_level,
        )

    def _ring(self, name: str) -> kms_v1.KeyRing:
        _RING.parse(name)
        if name not in self._rings:
            raise not_found(f"KeyRing {name}")
        return self._rings[name]

    def _key(self, name: str) -> _Key:
        _KEY.parse(name)
        if name not in self._keys:
            raise not_found(f"CryptoKey {name}")
        key = self._keys[name]
        self._let_time_pass(key)
        return key

    def _version(self, name: str) -> _Version:
        _VERSION.parse(name)
        parent, _, number = name.partition("/cryptoKeyVersions/")
        versions = self._key(parent).versions
        if number not in versions:
            raise not_found(f"CryptoKeyVersion {name}")
        return versions[number]

    def _let_time_pass(self, key: _Key) -> None:
        now = self.clock()
        while (period := key.public.rotation_period) and key.public.next_rotation_time.timestamp() <= now:
            key.primary = self._new_version(key)
            key.public.next_rotation_time = key.public.next_rotation_time + period
        for version in key.versions.values():
            public = version.public
            if public.state == _State.DESTROY_SCHEDULED and public.destroy_time.timestamp() <= now:
                public.state, version.key = _State.DESTROYED, None
                public.destroy_event_time = public.destroy_time

    def _new_version(self, key: _Key) -> str:
        number = str(len(key.versions) + 1)
        template = key.public.version_template
        key.versions[number] = _Version(
            kms_v1.CryptoKeyVersion(
                name=f"{key.public.name}/cryptoKeyVersions/{number}",
                state=_State.ENABLED,
                protection_level=template.protection_level,
                algorithm=template.algorithm,
                create_time=self.now(),
                generate_time=self.now(),
            )
        )
        return number

    def _shown(self, key: _Key) -> kms_v1.CryptoKey:
        shown = kms_v1.CryptoKey(key.public)
        if key.primary:
            shown.primary = key.versions[key.primary].public
        return shown

    def _check_destruction(self, wanted: kms_v1.CryptoKey) -> None:
        if not _has(wanted, "destroy_scheduled_duration"):
            wanted.destroy_scheduled_duration = Duration(seconds=int(_USUAL_DESTROY_DAYS * DAY_SECONDS))
        days = wanted.destroy_scheduled_duration.total_seconds() / DAY_SECONDS
        if not _SHORTEST_DESTROY_DAYS <= days <= _LONGEST_DESTROY_DAYS:
            raise invalid("crypto_key.destroy_scheduled_duration must be from 24 hours to 120 days")

    def _spoil_request(self, request: Any, field: str) -> None:
        if self.spoiled_requests > 0:
            self.spoiled_requests -= 1
            data = getattr(request, field)
            setattr(request, field, bytes([data[0] ^ 1]) + data[1:])

    def _spoiled(self, data: bytes) -> bytes:
        if self.spoiled_answers <= 0:
            return data
        self.spoiled_answers -= 1
        return bytes([data[0] ^ 1]) + data[1:]


def _page(request: Any, found: Sequence[Any]) -> tuple[list[Any], str]:
    if request.filter or request.order_by:
        raise invalid("this fake neither filters nor orders")
    return page_of(found, size=request.page_size, token=request.page_token)


def _has(message: Any, name: str) -> bool:
    return bool(type(message).pb(message).HasField(name))


def _check_rotation(key: kms_v1.CryptoKey) -> None:
    if not _has(key, "rotation_period"):
        return
    seconds = key.rotation_period.total_seconds()
    if not _SHORTEST_ROTATION_SECONDS <= seconds <= _LONGEST_ROTATION_SECONDS:
        raise invalid("crypto_key.rotation_period must be from 24 hours to 876,000 hours")
    if not _has(key, "next_rotation_time"):
        raise invalid("crypto_key.next_rotation_time must be set with rotation_period")


def _check_sizes(plaintext: bytes, context: bytes) -> None:
    if len(plaintext) > _MOST_BYTES:
        raise invalid("plaintext must be at most 64 KiB")
    if len(context) > _MOST_BYTES:
        raise invalid("additional_authenticated_data must be at most 64 KiB")


def _check_sums(request: Any, *fields: str) -> None:
    for name in fields:
        if _has(request, f"{name}_crc32c"):
            told = getattr(request, f"{name}_crc32c")
            if told != google_crc32c.value(getattr(request, name)):
                raise invalid(f"The checksum in field {name}_crc32c did not match the data in field {name}.")


def _demand_enabled(version: _Version) -> None:
    if version.public.state != _State.ENABLED:
        raise _precondition(version)


def _precondition(version: _Version) -> Refused:
    return Refused(
        "FAILED_PRECONDITION",
        f"{version.public.name} is not enabled, current state is: {version.public.state.name}.",
        reason=f"KEY_{version.public.state.name}",
    )
