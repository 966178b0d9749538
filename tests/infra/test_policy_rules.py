"""Every rule bites: one value of a sound plan is spoilt, and that rule names the resource."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from policy import Fault, faults, rules

pytestmark = pytest.mark.infra

Spoilt = tuple[str, str, str, Any]

RUN = "google_cloud_run_v2_service"
SQL = "google_sql_database_instance"
BUCKET = "google_storage_bucket"
ROLE = "google_project_iam_custom_role"
BUDGET = "google_billing_budget"

# The rule, and the type, place and value that break it; in the first resource of the type that has the place.
SPOILT: list[Spoilt] = [
    # encryption
    ("encrypted-with-our-key", BUCKET, "encryption", []),
    ("encrypted-with-our-key", SQL, "encryption_key_name", None),
    ("encrypted-with-our-key", RUN, "template.0.encryption_key", None),
    ("encrypted-with-our-key", "google_pubsub_topic", "kms_key_name", None),
    ("encrypted-with-our-key", "google_artifact_registry_repository", "kms_key_name", None),
    ("encrypted-with-our-key", "google_bigquery_dataset", "default_encryption_configuration", []),
    ("encrypted-with-our-key", "google_logging_project_bucket_config", "cmek_settings", []),
    ("encrypted-with-our-key", "google_cloudfunctions2_function", "kms_key_name", None),
    ("encrypted-with-a-planned-key", BUCKET, "encryption.0.default_kms_key_name", "projects/other/key"),
    ("keys-are-renewed", "google_kms_crypto_key", "rotation_period", "31536000s"),
    ("keys-are-renewed", "google_kms_crypto_key", "rotation_period", None),
    ("destroyed-keys-wait", "google_kms_crypto_key", "destroy_scheduled_duration", "86400s"),
    # access
    ("nobody-from-everywhere", "google_storage_bucket_iam_member", "member", "allUsers"),
    ("nobody-from-everywhere", "google_cloud_run_v2_service_iam_member", "member", "allAuthenticatedUsers"),
    ("no-primitive-roles", "google_project_iam_member", "role", "roles/editor"),
    ("no-broad-roles-in-the-project", "google_project_iam_member", "role", "roles/storage.admin"),
    ("no-broad-roles-in-the-project", "google_project_iam_member", "role", "roles/iam.serviceAccountUser"),
    (
        "no-whole-identity-pools",
        "google_service_account_iam_member",
        "member",
        "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/*",
    ),
    ("own-roles-are-narrow", ROLE, "permissions", ["iam.serviceAccounts.actAs"]),
    ("own-roles-are-narrow", ROLE, "permissions", ["storage.buckets.setIamPolicy"]),
    ("own-roles-are-narrow", ROLE, "permissions", ["storage.*"]),
    # storage
    ("one-kind-of-rights", BUCKET, "uniform_bucket_level_access", False),
    ("not-for-the-public", BUCKET, "public_access_prevention", "inherited"),
    ("keeps-versions", BUCKET, "retention_policy", []),
    ("versions-or-a-term", BUCKET, "versioning", [{"enabled": True}]),
    ("says-its-soft-delete", BUCKET, "soft_delete_policy", []),
    ("not-emptied-by-a-plan", BUCKET, "force_destroy", True),
    ("old-versions-end", BUCKET, "lifecycle_rule", []),
    (
        "known-classes",
        BUCKET,
        "lifecycle_rule",
        [{"action": [{"type": "SetStorageClass", "storage_class": "FROZEN"}], "condition": [{"age": 1}]}],
    ),
    (
        "colder-with-age",
        BUCKET,
        "lifecycle_rule",
        [
            {
                "action": [{"type": "SetStorageClass", "storage_class": "COLDLINE"}],
                "condition": [{"age": 30}],
            },
            {
                "action": [{"type": "SetStorageClass", "storage_class": "NEARLINE"}],
                "condition": [{"age": 90}],
            },
        ],
    ),
    # database
    (
        "restorable-to-an-instant",
        SQL,
        "settings.0.backup_configuration.0.point_in_time_recovery_enabled",
        False,
    ),
    ("restorable-to-an-instant", SQL, "settings.0.backup_configuration", []),
    ("keeps-a-week-of-backups", SQL, "settings.0.backup_configuration.0.backup_retention_settings", []),
    ("backups-lie-elsewhere", SQL, "settings.0.backup_configuration.0.location", None),
    ("two-zones-in-production", SQL, "settings.0.availability_type", "ZONAL"),
    ("reached-from-inside", SQL, "settings.0.ip_configuration.0.ipv4_enabled", True),
    (
        "reached-from-inside",
        SQL,
        "settings.0.ip_configuration.0.authorized_networks",
        [{"name": "all", "value": "0.0.0.0/0"}],
    ),
    (
        "encrypted-on-the-way",
        SQL,
        "settings.0.ip_configuration.0.ssl_mode",
        "ALLOW_UNENCRYPTED_AND_ENCRYPTED",
    ),
    ("not-destroyed-by-mistake", SQL, "deletion_protection", False),
    ("not-destroyed-by-mistake", SQL, "settings.0.deletion_protection_enabled", False),
    ("log-in-by-identity", SQL, "settings.0.database_flags", []),
    ("no-passwords", "google_sql_user", "type", "BUILT_IN"),
    ("grows-to-a-bound", SQL, "settings.0.disk_autoresize_limit", 0),
    # queue
    ("deliveries-end", "google_cloud_tasks_queue", "retry_config.0.max_attempts", -1),
    ("deliveries-end", "google_cloud_tasks_queue", "retry_config", []),
    ("deliveries-end", "google_cloud_tasks_queue", "retry_config.0.max_retry_duration", "0s"),
    ("deliveries-rest", "google_cloud_tasks_queue", "retry_config.0.max_backoff", "0.1s"),
    ("rates-that-google-knows", "google_cloud_tasks_queue", "rate_limits.0.max_dispatches_per_second", 1000),
    ("deliveries-are-logged", "google_cloud_tasks_queue", "stackdriver_logging_config", []),
    # compute
    ("reached-through-us", RUN, "ingress", "INGRESS_TRAFFIC_ALL"),
    ("callers-are-checked", RUN, "invoker_iam_disabled", True),
    ("images-by-digest", RUN, "template.0.containers.0.image", "us-docker.pkg.dev/p/audobon/worker:latest"),
    ("images-by-digest", "google_cloud_run_v2_job", "template.0.template.0.containers.0.image", "worker"),
    ("an-account-of-its-own", RUN, "template.0.service_account", None),
    ("an-account-of-its-own", RUN, "template.0.service_account", "1-compute@developer.gserviceaccount.com"),
    ("memory-and-cores-are-said", RUN, "template.0.containers.0.resources", []),
    ("grows-to-a-number", RUN, "template.0.scaling", []),
    ("asked-how-it-is", RUN, "template.0.containers.0.liveness_probe", []),
    ("ends-within-an-hour", RUN, "template.0.timeout", "7200s"),
    (
        "no-secrets-in-clear",
        RUN,
        "template.0.containers.0.env",
        [{"name": "DATABASE_PASSWORD", "value": "x"}],
    ),
    ("traffic-adds-up", RUN, "traffic", [{"percent": 90}, {"percent": 11}]),
    ("services-are-kept", RUN, "deletion_protection", False),
    (
        "functions-are-called-from-inside",
        "google_cloudfunctions2_function",
        "service_config.0.ingress_settings",
        "ALLOW_ALL",
    ),
    (
        "functions-have-accounts",
        "google_cloudfunctions2_function",
        "service_config.0.service_account_email",
        "",
    ),
    (
        "functions-grow-to-a-number",
        "google_cloudfunctions2_function",
        "service_config.0.max_instance_count",
        None,
    ),
    # network
    ("networks-are-drawn-by-us", "google_compute_network", "auto_create_subnetworks", True),
    ("flows-are-logged", "google_compute_subnetwork", "log_config", []),
    ("google-is-reached-from-inside", "google_compute_subnetwork", "private_ip_google_access", False),
    ("egress-is-logged", "google_compute_router_nat", "log_config.0.enable", False),
    ("tls-of-today", "google_compute_ssl_policy", "min_tls_version", "TLS_1_0"),
    ("proxies-say-their-tls", "google_compute_target_https_proxy", "ssl_policy", None),
    ("in-clear-only-to-redirect", "google_compute_url_map", "default_url_redirect", []),
    ("backends-are-guarded", "google_compute_backend_service", "security_policy", None),
    ("requests-are-logged", "google_compute_backend_service", "log_config", []),
    # costs
    ("budgets-warn-early", BUDGET, "threshold_rules", [{"threshold_percent": 1.0}]),
    ("budgets-look-ahead", BUDGET, "threshold_rules", [{"threshold_percent": 0.5}]),
    ("budgets-are-heard", BUDGET, "all_updates_rule", []),
    # audit
    ("sinks-write-as-themselves", "google_logging_project_sink", "unique_writer_identity", False),
    (
        "no-one-is-spared-the-audit",
        "google_project_iam_audit_config",
        "audit_log_config",
        [{"log_type": "DATA_READ", "exempted_members": ["user:me@example.org"]}],
    ),
    ("logs-are-kept", "google_logging_project_bucket_config", "retention_days", 7),
    ("alerts-reach-somebody", "google_monitoring_alert_policy", "notification_channels", []),
    ("alerts-say-what-to-do", "google_monitoring_alert_policy", "documentation", []),
    ("alerts-are-on", "google_monitoring_alert_policy", "enabled", False),
    # labels and names
    ("labels-are-there", BUCKET, "labels", None),
    ("labels-are-there", SQL, "settings.0.user_labels", {"app": "audobon", "managed_by": "terraform"}),
    ("the-stage-is-told", BUCKET, "labels.stage", "development"),
    ("labels-as-google-takes-them", BUCKET, "labels.room", "Storage Room"),
    ("names-as-google-takes-them", BUCKET, "name", "Pages"),
    ("names-as-google-takes-them", "google_service_account", "account_id", "me"),
]

# Rules that one value cannot break: they are broken by a resource of its own, or by one that is missing.
ADDED: list[tuple[str, str, dict[str, Any]]] = [
    ("grants-add-only", "google_project_iam_binding", {"role": "roles/run.invoker", "members": []}),
    ("grants-add-only", "google_project_iam_policy", {}),
    ("no-keys-of-accounts", "google_service_account_key", {}),
    ("no-keys-of-accounts", "google_storage_hmac_key", {}),
    (
        "identity-providers-say-whom",
        "google_iam_workload_identity_pool_provider",
        {"attribute_condition": ""},
    ),
    (
        "nobody-comes-in",
        "google_compute_firewall",
        {"direction": "INGRESS", "allow": [{"protocol": "tcp"}], "source_ranges": ["0.0.0.0/0"]},
    ),
    ("backups-cannot-be-taken-back", BUCKET, {"labels": {"data": "backup"}}),
    (
        "the-audit-is-locked",
        BUCKET,
        {"labels": {"data": "audit"}, "retention_policy": [{"is_locked": False}]},
    ),
]
# Which of a type is meant, where not all are alike.
IS_MEANT: dict[str, Callable[[dict[str, Any]], bool]] = {
    "google_compute_url_map": lambda after: bool(after["default_url_redirect"]),
    "google_kms_crypto_key": lambda after: after["purpose"] == "ENCRYPT_DECRYPT",
}
MISSING = [("there-is-a-budget", BUDGET), ("reads-and-writes-are-audited", "google_project_iam_audit_config")]


def spoil(value: Any, path: list[str], new: Any) -> bool:
    """Put a value at a place; say whether the place was there."""
    for step in path[:-1]:
        if isinstance(value, list):
            if int(step) >= len(value):
                return False
            value = value[int(step)]
        else:
            value = value.get(step)
        if value is None:
            return False
    value[path[-1]] = new
    return True


def small(plan: dict[str, Any], type_name: str) -> dict[str, Any]:
    """Return the part of a plan that a rule on a type looks at, which is judged in a moment."""
    with_it = {type_name, "google_kms_crypto_key", "google_compute_target_http_proxy"}
    return {
        "resource_changes": [
            copy.deepcopy(each) for each in plan["resource_changes"] if each["type"] in with_it
        ]
    }


def judge(plan: dict[str, Any]) -> set[Fault]:
    return set(faults(plan, stage="production", is_whole=False))


@pytest.mark.parametrize(("rule", "type_name", "path", "new"), SPOILT)
def test_a_spoilt_value_is_named(
    production: dict[str, Any], rule: str, type_name: str, path: str, new: Any
) -> None:
    plan = small(production, type_name)
    assert judge(plan) == set()

    spoilt = next(
        each
        for each in plan["resource_changes"]
        if each["type"] == type_name
        and IS_MEANT.get(type_name, bool)(each["change"]["after"])
        and spoil(each["change"]["after"], path.split("."), new)
    )

    assert (rule, spoilt["address"]) in {(fault.rule, fault.address) for fault in judge(plan)}


@pytest.mark.parametrize(("rule", "type_name", "after"), ADDED)
def test_a_resource_that_may_not_be_is_named(rule: str, type_name: str, after: dict[str, Any]) -> None:
    added = {
        "address": f"{type_name}.added",
        "type": type_name,
        "mode": "managed",
        "change": {"after": after},
    }

    assert (rule, added["address"]) in {
        (fault.rule, fault.address) for fault in judge({"resource_changes": [added]})
    }


@pytest.mark.parametrize(("rule", "type_name"), MISSING)
def test_a_resource_that_must_be_is_missed(production: dict[str, Any], rule: str, type_name: str) -> None:
    left = [each for each in production["resource_changes"] if each["type"] != type_name]

    assert rule in {fault.rule for fault in faults({"resource_changes": left}, stage="production")}


def test_every_rule_is_tried() -> None:
    assert {rule for rule, *_ in SPOILT + ADDED + MISSING} == rules()
