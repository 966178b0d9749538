"""What a fake Cloud Storage holds: buckets, and generations of objects whose bytes never change."""

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

import google_crc32c
import msgspec

from fakes.refusal import Refused

MINIMUM_DAYS = {"STANDARD": 0, "NEARLINE": 30, "COLDLINE": 90, "ARCHIVE": 365}
"""The classes, from the dearest to keep to the cheapest, and for how long each is paid at least."""

DAY_SECONDS = 86_400
_SOFT_DELETE_SECONDS = 7 * DAY_SECONDS


class Charge(msgspec.Struct, frozen=True):
    """Something that would stand on the bill.

    kind   "early-delete": the rest of the minimum, `days` of it; "retrieval": bytes read from a cold class;
           "operation": a change of class by rule, counted once for each object
    """

    kind: str
    name: str
    storage_class: str
    size_bytes: int
    days: float = 0.0


class Version(msgspec.Struct, kw_only=True):
    """One generation of an object; instants are UTC seconds."""

    name: str
    generation: int
    data: bytes
    storage_class: str
    created_at: float
    updated_at: float
    class_since: float
    content_type: str = "application/octet-stream"
    metageneration: int = 1
    metadata: dict[str, str] = {}
    custom_time: str | None = None
    temporary_hold: bool = False
    event_hold: bool = False
    event_hold_released_at: float | None = None
    kms_key: str | None = None
    components: int | None = None
    noncurrent_at: float | None = None
    soft_deleted_at: float | None = None
    hard_delete_at: float | None = None
    told_crc32c: str | None = None

    @property
    def crc32c(self) -> str:
        """Its CRC32C in base64, as the API writes it."""
        return self.told_crc32c or crc32c_of(self.data)

    @property
    def md5(self) -> str | None:
        """Its MD5 in base64; a composed object has none."""
        return md5_of(self.data) if self.components is None else None

    @property
    def etag(self) -> str:
        """Changes with every change of it."""
        return base64.b64encode(f"{self.generation}/{self.metageneration}".encode()).decode()


class Bucket(msgspec.Struct, kw_only=True):
    """A bucket.

    fields    what was written to it, as the API has it
    versions  by name, oldest first; the live one is the last, when it is not noncurrent
    soft      what was deleted and can be restored still, by name
    """

    name: str
    project: str
    fields: dict[str, Any]
    created_at: float
    updated_at: float
    metageneration: int = 1
    versions: dict[str, list[Version]] = {}
    soft: dict[str, list[Version]] = {}

    def live(self, name: str) -> Version | None:
        """Return the living version of an object."""
        versions = self.versions.get(name)
        return versions[-1] if versions and versions[-1].noncurrent_at is None else None

    def at(self, name: str, generation: int) -> Version | None:
        """Return a version by its generation."""
        return next((each for each in self.versions.get(name, []) if each.generation == generation), None)

    def remove(self, version: Version) -> None:
        """Take a version out."""
        left = [each for each in self.versions[version.name] if each is not version]
        if left:
            self.versions[version.name] = left
        else:
            del self.versions[version.name]

    @property
    def storage_class(self) -> str:
        """Of objects that name none."""
        return str(self.fields.get("storageClass", "STANDARD"))

    @property
    def is_versioned(self) -> bool:
        """Whether what is replaced or deleted stays as noncurrent."""
        return bool(self.fields.get("versioning", {}).get("enabled", False))

    @property
    def retention_seconds(self) -> float:
        """For how long nothing may be deleted or replaced."""
        return float(self.fields.get("retentionPolicy", {}).get("retentionPeriod", 0))

    @property
    def soft_delete_seconds(self) -> float:
        """For how long what was deleted can be restored; a week where nothing else was said."""
        policy = self.fields.get("softDeletePolicy", {})
        return float(policy.get("retentionDurationSeconds", _SOFT_DELETE_SECONDS))

    def retained_until(self, version: Version) -> float | None:
        """Return until when a version may not go; None: as far as retention goes it may."""
        if not self.retention_seconds:
            return None
        # The hold of an event stops the clock, which begins when it is released.
        begun = version.event_hold_released_at or version.created_at
        return begun + self.retention_seconds

    def refuse_removal(self, version: Version, now: float) -> None:
        """Raise what the API answers while holds or retention forbid to delete or replace a version.

        In a bucket that keeps versions this is stricter than need be: the living one may not become
        noncurrent either.
        """
        where = f"Object '{self.name}/{version.name}'"
        held = "and cannot be deleted, overwritten or archived until hold is removed."
        if version.temporary_hold:
            raise Refused(403, f"{where} is under active Temporary hold {held}", reason="forbidden")
        if version.event_hold:
            raise Refused(403, f"{where} is under active Event-Based hold {held}", reason="forbidden")
        until = self.retained_until(version)
        if until is not None and now < until:
            raise Refused(
                403,
                f"{where} is subject to bucket's retention policy or object retention and cannot be deleted"
                f" or overwritten until {stamp(until)}",
                reason="retentionPolicyNotMet",
            )


def crc32c_of(data: bytes) -> str:
    """Return a CRC32C in base64, the most significant byte first."""
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def md5_of(data: bytes) -> str:
    """Return an MD5 in base64."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def stamp(instant: float) -> str:
    """Return an instant as the API writes it, to the millisecond."""
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant_of(text: str) -> float:
    """Return the UTC seconds of an instant as the API writes it."""
    return datetime.fromisoformat(text).timestamp()
