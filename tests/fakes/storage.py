"""Cloud Storage in effigy: its JSON API, with generations, preconditions, uploads, holds and rules."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from fakes.api import FakeApi
from fakes.faults import Faults
from fakes.http_server import HttpAnswer, HttpRequest, HttpServer, Route
from fakes.refusal import Refused
from fakes.storage_answers import (
    bucket_resource,
    check_bucket,
    media,
    page,
    settle,
    so_far,
    sums_of,
)
from fakes.storage_fields import bad, bucket_fields, object_fields, object_name
from fakes.storage_lifecycle import run_rules
from fakes.storage_objects import Objects, check, resource
from fakes.storage_state import Bucket, Charge, Version
from fakes.storage_uploads import Sessions, parse_related, take_piece

_B, _O = "/storage/v1/b/{bucket}", "/storage/v1/b/{bucket}/o/{object}"
_UPLOAD = "/upload/storage/v1/b/{bucket}/o"

READS = {"storage.objects.get", "storage.objects.list"}
"""What may be done by who may only read."""

CREATES = READS | {"storage.objects.create"}
"""What may be done by who may add objects, and change or delete none."""


class FakeStorage(FakeApi):
    """Buckets and their objects.

    allowed          what whoever calls may do; None: everything
    damage_arriving  what the way does to bytes before anything sees them; None: nothing
    objects          knows what would stand on the bill, and how much one call of rewrite copies
    """

    api = "storage"

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        super().__init__(clock, faults)
        self.allowed: set[str] | None = None
        self.damage_arriving: Callable[[bytes], bytes] | None = None
        self.objects = Objects()
        self.sessions = Sessions()
        self._buckets: dict[str, Bucket] = {}

    # What tests ask and do.

    @property
    def charges(self) -> list[Charge]:
        """What would stand on the bill so far."""
        self.objects.purge(self._buckets.values(), self.clock())
        return self.objects.charges

    def add_bucket(self, name: str, **fields: Any) -> None:
        """Make a bucket, as a person did before."""
        with self.lock:
            now = self.clock()
            written = bucket_fields({"name": name} | fields)
            self._buckets[name] = Bucket(
                name=name, project="here", fields=written, created_at=now, updated_at=now
            )

    def bytes_of(self, bucket: str, name: str) -> bytes | None:
        """Return what the living version of an object holds; None when there is none."""
        with self.lock:
            found = self._buckets[bucket].live(name)
            return None if found is None else found.data

    def names_in(self, bucket: str) -> list[str]:
        """Return the names of all living objects, in order."""
        with self.lock:
            return sorted(name for name in self._buckets[bucket].versions if self._buckets[bucket].live(name))

    def damage(
        self, bucket: str, name: str, change: Callable[[bytes], bytes], *, told_crc32c: str | None = None
    ) -> None:
        """Change the bytes of an object.

        told_crc32c  what is told of them from then on; None: what is true
        """
        with self.lock:
            found = self._buckets[bucket].live(name)
            assert found is not None
            assert change(found.data) != found.data
            found.data = change(found.data)
            found.told_crc32c = told_crc32c

    def run_lifecycle(self) -> None:
        """Carry out all rules now, as the cloud does about once a day."""
        with self.lock:
            for bucket in self._buckets.values():
                run_rules(bucket, self.objects, self.clock())

    def install(self, server: HttpServer) -> None:
        """Have its API served."""
        routes = [
            Route("storage.buckets.insert", "POST", "/storage/v1/b", self._insert_bucket),
            Route("storage.buckets.list", "GET", "/storage/v1/b", self._list_buckets),
            Route("storage.buckets.get", "GET", _B, self._get_bucket),
            Route("storage.buckets.patch", "PATCH", _B, self._patch_bucket),
            Route("storage.buckets.delete", "DELETE", _B, self._delete_bucket),
            Route("storage.buckets.lock", "POST", _B + "/lockRetentionPolicy", self._lock_retention),
            Route("storage.objects.list", "GET", _B + "/o", self._list),
            Route("storage.objects.compose", "POST", _O + "/compose", self._compose),
            Route("storage.objects.restore", "POST", _O + "/restore", self._restore),
            Route(
                "storage.objects.rewrite",
                "POST",
                _O + "/rewriteTo/b/{to_bucket}/o/{to_object}",
                self._rewrite,
            ),
            Route("storage.objects.get", "GET", _O, self._get),
            Route("storage.objects.get", "GET", "/download" + _O, self._get),
            Route("storage.objects.patch", "PATCH", _O, self._patch),
            Route("storage.objects.delete", "DELETE", _O, self._delete),
            Route("storage.objects.insert", "POST", _UPLOAD, self._insert),
            Route("storage.objects.send", "PUT", _UPLOAD, self._send, is_told_cuts=True),
            Route("storage.objects.cancel", "DELETE", _UPLOAD, self._cancel),
        ]
        server.serve(routes, self)

    # Buckets.

    def _insert_bucket(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.buckets.create")
        fields = bucket_fields(request.json())
        name = fields.get("name")
        if not name or not request.parameters.get("project"):
            raise bad("Required parameter: name, project")
        if name in self._buckets:
            raise Refused(
                409, "The requested bucket name is not available. Please try again.", reason="conflict"
            )
        now = self.clock()
        settle(fields, now)
        made = Bucket(
            name=name, project=request.parameters["project"], fields=fields, created_at=now, updated_at=now
        )
        self._buckets[name] = made
        return HttpAnswer(bucket_resource(made))

    def _list_buckets(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.buckets.list")
        project, prefix = request.parameters.get("project"), request.parameters.get("prefix", "")
        found = [
            bucket_resource(each)
            for name, each in sorted(self._buckets.items())
            if each.project == project and name.startswith(prefix)
        ]
        return HttpAnswer({"kind": "storage#buckets", "items": found})

    def _get_bucket(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.buckets.get")
        bucket = self._bucket(request)
        check_bucket(request, bucket)
        return HttpAnswer(bucket_resource(bucket))

    def _patch_bucket(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.buckets.update")
        bucket = self._bucket(request)
        check_bucket(request, bucket)
        changes = bucket_fields(request.json())
        policy = bucket.fields.get("retentionPolicy") or {}
        if policy.get("isLocked") and "retentionPolicy" in changes:
            period = int((changes["retentionPolicy"] or {}).get("retentionPeriod", 0))
            if period < int(policy["retentionPeriod"]):
                raise Refused(
                    403,
                    f"Cannot reduce retention duration of a locked Retention Policy for bucket"
                    f" '{bucket.name}'.",
                    reason="forbidden",
                )
            changes["retentionPolicy"] = policy | {"retentionPeriod": str(period)}
        if "location" in changes:
            raise bad("The location of a bucket cannot be changed.")
        settle(changes, self.clock())
        for name, value in changes.items():
            if value is None:
                bucket.fields.pop(name, None)
            elif name == "labels":
                merged = {**bucket.fields.get("labels", {}), **value}
                bucket.fields["labels"] = {key: label for key, label in merged.items() if label is not None}
            elif isinstance(value, dict) and name != "lifecycle":
                bucket.fields[name] = {**(bucket.fields.get(name) or {}), **value}
            else:
                bucket.fields[name] = value
        bucket.metageneration += 1
        bucket.updated_at = self.clock()
        return HttpAnswer(bucket_resource(bucket))

    def _delete_bucket(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.buckets.delete")
        bucket = self._bucket(request)
        check_bucket(request, bucket)
        if bucket.versions:
            raise Refused(409, "The bucket you tried to delete is not empty.", reason="conflict")
        del self._buckets[bucket.name]
        return HttpAnswer(status=204)

    def _lock_retention(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.buckets.update")
        bucket = self._bucket(request)
        if "ifMetagenerationMatch" not in request.parameters:
            raise bad("Required parameter: ifMetagenerationMatch")
        check_bucket(request, bucket)
        if not bucket.retention_seconds:
            raise bad("The bucket has no retention policy to lock.")
        bucket.fields["retentionPolicy"]["isLocked"] = True
        bucket.metageneration += 1
        return HttpAnswer(bucket_resource(bucket))

    # Objects.

    def _list(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.objects.list")
        bucket, asked = self._bucket(request), request.parameters
        self.objects.purge([bucket], self.clock())
        if asked.get("softDeleted", "").lower() == "true":
            versions: Iterable[Version] = (each for found in bucket.soft.values() for each in found)
        elif asked.get("versions", "").lower() == "true":
            versions = (each for found in bucket.versions.values() for each in found)
        else:
            versions = (each for name in bucket.versions if (each := bucket.live(name)) is not None)
        return HttpAnswer(page(bucket, versions, asked))

    def _get(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.objects.get")
        bucket, asked = self._bucket(request), request.parameters
        version = self.objects.find(bucket, request.names["object"], asked)
        if asked.get("alt", "json") != "media":
            return HttpAnswer(resource(bucket, version))
        if version.storage_class != "STANDARD":
            self.objects.charges.append(
                Charge("retrieval", version.name, version.storage_class, len(version.data))
            )
        cut = self.faults.take_cut("storage.objects.answer")
        return dataclasses.replace(media(version, request.headers.get("range")), cut_bytes=cut)

    def _patch(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.objects.update")
        bucket = self._bucket(request)
        version = self.objects.patch(
            bucket, request.names["object"], request.json(), request.parameters, self.clock()
        )
        return HttpAnswer(resource(bucket, version))

    def _delete(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.objects.delete")
        self.objects.delete(self._bucket(request), request.names["object"], request.parameters, self.clock())
        return HttpAnswer(status=204)

    def _compose(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.objects.create", "storage.objects.get")
        bucket = self._bucket(request)
        version = self.objects.compose(
            bucket,
            request.names["object"],
            request.json(),
            request.parameters,
            self.clock(),
            may_replace=self._may("storage.objects.delete"),
        )
        return HttpAnswer(resource(bucket, version))

    def _rewrite(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.objects.create", "storage.objects.get")
        names = request.names
        return HttpAnswer(
            self.objects.rewrite(
                self._bucket(request),
                names["object"],
                self._bucket(request, "to_bucket"),
                names["to_object"],
                request.json(),
                request.parameters,
                self.clock(),
                may_replace=self._may("storage.objects.delete"),
            )
        )

    def _restore(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.objects.restore", "storage.objects.create")
        bucket = self._bucket(request)
        self.objects.purge([bucket], self.clock())
        version = self.objects.restore(
            bucket,
            request.names["object"],
            request.parameters,
            self.clock(),
            may_replace=self._may("storage.objects.delete"),
        )
        return HttpAnswer(resource(bucket, version))

    # Uploads.

    def _insert(self, request: HttpRequest) -> HttpAnswer:
        self._demand("storage.objects.create")
        bucket, asked = self._bucket(request), request.parameters
        kind = asked.get("uploadType")
        if kind == "media":
            tree = {"name": asked.get("name"), "contentType": request.headers.get("content-type")}
            return HttpAnswer(self._write(bucket, tree, request.body, asked))
        if kind == "multipart":
            tree, data, content_type = parse_related(request.headers.get("content-type", ""), request.body)
            tree.setdefault("contentType", content_type)
            return HttpAnswer(self._write(bucket, tree, data, asked))
        if kind != "resumable":
            raise bad(f"Invalid uploadType: {kind!r}")
        tree = request.json()
        object_fields(tree)
        object_name(str(tree.get("name") or asked.get("name") or ""))
        if (content_type := request.headers.get("x-upload-content-type")) is not None:
            tree.setdefault("contentType", content_type)
        check(asked, bucket.live(str(tree.get("name") or asked.get("name"))))
        session = self.sessions.begin(
            bucket.name, tree, asked, request.headers.get("x-upload-content-length"), self.clock()
        )
        where = f"http://{request.headers['host']}/upload/storage/v1/b/{bucket.name}/o"
        return HttpAnswer(headers={"Location": f"{where}?uploadType=resumable&upload_id={session.id}"})

    def _send(self, request: HttpRequest) -> HttpAnswer:
        # The address of an upload is a key to it: who has it may go on.
        session = self.sessions.find(request.parameters.get("upload_id", ""), self.clock())
        if session.done is not None:
            return HttpAnswer(session.done)
        is_whole = take_piece(
            session, request.headers.get("content-range"), request.body, is_cut=request.is_cut
        )
        if not is_whole:
            return so_far(session)
        tree = session.tree | sums_of(request.headers.get("x-goog-hash", ""))
        try:
            session.done = self._write(
                self._buckets[session.bucket], tree, bytes(session.data), session.parameters
            )
        except Refused:
            self.sessions.cancel(session.id, self.clock())
            raise
        session.data = bytearray()
        return HttpAnswer(session.done)

    def _cancel(self, request: HttpRequest) -> HttpAnswer:
        self.sessions.cancel(request.parameters.get("upload_id", ""), self.clock())
        return HttpAnswer(status=499)

    def _write(
        self, bucket: Bucket, tree: dict[str, Any], data: bytes, asked: dict[str, str]
    ) -> dict[str, Any]:
        if self.damage_arriving is not None:
            data = self.damage_arriving(data)
        version = self.objects.write(
            bucket, tree, data, asked, self.clock(), may_replace=self._may("storage.objects.delete")
        )
        return resource(bucket, version)

    def _bucket(self, request: HttpRequest, name: str = "bucket") -> Bucket:
        found = self._buckets.get(request.names[name])
        if found is None:
            raise Refused(404, "The specified bucket does not exist.", reason="notFound")
        return found

    def _may(self, permission: str) -> bool:
        return self.allowed is None or permission in self.allowed

    def _demand(self, *permissions: str) -> None:
        for permission in permissions:
            if not self._may(permission):
                raise Refused(
                    403,
                    f"the caller does not have {permission} access to the Google Cloud Storage object."
                    f" Permission '{permission}' denied on resource (or it may not exist).",
                    reason="forbidden",
                )
