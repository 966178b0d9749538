"""Lifecycle rules for a bucket: of a place for backups, what it holds is moved, and never deleted."""

from collections.abc import Sequence

from audobon.backup.locations import BucketFolder, open_store
from audobon.backup.repository import CARD, PACKS
from audobon.errors import InvalidInput
from audobon.storage.lifecycle_rules import Rule


def carry_out(location: BucketFolder, rules: Sequence[Rule]) -> list[Rule]:
    """Have a bucket carry out rules on the packs at a location; return all it has from then on.

    raises  InvalidInput for a rule that deletes in a place for backups; Unavailable, CloudDenied
    """
    from audobon.storage.gcp_rules import apply_rules

    base = f"{location.prefix}/" if location.prefix else ""
    if any(info.name == CARD for info in open_store(location, rights="read").list(CARD)):
        for number, rule in enumerate(rules, 1):
            if rule.action == "Delete":
                raise InvalidInput(
                    f"rule {number} deletes, and {location} holds backups: they would not be whole any more",
                    hint="take the rule out; old backups go by: audobon backup prune",
                )
        base += PACKS
    return apply_rules(location.bucket, base, rules)
