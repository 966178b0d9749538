"""What a plan makes is what Audobon's settings say: names, rates, rules, days, rights, amounts."""

import json
from typing import Any

import pytest

from audobon.cloud.stages import STAGES, StageName
from audobon.cloud.variables import variables
from audobon.settings import Settings
from audobon.storage.lifecycle_rules import parse_rules

Plans = dict[str, dict[str, Any]]

_CAMEL = {
    "age": "age",
    "days_since_noncurrent_time": "daysSinceNoncurrentTime",
    "matches_prefix": "matchesPrefix",
}


def said(stage: StageName) -> dict[str, Any]:
    found: dict[str, Any] = variables(Settings(), stage)["settings"]
    return found


def made(plan: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the resources of a type by the last part of their address."""
    return {
        each["address"].rpartition(".")[2]: each["change"]["after"]
        for each in plan["resource_changes"]
        if each["type"] == kind and each["mode"] == "managed"
    }


def keyed(plan: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the resources of a type that has one for each key, by that key."""
    return {
        name.partition('["')[2].removesuffix('"]'): after
        for name, after in made(plan, kind).items()
        if '["' in name
    }


@pytest.mark.parametrize("stage", STAGES)
def test_queues_are_those_of_the_settings(plans: Plans, stage: StageName) -> None:
    queues = {
        name: {
            "dispatches_per_second": after["rate_limits"][0]["max_dispatches_per_second"],
            "concurrent_dispatches": after["rate_limits"][0]["max_concurrent_dispatches"],
            "max_attempts": after["retry_config"][0]["max_attempts"],
            "max_retry_seconds": int(after["retry_config"][0]["max_retry_duration"].removesuffix("s")),
            "min_backoff_seconds": int(after["retry_config"][0]["min_backoff"].removesuffix("s")),
            "max_backoff_seconds": int(after["retry_config"][0]["max_backoff"].removesuffix("s")),
            "max_doublings": after["retry_config"][0]["max_doublings"],
        }
        for name, after in keyed(plans[stage], "google_cloud_tasks_queue").items()
    }

    assert queues == said(stage)["queues"]
    assert {
        name: after["name"] for name, after in keyed(plans[stage], "google_cloud_tasks_queue").items()
    } == {name: name for name in queues}


@pytest.mark.parametrize("stage", STAGES)
def test_buckets_have_the_classes_days_and_rules_of_the_settings(plans: Plans, stage: StageName) -> None:
    buckets = keyed(plans[stage], "google_storage_bucket")
    settings = said(stage)["buckets"]

    assert set(buckets) == set(settings)
    for name, bucket in settings.items():
        after = buckets[name]
        assert after["storage_class"] == bucket["storage_class"]
        assert (
            after["soft_delete_policy"][0]["retention_duration_seconds"] == bucket["soft_delete_days"] * 86400
        )
        kept = [int(each["retention_period"]) // 86400 for each in after["retention_policy"]]
        assert kept == ([] if bucket["retention_days"] is None else [bucket["retention_days"]])
        rules = [as_json(rule) for rule in after["lifecycle_rule"]]
        if bucket["retention_days"] is None:
            # The last is of older versions, which the settings name by their days alone.
            assert rules.pop()["condition"] == {"daysSinceNoncurrentTime": bucket["noncurrent_days"]}
        assert parse_rules(json.dumps({"rule": rules}).encode()) == parse_rules(
            json.dumps({"rule": bucket["lifecycle_rules"]}).encode()
        )


def as_json(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a planned rule as Cloud Storage writes it."""
    action = rule["action"][0]
    written = {"type": action["type"]}
    if action.get("storage_class"):
        written["storageClass"] = action["storage_class"]
    condition = rule["condition"][0]
    asked = {_CAMEL[name]: condition[name] for name in _CAMEL if condition.get(name) not in (None, [])}
    return {"action": written, "condition": asked}


@pytest.mark.parametrize("stage", STAGES)
def test_the_database_is_that_of_the_settings(plans: Plans, stage: StageName) -> None:
    (instance,) = made(plans[stage], "google_sql_database_instance").values()
    settings = said(stage)["database"]
    inside = instance["settings"][0]
    backup = inside["backup_configuration"][0]

    assert {
        "tier": inside["tier"],
        "availability_type": inside["availability_type"],
        "most_disk_gigabytes": inside["disk_autoresize_limit"],
        "backup_location": backup["location"],
        "backups_kept": backup["backup_retention_settings"][0]["retained_backups"],
        "recovery_days": backup["transaction_log_retention_days"],
    } == {name: value for name, value in settings.items() if name != "accounts"}
    assert set(keyed(plans[stage], "google_sql_user")) == set(settings["accounts"])


@pytest.mark.parametrize("stage", STAGES)
def test_accounts_and_roles_are_those_of_the_duties(plans: Plans, stage: StageName) -> None:
    roles = keyed(plans[stage], "google_project_iam_custom_role")
    settings = said(stage)

    assert {name: sorted(after["permissions"]) for name, after in roles.items()} == {
        name: sorted(role["permissions"]) for name, role in settings["roles"].items()
    }
    assert set(keyed(plans[stage], "google_service_account")) == set(settings["accounts"])


@pytest.mark.parametrize("stage", STAGES)
def test_budgets_quotas_and_days_of_logs_are_those_of_the_settings(plans: Plans, stage: StageName) -> None:
    budgets = keyed(plans[stage], "google_billing_budget")
    logs = keyed(plans[stage], "google_logging_project_bucket_config")
    quotas = keyed(plans[stage], "google_cloud_quotas_quota_preference")
    settings = said(stage)

    assert {
        name: int(after["amount"][0]["specified_amount"][0]["units"]) for name, after in budgets.items()
    } == {name: budget["amount"] for name, budget in settings["budgets"].items()}
    assert {name: after["retention_days"] for name, after in logs.items()} == {
        name: log["keep_days"] for name, log in settings["logs"].items()
    }
    assert {name: int(after["quota_config"][0]["preferred_value"]) for name, after in quotas.items()} == {
        name: quota["value"] for name, quota in settings["quotas"].items()
    }


@pytest.mark.parametrize("stage", STAGES)
def test_what_runs_is_bounded_as_the_settings_say(plans: Plans, stage: StageName) -> None:
    services = keyed(plans[stage], "google_cloud_run_v2_service")
    functions = keyed(plans[stage], "google_cloudfunctions2_function")
    jobs = keyed(plans[stage], "google_cloud_run_v2_job")
    settings = said(stage)

    assert {
        name: after["template"][0]["scaling"][0]["max_instance_count"] for name, after in services.items()
    } == {name: service["max_instances"] for name, service in settings["services"].items()}
    assert {name: after["service_config"][0]["max_instance_count"] for name, after in functions.items()} == {
        name: function["max_instances"] for name, function in settings["functions"].items()
    }
    assert {name: after["template"][0]["template"][0]["timeout"] for name, after in jobs.items()} == {
        name: f"{job['timeout_seconds']}s" for name, job in settings["jobs"].items()
    }


def test_nothing_differs_between_stages_but_numbers_and_switches(plans: Plans) -> None:
    """What is there in production is there in development: a surprise shows early."""
    addresses = {
        stage: {
            each["address"]
            for each in plan["resource_changes"]
            # Which builds there are is what differs by stage.
            if each["mode"] == "managed" and each["type"] != "google_cloudbuild_trigger"
        }
        for stage, plan in plans.items()
    }

    assert addresses["development"] == addresses["staging"] == addresses["production"]
