"""The part of Cloud Logging's query language that is used here: comparisons, joined by AND, with NOT.

source  cloud.google.com/logging/docs/view/logging-query-language
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from google.cloud import logging_v2
from google.logging.type.log_severity_pb2 import LogSeverity
from google.protobuf import json_format

from fakes.refusal import invalid

_COMPARISON = re.compile(
    r'(?P<not>NOT\s+|-)?(?P<path>[A-Za-z_][\w.@/-]*)\s*(?P<sign>>=|<=|!=|=~|=|>|<|:)\s*(?P<value>"(?:[^"\\]|\\.)*"|[^\s"()]+)'
)
_GAP = re.compile(r"\s*(?:\n|AND\b)?\s*")

Test = Callable[[logging_v2.types.LogEntry], bool]


def parse_filter(text: str) -> Test:
    """Return what tells whether an entry fits. raises Refused for what is beyond this part."""
    tests: list[Test] = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = _COMPARISON.match(text, at)
        if match is None:
            raise invalid(f"Unparseable filter: syntax error at column {at + 1}: {text[at : at + 20]!r}")
        tests.append(_comparison(match))
        gap = _GAP.match(text, match.end())
        assert gap is not None
        if gap.end() == match.end() and gap.end() < len(text):
            raise invalid(f"Unparseable filter: syntax error at column {match.end() + 1}")
        at = gap.end()
    return lambda entry: all(test(entry) for test in tests)


def _comparison(match: re.Match[str]) -> Test:
    path, sign, value = match["path"], match["sign"], match["value"]
    if value.startswith('"'):
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    is_negated = match["not"] is not None

    def test(entry: logging_v2.types.LogEntry) -> bool:
        return _holds(_field(entry, path), sign, value, path) != is_negated

    return test


def _field(entry: logging_v2.types.LogEntry, path: str) -> Any:
    """Return a field by its path in JSON; None when the entry has none."""
    found: Any = json_format.MessageToDict(type(entry).pb(entry))
    parts = path.split(".")
    while parts:
        if not isinstance(found, dict):
            return None
        # A key may have dots of its own.
        for length in range(len(parts), 0, -1):
            key = ".".join(parts[:length])
            if key in found:
                found, parts = found[key], parts[length:]
                break
        else:
            return None
    return found


def _holds(found: Any, sign: str, value: str, path: str) -> bool:
    if path == "severity":
        return _ordered(LogSeverity.Value(found or "DEFAULT"), sign, _severity(value))
    if found is None:
        return sign == "!="
    if path in ("timestamp", "receiveTimestamp"):
        return _ordered(_instant(found), sign, _instant(value))
    if sign == ":":
        return value.lower() in str(found).lower()
    if sign == "=~":
        return re.search(value, str(found)) is not None
    if isinstance(found, bool):
        return _ordered(str(found).lower(), sign, value.lower())
    if isinstance(found, int | float):
        return _ordered(float(found), sign, float(value))
    return _ordered(str(found), sign, value)


def _ordered(one: Any, sign: str, other: Any) -> bool:
    if sign == "=":
        return bool(one == other)
    if sign == "!=":
        return bool(one != other)
    return bool(
        {">": one > other, ">=": one >= other, "<": one < other, "<=": one <= other}[sign]
        if sign in (">", ">=", "<", "<=")
        else False
    )


def _severity(value: str) -> int:
    try:
        return int(LogSeverity.Value(value.upper()))
    except ValueError as error:
        raise invalid(f"Unparseable filter: {value!r} is no severity") from error


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"Unparseable filter: {text!r} is no instant") from error
