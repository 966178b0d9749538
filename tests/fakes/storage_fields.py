"""What may be written to buckets and objects: unknown fields are errors, and so are bad values."""

import re
from datetime import date
from typing import Any

from fakes.refusal import Refused
from fakes.storage_state import MINIMUM_DAYS, instant_of

_TOLD = {"kind", "id", "selfLink", "etag", "metageneration", "timeCreated", "updated", "generation"}
_BUCKET_TOLD = _TOLD | {"projectNumber", "locationType", "owner", "satisfiesPZS", "satisfiesPZI"}
_OBJECT_TOLD = _TOLD | {
    "bucket", "size", "mediaLink", "owner", "componentCount", "timeStorageClassUpdated", "timeDeleted",
    "timeFinalized", "softDeleteTime", "hardDeleteTime", "retentionExpirationTime", "restoreToken",
}  # fmt: skip
_BUCKET_WRITTEN: dict[str, Any] = {
    "name": None,
    "location": None,
    "storageClass": None,
    "labels": None,
    "versioning": {"enabled"},
    "lifecycle": {"rule"},
    "retentionPolicy": {"retentionPeriod", "effectiveTime", "isLocked"},
    "softDeletePolicy": {"retentionDurationSeconds", "effectiveTime"},
    "iamConfiguration": {"uniformBucketLevelAccess", "publicAccessPrevention", "bucketPolicyOnly"},
    "encryption": {"defaultKmsKeyName"},
    "defaultEventBasedHold": None,
    "rpo": None,
    "logging": {"logBucket", "logObjectPrefix"},
    "customPlacementConfig": {"dataLocations"},
}
_OBJECT_WRITTEN = {
    "name", "contentType", "contentEncoding", "contentDisposition", "contentLanguage", "cacheControl",
    "metadata", "storageClass", "crc32c", "md5Hash", "customTime", "temporaryHold", "eventBasedHold",
    "kmsKeyName",
}  # fmt: skip
_CONDITIONS = {
    "age": int, "createdBefore": date, "customTimeBefore": date, "daysSinceCustomTime": int,
    "daysSinceNoncurrentTime": int, "noncurrentTimeBefore": date, "isLive": bool, "matchesStorageClass": list,
    "matchesPrefix": list, "matchesSuffix": list, "numNewerVersions": int,
}  # fmt: skip
_ACTIONS = {"Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"}
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_KMS_KEY = re.compile(
    r"projects/[^/]+/locations/[^/]+/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63}"
)
_LONGEST_NAME_BYTES = 1024


def bad(message: str) -> Refused:
    """Return the answer to what cannot be understood."""
    return Refused(400, message, reason="invalid")


def bucket_fields(tree: Any) -> dict[str, Any]:
    """Return what a request writes to a bucket. raises Refused for what the API would not take."""
    fields = _known(tree, "bucket", set(_BUCKET_WRITTEN), _BUCKET_TOLD)
    for name, value in fields.items():
        inner = _BUCKET_WRITTEN[name]
        if inner is not None and value is not None:
            _known(value, name, inner, set())
    if "name" in fields and not _BUCKET_NAME.fullmatch(fields["name"]):
        raise bad(f"Invalid bucket name: '{fields['name']}'")
    if fields.get("storageClass") is not None:
        _class(fields["storageClass"], "storageClass")
    if (key := (fields.get("encryption") or {}).get("defaultKmsKeyName")) is not None:
        kms_key_name(key)
    for section, field in (
        ("retentionPolicy", "retentionPeriod"),
        ("softDeletePolicy", "retentionDurationSeconds"),
    ):
        if (period := (fields.get(section) or {}).get(field)) is not None:
            _whole(period, f"{section}.{field}")
    rules = (fields.get("lifecycle") or {}).get("rule") or []
    if len(rules) > 100:
        raise bad(f"A bucket can have at most 100 lifecycle rules, not {len(rules)}.")
    for rule in rules:
        _rule(rule)
    if (access := (fields.get("iamConfiguration") or {}).get("uniformBucketLevelAccess")) is not None:
        _known(access, "uniformBucketLevelAccess", {"enabled"}, {"lockedTime"})
    return fields


def object_fields(tree: Any) -> dict[str, Any]:
    """Return what a request writes to an object. raises Refused for what the API would not take."""
    fields = _known(tree, "object", _OBJECT_WRITTEN, _OBJECT_TOLD)
    if fields.get("storageClass") is not None:
        _class(fields["storageClass"], "storageClass")
    for key, value in (fields.get("metadata") or {}).items():
        if not isinstance(value, str | None):
            raise bad(f"Invalid value for metadata.{key}: {value!r} is no string")
    if fields.get("kmsKeyName") is not None and "/cryptoKeyVersions/" not in fields["kmsKeyName"]:
        kms_key_name(fields["kmsKeyName"])
    if fields.get("customTime") is not None:
        try:
            instant_of(fields["customTime"])
        except ValueError:
            raise bad(f"Invalid value for customTime: {fields['customTime']}") from None
    for name in ("temporaryHold", "eventBasedHold"):
        if not isinstance(fields.get(name, False), bool | None):
            raise bad(f"Invalid value for {name}: {fields[name]!r}")
    return fields


def object_name(name: str) -> str:
    """Return a name when an object can have it."""
    if not name or len(name.encode()) > _LONGEST_NAME_BYTES or name in (".", ".."):
        raise bad(f"Invalid object name: {name!r}")
    if any(character in name for character in "\r\n") or name.startswith(".well-known/acme-challenge/"):
        raise bad(f"Invalid object name: {name!r}")
    return name


def kms_key_name(name: str) -> str:
    """Return the name of a key when it is one."""
    if not _KMS_KEY.fullmatch(name):
        raise bad(f"Malformed Cloud KMS crypto key: {name}")
    return name


def _known(tree: Any, where: str, written: set[str], told: set[str]) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise bad(f"Invalid JSON payload received: {where} is no object")
    for name in tree:
        if name not in written and name not in told:
            raise bad(
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field."
            )
    return {name: value for name, value in tree.items() if name in written}


def _class(value: Any, where: str) -> None:
    if value not in MINIMUM_DAYS:
        raise bad(f"Invalid argument: {where} {value!r}")


def _whole(value: Any, where: str) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if isinstance(value, bool) or number < 0:
        raise bad(f"Invalid value for {where}: {value!r}")
    return number


def _rule(rule: Any) -> None:
    _known(rule, "lifecycle.rule", {"action", "condition"}, set())
    action = _known(rule.get("action"), "lifecycle.rule.action", {"type", "storageClass"}, set())
    if action.get("type") not in _ACTIONS:
        raise bad(f"Invalid lifecycle action: {action.get('type')!r}")
    if (action["type"] == "SetStorageClass") != ("storageClass" in action):
        raise bad("storageClass goes with the action SetStorageClass, and it alone")
    if "storageClass" in action:
        _class(action["storageClass"], "lifecycle.rule.action.storageClass")
    condition = _known(rule.get("condition"), "lifecycle.rule.condition", set(_CONDITIONS), set())
    if not condition:
        raise bad("A lifecycle rule must have at least one condition.")
    if action["type"] == "AbortIncompleteMultipartUpload" and not condition.keys() <= {
        "age", "matchesPrefix", "matchesSuffix"
    }:  # fmt: skip
        raise bad(
            "AbortIncompleteMultipartUpload knows the conditions age, matchesPrefix, matchesSuffix alone"
        )
    for name, value in condition.items():
        kind = _CONDITIONS[name]
        if kind is int:
            if not isinstance(value, int):
                raise bad(f"Invalid value for {name}: {value!r}")
            _whole(value, name)
        elif kind is bool:
            if not isinstance(value, bool):
                raise bad(f"Invalid value for {name}: {value!r}")
        elif kind is date:
            try:
                date.fromisoformat(value)
            except (TypeError, ValueError):
                raise bad(f"Invalid value for {name}: {value!r}") from None
        elif not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
            raise bad(f"Invalid value for {name}: {value!r}")
