"""What a stage is made of: how many of each type, and of each resource the values that matter.

After a change that is meant:

    .venv/bin/python tests/infra/inventory.py

and read the difference before it is committed.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from offline import HERE, INFRA, Offline

INVENTORIES = HERE / "inventories"

# Where in a resource lies what must not change unseen. A path that is not there is null.
MATTERS: dict[str, list[str]] = {
    "google_billing_budget": ["amount.0.specified_amount.0.units", "threshold_rules"],
    "google_cloud_run_v2_job": ["template.0.template.0.service_account", "template.0.template.0.timeout"],
    "google_cloud_run_v2_service": [
        "ingress",
        "deletion_protection",
        "template.0.service_account",
        "template.0.timeout",
        "template.0.max_instance_request_concurrency",
        "template.0.scaling.0.min_instance_count",
        "template.0.scaling.0.max_instance_count",
        "template.0.containers.0.resources.0.limits",
        "template.0.node_selector.0.accelerator",
    ],
    "google_cloud_tasks_queue": ["rate_limits", "retry_config"],
    "google_cloudfunctions2_function": [
        "build_config.0.entry_point",
        "service_config.0.service_account_email",
        "service_config.0.max_instance_count",
    ],
    "google_kms_crypto_key": ["purpose", "rotation_period", "destroy_scheduled_duration"],
    "google_logging_project_bucket_config": ["retention_days", "locked"],
    "google_monitoring_alert_policy": ["severity", "enabled"],
    "google_project_iam_custom_role": ["permissions"],
    "google_project_iam_member": ["role", "member"],
    "google_sql_database_instance": [
        "database_version",
        "deletion_protection",
        "settings.0.tier",
        "settings.0.availability_type",
        "settings.0.backup_configuration.0.point_in_time_recovery_enabled",
        "settings.0.backup_configuration.0.transaction_log_retention_days",
        "settings.0.backup_configuration.0.location",
        "settings.0.ip_configuration.0.ipv4_enabled",
        "settings.0.ip_configuration.0.ssl_mode",
    ],
    "google_storage_bucket": [
        "location",
        "storage_class",
        "force_destroy",
        "encryption.0.default_kms_key_name",
        "retention_policy",
        "soft_delete_policy.0.retention_duration_seconds",
        "lifecycle_rule",
    ],
}


def stages() -> list[Path]:
    """Return the folders of the stages."""
    return sorted(path for path in (INFRA / "stages").iterdir() if (path / "versions.tf").exists())


def inventory(plan: dict[str, Any]) -> dict[str, Any]:
    """Return what a plan makes, in short."""
    resources = [each for each in plan["resource_changes"] if each["mode"] == "managed"]
    return {
        "counts": dict(sorted(Counter(each["type"] for each in resources).items())),
        "values": {
            each["address"]: {path: _at(each["change"]["after"], path) for path in MATTERS[each["type"]]}
            for each in sorted(resources, key=lambda each: each["address"])
            if each["type"] in MATTERS
        },
    }


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return _short(value)


def _short(value: Any) -> Any:
    """Return a value without what nobody said."""
    if isinstance(value, dict):
        return {
            key: short for key, each in value.items() if (short := _short(each)) not in (None, [], {}, "")
        }
    return [_short(each) for each in value] if isinstance(value, list) else value


def text_of(made: dict[str, Any]) -> str:
    """Return an inventory as its file holds it."""
    return json.dumps(made, indent=1, sort_keys=True) + "\n"


def plan_stage(offline: Offline, infra: Path, stage: str) -> dict[str, Any]:
    """Return the plan of a stage in a copy of infra/, with everything in it that can be made."""
    folder = infra / "stages" / stage
    prepared = offline.prepare(folder)
    assert prepared.status == 0, prepared.text
    values = folder / "values.json"
    values.write_text(json.dumps(_values(folder, stage)), encoding="utf-8")
    return offline.plan(folder, f"-var-file={values}")


def _values(folder: Path, stage: str) -> dict[str, Any]:
    """Return what whoever applies a stage says, beside the settings that lie there."""
    settings = json.loads((folder / "settings.auto.tfvars.json").read_text(encoding="utf-8"))["settings"]
    project = f"audobon-{stage}"
    images = f"us-central1-docker.pkg.dev/{project}/audobon-images"
    return {
        "project": project,
        "addresses": {"operators": "operators@example.org"},
        "domain": f"{stage}.example.org",
        "has_signing_key": True,
        "billing_account": "000000-000000-000000",
        "repository": f"projects/{project}/locations/us-central1/connections/source/repositories/audobon",
        "images": {name: f"{images}/worker-{name}@sha256:{'0' * 64}" for name in settings["services"]},
        "sources": {name: f"{name}/{'0' * 64}.zip" for name in settings["functions"]},
    }


def main() -> None:
    """Write the inventory of every stage."""
    INVENTORIES.mkdir(exist_ok=True)
    with Offline(knows_all=True) as offline:
        infra = offline.copy()
        for stage in stages():
            made = inventory(plan_stage(offline, infra, stage.name))
            (INVENTORIES / f"{stage.name}.json").write_text(text_of(made), encoding="utf-8")


if __name__ == "__main__":
    main()
