"""What `lifecycle lint` says: each fault once, with the number of its rule."""

import json
from typing import Any

import pytest

from audobon.storage.lifecycle_engine import Facts
from audobon.storage.lifecycle_lint import lint
from audobon.storage.lifecycle_rules import Rule, default_rules, parse_rules


def rule(action: str, target: str | None = None, **condition: Any) -> Rule:
    what = {"type": action} | ({"storageClass": target} if target else {})
    return parse_rules(json.dumps({"rule": [{"action": what, "condition": condition}]}).encode())[0]


def delete(**condition: Any) -> Rule:
    return rule("Delete", **condition)


def move(target: str, **condition: Any) -> Rule:
    return rule("SetStorageClass", target, **condition)


def said(*rules: Rule, **known: Any) -> list[str]:
    return [f"{each.grade} {each.rule}: {each.words}" for each in lint(rules, **known)]


def test_the_rules_that_ship_are_sound() -> None:
    assert lint(default_rules(), keep_days={"page": 400.0, "user": 1e6}) == []


@pytest.mark.parametrize("action", ["Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"])
def test_a_rule_without_a_condition_is_an_error(action: str) -> None:
    found = lint([rule(action, "ARCHIVE" if action == "SetStorageClass" else None)])
    assert [(each.grade, each.rule) for each in found] == [("error", 1)]
    assert "has no condition" in found[0].words


@pytest.mark.parametrize(
    "condition",
    [
        {"age": 0},
        {"age": 0, "isLive": True},
        {"matchesPrefix": ["x", ""]},
        {"matchesSuffix": [".pack"]},
        {"numNewerVersions": 0},
        {"matchesStorageClass": ["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"]},
    ],
)
def test_deleting_everything_at_once_is_an_error(condition: dict[str, Any]) -> None:
    grades = [
        each.grade for each in lint([delete(**condition)]) if "deletes everything, at once" in each.words
    ]
    assert grades == ["error"]
    assert [each.grade for each in lint([move("ARCHIVE", **condition)])] == ["warning"]


def test_deleting_everything_of_an_age_is_a_warning() -> None:
    assert said(delete(age=400)) == [
        "warning 1: deletes everything that is 400 days old, also what people put and pages still to be read;"
        " name kinds by matchesPrefix"
    ]
    assert said(delete(age=400, matchesPrefix=["result/"])) == []


def test_deleting_before_the_minimum_is_told_with_its_bill() -> None:
    rules = [
        move("ARCHIVE", age=30, matchesPrefix=["result/"]),
        delete(age=65, matchesPrefix=["result/"]),
        delete(age=10, matchesPrefix=["page/"], matchesStorageClass=["NEARLINE"]),
    ]
    assert said(*rules) == [
        "warning 2: deletes ARCHIVE after 65 days, but it is paid for 365:"
        " $0.012 more for each GiB in the cloud",
        "warning 3: deletes NEARLINE after 10 days, but it is paid for 30:"
        " $0.0067 more for each GiB in the cloud",
    ]
    assert said(rules[0], delete(age=365, matchesPrefix=["result/"])) == []


@pytest.mark.parametrize(
    "rules",
    [
        (move("NEARLINE", age=30), move("ARCHIVE", age=30)),
        (move("NEARLINE", age=60, matchesPrefix=["page/a"]), move("NEARLINE", age=3, matchesPrefix=["pa"])),
        (move("ARCHIVE", age=365), delete(age=300)),
        (delete(age=3, createdBefore="2020-01-01"), delete(createdBefore="2020-01-02")),
        (delete(daysSinceNoncurrentTime=3), delete(isLive=False)),
        (move("ARCHIVE", age=9, matchesStorageClass=["NEARLINE"]), move("ARCHIVE", age=8)),
    ],
)  # fmt: skip
def test_a_rule_that_another_always_forestalls_is_told(rules: tuple[Rule, Rule]) -> None:
    forestalled = "never acts: rule 2 does as much or more to all that it meets"
    assert [each.rule for each in lint(rules) if each.words == forestalled] == [1]
    turned = [each.rule for each in lint(rules[::-1]) if "never acts: rule 1" in each.words]
    assert turned == [2]


def test_of_two_equal_rules_the_second_is_told() -> None:
    twice = [move("NEARLINE", age=30)] * 2
    assert said(*twice) == ["warning 2: never acts: rule 1 does as much or more to all that it meets"]


def test_rules_that_each_have_something_to_do_are_left_alone() -> None:
    assert (
        said(
            move("NEARLINE", age=30, matchesPrefix=["page/"]),
            move("ARCHIVE", age=365, matchesPrefix=["page/"]),
            move("NEARLINE", age=10, matchesPrefix=["result/"]),
            delete(age=400, matchesPrefix=["result/"], matchesStorageClass=["NEARLINE"]),
            delete(daysSinceCustomTime=5, matchesPrefix=["result/"]),
        )
        == []
    )


def test_moves_up_and_rules_that_can_meet_nothing_are_told() -> None:
    assert said(move("STANDARD", age=3)) == [
        "warning 1: moves nothing: nothing it meets is dearer at rest than STANDARD"
    ]
    assert said(move("NEARLINE", age=3, matchesStorageClass=["ARCHIVE", "NEARLINE"])) == [
        "warning 1: moves nothing: nothing it meets is dearer at rest than NEARLINE"
    ]
    assert said(delete(age=3, matchesPrefix=["pages/"])) == [
        "warning 1: meets nothing here: names begin with page/, result/, other/, user/"
    ]
    assert said(delete(age=3, matchesPrefix=["page/"], matchesSuffix=[".png"])) == [
        "warning 1: meets nothing here: all names end in .pack"
    ]
    assert said(delete(isLive=True, daysSinceNoncurrentTime=3))[0] == (
        "warning 1: never holds: it asks for living objects and for when they ceased to live"
    )


def test_a_rule_that_undercuts_retention_is_an_error() -> None:
    keep = {"page": 90.0, "result": 5.0}
    assert said(delete(age=30, matchesPrefix=["page/", "result/"]), keep_days=keep) == [
        "error 1: deletes page after 30 days, but it must be kept for 90 (storage.keep_days)"
    ]
    assert said(delete(createdBefore="2020-01-01", matchesPrefix=["res"]), keep_days=keep) == [
        "error 1: deletes result at any age, but it must be kept for 5 (storage.keep_days)"
    ]
    assert said(delete(age=90, matchesPrefix=["page/"]), keep_days=keep) == []


def test_coldline_is_told_to_lie_in_nearline() -> None:
    assert said(move("COLDLINE", age=90)) == [
        "note 1: COLDLINE lies in the folder of nearline here, and counts as NEARLINE from then on"
    ]


def pack(number: int, size_bytes: int, kind: str = "page", storage_class: Any = "STANDARD") -> Facts:
    name = f"{kind}/personal/{number}.pack"
    return Facts(name=name, size_bytes=size_bytes, storage_class=storage_class, created_at=0.0)


def test_moving_small_packs_is_told_with_fee_and_saving() -> None:
    small, now = [pack(number, 12_000) for number in range(240)], 40 * 86_400.0
    rules = [move("NEARLINE", age=30, matchesPrefix=["page/"])]
    assert said(*rules, packs=small, now=now) == [
        "warning 1: would move 240 small packs to NEARLINE for $0.0024 in the cloud, which saves"
        " under $0.0001 a month: not worth it within 12 months"
    ]
    assert said(*rules, packs=[pack(1, 32 << 20)], now=now) == []


def test_what_would_be_deleted_today_is_told() -> None:
    packs = [pack(1, 1 << 30, storage_class="ARCHIVE"), pack(2, 1 << 30)]
    assert said(delete(age=30, matchesPrefix=["p"]), packs=packs, now=35 * 86_400.0) == [
        "warning 1: would delete all 2 packs that are here today",
        "warning 1: would delete packs before the minimum of their class: $0.013 more in the cloud",
    ]
