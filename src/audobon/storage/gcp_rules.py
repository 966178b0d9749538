"""Lifecycle rules that a bucket carries out by itself: the same JSON that acts on packs here."""

from collections.abc import Sequence
from typing import Any

import msgspec

from audobon.errors import Unavailable
from audobon.gcloud.clients import storage_client
from audobon.storage.gcp_errors import TIMEOUTS_SECONDS, bucket_errors
from audobon.storage.lifecycle_rules import Rule, as_json, parse_rules

_MOST_TURNS = 5


def rules_below(rules: Sequence[Rule], base: str) -> list[Rule]:
    """Return rules that mean, for the objects whose names begin with `base`, what these mean for all."""
    if not base:
        return list(rules)
    return [
        msgspec.structs.replace(
            rule,
            condition=msgspec.structs.replace(
                rule.condition,
                matches_prefix=tuple(base + each for each in rule.condition.matches_prefix or ("",)),
            ),
        )
        for rule in rules
    ]


def apply_rules(bucket: str, base: str, rules: Sequence[Rule], *, client: Any = None) -> list[Rule]:
    """Have a bucket carry out rules on the objects below `base`; return all it has from then on.

    What was asked for there before is replaced; rules for other names stay. Cloud Storage looks at its rules
    about once a day, and may take a day to know of new ones.
    base    what names begin with: "" for all, else ending in "/"
    client  of google-cloud-storage; None: one with the ambient credentials
    raises  Unavailable when there is no bucket, CloudDenied
    """
    where = f"gs://{bucket}/{base}".rstrip("/")
    client = storage_client() if client is None else client
    for _ in range(_MOST_TURNS):
        with bucket_errors("setting the lifecycle rules of", "", where):
            from google.api_core.exceptions import PreconditionFailed

            found = client.get_bucket(bucket, timeout=TIMEOUTS_SECONDS)
            others = [rule for rule in map(dict, found.lifecycle_rules) if not _is_below(rule, base)]
            found.lifecycle_rules = [*others, *as_json(rules_below(rules, base))["rule"]]
            try:
                found.patch(timeout=TIMEOUTS_SECONDS, if_metageneration_match=found.metageneration)
            except PreconditionFailed:
                # Somebody else changed the bucket in between.
                continue
            return _as_rules(found)
    raise Unavailable(f"{where} is changed without a break", hint="try again later")


def rules_of(bucket: str, *, client: Any = None) -> list[Rule]:
    """Return the rules that a bucket carries out. raises Unavailable, InvalidInput."""
    client = storage_client() if client is None else client
    with bucket_errors("reading the lifecycle rules of", "", f"gs://{bucket}"):
        found = client.get_bucket(bucket, timeout=TIMEOUTS_SECONDS)
    return _as_rules(found)


def _as_rules(bucket: Any) -> list[Rule]:
    return parse_rules(msgspec.json.encode({"rule": [dict(rule) for rule in bucket.lifecycle_rules]}))


def _is_below(rule: dict[str, Any], base: str) -> bool:
    prefixes = rule.get("condition", {}).get("matchesPrefix", [""])
    return all(prefix.startswith(base) for prefix in prefixes)
