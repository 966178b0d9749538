"""What is wrong, dear or without effect in lifecycle rules, before they do it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from audobon.storage.classes import CLASSES, dollars, price_list
from audobon.storage.facts import KINDS
from audobon.storage.lifecycle_engine import Facts, holds, is_colder
from audobon.storage.lifecycle_rules import Condition, Rule

Grade = Literal["error", "warning", "note"]
"""error: such rules are not put in force; warning: they do something other than they seem to, or cost."""

_GIB = 1 << 30
_SUFFIX = ".pack"
_SAVING_MONTHS = 12


class Finding(msgspec.Struct, frozen=True):
    """What was found in a rule, by its number from 1; 0: in all together."""

    grade: Grade
    rule: int
    words: str


def lint(
    rules: Sequence[Rule],
    *,
    keep_days: Mapping[str, float] | None = None,
    packs: Sequence[Facts] = (),
    now: float = 0.0,
) -> list[Finding]:
    """Return what is wrong with rules, in their order.

    keep_days  for how long each kind must be kept
    packs      what the rules would meet; more can be said with it
    now        UTC instant; only with `packs`
    """
    found: list[Finding] = []
    for number, rule in enumerate(rules, 1):
        found += [Finding(grade, number, words) for grade, words in _alone(rule)]
        found += [Finding("warning", number, words) for words in _without_effect(rules, number)]
        if rule.action == "Delete":
            found += [Finding("error", number, words) for words in _undercuts(rule, keep_days or {})]
            found += [Finding("warning", number, words) for words in _early(rules, rule)]
        if packs:
            found += [Finding("warning", number, words) for words in _among(rule, packs, now)]
    return found


def _alone(rule: Rule) -> Iterator[tuple[Grade, str]]:
    """Yield what a rule by itself does that nobody can want."""
    what = {"Delete": "deletes", "SetStorageClass": "moves"}.get(rule.action, "clears")
    if rule.condition.is_empty:
        yield (
            "error",
            f"has no condition: it {what} everything, at once; an age that is left out is no age at all",
        )
    elif rule.action != "AbortIncompleteMultipartUpload" and _is_of_all(rule.condition):
        asks = ", ".join(_asked(rule.condition))
        if rule.action == "Delete":
            yield "error", f"deletes everything, at once: {asks} is true of every object"
        else:
            yield "warning", f"moves everything, at once: {asks} is true of every object"
    elif rule.action == "Delete" and _is_of_all(msgspec.structs.replace(rule.condition, age=None)):
        yield (
            "warning",
            f"deletes everything that is {rule.condition.age} days old, also what people put and pages still"
            " to be read; name kinds by matchesPrefix",
        )
    if rule.storage_class == "COLDLINE":
        yield "note", "COLDLINE lies in the folder of nearline here, and counts as NEARLINE from then on"


def _is_of_all(condition: Condition) -> bool:
    """Tell whether a condition is true of every living object, however young."""
    classes, prefixes, suffixes = (
        condition.matches_storage_class,
        condition.matches_prefix,
        condition.matches_suffix,
    )
    return (
        not condition.age
        and condition.created_before is None
        and condition.custom_time_before is None
        and condition.days_since_custom_time is None
        and condition.days_since_noncurrent_time is None
        and condition.noncurrent_time_before is None
        and condition.is_live is not False
        and not condition.num_newer_versions
        and (classes is None or set(classes) == set(CLASSES))
        and (prefixes is None or "" in prefixes)
        and (suffixes is None or any(_SUFFIX.endswith(suffix) for suffix in suffixes))
    )


def _asked(condition: Condition) -> list[str]:
    return [name for name, value in msgspec.to_builtins(condition).items() if value is not None]


def _without_effect(rules: Sequence[Rule], number: int) -> Iterator[str]:
    rule = rules[number - 1]
    condition, target = rule.condition, rule.storage_class
    if _contradicts_itself(condition):
        yield "never holds: it asks for living objects and for when they ceased to live"
    if condition.matches_prefix is not None and not any(_kinds_of(condition)):
        yield f"meets nothing here: names begin with {', '.join(kind + '/' for kind in KINDS)}"
    if condition.matches_suffix is not None and not any(
        _SUFFIX.endswith(suffix) or suffix.endswith(_SUFFIX) for suffix in condition.matches_suffix
    ):
        yield f"meets nothing here: all names end in {_SUFFIX}"
    if target is not None:
        asked = condition.matches_storage_class or CLASSES
        if not any(is_colder(target, present) for present in asked):
            yield f"moves nothing: nothing it meets is dearer at rest than {target}"
    for other_number, other in enumerate(rules, 1):
        if other_number != number and _shadows(other, rule, is_first=other_number < number):
            yield f"never acts: rule {other_number} does as much or more to all that it meets"
            return


def _contradicts_itself(condition: Condition) -> bool:
    return condition.is_live is True and (
        condition.days_since_noncurrent_time is not None or condition.noncurrent_time_before is not None
    )


def _shadows(other: Rule, rule: Rule, *, is_first: bool) -> bool:
    """Tell whether another rule takes every object that a rule could have."""
    if "AbortIncompleteMultipartUpload" in (rule.action, other.action) and rule.action != other.action:
        return False
    if other.action == "SetStorageClass" and other.storage_class is not None:
        if rule.storage_class is None or is_colder(rule.storage_class, other.storage_class):
            return False
        if rule.storage_class == other.storage_class and not is_first and _covers(rule, other):
            return False
    elif other.action == rule.action and not is_first and _covers(rule, other):
        return False
    return _covers(other, rule)


def _covers(wide: Rule, narrow: Rule) -> bool:
    """Tell whether all that is true of the one condition is surely true of the other as well."""
    a, b = wide.condition, narrow.condition
    is_known_dead = b.is_live is False or (
        b.days_since_noncurrent_time is not None or b.noncurrent_time_before is not None
    )
    return (
        _at_least(a.age, b.age)
        and _at_least(a.days_since_custom_time, b.days_since_custom_time)
        and _at_least(a.days_since_noncurrent_time, b.days_since_noncurrent_time)
        and _at_least(a.num_newer_versions, b.num_newer_versions)
        and _not_later(a.created_before, b.created_before)
        and _not_later(a.custom_time_before, b.custom_time_before)
        and _not_later(a.noncurrent_time_before, b.noncurrent_time_before)
        and (a.is_live is None or a.is_live == b.is_live or (a.is_live is False and is_known_dead))
        and set(b.matches_storage_class or CLASSES) <= set(a.matches_storage_class or CLASSES)
        and (
            a.matches_prefix is None
            or (
                b.matches_prefix is not None
                and all(each.startswith(a.matches_prefix) for each in b.matches_prefix)
            )
        )
        and (
            a.matches_suffix is None
            or (
                b.matches_suffix is not None
                and all(each.endswith(a.matches_suffix) for each in b.matches_suffix)
            )
        )
    )


def _at_least(wide: int | None, narrow: int | None) -> bool:
    return wide is None or (narrow is not None and narrow >= wide)


def _not_later(wide: object, narrow: object) -> bool:
    return wide is None or (narrow is not None and narrow <= wide)  # type: ignore[operator]


def _kinds_of(condition: Condition) -> list[str]:
    """Return the kinds that a rule may meet."""
    prefixes = condition.matches_prefix
    return [
        kind
        for kind in KINDS
        if prefixes is None
        or any(f"{kind}/".startswith(prefix) or prefix.startswith(f"{kind}/") for prefix in prefixes)
    ]


def _undercuts(rule: Rule, keep_days: Mapping[str, float]) -> Iterator[str]:
    for kind in _kinds_of(rule.condition):
        if (days := keep_days.get(kind, 0.0)) > (rule.condition.age or 0):
            when = "at any age" if rule.condition.age is None else f"after {rule.condition.age} days"
            yield f"deletes {kind} {when}, but it must be kept for {days:g} (storage.keep_days)"


def _early(rules: Sequence[Rule], rule: Rule) -> Iterator[str]:
    """Yield what is still due when objects are deleted before the minimum of the class they lie in."""
    age, prices = rule.condition.age or 0, price_list()
    asked = rule.condition.matches_storage_class
    moved = {
        other.storage_class
        for other in rules
        if other.storage_class is not None
        and (other.condition.age or 0) < max(age, 1)
        and set(_kinds_of(other.condition)) & set(_kinds_of(rule.condition))
    }
    for name in CLASSES:
        minimum = prices.of[name].minimum_days
        if age < minimum and (name in asked if asked is not None else name in moved):
            due = prices.early_usd(name, _GIB, age_days=age)
            yield (
                f"deletes {name} after {age} days, but it is paid for {minimum}:"
                f" {dollars(due)} more for each GiB in the cloud"
            )


def _among(rule: Rule, packs: Sequence[Facts], now: float) -> Iterator[str]:
    """Yield what a rule would do to what is there now."""
    if rule.action == "AbortIncompleteMultipartUpload":
        return
    met = [pack for pack in packs if holds(rule.condition, pack, now)]
    prices = price_list()
    if rule.action == "Delete":
        if met and len(met) == len(packs):
            yield f"would delete all {len(packs)} packs that are here today"
        due = sum(
            prices.early_usd(pack.storage_class, pack.size_bytes, age_days=pack.age_days(now)) for pack in met
        )
        if due > 0:
            yield f"would delete packs before the minimum of their class: {dollars(due)} more in the cloud"
        return
    target = rule.storage_class
    moving = [pack for pack in met if target is not None and is_colder(target, pack.storage_class)]
    if target is None or not moving:
        return
    fee = prices.move_usd(target, len(moving))
    saved = sum(
        prices.month_usd(pack.storage_class, pack.size_bytes) - prices.month_usd(target, pack.size_bytes)
        for pack in moving
    )
    if fee > saved * _SAVING_MONTHS:
        yield (
            f"would move {len(moving)} small packs to {target} for {dollars(fee)} in the cloud, which saves"
            f" {dollars(saved)} a month: not worth it within {_SAVING_MONTHS} months"
        )
