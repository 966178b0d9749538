"""What Google would answer for a resource that was made, made up so that wires between resources can be told.

Ids and addresses look like Google's where HCL cares for their look; all else says which value it stands for.
"""

import re
import zlib
from typing import Any

PROJECT_NUMBER = "123456789012"

_LOOKS: dict[str, dict[str, str]] = {
    "google_artifact_registry_repository": {
        "id": "projects/{project}/locations/{location}/repositories/{repository_id}",
        "name": "{repository_id}",
    },
    "google_bigquery_dataset": {"id": "projects/{project}/datasets/{dataset_id}"},
    "google_cloud_run_v2_service": {
        "id": "projects/{project}/locations/{location}/services/{name}",
        "uri": "https://{name}-made-up.a.run.app",
    },
    "google_cloud_tasks_queue": {"id": "projects/{project}/locations/{location}/queues/{name}"},
    "google_cloudfunctions2_function": {
        "id": "projects/{project}/locations/{location}/functions/{name}",
        "url": "https://{location}-{project}.cloudfunctions.net/{name}",
    },
    "google_compute_global_address": {"address": "203.0.113.1"},
    "google_compute_network": {
        "id": "projects/{project}/global/networks/{name}",
        "self_link": "https://www.googleapis.com/compute/v1/projects/{project}/global/networks/{name}",
    },
    "google_compute_subnetwork": {"id": "projects/{project}/regions/{region}/subnetworks/{name}"},
    "google_iam_workload_identity_pool": {
        "name": f"projects/{PROJECT_NUMBER}/locations/global/workloadIdentityPools/"
        "{workload_identity_pool_id}"
    },
    "google_kms_key_ring": {"id": "projects/{project}/locations/{location}/keyRings/{name}"},
    "google_kms_crypto_key": {"id": "{key_ring}/cryptoKeys/{name}"},
    "google_logging_project_sink": {
        "writer_identity": f"serviceAccount:service-{PROJECT_NUMBER}@gcp-sa-logging.iam.gserviceaccount.com"
    },
    "google_monitoring_notification_channel": {
        "name": "projects/{project}/notificationChannels/{display_name}"
    },
    "google_project": {"number": PROJECT_NUMBER},
    "google_project_iam_custom_role": {
        "id": "projects/{project}/roles/{role_id}",
        "name": "projects/{project}/roles/{role_id}",
    },
    "google_pubsub_subscription": {"id": "projects/{project}/subscriptions/{name}"},
    "google_pubsub_topic": {"id": "projects/{project}/topics/{name}"},
    "google_secret_manager_secret": {
        "id": "projects/{project}/secrets/{secret_id}",
        "name": "projects/{project}/secrets/{secret_id}",
    },
    "google_service_account": {
        "id": "projects/{project}/serviceAccounts/{account_id}@{project}.iam.gserviceaccount.com",
        "name": "projects/{project}/serviceAccounts/{account_id}@{project}.iam.gserviceaccount.com",
        "email": "{account_id}@{project}.iam.gserviceaccount.com",
        "member": "serviceAccount:{account_id}@{project}.iam.gserviceaccount.com",
    },
    "google_sql_database_instance": {
        "id": "{name}",
        "connection_name": "{project}:{region}:{name}",
        "private_ip_address": "10.0.0.3",
    },
    "google_storage_bucket": {"id": "{name}", "url": "gs://{name}"},
    "google_storage_project_service_account": {
        "email_address": f"service-{PROJECT_NUMBER}@gs-project-accounts.iam.gserviceaccount.com",
        "member": f"serviceAccount:service-{PROJECT_NUMBER}@gs-project-accounts.iam.gserviceaccount.com",
    },
}
_FILLED_IN = {"project": "made-up-project", "region": "us-central1", "zone": "us-central1-a"}
_GAP = re.compile(r"\{(\w+)\}")
_NAMES = ("name", "account_id", "secret_id", "role_id", "display_name")


def made_up(type_name: str, resource: dict[str, Any], path: tuple[str, ...], kind: Any) -> Any:
    """Return the value at a path of a resource; the same for the same resource."""
    if isinstance(kind, list):
        outer, inner = kind
        if outer == "object":
            return {name: made_up(type_name, resource, (*path, name), each) for name, each in inner.items()}
        return {} if outer == "map" else [made_up(type_name, resource, path, inner)]
    if kind == "bool":
        return False
    name = _name(resource)
    if kind == "number":
        return zlib.crc32(f"{type_name}/{name}/{'/'.join(path)}".encode())
    look = _LOOKS.get(type_name, {}).get(path[0]) if len(path) == 1 else None
    if look is not None:
        return _GAP.sub(lambda gap: str(_said(resource, gap.group(1))), look)
    if len(path) == 1 and path[0] in _FILLED_IN:
        return _FILLED_IN[path[0]]
    return f"made-up-{type_name}-{name}-{'.'.join(path)}"


def _said(resource: dict[str, Any], name: str) -> Any:
    value = resource.get(name)
    return value if isinstance(value, str | int) and value != "" else _FILLED_IN.get(name, f"made-up-{name}")


def _name(resource: dict[str, Any]) -> str:
    """Return what tells a resource from others of its type: its name, or a digest of what it says."""
    for name in _NAMES:
        if isinstance(resource.get(name), str):
            return str(resource[name])
    said = sorted((key, str(value)) for key, value in resource.items() if value is not None)
    return f"{zlib.crc32(repr(said).encode()):08x}"
