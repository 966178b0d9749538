"""What the settings say for the cloud: equal to the files that lie in infra/, and sound in itself."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audobon.cloud.duties import ACCOUNTS, GRANTS, KEY_USERS, ROLES
from audobon.cloud.locations import locations
from audobon.cloud.stages import BY_NAME, STAGES, StageName
from audobon.cloud.variables import FILE, file_text, variables
from audobon.errors import Misconfigured
from audobon.queue.dispatching import BANDS, parse_lane
from audobon.queue.tasks import CATEGORIES
from audobon.settings import BackupSettings, CloudSettings, DatabaseSettings, Settings, StorageSettings
from audobon.storage.lifecycle_rules import default_rules, parse_rules

INFRA = Path(__file__).parents[2] / "infra"
SIZES = ("small", "large", "gpu")


def said(stage: StageName = "production", settings: Settings | None = None) -> dict[str, Any]:
    found: dict[str, Any] = variables(settings or Settings(), stage)["settings"]
    return found


def placed(region: str, second: str = "") -> Settings:
    return Settings(cloud=CloudSettings(region=region, second_region=second))


@pytest.mark.parametrize("stage", STAGES)
def test_the_file_of_a_stage_is_what_the_settings_say(stage: StageName) -> None:
    written = (INFRA / "stages" / stage / FILE).read_text(encoding="utf-8")

    assert written == file_text(Settings(), stage), f"audobon cloud settings --stage {stage} --write"


def test_the_project_is_said_when_it_is_set_and_never_in_the_file() -> None:
    settings = Settings(cloud=CloudSettings(project="my-comics"))

    assert variables(settings, "staging")["project"] == "my-comics"
    assert "project" not in variables(Settings(), "staging")
    assert "my-comics" not in file_text(settings, "staging")


@pytest.mark.parametrize("stage", STAGES)
def test_there_is_a_queue_for_each_category_and_band_that_the_dispatcher_knows(stage: StageName) -> None:
    queues = said(stage)["queues"]
    lanes = [parse_lane("audobon", name, each["concurrent_dispatches"]) for name, each in queues.items()]

    assert {(lane.queue, lane.band) for lane in lanes if lane} == {(c, b) for c in CATEGORIES for b in BANDS}


@pytest.mark.parametrize("stage", STAGES)
def test_queues_ask_for_no_more_than_cloud_tasks_gives(stage: StageName) -> None:
    for queue in said(stage)["queues"].values():
        assert 0 < queue["dispatches_per_second"] <= 500
        assert 1 <= queue["concurrent_dispatches"] <= 5000
        assert queue["min_backoff_seconds"] * 2 ** queue["max_doublings"] >= queue["max_backoff_seconds"]


@pytest.mark.parametrize("stage", STAGES)
def test_queues_deliver_no_more_at_once_than_there_are_instances(stage: StageName) -> None:
    found = said(stage)
    slots = sum(each["max_instances"] * each["concurrency"] for each in found["services"].values())
    at_once = [each["concurrent_dispatches"] for each in found["queues"].values()]

    # At least one each, so that no band is shut.
    assert sum(at_once) <= max(slots, len(at_once))


def test_the_rules_of_the_bucket_are_those_that_move_packs_here() -> None:
    rules = said()["buckets"]["blobs"]["lifecycle_rules"]

    assert parse_rules(json.dumps({"rule": rules}).encode()) == default_rules()


def test_every_rule_is_one_that_audobon_reads() -> None:
    for bucket in said()["buckets"].values():
        assert parse_rules(json.dumps({"rule": bucket["lifecycle_rules"]}).encode())


def test_days_follow_the_settings_within_what_google_keeps() -> None:
    settings = Settings(
        database=DatabaseSettings(keep_days=3.2),
        storage=StorageSettings(keep_removed_days=30.0),
        backup=BackupSettings(max_hours=50.0),
    )
    found = said(settings=settings)

    assert found["database"]["recovery_days"] == 4
    assert found["buckets"]["blobs"]["soft_delete_days"] == 30
    assert found["alert_thresholds"]["backup_age_seconds"] == 180_000
    assert (
        said(settings=Settings(database=DatabaseSettings(keep_days=90.0)))["database"]["recovery_days"] == 7
    )


def test_what_lies_there_for_an_hour_is_gone_when_it_is_removed() -> None:
    found = said()["buckets"]

    assert {name: each["soft_delete_days"] for name, each in found.items()} == {
        "blobs": 7,
        "uploads": 0,
        "delivery": 0,
        "backup": 7,
    }


def test_only_production_keeps_things_for_ever() -> None:
    locked = {
        stage: (said(stage)["audit"]["is_locked"], said(stage)["buckets"]["backup"]["is_locked"])
        for stage in STAGES
    }

    assert locked == {"development": (False, False), "staging": (False, False), "production": (True, True)}


def test_only_development_can_be_thrown_away() -> None:
    assert {stage: said(stage)["is_disposable"] for stage in STAGES} == {
        "development": True,
        "staging": False,
        "production": False,
    }
    assert {stage: said(stage)["database"]["availability_type"] for stage in STAGES} == {
        "development": "ZONAL",
        "staging": "ZONAL",
        "production": "REGIONAL",
    }


def test_backups_lie_neither_where_work_is_done_nor_in_another_part_of_the_world() -> None:
    assert locations(CloudSettings()) == (
        "us-central1",
        "US",
        ("us-east1", "us-west1"),
        "us",
        "us",
    )
    assert locations(CloudSettings(region="us-east1")).backup_regions == ("us-west1", "us-central1")
    assert locations(CloudSettings(region="europe-west1", second_region="europe-north1")) == (
        "europe-west1",
        "EU",
        ("europe-north1", "europe-west4"),
        "europe",
        "eu",
    )


@pytest.mark.parametrize(
    ("region", "second", "words"),
    [
        ("us-central1", "us-central1", "one fire would take both"),
        ("us-central1", "europe-west1", "another part of the world"),
        ("southamerica-east1", "", "no second place"),
    ],
)
def test_regions_that_do_not_go_together_are_refused(region: str, second: str, words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        said(settings=placed(region, second))


def test_whoever_is_named_is_there() -> None:
    found = said()
    accounts, keys, buckets = set(found["accounts"]), set(found["keys"]), set(found["buckets"])
    grants, users = found["grants"].values(), found["key_users"].values()

    assert {each["account"] for each in grants} | {each["account"] for each in users} <= accounts
    assert {each["account"] for each in found["jobs"].values()} <= accounts
    assert {each["account"] for each in found["pools"].values()} <= accounts
    assert {each["account"] for each in found["triggers"].values()} <= accounts
    assert set(found["database"]["accounts"]) <= accounts
    assert {other for each in found["accounts"].values() for other in each["acts_as"]} <= accounts
    assert {each["role"] for each in grants} <= set(found["roles"])
    assert {each["bucket"] for each in grants} <= buckets
    assert {each["key"] for each in users} | {each["key"] for each in found["buckets"].values()} <= keys
    assert {each["image_of"] for each in (*found["jobs"].values(), *found["pools"].values())} <= set(SIZES)
    assert {each["bucket"] for each in found["functions"].values() if each["bucket"]} <= buckets
    own = {role.removeprefix("own:") for each in ACCOUNTS.values() for role in each["project_roles"]}
    assert {role for role in own if not role.startswith("roles/")} <= set(ROLES)


def test_who_makes_backups_cannot_remove_them() -> None:
    may: dict[tuple[str, str], set[str]] = {}
    for grant in GRANTS.values():
        held = may.setdefault((grant["account"], grant["bucket"]), set())
        held.update(ROLES[grant["role"]]["permissions"])
    removers = {
        account
        for (account, bucket), held in may.items()
        if "storage.objects.delete" in held and bucket == "backup"
    }

    assert removers == {"pruner"}
    assert may["backup-writer", "backup"] == {
        "storage.buckets.get",
        "storage.objects.create",
        "storage.objects.get",
        "storage.objects.list",
    }


def test_no_duty_gives_rights_or_acts_for_everybody() -> None:
    permissions = {each for role in ROLES.values() for each in role["permissions"]}
    project_roles = {role for account in ACCOUNTS.values() for role in account["project_roles"]}

    assert [each for each in permissions if re.search(r"setIamPolicy|actAs|\*", each)] == []
    assert [
        each for each in project_roles if re.search(r"roles/(owner|editor|viewer)$|[aA]dmin$", each)
    ] == []
    assert {user["role"] for user in KEY_USERS.values()} == {"roles/cloudkms.cryptoKeyEncrypterDecrypter"}


def test_names_of_accounts_fit_beside_the_longest_prefix() -> None:
    assert max(len(f"{'p' * 13}-{name}") for name in ACCOUNTS) <= 30


def test_a_stage_tells_the_settings_that_the_engine_has() -> None:
    text = (INFRA / "modules" / "stage" / "outputs.tf").read_text(encoding="utf-8")
    block = text.partition('output "settings"')[2].partition("\n}\n")[0]
    told = re.findall(r"^    (\w+) +=", block, re.MULTILINE)

    assert told == [field.name for field in msgspec.structs.fields(CloudSettings)]


def test_containers_are_told_settings_that_there_are() -> None:
    text = (INFRA / "modules" / "stage" / "main.tf").read_text(encoding="utf-8")
    text += (INFRA / "modules" / "compute" / "main.tf").read_text(encoding="utf-8")
    known = {
        f"AUDOBON_{section.name}_{field.name}".upper()
        for section in msgspec.structs.fields(Settings)
        for field in msgspec.structs.fields(section.type)
    }

    assert set(re.findall(r"\bAUDOBON_[A-Z_]+", text)) <= known


def test_a_longer_budget_follows_the_stage() -> None:
    amounts = {stage: said(stage)["budgets"]["month"]["amount"] for stage in STAGES}

    assert amounts == {stage: BY_NAME[stage].budget for stage in STAGES}
    assert sorted(amounts.values()) == list(amounts.values())
