"""What lifecycle rules ask for, from facts alone: nothing is read, moved or removed here."""

import datetime
from collections.abc import Sequence

import msgspec

from audobon.storage.classes import CLASSES, TIER_OF_CLASS, StorageClass
from audobon.storage.lifecycle_rules import Condition, Rule

DAY_SECONDS = 86_400


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What rules may ask of an object; instants are UTC seconds.

    custom_time     set by a person; None: not set
    noncurrent_at   since when it is no longer the living version; None: it lives
    newer_versions  how many came after it, the living one counted
    """

    name: str
    size_bytes: int
    storage_class: StorageClass
    created_at: float
    custom_time: float | None = None
    noncurrent_at: float | None = None
    newer_versions: int = 0

    def age_days(self, now: float) -> float:
        """Return how old it is."""
        return (now - self.created_at) / DAY_SECONDS


class Decision(msgspec.Struct, frozen=True):
    """What is to be done to an object.

    rule           number of the rule that asked for it, from 1
    storage_class  where it moves; None: it is deleted
    """

    rule: int
    storage_class: StorageClass | None


def decide(rules: Sequence[Rule], facts: Facts, now: float) -> Decision | None:
    """Return what the rules ask for an object at an instant; None when it stays as it is.

    Delete wins over all moves; of several moves that to the class cheapest at rest, of equals the first.
    No rule moves to a class that is not cheaper at rest than the present one.
    """
    asked = [
        (number, rule.storage_class)
        for number, rule in enumerate(rules, 1)
        if rule.action != "AbortIncompleteMultipartUpload" and holds(rule.condition, facts, now)
    ]
    best: Decision | None = None
    for number, storage_class in asked:
        if storage_class is None:
            return Decision(number, None)
        present = facts.storage_class if best is None or best.storage_class is None else best.storage_class
        if is_colder(storage_class, present):
            best = Decision(number, storage_class)
    return best


def is_colder(storage_class: StorageClass, than: StorageClass) -> bool:
    """Tell whether a class is cheaper at rest than another."""
    return CLASSES.index(storage_class) > CLASSES.index(than)


def holds(condition: Condition, facts: Facts, now: float) -> bool:
    """Tell whether all that a condition asks is true of an object."""
    return (
        _is_old(condition.age, facts.created_at, now)
        and _is_before(condition.created_before, facts.created_at)
        and _is_before(condition.custom_time_before, facts.custom_time)
        and _is_old(condition.days_since_custom_time, facts.custom_time, now)
        and _is_old(condition.days_since_noncurrent_time, facts.noncurrent_at, now)
        and _is_before(condition.noncurrent_time_before, facts.noncurrent_at)
        and condition.is_live in (None, facts.noncurrent_at is None)
        and (
            condition.matches_storage_class is None or facts.storage_class in condition.matches_storage_class
        )
        and (condition.matches_prefix is None or facts.name.startswith(condition.matches_prefix))
        and (condition.matches_suffix is None or facts.name.endswith(condition.matches_suffix))
        and (condition.num_newer_versions is None or facts.newer_versions >= condition.num_newer_versions)
    )


def for_tiers(rules: Sequence[Rule]) -> list[Rule]:
    """Return rules for a store of three tiers, in which COLDLINE is NEARLINE."""
    return [
        msgspec.structs.replace(
            rule,
            storage_class=_kept_as(rule.storage_class),
            condition=msgspec.structs.replace(
                rule.condition,
                matches_storage_class=None
                if rule.condition.matches_storage_class is None
                else tuple(dict.fromkeys(map(_known_as, rule.condition.matches_storage_class))),
            ),
        )
        for rule in rules
    ]


def unfinished_days(rules: Sequence[Rule]) -> int | None:
    """Return after how many days unfinished writes go, whatever their names; None when no rule says so."""
    days = [
        rule.condition.age or 0
        for rule in rules
        if rule.action == "AbortIncompleteMultipartUpload"
        and rule.condition.matches_prefix is None
        and rule.condition.matches_suffix is None
    ]
    return min(days, default=None)


def _kept_as(storage_class: StorageClass | None) -> StorageClass | None:
    return None if storage_class is None else _known_as(storage_class)


def _known_as(storage_class: StorageClass) -> StorageClass:
    return "NEARLINE" if TIER_OF_CLASS[storage_class] == "nearline" else storage_class


def _is_old(days: int | None, since: float | None, now: float) -> bool:
    return days is None or (since is not None and now - since >= days * DAY_SECONDS)


def _is_before(date: datetime.date | None, instant: float | None) -> bool:
    if date is None:
        return True
    midnight = datetime.datetime(date.year, date.month, date.day, tzinfo=datetime.UTC).timestamp()
    return instant is not None and instant < midnight
