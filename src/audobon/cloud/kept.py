"""What is kept in the cloud, and for how long: buckets with their rules, keys, logs, backups."""

import math
from typing import Any, get_args

from audobon.cloud.locations import Locations
from audobon.cloud.stages import Stage
from audobon.settings import Settings
from audobon.storage.lifecycle_rules import as_json, default_rules
from audobon.telemetry.logs import Category

KEY_DESTROY_DAYS = 30
ACCESS_LOG_DAYS = 90
BACKUP_RETENTION_DAYS = 7
"""For so long nobody can remove a backup, whatever account he has taken over."""

# source: Cloud Storage brings deleted objects back for 7 to 90 days, read 2026-09-20.
_LEAST_SOFT_DELETE_DAYS = 7
# source: Cloud SQL Enterprise keeps its log for 1 to 7 days, read 2026-09-20.
_MOST_RECOVERY_DAYS = 7

_ABORT = {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 1}}


def keys(places: Locations) -> dict[str, dict[str, Any]]:
    """Return the keys by what they encrypt, and which of Google's services use them."""

    def key(*agents: str, location: str = places.region) -> dict[str, Any]:
        return {"location": location, "agents": sorted(agents), "protection_level": "SOFTWARE"}

    return {
        "keyring": key(),
        "storage": key("storage"),
        "backup": key("storage", location=places.key_location),
        "database": key("cloud_sql"),
        "compute": key("cloud_run"),
        "functions": key(
            "artifact_registry", "cloud_functions", "cloud_run", "eventarc", "pubsub", "storage"
        ),
        "images": key("artifact_registry"),
        "logs": key("logging"),
        "billing": key("bigquery"),
    }


def buckets(settings: Settings, stage: Stage, places: Locations) -> dict[str, dict[str, Any]]:
    """Return the buckets by what lies in them."""
    soft_delete = _soft_delete_days(settings, stage)

    def bucket(key: str = "storage", **facts: Any) -> dict[str, Any]:
        usual: dict[str, Any] = {"location": places.region, "regions": [], "key": key}
        usual |= {"storage_class": "STANDARD", "soft_delete_days": 0, "noncurrent_days": 1}
        usual |= {"retention_days": None, "is_locked": False, "lifecycle_rules": [_ABORT]}
        return usual | facts

    return {
        # What is stored: the rules are those that move packs between folders here.
        "blobs": bucket(
            soft_delete_days=soft_delete,
            noncurrent_days=_LEAST_SOFT_DELETE_DAYS,
            lifecycle_rules=as_json(default_rules())["rule"],
        ),
        # On their way in and out: gone within days, and then at once.
        "uploads": bucket(lifecycle_rules=[_delete_after(1), _ABORT]),
        "delivery": bucket(lifecycle_rules=[_delete_after(7), _ABORT]),
        "backup": bucket(
            "backup",
            location=places.backup_location,
            regions=list(places.backup_regions),
            soft_delete_days=soft_delete,
            noncurrent_days=_LEAST_SOFT_DELETE_DAYS,
            retention_days=BACKUP_RETENTION_DAYS if stage.is_protected else None,
            is_locked=stage.is_locked,
        ),
    }


def database(settings: Settings, stage: Stage, places: Locations) -> dict[str, Any]:
    """Return the size of the database's instance, and how it is backed up."""
    return {
        "tier": stage.database_tier,
        "availability_type": stage.availability_type,
        "most_disk_gigabytes": stage.most_disk_gigabytes,
        "backup_location": places.database_backups,
        "backups_kept": stage.backups_kept,
        "recovery_days": min(_MOST_RECOVERY_DAYS, max(1, math.ceil(settings.database.keep_days))),
    }


def logs(stage: Stage) -> dict[str, dict[str, Any]]:
    """Return the logs by category: what Audobon says itself, what asks it, and what it stands on."""
    own = " OR ".join(f'"{name}"' for name in get_args(Category))
    return {
        "work": {
            "description": "What Audobon says of its work, by category.",
            "filter": f"jsonPayload.category=({own})",
            "keep_days": stage.log_days,
            "indexed": {
                "jsonPayload.category": "INDEX_TYPE_STRING",
                "jsonPayload.event": "INDEX_TYPE_STRING",
                "jsonPayload.job": "INDEX_TYPE_STRING",
            },
        },
        "requests": {
            "description": "Who asked the services for what, and how long it took.",
            "filter": 'logName:"run.googleapis.com%2Frequests" OR resource.type="http_load_balancer"',
            "keep_days": stage.log_days,
            "indexed": {},
        },
        "platform": {
            "description": "What databases, queues, buckets and the network say.",
            "filter": 'resource.type=("cloudsql_database" OR "cloud_tasks_queue" OR "gce_subnetwork"'
            ' OR "nat_gateway") AND NOT logName:"cloudaudit.googleapis.com"',
            "keep_days": stage.log_days,
            "indexed": {},
        },
    }


def _soft_delete_days(settings: Settings, stage: Stage) -> int:
    wanted = math.ceil(settings.storage.keep_removed_days)
    if not stage.is_protected and wanted == 0:
        return 0
    return min(90, max(_LEAST_SOFT_DELETE_DAYS, wanted))


def _delete_after(days: int) -> dict[str, Any]:
    return {"action": {"type": "Delete"}, "condition": {"age": days}}
