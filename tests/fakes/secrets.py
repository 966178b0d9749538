"""Secret Manager: secrets and their versions, with fingerprints, checksums and expiry on the clock.

source  cloud.google.com/secret-manager/docs/reference/rpc; what it has beyond is UNIMPLEMENTED
"""

import re
from collections.abc import Callable
from typing import ClassVar

import google_crc32c
from google.cloud import secretmanager_v1
from google.protobuf.empty_pb2 import Empty

from fakes.api import FakeApi, timestamp
from fakes.etags import new_etag
from fakes.faults import Faults
from fakes.grpc_server import GrpcServer
from fakes.names import Name
from fakes.pages import page_of
from fakes.refusal import Refused, invalid, not_found
from fakes.shelf import Shelf

_PROJECT = Name("projects/{project}")
_SECRET = Name("projects/{project}/secrets/{secret}", r"[a-zA-Z0-9_-]{1,255}")
_VERSION = Name(_SECRET.pattern + "/versions/{version}")
_MOST_BYTES = 64 * 1024
_ALIAS = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,62}")
_FIXED = {"name", "replication", "create_time", "secret_type", "policy_member", "tags"}

_State = secretmanager_v1.SecretVersion.State


class FakeSecrets(FakeApi):
    """The service SecretManagerService."""

    api: ClassVar[str] = "secrets"

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        super().__init__(clock, faults)
        # A change of a secret is refused by FAILED_PRECONDITION when its etag does not fit, unlike elsewhere.
        self._secrets: Shelf[secretmanager_v1.Secret] = Shelf(
            secretmanager_v1.Secret, _SECRET, etag="etag", conflict="FAILED_PRECONDITION"
        )
        self._versions: dict[str, list[secretmanager_v1.SecretVersion]] = {}
        self._payloads: dict[str, bytes] = {}

    def install(self, server: GrpcServer) -> None:
        """Serve it."""
        server.serve("google.cloud.secretmanager.v1.SecretManagerService", self)

    def create_secret(self, request: secretmanager_v1.CreateSecretRequest) -> secretmanager_v1.Secret:
        """Make a secret without a version."""
        _PROJECT.parse(request.parent)
        name = f"{request.parent}/secrets/{request.secret_id}"
        wanted = secretmanager_v1.Secret(request.secret)
        if secretmanager_v1.Secret.pb(wanted).replication.WhichOneof("replication") is None:
            raise invalid("secret.replication: must be set for a secret that is not regional")
        wanted.name, wanted.create_time = name, self.now()
        self._check(wanted)
        made = self._secrets.add(name, wanted)
        self._versions[name] = []
        return made

    def get_secret(self, request: secretmanager_v1.GetSecretRequest) -> secretmanager_v1.Secret:
        """Return a secret without what it hides."""
        self._secret(request.name)
        return self._secrets.copy(request.name)

    def list_secrets(
        self, request: secretmanager_v1.ListSecretsRequest
    ) -> secretmanager_v1.ListSecretsResponse:
        """List the secrets of a project."""
        _PROJECT.parse(request.parent)
        self._let_time_pass()
        if request.filter:
            raise invalid("this fake does not filter")
        prefix = f"{request.parent}/secrets/"
        found, token = self._secrets.page(prefix, size=request.page_size, token=request.page_token)
        return secretmanager_v1.ListSecretsResponse(
            secrets=found, next_page_token=token, total_size=len(self._versions)
        )

    def update_secret(self, request: secretmanager_v1.UpdateSecretRequest) -> secretmanager_v1.Secret:
        """Change a secret, not what it hides."""
        name = request.secret.name
        self._secret(name)
        wanted = self._secrets.changed(name, request.secret, request.update_mask, fixed=_FIXED | {"etag"})
        self._check(wanted)
        self._secrets.put(name, wanted)
        return self._secrets.copy(name)

    def delete_secret(self, request: secretmanager_v1.DeleteSecretRequest) -> Empty:
        """Remove a secret with all its versions, at once."""
        self._secret(request.name)
        self._secrets.check_etag(request.name, request.etag)
        self._forget(request.name)
        return Empty()

    def add_secret_version(
        self, request: secretmanager_v1.AddSecretVersionRequest
    ) -> secretmanager_v1.SecretVersion:
        """Hide something in a new version."""
        self._secret(request.parent)
        payload = request.payload
        if not payload.data:
            raise invalid("payload.data: must not be empty")
        if len(payload.data) > _MOST_BYTES:
            raise invalid("payload.data: must be at most 64 KiB")
        has_sum = secretmanager_v1.SecretPayload.pb(payload).HasField("data_crc32c")
        if has_sum and payload.data_crc32c != google_crc32c.value(payload.data):
            raise invalid("payload.data_crc32c: the checksum did not match the data.")
        versions = self._versions[request.parent]
        version = secretmanager_v1.SecretVersion(
            name=f"{request.parent}/versions/{len(versions) + 1}",
            create_time=self.now(),
            state=_State.ENABLED,
            etag=new_etag(),
            client_specified_payload_checksum=has_sum,
        )
        versions.append(version)
        self._payloads[version.name] = payload.data
        return secretmanager_v1.SecretVersion(version)

    def access_secret_version(
        self, request: secretmanager_v1.AccessSecretVersionRequest
    ) -> secretmanager_v1.AccessSecretVersionResponse:
        """Return what a version hides; "latest" is the newest, whatever its state."""
        version = self._version(request.name, may_be_alias=True)
        if version.state != _State.ENABLED:
            raise Refused(
                "FAILED_PRECONDITION", f"Secret Version [{version.name}] is in {version.state.name} state."
            )
        data = self._payloads[version.name]
        return secretmanager_v1.AccessSecretVersionResponse(
            name=version.name, payload={"data": data, "data_crc32c": google_crc32c.value(data)}
        )

    def get_secret_version(
        self, request: secretmanager_v1.GetSecretVersionRequest
    ) -> secretmanager_v1.SecretVersion:
        """Return a version without what it hides."""
        return secretmanager_v1.SecretVersion(self._version(request.name, may_be_alias=True))

    def list_secret_versions(
        self, request: secretmanager_v1.ListSecretVersionsRequest
    ) -> secretmanager_v1.ListSecretVersionsResponse:
        """List the versions of a secret, newest first."""
        self._secret(request.parent)
        if request.filter:
            raise invalid("this fake does not filter")
        versions = self._versions[request.parent][::-1]
        found, token = page_of(versions, size=request.page_size, token=request.page_token)
        return secretmanager_v1.ListSecretVersionsResponse(
            versions=found, next_page_token=token, total_size=len(versions)
        )

    def disable_secret_version(
        self, request: secretmanager_v1.DisableSecretVersionRequest
    ) -> secretmanager_v1.SecretVersion:
        """Switch a version off."""
        return self._set_state(request.name, request.etag, _State.DISABLED)

    def enable_secret_version(
        self, request: secretmanager_v1.EnableSecretVersionRequest
    ) -> secretmanager_v1.SecretVersion:
        """Switch a version on again; one that waits for its destruction waits no more."""
        return self._set_state(request.name, request.etag, _State.ENABLED)

    def destroy_secret_version(
        self, request: secretmanager_v1.DestroySecretVersionRequest
    ) -> secretmanager_v1.SecretVersion:
        """Destroy what a version hides, at once or after the time that the secret sets."""
        waits = self._secret(request.name.partition("/versions/")[0]).version_destroy_ttl
        if not waits:
            return self._set_state(request.name, request.etag, _State.DESTROYED)
        self._set_state(request.name, request.etag, _State.DISABLED)
        version = self._version(request.name)
        version.scheduled_destroy_time = timestamp(self.clock() + waits.total_seconds())
        return secretmanager_v1.SecretVersion(version)

    def _set_state(self, name: str, etag: str, state: _State) -> secretmanager_v1.SecretVersion:
        version = self._version(name)
        if etag and etag != version.etag:
            raise Refused("FAILED_PRECONDITION", f"{name} has the etag {version.etag}, not {etag}.")
        if version.state == _State.DESTROYED and state != _State.DESTROYED:
            raise Refused("FAILED_PRECONDITION", f"Secret Version [{name}] is in DESTROYED state.")
        version.state, version.etag, version.scheduled_destroy_time = state, new_etag(), None
        if state == _State.DESTROYED:
            self._destroy(version)
        return secretmanager_v1.SecretVersion(version)

    def _destroy(self, version: secretmanager_v1.SecretVersion) -> None:
        self._payloads.pop(version.name, None)
        version.state = _State.DESTROYED
        version.destroy_time = version.destroy_time or self.now()

    def _secret(self, name: str) -> secretmanager_v1.Secret:
        self._let_time_pass()
        return self._secrets.get(name)

    def _version(self, name: str, *, may_be_alias: bool = False) -> secretmanager_v1.SecretVersion:
        _VERSION.parse(name)
        parent, _, wanted = name.partition("/versions/")
        aliases = dict(self._secret(parent).version_aliases)
        versions = self._versions[parent]
        if may_be_alias and wanted == "latest":
            wanted = str(len(versions))
        elif may_be_alias and wanted in aliases:
            wanted = str(aliases[wanted])
        if not wanted.isdigit() or not 1 <= int(wanted) <= len(versions):
            raise not_found(f"Secret Version [{name}]")
        return versions[int(wanted) - 1]

    def _check(self, wanted: secretmanager_v1.Secret) -> None:
        if wanted.ttl:
            wanted.expire_time = timestamp(self.clock() + wanted.ttl.total_seconds())
        if wanted.expire_time and wanted.expire_time.timestamp() <= self.clock():
            raise invalid("secret.expire_time: must be in the future")
        for alias in wanted.version_aliases:
            if alias in ("latest", "NEW") or _ALIAS.fullmatch(alias) is None:
                raise invalid(f"secret.version_aliases: {alias!r} is not valid")

    def _forget(self, name: str) -> None:
        self._secrets.remove(name)
        for version in self._versions.pop(name):
            self._payloads.pop(version.name, None)

    def _let_time_pass(self) -> None:
        now = self.clock()
        for secret in self._secrets:
            if secret.expire_time and secret.expire_time.timestamp() <= now:
                self._forget(secret.name)
                continue
            for version in self._versions[secret.name]:
                due = version.scheduled_destroy_time
                if version.state != _State.DESTROYED and due and due.timestamp() <= now:
                    self._destroy(version)
