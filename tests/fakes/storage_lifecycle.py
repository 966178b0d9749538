"""Lifecycle rules as a fake Cloud Storage carries them out; written apart from ours, to be compared."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fakes.storage_objects import Objects
from fakes.storage_state import DAY_SECONDS, MINIMUM_DAYS, Bucket, Charge, Version, instant_of

_COLDER = list(MINIMUM_DAYS)


def run_rules(bucket: Bucket, objects: Objects, now: float) -> None:
    """Do to every version of a bucket what its rules ask for at an instant.

    AbortIncompleteMultipartUpload means uploads by the XML interface, which this fake has not.
    """
    rules = (bucket.fields.get("lifecycle") or {}).get("rule") or []
    for versions in list(bucket.versions.values()):
        for version in list(versions):
            newer = len(versions) - 1 - versions.index(version)
            asked = [
                rule["action"]
                for rule in rules
                if rule["action"]["type"] != "AbortIncompleteMultipartUpload"
                and fits(rule["condition"], version, newer, now)
            ]
            if any(action["type"] == "Delete" for action in asked):
                _delete(bucket, objects, version, now)
                continue
            target = max((action["storageClass"] for action in asked), key=_COLDER.index, default=None)
            if target is not None and _COLDER.index(target) > _COLDER.index(version.storage_class):
                # Without a new generation, and what was read or kept too short is not charged.
                version.storage_class = target
                version.class_since = now
                version.metageneration += 1
                version.updated_at = now
                objects.charges.append(Charge("operation", version.name, target, len(version.data)))
    objects.purge([bucket], now)


def fits(condition: Mapping[str, Any], version: Version, newer: int, now: float) -> bool:
    """Tell whether all of a condition is true of a version that has so many newer ones."""
    custom = None if version.custom_time is None else instant_of(version.custom_time)
    gone = version.noncurrent_at
    answers = {
        "age": lambda days: now - version.created_at >= days * DAY_SECONDS,
        "createdBefore": lambda day: version.created_at < _midnight(day),
        "customTimeBefore": lambda day: custom is not None and custom < _midnight(day),
        "daysSinceCustomTime": lambda days: custom is not None and now - custom >= days * DAY_SECONDS,
        "daysSinceNoncurrentTime": lambda days: gone is not None and now - gone >= days * DAY_SECONDS,
        "noncurrentTimeBefore": lambda day: gone is not None and gone < _midnight(day),
        "isLive": lambda wanted: (gone is None) == wanted,
        "matchesStorageClass": lambda classes: version.storage_class in classes,
        "numNewerVersions": lambda count: newer >= count,
    }
    others = {name: value for name, value in condition.items() if name in answers}
    return all(answers[name](value) for name, value in others.items()) and _texts_fit(condition, version.name)


def _texts_fit(condition: Mapping[str, Any], name: str) -> bool:
    prefixes, suffixes = condition.get("matchesPrefix", [""]), condition.get("matchesSuffix", [""])
    return any(name.startswith(each) for each in prefixes) and any(name.endswith(each) for each in suffixes)


def _delete(bucket: Bucket, objects: Objects, version: Version, now: float) -> None:
    until = bucket.retained_until(version)
    if version.temporary_hold or version.event_hold or (until is not None and now < until):
        # Waits until it may.
        return
    if version.noncurrent_at is None:
        objects.retire(bucket, version, now)
    else:
        objects.remove(bucket, version, now)


def _midnight(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
