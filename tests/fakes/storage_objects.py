"""Objects of a fake Cloud Storage: written, replaced, copied, put together, deleted and brought back."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from fakes.refusal import Refused
from fakes.storage_fields import bad, kms_key_name, object_fields, object_name
from fakes.storage_state import (
    DAY_SECONDS,
    MINIMUM_DAYS,
    Bucket,
    Charge,
    Version,
    crc32c_of,
    md5_of,
    stamp,
)

_MOST_SOURCES = 32


class Objects:
    """What can be done to the objects of buckets.

    charges     what would stand on the bill, besides what is kept
    rewritten_bytes  what one call of rewrite copies at most between classes
    """

    def __init__(self) -> None:
        self.charges: list[Charge] = []
        self.rewritten_bytes = 1 << 20
        self._last_generation = 0
        self._rewrites: dict[str, int] = {}

    def write(
        self,
        bucket: Bucket,
        tree: Mapping[str, Any],
        data: bytes,
        parameters: Mapping[str, str],
        now: float,
        *,
        may_replace: bool,
        components: int | None = None,
    ) -> Version:
        """Make new bytes the living version of an object. raises Refused when anything speaks against it."""
        fields = object_fields(tree)
        name = object_name(str(fields.get("name") or parameters.get("name") or ""))
        check_sums(fields, data)
        check(parameters, bucket.live(name))
        replaced = bucket.live(name)
        if replaced is not None:
            if not may_replace:
                raise Refused(403, "storage.objects.delete access is needed to replace", reason="forbidden")
            bucket.refuse_removal(replaced, now)
        version = Version(
            name=name,
            generation=self._generation(now),
            data=data,
            storage_class=str(fields.get("storageClass") or bucket.storage_class),
            created_at=now,
            updated_at=now,
            class_since=now,
            content_type=str(fields.get("contentType") or "application/octet-stream"),
            metadata={
                key: value for key, value in (fields.get("metadata") or {}).items() if value is not None
            },
            custom_time=fields.get("customTime"),
            temporary_hold=bool(fields.get("temporaryHold")),
            event_hold=bool(fields.get("eventBasedHold", bucket.fields.get("defaultEventBasedHold"))),
            kms_key=_key(bucket, fields, parameters),
            components=components,
        )
        if replaced is not None:
            self.retire(bucket, replaced, now)
        bucket.versions.setdefault(name, []).append(version)
        return version

    def find(self, bucket: Bucket, name: str, parameters: Mapping[str, str], *, prefix: str = "") -> Version:
        """Return the version that a request names, its preconditions met. raises Refused.

        prefix  of the parameters: "source" for those of a source
        """
        generation = parameters.get("generation" if not prefix else f"{prefix}Generation")
        found = (
            bucket.live(name) if generation is None else bucket.at(name, _number("generation", generation))
        )
        if found is None:
            raise Refused(404, f"No such object: {bucket.name}/{name}", reason="notFound")
        check(parameters, found, prefix=prefix)
        return found

    def delete(self, bucket: Bucket, name: str, parameters: Mapping[str, str], now: float) -> None:
        """Delete an object, or one version of it for good. raises Refused."""
        version = self.find(bucket, name, parameters)
        bucket.refuse_removal(version, now)
        if "generation" in parameters or version.noncurrent_at is not None:
            self.remove(bucket, version, now)
        else:
            self.retire(bucket, version, now)

    def retire(self, bucket: Bucket, version: Version, now: float) -> None:
        """Take the life of the living version: it stays as noncurrent, or goes."""
        if bucket.is_versioned:
            version.noncurrent_at = now
        else:
            self.remove(bucket, version, now)

    def remove(self, bucket: Bucket, version: Version, now: float) -> None:
        """Remove a version for good, or for as long as it can be restored."""
        bucket.remove(version)
        version.soft_deleted_at = now
        version.hard_delete_at = now + bucket.soft_delete_seconds
        bucket.soft.setdefault(version.name, []).append(version)
        self.purge([bucket], now)

    def purge(self, buckets: Iterable[Bucket], now: float) -> None:
        """Let go what can be restored no more; what went before its minimum is charged."""
        for bucket in buckets:
            for name, versions in list(bucket.soft.items()):
                for version in versions:
                    if version.hard_delete_at is not None and version.hard_delete_at <= now:
                        kept_days = (version.hard_delete_at - version.created_at) / DAY_SECONDS
                        missing = MINIMUM_DAYS[version.storage_class] - kept_days
                        if missing > 0:
                            self.charges.append(
                                Charge(
                                    "early-delete", name, version.storage_class, len(version.data), missing
                                )
                            )
                left = [each for each in versions if (each.hard_delete_at or 0) > now]
                if left:
                    bucket.soft[name] = left
                else:
                    del bucket.soft[name]

    def restore(
        self, bucket: Bucket, name: str, parameters: Mapping[str, str], now: float, *, may_replace: bool
    ) -> Version:
        """Bring back what was deleted, as a new living version. raises Refused."""
        generation = _number("generation", parameters.get("generation"))
        found = [each for each in bucket.soft.get(name, []) if each.generation == generation]
        if not found:
            raise Refused(404, f"No such object: {bucket.name}/{name}#{generation}", reason="notFound")
        old = found[0]
        tree = {
            "name": name,
            "storageClass": old.storage_class,
            "contentType": old.content_type,
            "metadata": old.metadata,
            "customTime": old.custom_time,
        }
        asked = {key: value for key, value in parameters.items() if key.startswith("if")}
        return self.write(
            bucket, tree, old.data, asked, now, may_replace=may_replace, components=old.components
        )

    def patch(
        self, bucket: Bucket, name: str, tree: Mapping[str, Any], parameters: Mapping[str, str], now: float
    ) -> Version:
        """Change what is said of an object; its bytes stay. raises Refused."""
        version = self.find(bucket, name, parameters)
        fields = object_fields(tree)
        if fields.get("storageClass", version.storage_class) != version.storage_class:
            raise bad("The storage class of an object is changed by rewriting it")
        if "customTime" in fields:
            if version.custom_time is not None and (fields["customTime"] or "") < version.custom_time:
                raise bad("Custom time cannot be removed or set to an earlier date or time")
            version.custom_time = fields["customTime"]
        if "metadata" in fields:
            merged = {**version.metadata, **(fields["metadata"] or {})}
            version.metadata = {key: value for key, value in merged.items() if value is not None}
        if fields.get("contentType"):
            version.content_type = str(fields["contentType"])
        if "temporaryHold" in fields:
            version.temporary_hold = bool(fields["temporaryHold"])
        if "eventBasedHold" in fields:
            is_held = bool(fields["eventBasedHold"])
            if version.event_hold and not is_held:
                version.event_hold_released_at = now
            version.event_hold = is_held
        version.metageneration += 1
        version.updated_at = now
        return version

    def rewrite(
        self,
        source_bucket: Bucket,
        source_name: str,
        bucket: Bucket,
        name: str,
        tree: Mapping[str, Any],
        parameters: Mapping[str, str],
        now: float,
        *,
        may_replace: bool,
    ) -> dict[str, Any]:
        """Copy an object, within its bucket into another class too; large ones take several calls."""
        source = self.find(source_bucket, source_name, parameters, prefix="source")
        fields = object_fields(tree)
        target_class = str(fields.get("storageClass") or bucket.storage_class)
        conditions = {key: value for key, value in parameters.items() if key.startswith(("ifG", "ifM"))}
        check(conditions, bucket.live(name))
        size = len(source.data)
        done = size
        if target_class != source.storage_class:
            token = parameters.get("rewriteToken")
            key = (
                f"{source_bucket.name}/{source_name}#{source.generation}>{bucket.name}/{name}:{target_class}"
            )
            if token is not None and _told(token) not in self._rewrites:
                raise bad("Invalid rewrite token")
            before = self._rewrites.get(key, 0) if token is not None else 0
            done = min(size, before + self.rewritten_bytes)
            if done < size:
                self._rewrites[key] = done
                return _rewritten(done, size, token=_token(key))
            self._rewrites.pop(key, None)
        if source.storage_class != "STANDARD":
            self.charges.append(Charge("retrieval", source_name, source.storage_class, size))
        if fields.keys() <= {"storageClass", "name", "kmsKeyName"}:
            # Nothing is said of it: what was said of the source goes on.
            fields |= {"contentType": source.content_type, "metadata": source.metadata}
            fields["customTime"] = source.custom_time
        told = fields | {"name": name, "storageClass": target_class}
        told = {key: value for key, value in told.items() if key not in ("crc32c", "md5Hash")}
        version = self.write(
            bucket,
            told,
            source.data,
            conditions | {key: value for key, value in parameters.items() if key == "destinationKmsKeyName"},
            now,
            may_replace=may_replace,
            components=source.components,
        )
        return _rewritten(done, size, resource=resource(bucket, version))

    def compose(
        self,
        bucket: Bucket,
        name: str,
        tree: Any,
        parameters: Mapping[str, str],
        now: float,
        *,
        may_replace: bool,
    ) -> Version:
        """Put objects of one bucket together into one. raises Refused."""
        sources = tree.get("sourceObjects") or []
        if not 1 <= len(sources) <= _MOST_SOURCES:
            raise bad(f"The number of source components provided ({len(sources)}) must be between 1 and 32")
        parts = []
        for source in sources:
            asked = {key: str(value) for key, value in source.items() if key == "generation"}
            asked |= {key: str(value) for key, value in source.get("objectPreconditions", {}).items()}
            parts.append(self.find(bucket, source["name"], asked))
        destination = {**(tree.get("destination") or {}), "name": name}
        return self.write(
            bucket,
            destination,
            b"".join(part.data for part in parts),
            parameters,
            now,
            may_replace=may_replace,
            components=sum(part.components or 1 for part in parts),
        )

    def _generation(self, now: float) -> int:
        self._last_generation = max(self._last_generation + 1, int(now * 1e6))
        return self._last_generation


def check(parameters: Mapping[str, str], found: Version | None, *, prefix: str = "") -> None:
    """Hold the preconditions of a request against the version it meets. raises Refused (412).

    found  None: there is none, and its generation counts as 0
    """
    said = f"if{prefix.capitalize()}"
    generation = 0 if found is None else found.generation
    metageneration = 0 if found is None else found.metageneration
    facts = {"Generation": generation, "Metageneration": metageneration, "MetaGeneration": metageneration}
    for name, value in parameters.items():
        kind = name.removeprefix(said)
        if kind == name or not kind.endswith("Match"):
            continue
        is_not = kind.endswith("NotMatch")
        fact = facts.get(kind.removesuffix("NotMatch" if is_not else "Match"))
        if fact is not None and (fact == _number(name, value)) == is_not:
            raise Refused(
                412,
                "At least one of the pre-conditions you specified did not hold.",
                reason="conditionNotMet",
            )


def check_sums(fields: Mapping[str, Any], data: bytes) -> None:
    """Hold the sums that were sent against the bytes that came. raises Refused (400)."""
    for name, told, found in (
        ("CRC32C", fields.get("crc32c"), crc32c_of),
        ("MD5 hash", fields.get("md5Hash"), md5_of),
    ):
        if told is not None and told != (calculated := found(data)):
            raise bad(f'Provided {name} "{told}" doesn\'t match calculated {name} "{calculated}".')


def resource(bucket: Bucket, version: Version) -> dict[str, Any]:
    """Return an object as the API tells of it."""
    told: dict[str, Any] = {
        "kind": "storage#object",
        "id": f"{bucket.name}/{version.name}/{version.generation}",
        "name": version.name,
        "bucket": bucket.name,
        "generation": str(version.generation),
        "metageneration": str(version.metageneration),
        "contentType": version.content_type,
        "storageClass": version.storage_class,
        "size": str(len(version.data)),
        "crc32c": version.crc32c,
        "etag": version.etag,
        "timeCreated": stamp(version.created_at),
        "updated": stamp(version.updated_at),
        "timeStorageClassUpdated": stamp(version.class_since),
        "timeFinalized": stamp(version.created_at),
    }
    until = bucket.retained_until(version)
    optional = {
        "md5Hash": version.md5,
        "metadata": version.metadata or None,
        "customTime": version.custom_time,
        "temporaryHold": version.temporary_hold or None,
        "eventBasedHold": version.event_hold or None,
        "kmsKeyName": version.kms_key,
        "componentCount": version.components,
        "timeDeleted": None if version.noncurrent_at is None else stamp(version.noncurrent_at),
        "softDeleteTime": None if version.soft_deleted_at is None else stamp(version.soft_deleted_at),
        "hardDeleteTime": None if version.hard_delete_at is None else stamp(version.hard_delete_at),
        "retentionExpirationTime": None if until is None or version.event_hold else stamp(until),
    }
    return told | {name: value for name, value in optional.items() if value is not None}


def _key(bucket: Bucket, fields: Mapping[str, Any], parameters: Mapping[str, str]) -> str | None:
    """Return the version of the key that encrypts an object; its name is all that is kept of it."""
    asked = (
        parameters.get("kmsKeyName") or parameters.get("destinationKmsKeyName") or fields.get("kmsKeyName")
    )
    default = (bucket.fields.get("encryption") or {}).get("defaultKmsKeyName")
    name = (asked or default or "").partition("/cryptoKeyVersions/")[0]
    return f"{kms_key_name(name)}/cryptoKeyVersions/1" if name else None


def _number(name: str, value: str | None) -> int:
    try:
        return int(value or "")
    except ValueError:
        raise bad(f"Invalid value for {name}: {value!r}") from None


def _rewritten(
    done: int, size: int, *, token: str | None = None, resource: dict[str, Any] | None = None
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": str(done),
        "objectSize": str(size),
        "done": token is None,
    }
    if token is not None:
        told["rewriteToken"] = token
    if resource is not None:
        told["resource"] = resource
    return told


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _told(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        return ""
