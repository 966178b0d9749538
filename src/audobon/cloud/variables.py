"""The settings as Terraform's variables: one source for what engine and infrastructure both know."""

import json
from typing import Any

from audobon.cloud.duties import ACCOUNTS, DATABASE_USERS, GRANTS, KEY_USERS, ROLES
from audobon.cloud.kept import (
    ACCESS_LOG_DAYS,
    KEY_DESTROY_DAYS,
    buckets,
    database,
    keys,
    logs,
)
from audobon.cloud.locations import Locations, locations
from audobon.cloud.stages import BY_NAME, Stage, StageName
from audobon.cloud.workloads import (
    DAILY_JOBS,
    SMALL,
    functions,
    jobs,
    pools,
    queues,
    services,
    triggers,
)
from audobon.settings import Settings

FILE = "settings.auto.tfvars.json"
"""The file in a stage's folder that Terraform reads by itself."""

_HOUR_SECONDS = 3600
_APIS = (
    "artifactregistry",
    "bigquery",
    "billingbudgets",
    "binaryauthorization",
    "cloudbuild",
    "cloudfunctions",
    "cloudkms",
    "cloudquotas",
    "cloudresourcemanager",
    "cloudscheduler",
    "cloudtasks",
    "compute",
    "containeranalysis",
    "eventarc",
    "iam",
    "iamcredentials",
    "logging",
    "monitoring",
    "pubsub",
    "run",
    "servicenetworking",
    "serviceusage",
    "sqladmin",
    "storage",
    "sts",
    "vpcaccess",
)


def variables(settings: Settings, stage: StageName) -> dict[str, Any]:
    """Return Terraform's variables for a stage: the project when it is set, and all that settings own.

    raises  Misconfigured when the regions do not go together
    """
    own = {"settings": stage_settings(settings, BY_NAME[stage])}
    return {"project": settings.cloud.project, **own} if settings.cloud.project else own


def file_text(settings: Settings, stage: StageName) -> str:
    """Return what stands in the stage's file: the same for everybody, so without the project."""
    own = {"settings": stage_settings(settings, BY_NAME[stage])}
    return json.dumps(own, indent=2, sort_keys=True) + "\n"


def stage_settings(settings: Settings, stage: Stage) -> dict[str, Any]:
    """Return the one value that modules/stage takes, in plain dicts and lists."""
    cloud = settings.cloud
    places = locations(cloud)
    return {
        "stage": stage.name,
        "region": places.region,
        "second_region": places.backup_regions[0],
        "prefix": cloud.tasks_queue_prefix,
        "apis": [f"{name}.googleapis.com" for name in _APIS],
        "is_protected": stage.is_protected,
        "is_disposable": not stage.is_protected,
        "accounts": ACCOUNTS,
        "roles": ROLES,
        "grants": GRANTS,
        "keys": keys(places),
        "key_users": KEY_USERS,
        "key_destroy_days": KEY_DESTROY_DAYS,
        "flow_sampling": stage.flow_sampling,
        "buckets": buckets(settings, stage, places),
        "access_log_days": ACCESS_LOG_DAYS,
        "database": database(settings, stage, places) | {"accounts": list(DATABASE_USERS)},
        "queues": queues(stage, cloud.tasks_queue_prefix),
        "services": services(stage),
        "default_service": SMALL,
        "pools": pools(stage),
        "jobs": jobs(),
        "takes_signed_images_only": stage.takes_signed_images_only,
        "functions": functions(),
        "triggers": triggers(stage),
        "logs": logs(stage),
        "log_level": stage.log_level,
        "audit": {
            "log_days": stage.audit_days,
            "keep_days": stage.audit_days,
            "is_locked": stage.is_locked,
        },
        "daily_jobs": list(DAILY_JOBS),
        "alert_thresholds": _thresholds(settings, stage),
        "silent_alerts": [],
        "budgets": {
            "month": {"amount": stage.budget, "room": None},
            "compute": {"amount": max(1, stage.budget * 6 // 10), "room": "compute"},
        },
        "budget_thresholds": [0.5, 0.9, 1],
        "quotas": _quotas(stage, places),
    }


def _thresholds(settings: Settings, stage: Stage) -> dict[str, Any]:
    lanes = queues(stage, settings.cloud.tasks_queue_prefix).values()
    instances = min(stage.small, stage.large, stage.gpu)
    return {
        # A book of many pages waits for as long as it likes on its own machine, and for less here.
        "oldest_task_seconds": _HOUR_SECONDS,
        # The dispatcher releases twice what a queue does at once; more than that came from elsewhere.
        "queue_depth": 3 * max(each["concurrent_dispatches"] for each in lanes),
        "instances": max(1, round(instances * 0.9)),
        "errors_in_5_minutes": 20,
        "connections": 80,
        "backup_age_seconds": round(settings.backup.max_hours * _HOUR_SECONDS),
        "drill_age_seconds": round(settings.backup.max_drill_hours * _HOUR_SECONDS),
        # Cloud SQL moves its log away every few minutes.
        "recovery_log_age_seconds": 1800,
    }


def _quotas(stage: Stage, places: Locations) -> dict[str, dict[str, Any]]:
    return {
        "gpus": {
            "service": "run.googleapis.com",
            # source: Cloud Run's page of quotas; L4 cards without a second zone, by region. Not tried yet.
            "quota": "NvidiaL4GpuAllocNoZonalRedundancyPerProjectRegion",
            "dimensions": {"region": places.region},
            # Cloud Run wants three times as many while a new revision takes over.
            "value": 3 * stage.gpu,
        }
    }
