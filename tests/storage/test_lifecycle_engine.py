"""The engine decides as a slow and obvious reading of the rules does."""

import datetime
import random
from typing import Any

import pytest

from audobon.storage import lifecycle_engine
from audobon.storage.classes import CLASSES, price_list
from audobon.storage.lifecycle_engine import Decision, Facts, decide, for_tiers, unfinished_days
from audobon.storage.lifecycle_rules import Condition, Rule, as_json, default_rules, parse_rules

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
DAYS = 86_400


def when(instant: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(instant, datetime.UTC)


def is_true(name: str, asked: Any, facts: Facts) -> bool:
    """Say of one condition, as JSON has it, whether it is true; by calendar, and one at a time."""
    custom = None if facts.custom_time is None else when(facts.custom_time)
    ended = None if facts.noncurrent_at is None else when(facts.noncurrent_at)
    if name == "age":
        return when(facts.created_at) + asked * DAY <= NOW
    if name in ("createdBefore", "customTimeBefore", "noncurrentTimeBefore"):
        of = {"createdBefore": when(facts.created_at), "customTimeBefore": custom}.get(name, ended)
        return of is not None and of.date() < datetime.date.fromisoformat(asked)
    if name == "daysSinceCustomTime":
        return custom is not None and custom + asked * DAY <= NOW
    if name == "daysSinceNoncurrentTime":
        return ended is not None and ended + asked * DAY <= NOW
    if name == "isLive":
        return (ended is None) is asked
    if name == "matchesStorageClass":
        return facts.storage_class in asked
    if name == "matchesPrefix":
        return any(facts.name[: len(prefix)] == prefix for prefix in asked)
    if name == "matchesSuffix":
        return any(facts.name.endswith(suffix) for suffix in asked)
    assert name == "numNewerVersions"
    return facts.newer_versions >= asked


def expected(rules: list[Rule], facts: Facts) -> tuple[str, str | None] | None:
    """Return action and class by the words of the documentation."""
    asked = []
    for rule in as_json(rules)["rule"]:
        if all(is_true(name, _plain(value), facts) for name, value in rule["condition"].items()):
            asked.append(rule["action"])
    if any(action["type"] == "Delete" for action in asked):
        return "Delete", None
    price = {name: price_list().of[name].usd_per_gib_month for name in CLASSES}
    moves = [action["storageClass"] for action in asked if action["type"] == "SetStorageClass"]
    cheapest = min(moves, key=lambda name: price[name], default=facts.storage_class)
    if price[cheapest] < price[facts.storage_class]:
        return "SetStorageClass", cheapest
    return None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def some_condition(draw: random.Random) -> Condition:
    date = lambda: (NOW + draw.randint(-6, 3) * DAY).date()  # noqa: E731
    days = lambda: draw.randint(0, 5)  # noqa: E731
    values: dict[str, Any] = {
        "age": days(),
        "created_before": date(),
        "custom_time_before": date(),
        "days_since_custom_time": days(),
        "days_since_noncurrent_time": days(),
        "noncurrent_time_before": date(),
        "is_live": draw.random() < 0.5,
        "matches_storage_class": tuple(draw.sample(CLASSES, draw.randint(1, 4))),
        "matches_prefix": tuple(draw.sample(["page/", "pa", "result/", "x"], 2)),
        "matches_suffix": tuple(draw.sample([".pack", "k", "a.pack", "x"], 2)),
        "num_newer_versions": draw.randint(0, 3),
    }
    return Condition(**{name: values[name] for name in draw.sample(sorted(values), draw.randint(0, 3))})


def some_rule(draw: random.Random) -> Rule:
    kind = draw.choice(["Delete", "SetStorageClass", "SetStorageClass", "SetStorageClass"])
    target = draw.choice(CLASSES) if kind == "SetStorageClass" else None
    if draw.random() < 0.1:
        return Rule("AbortIncompleteMultipartUpload", Condition(age=draw.randint(0, 3)))
    return Rule(kind, some_condition(draw), target)  # type: ignore[arg-type]


def some_facts(draw: random.Random) -> Facts:
    def instant() -> float:
        # Exactly at the edges of days as well.
        edge = draw.choice([0.0, -0.001, 0.001, draw.uniform(0, 86_400)])
        start = NOW if draw.random() < 0.5 else datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
        return (start - draw.randint(0, 6) * DAY).timestamp() + edge

    return Facts(
        name=draw.choice(["page/", "result/", "other/"]) + draw.choice(["a", "b"]) + ".pack",
        size_bytes=1,
        storage_class=draw.choice(CLASSES),
        created_at=instant(),
        custom_time=instant() if draw.random() < 0.5 else None,
        noncurrent_at=instant() if draw.random() < 0.5 else None,
        newer_versions=draw.randint(0, 3),
    )


def test_the_engine_decides_as_the_words_say() -> None:
    draw = random.Random(4)
    seen = {"none": 0, "Delete": 0, "SetStorageClass": 0}
    for _ in range(5000):
        rules = [some_rule(draw) for _ in range(draw.randint(1, 5))]
        facts = some_facts(draw)
        decision = decide(rules, facts, NOW.timestamp())
        said = None if decision is None else (rules[decision.rule - 1].action, decision.storage_class)
        assert said == expected(rules, facts), (as_json(rules), facts)
        seen["none" if said is None else said[0]] += 1
    assert min(seen.values()) > 500


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        (
            "_is_old",
            lambda days, since, now: days is None or (since is not None and now - since > days * DAYS),
        ),
        ("_is_old", lambda days, since, now: not days or (since is not None and now - since >= days * DAYS)),
        ("_is_old", lambda days, since, now: days is None or now - (since or 0) >= days * DAYS),
        ("_is_before", lambda date, instant: date is None or when(instant or 0).date() < date),
        ("_is_before", lambda date, instant: date is None or not instant or when(instant).date() <= date),
        ("is_colder", lambda target, than: target != than),
    ],
)
def test_a_broken_engine_is_caught(name: str, broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle_engine, name, broken)
    with pytest.raises(AssertionError):
        test_the_engine_decides_as_the_words_say()


def test_the_first_of_equal_rules_is_named() -> None:
    facts = Facts(name="page/a.pack", size_bytes=1, storage_class="STANDARD", created_at=0.0)
    always = Condition(age=0)
    move, colder = Rule("SetStorageClass", always, "COLDLINE"), Rule("SetStorageClass", always, "ARCHIVE")
    assert decide([move, move], facts, 1.0) == Decision(1, "COLDLINE")
    assert decide([move, colder, colder], facts, 1.0) == Decision(2, "ARCHIVE")
    assert decide([move, colder, Rule("Delete", always)], facts, 1.0) == Decision(3, None)


def test_of_three_tiers_nearline_is_coldline_too() -> None:
    rules = parse_rules(
        b'{"rule":[{"action":{"type":"SetStorageClass","storageClass":"COLDLINE"},"condition":{"age":1,'
        b'"matchesStorageClass":["NEARLINE"]}},{"action":{"type":"SetStorageClass","storageClass":"ARCHIVE"},'
        b'"condition":{"age":2,"matchesStorageClass":["COLDLINE","NEARLINE"]}}]}'
    )
    facts = Facts(name="page/a.pack", size_bytes=1, storage_class="NEARLINE", created_at=0.0)
    assert decide(for_tiers(rules), facts, 86_400.0) is None
    assert decide(for_tiers(rules), facts, 2 * 86_400.0) == Decision(2, "ARCHIVE")


def test_the_rules_that_ship_move_and_delete_nothing() -> None:
    def after(days: int, kind: str, present: Any = "STANDARD") -> Any:
        facts = Facts(name=f"{kind}/a.pack", size_bytes=1, storage_class=present, created_at=0.0)
        decision = decide(default_rules(), facts, days * 86_400.0)
        return None if decision is None else decision.storage_class

    assert [after(29, "result"), after(30, "result"), after(364, "page"), after(365, "page")] == [
        None,
        "NEARLINE",
        "NEARLINE",
        "ARCHIVE",
    ]
    assert [after(9999, "user"), after(9999, "other"), after(9999, "page", "ARCHIVE")] == [None, None, None]
    assert all(rule.action != "Delete" for rule in default_rules())
    assert unfinished_days(default_rules()) == 7


def test_what_a_class_costs() -> None:
    prices, gib = price_list(), 1 << 30
    assert prices.month_usd("STANDARD", 100 * gib) == 2.0
    assert prices.move_usd("NEARLINE", 1000) == 0.01
    assert round(prices.early_usd("ARCHIVE", gib, age_days=5), 6) == round(0.0012 * 360 / 30, 6)
    assert prices.early_usd("NEARLINE", gib, age_days=31) == 0
    assert [prices.of[name].minimum_days for name in CLASSES] == [0, 30, 90, 365]
