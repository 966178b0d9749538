"""Lifecycle rules given to a bucket: what they mean there is what they mean here."""

import datetime
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from audobon.errors import CloudDenied, Unavailable
from audobon.storage.classes import CLASSES
from audobon.storage.gcp_rules import apply_rules, rules_below, rules_of
from audobon.storage.lifecycle_engine import Facts, decide, holds
from audobon.storage.lifecycle_rules import Condition, Rule, as_json, default_rules, parse_rules
from fakes.cloud import FakeCloud
from fakes.storage import CREATES
from fakes.storage_lifecycle import fits
from fakes.storage_state import DAY_SECONDS, Version, stamp

NOW = 1_800_000_000.0


@pytest.fixture
def client(cloud: FakeCloud) -> Iterator[storage.Client]:
    url = f"http://127.0.0.1:{cloud.http.port}"
    client = storage.Client("p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})
    # What it asks for in the background is not what is tested.
    client._bucket_metadata_cache = None
    cloud.storage.add_bucket("heron", softDeletePolicy={"retentionDurationSeconds": "0"})
    yield client
    client.close()


def any_condition(chance: random.Random) -> Condition:
    def sometimes(value: object) -> object:
        return value if chance.random() < 0.35 else None

    def day() -> datetime.date:
        return datetime.datetime.fromtimestamp(NOW, datetime.UTC).date() - datetime.timedelta(
            chance.randrange(-2, 40)
        )

    values = {
        "age": sometimes(chance.randrange(40)),
        "created_before": sometimes(day()),
        "custom_time_before": sometimes(day()),
        "days_since_custom_time": sometimes(chance.randrange(40)),
        "days_since_noncurrent_time": sometimes(chance.randrange(40)),
        "noncurrent_time_before": sometimes(day()),
        "is_live": sometimes(chance.random() < 0.5),
        "matches_storage_class": sometimes(tuple(chance.sample(CLASSES, 2))),
        "matches_prefix": sometimes(tuple(chance.sample(["page/", "result/", "p", ""], 2))),
        "matches_suffix": sometimes(tuple(chance.sample([".pack", "k", ".age"], 2))),
        "num_newer_versions": sometimes(chance.randrange(3)),
    }
    return Condition(**values)  # type: ignore[arg-type]


def any_facts(chance: random.Random) -> Facts:
    def ago() -> float:
        # Also to the second on a border.
        return NOW - chance.choice([chance.random() * 40 * DAY_SECONDS, chance.randrange(40) * DAY_SECONDS])

    return Facts(
        name=chance.choice(["page/a.pack", "result/b.pack", "other/c.age"]),
        size_bytes=3,
        storage_class=chance.choice(CLASSES),
        created_at=ago(),
        custom_time=None if chance.random() < 0.5 else round(ago(), 3),
        noncurrent_at=None if chance.random() < 0.5 else ago(),
        newer_versions=chance.randrange(3),
    )


def test_our_engine_and_the_fake_which_were_written_apart_agree_on_every_condition() -> None:
    chance = random.Random(5)
    met = 0
    for _ in range(20_000):
        condition, facts = any_condition(chance), any_facts(chance)
        written = as_json([Rule("Delete", condition)])["rule"][0]["condition"]
        version = Version(
            name=facts.name,
            generation=1,
            data=b"abc",
            storage_class=facts.storage_class,
            created_at=facts.created_at,
            updated_at=facts.created_at,
            class_since=facts.created_at,
            custom_time=None if facts.custom_time is None else stamp(facts.custom_time),
            noncurrent_at=facts.noncurrent_at,
        )
        ours = holds(condition, facts, NOW)
        assert ours == fits(written, version, facts.newer_versions, NOW), (condition, facts)
        met += ours
    assert 500 < met < 19_500


def test_the_rules_that_audobon_comes_with_move_the_same_there_and_here(
    client: storage.Client, cloud: FakeCloud
) -> None:
    rules = default_rules()
    assert apply_rules("heron", "", rules, client=client) == rules
    assert rules_of("heron", client=client) == rules
    bucket = client.bucket("heron")
    for name in ("page/a.pack", "result/b.pack", "user/c.pack"):
        bucket.blob(name).upload_from_string(b"abc")
    made = {blob.name: blob.time_created.timestamp() for blob in client.list_blobs("heron")}
    classes = dict.fromkeys(made, "STANDARD")
    for _ in range(14):
        cloud.clock.turn(30 * DAY_SECONDS)
        for name, created_at in made.items():
            facts = Facts(name=name, size_bytes=3, storage_class=classes[name], created_at=created_at)  # type: ignore[arg-type]
            if (decision := decide(rules, facts, cloud.clock())) is not None:
                assert decision.storage_class is not None
                classes[name] = decision.storage_class
        cloud.storage.run_lifecycle()
        assert {blob.name: blob.storage_class for blob in client.list_blobs("heron")} == classes
    assert classes == {"page/a.pack": "ARCHIVE", "result/b.pack": "ARCHIVE", "user/c.pack": "STANDARD"}


def test_rules_for_a_prefix_leave_all_other_rules_and_names_alone(
    client: storage.Client, cloud: FakeCloud
) -> None:
    bucket = client.get_bucket("heron")
    bucket.add_lifecycle_delete_rule(age=5, matches_prefix=["theirs/"])
    bucket.add_lifecycle_delete_rule(age=900)
    bucket.patch()
    rules = parse_rules(b'{"rule": [{"action": {"type": "Delete"}, "condition": {"age": 3}}]}')
    for _ in range(2):
        found = apply_rules("heron", "ours/packs/", rules, client=client)
        assert [rule.condition.matches_prefix for rule in found] == [("theirs/",), None, ("ours/packs/",)]
    for name in ("ours/packs/a", "ours/manifests/b", "theirs/c"):
        bucket.blob(name).upload_from_string(b"abc")
    cloud.clock.turn(3 * DAY_SECONDS)
    cloud.storage.run_lifecycle()
    assert cloud.storage.names_in("heron") == ["ours/manifests/b", "theirs/c"]


def test_who_changes_the_bucket_at_the_same_time_is_not_overruled(
    client: storage.Client, cloud: FakeCloud
) -> None:
    cloud.faults.fail("storage.buckets.patch", 412, reason="conditionNotMet")
    assert apply_rules("heron", "", default_rules(), client=client) == default_rules()
    assert len(cloud.calls_of("storage.buckets.get")) == 2
    cloud.faults.fail("storage.buckets.patch", 412, times=100, reason="conditionNotMet")
    with pytest.raises(Unavailable, match="changed without a break"):
        apply_rules("heron", "", [], client=client)


def test_a_bucket_that_is_not_there_or_closed_is_named(client: storage.Client, cloud: FakeCloud) -> None:
    with pytest.raises(Unavailable, match="gs://gone is not there"):
        apply_rules("gone", "", [], client=client)
    cloud.storage.allowed = CREATES
    with pytest.raises(CloudDenied, match=r"storage\.buckets\.get"):
        apply_rules("heron", "", [], client=client)


def test_rules_below_nothing_are_as_they_were(tmp_path: Path) -> None:
    assert rules_below(default_rules(), "") == default_rules()
    assert [rule.condition.matches_prefix for rule in rules_below(default_rules(), "b/")] == [
        ("b/result/", "b/page/"),
        ("b/result/", "b/page/"),
        ("b/",),
    ]
