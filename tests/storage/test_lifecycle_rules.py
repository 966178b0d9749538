"""Lifecycle rules are read as Cloud Storage writes them, and no fault in them is passed over."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from audobon.errors import InvalidInput, NotFound
from audobon.storage.lifecycle_rules import (
    Condition,
    Rule,
    as_json,
    default_rules,
    parse_rules,
    read_rules,
    write_rules,
)

EVERYTHING = {
    "age": 30,
    "createdBefore": "2026-01-31",
    "customTimeBefore": "2025-12-01",
    "daysSinceCustomTime": 0,
    "daysSinceNoncurrentTime": 7,
    "noncurrentTimeBefore": "2024-02-29",
    "isLive": False,
    "matchesStorageClass": ["MULTI_REGIONAL", "STANDARD", "COLDLINE"],
    "matchesPrefix": ["page/", "é"],
    "matchesSuffix": [".pack"],
    "numNewerVersions": 3,
}


def one(condition: Any, action: Any = None) -> bytes:
    return json.dumps({"rule": [{"action": action or {"type": "Delete"}, "condition": condition}]}).encode()


def test_every_condition_is_read() -> None:
    assert parse_rules(one(EVERYTHING)) == [
        Rule(
            "Delete",
            Condition(
                age=30,
                created_before=datetime.date(2026, 1, 31),
                custom_time_before=datetime.date(2025, 12, 1),
                days_since_custom_time=0,
                days_since_noncurrent_time=7,
                noncurrent_time_before=datetime.date(2024, 2, 29),
                is_live=False,
                matches_storage_class=("STANDARD", "COLDLINE"),
                matches_prefix=("page/", "é"),
                matches_suffix=(".pack",),
                num_newer_versions=3,
            ),
        )
    ]


def test_rules_may_stand_within_lifecycle_or_be_none() -> None:
    bare = one({"age": 1})
    assert parse_rules(b'{"lifecycle":' + bare + b"}") == parse_rules(bare)
    assert [parse_rules(text) for text in (b"{}", b'{"rule":[]}', b'{"lifecycle":{}}')] == [[], [], []]


def test_zero_is_not_the_same_as_nothing() -> None:
    assert parse_rules(one({"age": 0}))[0].condition == Condition(age=0)
    assert parse_rules(one({}))[0].condition.is_empty
    assert not Condition(age=0).is_empty


def test_what_is_written_is_read_as_the_same(tmp_path: Path) -> None:
    move = {"type": "SetStorageClass", "storageClass": "ARCHIVE"}
    rules = parse_rules(one(EVERYTHING)) + parse_rules(one({"age": 0}, move)) + default_rules()
    write_rules(tmp_path / "rules.json", rules)
    assert read_rules(tmp_path / "rules.json") == rules
    assert json.loads((tmp_path / "rules.json").read_bytes()) == json.loads(json.dumps(as_json(rules)))


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"age": "30"}, 'rule 1: condition.age must be a whole number from 0, not "30"'),
        ({"age": None}, "rule 1: condition.age must be a whole number from 0, not null"),
        ({"age": True}, "rule 1: condition.age must be a whole number from 0, not true"),
        ({"age": -1}, "rule 1: condition.age must be a whole number from 0, not -1"),
        ({"age": 1.5}, "rule 1: condition.age must be a whole number from 0, not 1.5"),
        ({"age": 36501}, "rule 1: condition.age is 36501, more than 36500"),
        ({"numNewerVersions": 10**30}, f"rule 1: condition.numNewerVersions is {10**30}, more than 1000000"),
        ({"Age": 1}, "rule 1: condition knows no 'Age'"),
        ({"isLive": "true"}, 'rule 1: condition.isLive must be true or false, not "true"'),
        ({"matchesPrefix": "a"}, 'rule 1: condition.matchesPrefix must be a list of at least one, not "a"'),
        ({"matchesPrefix": []}, "rule 1: condition.matchesPrefix must be a list of at least one, not []"),
        (
            {"matchesSuffix": [1]},
            "rule 1: condition.matchesSuffix must hold texts of at most 1024 characters, not 1",
        ),
        ({"matchesStorageClass": ["COLD"]}, 'rule 1: condition.matchesStorageClass is "COLD"'),
        (
            {"createdBefore": "2026-02-30"},
            'rule 1: condition.createdBefore must be a date like 2026-01-31, not "2026-02-30"',
        ),
        (
            {"createdBefore": "2026-01-31T00:00:00Z"},
            'rule 1: condition.createdBefore must be a date like 2026-01-31, not "2026-01-31T00:00:00Z"',
        ),
        (
            {"customTimeBefore": "0001-01-01"},
            "rule 1: condition.customTimeBefore lies outside of 1970 to 2200: 0001-01-01",
        ),
        (
            {"noncurrentTimeBefore": "9999-12-31"},
            "rule 1: condition.noncurrentTimeBefore lies outside of 1970 to 2200: 9999-12-31",
        ),
        ([], "rule 1: condition must be an object in braces, not []"),
    ],
)  # fmt: skip
def test_a_wrong_condition_is_named_with_its_rule(condition: Any, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_rules(one(condition))
    assert caught.value.message == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "this is not JSON as rules are written in: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff", "this is not JSON as rules are written in:"),
        (b"[" * 100_000, "this is not JSON as rules are written in:"),
        (b'{"rule":[{"age":NaN}]}', "this is not JSON as rules are written in: NaN is no number"),
        (b"[]", "the whole must be an object in braces, not []"),
        (b'{"rules":[]}', "the whole knows no 'rules'"),
        (b'{"rule":{}}', "rule must be a list, not {}"),
        (b'{"rule":[{"condition":{}}]}', "rule 1: action is missing"),
        (b'{"rule":[{"action":{}}]}', "rule 1: action.type is missing"),
        (b'{"rule":[{"action":{"type":"Deletes"}}]}', 'rule 1: action.type is "Deletes"'),
        (b'{"rule":[{"action":{"type":["Delete"]}}]}', 'rule 1: action.type is ["Delete"]'),
        (b'{"rule":[{"action":{"type":"SetStorageClass"}}]}', "rule 1: action.storageClass is missing"),
        (
            b'{"rule":[{"action":{"type":"Delete","storageClass":"ARCHIVE"}}]}',
            "rule 1: action.storageClass goes with SetStorageClass alone",
        ),
        (
            b'{"rule":[{"action":{"type":"Delete"},"condition":{"age":30,"age":0}}]}',
            "this is not JSON as rules are written in: 'age' stands twice in one place",
        ),
    ],
)
def test_a_wrong_file_is_named(text: bytes, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_rules(text)
    assert caught.value.message.startswith(words)


def test_the_number_is_that_of_the_wrong_rule_and_there_may_not_be_too_many() -> None:
    right = {"action": {"type": "Delete"}, "condition": {"age": 1}}
    with pytest.raises(InvalidInput, match="rule 3: condition knows no 'x'"):
        parse_rules(json.dumps({"rule": [right, right, right | {"condition": {"x": 1}}]}).encode())
    with pytest.raises(InvalidInput, match="101 rules are too many: at most 100"):
        parse_rules(json.dumps({"rule": [right] * 101}).encode())


def test_unfinished_writes_know_few_conditions() -> None:
    abort = {"type": "AbortIncompleteMultipartUpload"}
    assert parse_rules(one({"age": 7, "matchesPrefix": ["a"]}, abort))[0].condition.age == 7
    with pytest.raises(InvalidInput, match="knows no isLive"):
        parse_rules(one({"age": 7, "isLive": True}, abort))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_rules(tmp_path / "none.json")
