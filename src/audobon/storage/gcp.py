"""Objects in a bucket of Cloud Storage; a tier is a storage class."""

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from audobon.errors import CorruptBlob, Denied, ObjectExists, ObjectNotFound, Unavailable
from audobon.gcloud.clients import storage_client
from audobon.gcloud.endpoints import Endpoint, endpoint
from audobon.storage.classes import CLASS_OF_TIER, TIER_OF_CLASS
from audobon.storage.gcp_errors import TIMEOUTS_SECONDS, bucket_errors, missing
from audobon.storage.gcp_reading import open_reader
from audobon.storage.gcp_spool import Spool, Spooled
from audobon.storage.gcp_uploading import SessionLost, upload
from audobon.storage.object_names import demand_name, folder_of_prefix, is_name
from audobon.storage.port import ObjectInfo, ObjectStore, Rights, Tier

_CREATED_AT = "audobon-created-at"
_WRITE = "audobon-write"
_LISTED = "items(name,size,timeCreated,storageClass,metadata,generation),nextPageToken"
_AT_ONCE_BYTES = 8 << 20
_MOST_TURNS = 20
_FIRST_SECONDS = 10.0


class BucketObjectStore(ObjectStore):
    """Objects of a bucket, below a prefix.

    bucket   its name; it is there, nobody here makes one
    prefix   as in gs://BUCKET/PREFIX; "": the whole bucket
    spool    a folder of this machine in which what is written lies until it is whole
    rights   what may be done through this object; `Denied` for the rest. With "create" nothing is ever asked
             of the bucket but to add, get and list, so an account that may do no more is enough
    client   of google-cloud-storage; None: one with the ambient credentials
    retry    of `google.api_core`; None: as Google's client does, but for 10 seconds before the first answer

    Names in a bucket are flat: that none lies within another is looked at before it is created, and two
    who create such names in the same instant may both succeed. Of two who create the same name, one does.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        spool: Path,
        rights: Rights = "full",
        client: Any = None,
        retry: Any = None,
    ) -> None:
        self._where = f"gs://{bucket}/{prefix}".rstrip("/")
        self._base = f"{prefix}/" if prefix else ""
        self._spool = Spool(spool)
        self._rights = rights
        self._client = _client_of(endpoint("storage")) if client is None else client
        self._bucket = self._client.bucket(bucket)
        self._retry = _google_retry() if retry is None else retry
        # Who never answered is not waited for long: most likely there is no network.
        self._first_retry = self._retry.with_timeout(_FIRST_SECONDS) if retry is None else retry
        self._has_answered = False
        # What is known to have something within, and so is no object.
        self._folders: set[str] = set()

    def create(self, name: str, *, tier: Tier = "standard") -> AbstractContextManager[IO[bytes]]:
        """Write a new object; see the port."""
        if self._rights == "read":
            raise Denied(f"{self._where} is opened for reading alone")
        return self._create(name, tier)

    @contextmanager
    def _create(self, name: str, tier: Tier) -> Iterator[IO[bytes]]:
        demand_name(name)
        with self._spool.file() as file:
            yield file
            self._demand_room(name)
            self._upload(name, tier, file, generation=0)

    @contextmanager
    def replacing(self, name: str, *, tier: Tier = "standard") -> Iterator[IO[bytes]]:
        """Write an object anew; see the port."""
        self._demand_full("replace", name)
        demand_name(name)
        with self._spool.file() as file:
            yield file
            for _ in range(_MOST_TURNS):
                found = self._find(name)
                try:
                    self._upload(name, tier, file, generation=0 if found is None else found.generation)
                except ObjectExists:
                    # Somebody changed it in between.
                    continue
                return
            raise Unavailable(f"{self._where}/{name} is changed without a break", hint="try again later")

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open an object to read; see the port. Read from end to end, it is proved by its CRC32C."""
        demand_name(name)
        host = self._client._connection.API_BASE_URL
        reader = open_reader(
            self._client._http, host, self._bucket.name, self._base + name,
            retry=self._patience(), name=name, where=self._where,
        )  # fmt: skip
        self._has_answered = True
        with reader:
            yield reader

    def stat(self, name: str) -> ObjectInfo:
        """Return what is known of an object; see the port."""
        return self._info(self._demand(name))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose names begin so; see the port."""
        folder_of_prefix(prefix)
        with bucket_errors("listing", "", self._where):
            found = self._client.list_blobs(
                self._bucket,
                prefix=self._base + prefix or None,
                fields=_LISTED,
                timeout=TIMEOUTS_SECONDS,
                retry=self._patience(),
            )
            for blob in found:
                self._has_answered = True
                # What somebody else put there under a name of another kind is no object of ours.
                if is_name(blob.name[len(self._base) :]):
                    yield self._info(blob)

    def delete(self, name: str) -> None:
        """Remove an object; see the port."""
        self._demand_full("delete", name)
        for _ in range(_MOST_TURNS):
            blob = self._demand(name)
            self._folders.clear()
            with bucket_errors("deleting", name, self._where):
                from google.api_core.exceptions import NotFound, PreconditionFailed

                try:
                    blob.delete(
                        if_generation_match=blob.generation, timeout=TIMEOUTS_SECONDS, retry=self._patience()
                    )
                except PreconditionFailed:
                    # Moved in between.
                    continue
                except NotFound:
                    # It was there a moment ago: whoever was asked first removed it.
                    return
                return
        raise Unavailable(f"{self._where}/{name} is changed without a break", hint="try again later")

    def set_tier(self, name: str, tier: Tier) -> None:
        """Move an object to a tier; see the port. The bucket counts it as new from then on."""
        self._demand_full("move", name)
        for _ in range(_MOST_TURNS):
            blob = self._demand(name)
            if _tier_of(blob) == tier:
                return
            if self._rewrite(name, blob, tier):
                return
        raise Unavailable(f"{self._where}/{name} is changed without a break", hint="try again later")

    def clear_unfinished(self, *, before: float) -> int:
        """Remove what broken-off writes of this machine left; see the port.

        What they had sent already goes by itself within a week, and is not paid for.
        """
        self._demand_full("clear", "unfinished objects")
        return self._spool.clear(before=before)

    def clear_abandoned(self) -> None:
        """Remove what killed processes of this machine left half written; see the port."""
        self._spool.clear_abandoned()

    def _upload(self, name: str, tier: Tier, file: IO[bytes], *, generation: int) -> None:
        spooled = self._spool.whole(file)
        token = secrets.token_hex(8)
        with bucket_errors("storing", name, self._where):
            from google.api_core.exceptions import PreconditionFailed

            try:
                found = self._send(name, tier, spooled, token, generation)
            except PreconditionFailed as error:
                written = self._find(name)
                if written is None or (written.metadata or {}).get(_WRITE) != token:
                    raise _exists(name) from error
                # It was this very one: its answer had been lost, and it was sent again.
                found = written.crc32c
            except SessionLost as error:
                raise Unavailable(
                    f"{self._where}/{name}: the upload was broken off again and again: {error}",
                    hint="run the same command again",
                ) from error
        if found != spooled.crc32c:
            raise CorruptBlob(f"{self._where}/{name} is not what was sent", hint="audobon backup verify")
        self._folders |= {*_folders_of(name)}

    def _send(self, name: str, tier: Tier, spooled: Spooled, token: str, generation: int) -> str:
        """Make a file an object; return the CRC32C that the bucket has of it."""
        blob = self._bucket.blob(self._base + name)
        blob.storage_class = CLASS_OF_TIER[tier]
        blob.metadata = {_WRITE: token}
        if spooled.size_bytes <= _AT_ONCE_BYTES:
            blob.upload_from_file(
                spooled.file,
                size=spooled.size_bytes,
                if_generation_match=generation,
                checksum="crc32c",
                timeout=TIMEOUTS_SECONDS,
                retry=self._patience(),
            )
            return str(blob.crc32c)
        fields = {
            "name": blob.name,
            "storageClass": blob.storage_class,
            "metadata": blob.metadata,
            "contentType": "application/octet-stream",
            "crc32c": spooled.crc32c,
        }
        told = upload(
            self._client._http,
            self._client._connection.API_BASE_URL,
            self._bucket.name,
            fields,
            spooled.file,
            spooled.size_bytes,
            generation=generation,
            retry=self._patience(),
        )
        return str(told["crc32c"])

    def _rewrite(self, name: str, blob: Any, tier: Tier) -> bool:
        """Copy an object onto itself in another class; tell whether nobody else changed it meanwhile."""
        target = self._bucket.blob(blob.name)
        target.storage_class = CLASS_OF_TIER[tier]
        target.content_type = blob.content_type
        target.metadata = {**(blob.metadata or {}), _CREATED_AT: repr(_created_at(blob))}
        with bucket_errors("moving", name, self._where):
            from google.api_core.exceptions import NotFound, PreconditionFailed

            token = None
            try:
                while True:
                    token, _, _ = target.rewrite(
                        blob,
                        token=token,
                        if_generation_match=blob.generation,
                        if_source_generation_match=blob.generation,
                        timeout=TIMEOUTS_SECONDS,
                        retry=self._patience(),
                    )
                    if token is None:
                        break
            except (PreconditionFailed, NotFound):
                return False
        if target.crc32c != blob.crc32c:
            raise CorruptBlob(f"the copy of {self._where}/{name} is not what was there")
        return True

    def _patience(self) -> Any:
        return self._retry if self._has_answered else self._first_retry

    def _demand(self, name: str) -> Any:
        found = self._find(name)
        if found is None:
            raise missing(name)
        return found

    def _find(self, name: str) -> Any:
        """Return an object as Google's client has it; None when there is none."""
        blob = self._bucket.blob(self._base + demand_name(name))
        try:
            with bucket_errors("looking at", name, self._where):
                blob.reload(timeout=TIMEOUTS_SECONDS, retry=self._patience())
        except ObjectNotFound:
            blob = None
        self._has_answered = True
        return blob

    def _demand_room(self, name: str) -> None:
        """Raise ObjectExists when a part of a name is an object, or objects lie within it."""
        for folder in _folders_of(name):
            if folder not in self._folders and self._find(folder) is not None:
                raise ObjectExists(f"a part of the name {name} is an object itself")
        with bucket_errors("listing", "", self._where):
            within = self._client.list_blobs(
                self._bucket,
                prefix=f"{self._base}{name}/",
                max_results=1,
                fields=_LISTED,
                timeout=TIMEOUTS_SECONDS,
                retry=self._patience(),
            )
            if next(iter(within), None) is not None:
                raise ObjectExists(f"objects lie within the name {name}")

    def _demand_full(self, deed: str, name: str) -> None:
        if self._rights != "full":
            raise Denied(f"not allowed to {deed} {name}: {self._where} is opened to {self._rights} only")

    def _info(self, blob: Any) -> ObjectInfo:
        return ObjectInfo(blob.name[len(self._base) :], int(blob.size), _created_at(blob), _tier_of(blob))


@lru_cache(maxsize=4)
def _client_of(place: Endpoint | None) -> Any:
    """Return a client for whoever speaks to the same place: connections are dear to open."""
    return storage_client()


def _google_retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY


def _tier_of(blob: Any) -> Tier:
    # What buckets of old called their classes is STANDARD today.
    return TIER_OF_CLASS.get(blob.storage_class, "standard")


def _created_at(blob: Any) -> float:
    """Return when an object was made, as it was noted before it was moved, or as the cloud has it."""
    noted = (blob.metadata or {}).get(_CREATED_AT)
    with suppress(ValueError):
        if noted is not None:
            return float(noted)
    return float(blob.time_created.timestamp())


def _folders_of(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _exists(name: str) -> ObjectExists:
    return ObjectExists(f"there is an object {name} already")
