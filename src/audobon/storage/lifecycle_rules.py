"""Lifecycle rules as Cloud Storage writes them in JSON, read strictly: no fault is passed over."""

import datetime
import difflib
import json
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from audobon.atomic import disk_errors, write_bytes
from audobon.errors import InvalidInput
from audobon.storage.classes import CLASSES, StorageClass

ActionType = Literal["Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"]

_ACTIONS: tuple[ActionType, ...] = get_args(ActionType)
_OLD_NAMES = ("MULTI_REGIONAL", "REGIONAL", "DURABLE_REDUCED_AVAILABILITY")
_FOR_UNFINISHED = {"age", "matchesPrefix", "matchesSuffix"}
_MOST_RULES = 100
_MOST_BYTES = 1 << 20
_MOST_DAYS = 36_500
_MOST_VERSIONS = 1_000_000
_FIRST_YEAR, _LAST_YEAR = 1970, 2200
_LONGEST_TEXT = 1024


class Condition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What must hold of an object, all of it; None asks nothing, which is not the same as zero.

    Days are spans of 24 hours, dates begin at midnight UTC, and "before" leaves the date itself out.
    """

    age: int | None = None
    created_before: datetime.date | None = None
    custom_time_before: datetime.date | None = None
    days_since_custom_time: int | None = None
    days_since_noncurrent_time: int | None = None
    noncurrent_time_before: datetime.date | None = None
    is_live: bool | None = None
    matches_storage_class: tuple[StorageClass, ...] | None = None
    matches_prefix: tuple[str, ...] | None = None
    matches_suffix: tuple[str, ...] | None = None
    num_newer_versions: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it asks nothing at all."""
        return self == Condition()


class Rule(msgspec.Struct, frozen=True):
    """What is done to the objects of which the condition holds.

    storage_class  where SetStorageClass moves them; None for the other actions
    """

    action: ActionType
    condition: Condition
    storage_class: StorageClass | None = None


_FIELDS = {field.encode_name: field.name for field in msgspec.structs.fields(Condition)}
_DATES = {"createdBefore", "customTimeBefore", "noncurrentTimeBefore"}
_TEXTS = {"matchesPrefix", "matchesSuffix"}


def read_rules(path: Path) -> list[Rule]:
    """Return the rules of a file. raises InvalidInput naming the rule, NotFound, Denied."""
    with disk_errors(path):
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidInput(f"{path} is too large for lifecycle rules")
        data = path.read_bytes()
    return parse_rules(data)


def write_rules(path: Path, rules: list[Rule]) -> None:
    """Write rules so that `read_rules` returns the same, whole or not at all."""
    write_bytes(path, json.dumps(as_json(rules), indent=2).encode() + b"\n")


def default_rules() -> list[Rule]:
    """Return the rules that are in force where none were set."""
    return read_rules(Path(__file__).with_name("lifecycle_default.json"))


def parse_rules(data: bytes) -> list[Rule]:
    """Return the rules of a JSON text, bare or within "lifecycle".

    raises  InvalidInput, naming the number of the rule, from 1, and the field
    """
    try:
        tree = json.loads(data, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"this is not JSON as rules are written in: {error}") from error
    if isinstance(tree, dict) and set(tree) == {"lifecycle"}:
        tree = tree["lifecycle"]
    tree = _object(tree, "the whole", {"rule"})
    rules = tree.get("rule", [])
    if not isinstance(rules, list):
        raise InvalidInput(f"rule must be a list, not {_shown(rules)}")
    if len(rules) > _MOST_RULES:
        raise InvalidInput(f"{len(rules)} rules are too many: at most {_MOST_RULES}")
    return [_rule(rule, f"rule {number}") for number, rule in enumerate(rules, 1)]


def as_json(rules: list[Rule]) -> dict[str, Any]:
    """Return rules as Cloud Storage writes them."""
    written = []
    for rule in rules:
        action: dict[str, str] = {"type": rule.action}
        if rule.storage_class is not None:
            action["storageClass"] = rule.storage_class
        condition = msgspec.to_builtins(rule.condition)
        asked = {name: value for name, value in condition.items() if value is not None}
        written.append({"action": action, "condition": asked})
    return {"rule": written}


def _rule(rule: Any, where: str) -> Rule:
    tree = _object(rule, where, {"action", "condition"})
    if "action" not in tree:
        raise InvalidInput(f"{where}: action is missing")
    action = _object(tree["action"], f"{where}: action", {"type", "storageClass"})
    kind = _one_of(action.get("type"), f"{where}: action.type", _ACTIONS)
    condition = _condition(_object(tree.get("condition", {}), f"{where}: condition", set(_FIELDS)), where)
    target: Any = None
    if kind == "SetStorageClass":
        target = _one_of(action.get("storageClass"), f"{where}: action.storageClass", CLASSES)
    elif "storageClass" in action:
        raise InvalidInput(f"{where}: action.storageClass goes with SetStorageClass alone")
    if kind == "AbortIncompleteMultipartUpload":
        asked = {name for name, field in _FIELDS.items() if getattr(condition, field) is not None}
        if wrong := sorted(asked - _FOR_UNFINISHED):
            raise InvalidInput(f"{where}: {kind} knows no {wrong[0]}; only age, matchesPrefix, matchesSuffix")
    return Rule(kind, condition, target)


def _condition(tree: dict[str, Any], where: str) -> Condition:
    values: dict[str, Any] = {}
    for name, value in tree.items():
        place = f"{where}: condition.{name}"
        if name in _DATES:
            values[_FIELDS[name]] = _date(value, place)
        elif name == "isLive":
            if not isinstance(value, bool):
                raise InvalidInput(f"{place} must be true or false, not {_shown(value)}")
            values[_FIELDS[name]] = value
        elif name in _TEXTS:
            values[_FIELDS[name]] = _texts(value, place)
        elif name == "matchesStorageClass":
            values[_FIELDS[name]] = _classes(value, place)
        else:
            most = _MOST_VERSIONS if name == "numNewerVersions" else _MOST_DAYS
            values[_FIELDS[name]] = _count(value, place, most)
    return Condition(**values)


def _object(value: Any, where: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{where} must be an object in braces, not {_shown(value)}")
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"one of: {', '.join(sorted(known))}"
            raise InvalidInput(f"{where} knows no {name!r}", hint=hint)
    return value


def _one_of(value: Any, place: str, known: tuple[Any, ...]) -> Any:
    if value is None:
        raise InvalidInput(f"{place} is missing", hint=f"one of: {', '.join(known)}")
    if value not in known:
        raise InvalidInput(f"{place} is {_shown(value)}", hint=f"one of: {', '.join(known)}")
    return value


def _count(value: Any, place: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidInput(f"{place} must be a whole number from 0, not {_shown(value)}")
    if value > most:
        raise InvalidInput(f"{place} is {_shown(value)}, more than {most}")
    return value


def _date(value: Any, place: str) -> datetime.date:
    try:
        if not isinstance(value, str) or len(value) != 10:
            raise ValueError
        date = datetime.date.fromisoformat(value)
    except ValueError as error:
        raise InvalidInput(f"{place} must be a date like 2026-01-31, not {_shown(value)}") from error
    if not _FIRST_YEAR <= date.year <= _LAST_YEAR:
        raise InvalidInput(f"{place} lies outside of {_FIRST_YEAR} to {_LAST_YEAR}: {value}")
    return date


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise InvalidInput(f"{place} must be a list of at least one, not {_shown(value)}")
    return value


def _texts(value: Any, place: str) -> tuple[str, ...]:
    for each in _list(value, place):
        if not isinstance(each, str) or len(each) > _LONGEST_TEXT:
            raise InvalidInput(
                f"{place} must hold texts of at most {_LONGEST_TEXT} characters, not {_shown(each)}"
            )
    return tuple(value)


def _classes(value: Any, place: str) -> tuple[StorageClass, ...]:
    found: list[StorageClass] = []
    for each in _list(value, place):
        known = _one_of(each, place, (*CLASSES, *_OLD_NAMES))
        # What these buckets of old were called is STANDARD today.
        plain: StorageClass = "STANDARD" if known in _OLD_NAMES else known
        if plain not in found:
            found.append(plain)
    return tuple(found)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in pairs:
        if name in tree:
            raise ValueError(f"{name!r} stands twice in one place")
        tree[name] = value
    return tree


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else text[:57] + "..."
