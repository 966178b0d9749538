"""How a fake Cloud Storage tells of buckets, lists, bytes and uploads."""

import base64
import json
import re
from collections.abc import Iterable
from typing import Any

from fakes.http_server import HttpAnswer, HttpRequest
from fakes.refusal import Refused
from fakes.storage_fields import bad
from fakes.storage_objects import resource
from fakes.storage_state import Bucket, Version, stamp
from fakes.storage_uploads import Session

_MOST_LISTED = 1000
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def settle(fields: dict[str, Any], now: float) -> None:
    """Note since when policies are in force, and periods as the API tells them: as text."""
    for section, period in (
        ("retentionPolicy", "retentionPeriod"),
        ("softDeletePolicy", "retentionDurationSeconds"),
    ):
        if (policy := fields.get(section)) is not None:
            fields[section] = policy | {period: str(policy.get(period, 0)), "effectiveTime": stamp(now)}


def bucket_resource(bucket: Bucket) -> dict[str, Any]:
    """Return a bucket as the API tells of it."""
    default = {
        "location": "US",
        "storageClass": "STANDARD",
        "softDeletePolicy": {
            "retentionDurationSeconds": str(int(bucket.soft_delete_seconds)),
            "effectiveTime": stamp(bucket.created_at),
        },
    }
    told = {
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "projectNumber": "1",
        "metageneration": str(bucket.metageneration),
        "timeCreated": stamp(bucket.created_at),
        "updated": stamp(bucket.updated_at),
        "etag": base64.b64encode(str(bucket.metageneration).encode()).decode(),
    }
    return default | bucket.fields | told


def check_bucket(request: HttpRequest, bucket: Bucket) -> None:
    """Hold the preconditions of a request against a bucket. raises Refused (412)."""
    for name, is_not in (("ifMetagenerationMatch", False), ("ifMetagenerationNotMatch", True)):
        if name in request.parameters and (int(request.parameters[name]) == bucket.metageneration) == is_not:
            raise Refused(
                412,
                "At least one of the pre-conditions you specified did not hold.",
                reason="conditionNotMet",
            )


def page(bucket: Bucket, versions: Iterable[Version], asked: dict[str, str]) -> dict[str, Any]:
    """Return one page of a list: objects, and what is common to those behind a delimiter."""
    prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
    most = min(int(asked.get("maxResults", _MOST_LISTED)), _MOST_LISTED)
    if most < 1:
        raise bad(f"Invalid value for maxResults: {most}")
    rows: dict[tuple[str, int], Version | None] = {}
    for version in versions:
        if not version.name.startswith(prefix):
            continue
        rest = version.name[len(prefix) :]
        if delimiter and delimiter in rest:
            rows[(prefix + rest.partition(delimiter)[0] + delimiter, 0)] = None
        else:
            rows[(version.name, version.generation)] = version
    first, last = asked.get("startOffset", ""), asked.get("endOffset")
    after = _position(asked["pageToken"]) if asked.get("pageToken") else ("", -1)
    ordered = sorted(rows.items(), key=lambda row: (row[0][0].encode(), row[0][1]))
    wanted = [
        row
        for row in ordered
        if (row[0][0].encode(), row[0][1]) > (after[0].encode(), after[1])
        and row[0][0] >= first
        and (not last or row[0][0] < last)
    ]
    shown = wanted[:most]
    told: dict[str, Any] = {"kind": "storage#objects"}
    if items := [resource(bucket, version) for _, version in shown if version is not None]:
        told["items"] = items
    if prefixes := [name for (name, _), version in shown if version is None]:
        told["prefixes"] = prefixes
    if len(wanted) > most:
        told["nextPageToken"] = base64.urlsafe_b64encode(json.dumps(shown[-1][0]).encode()).decode()
    return told


def _position(token: str) -> tuple[str, int]:
    try:
        name, generation = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        raise bad(f"Invalid page token: {token}") from None
    return str(name), int(generation)


def media(version: Version, asked: str | None) -> HttpAnswer:
    """Return the bytes of a version, or a range of them."""
    size = len(version.data)
    sums = f"crc32c={version.crc32c}" + (f",md5={version.md5}" if version.md5 else "")
    headers = {
        "Content-Type": version.content_type,
        "ETag": version.etag,
        "x-goog-generation": str(version.generation),
        "x-goog-metageneration": str(version.metageneration),
        "x-goog-storage-class": version.storage_class,
        "x-goog-hash": sums,
        "x-goog-stored-content-length": str(size),
        "Accept-Ranges": "bytes",
    }
    match = _RANGE.fullmatch(asked or "")
    if match is None or match[0] == "bytes=-":
        return HttpAnswer(version.data, headers=headers)
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) if match[2] else size - 1, size - 1)
    else:
        start, end = max(0, size - int(match[2])), size - 1
    if start >= size:
        return HttpAnswer(b"", 416, headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    return HttpAnswer(version.data[start : end + 1], 206, headers=headers)


def so_far(session: Session) -> HttpAnswer:
    """Return how much of an upload is there."""
    headers = {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {}
    return HttpAnswer(status=308, headers=headers)


def sums_of(header: str) -> dict[str, str]:
    """Return the sums in a header, as fields of an object."""
    names = {"crc32c": "crc32c", "md5": "md5Hash"}
    pairs = [part.strip().partition("=") for part in header.split(",") if part.strip()]
    return {names[kind]: value for kind, _, value in pairs if kind in names}
