"""Documents inside the HCL, read as strictly as Google's own types read them."""

import json
import re
from typing import Any

from google.cloud.logging_v2.types import LogMetric
from google.cloud.monitoring_dashboard_v1 import Dashboard
from google.cloud.monitoring_v3 import AlertPolicy, NotificationChannel, UptimeCheckConfig
from google.protobuf import json_format
from shim.schema import Block, read_schema

_OWN_METRIC = re.compile(r"logging\.googleapis\.com/user/([A-Za-z0-9_./-]+)")

# What only Terraform knows of a resource, or Google but not yet its published types.
_NOT_SENT = {"project", "timeouts", "force_delete", "log_check_failures"}

RESOURCES: dict[str, Any] = {
    "google_logging_metric": LogMetric,
    "google_monitoring_alert_policy": AlertPolicy,
    "google_monitoring_notification_channel": NotificationChannel,
    "google_monitoring_uptime_check_config": UptimeCheckConfig,
}


def strict(kind: Any, document: dict[str, Any]) -> Any:
    """Return a document as a message; raises json_format.ParseError for a field or value that is none."""
    return json_format.ParseDict(document, kind.pb()())


def message_of(type_name: str, after: dict[str, Any]) -> Any:
    """Return a planned resource as the message that it is sent to Google as."""
    said = _plain(read_schema()["resources"][type_name], after)
    sent = {name: value for name, value in said.items() if name not in _NOT_SENT}
    return strict(RESOURCES[type_name], sent)


def dashboard(text: str) -> Any:
    """Return the text of a dashboard as a message."""
    return strict(Dashboard, json.loads(text))


def _plain(block: Block, value: dict[str, Any]) -> dict[str, Any]:
    """Return what was said, with blocks that stand once as objects instead of lists of one."""
    plain: dict[str, Any] = {}
    for name, (_, mode, *_) in block["attributes"].items():
        if mode != "computed" and value.get(name) not in (None, "", [], {}):
            plain[name] = value[name]
    for name, (nesting, _, most, inner) in block["blocks"].items():
        given = value.get(name)
        if not given:
            continue
        if nesting == "single":
            plain[name] = _plain(inner, given)
        elif most == 1:
            plain[name] = _plain(inner, given[0] or {})
        else:
            plain[name] = [_plain(inner, each or {}) for each in given]
    return plain


def read_all(plan: dict[str, Any]) -> dict[str, list[Any]]:
    """Return every document of a plan as a message, by type; raises ParseError for the first wrong one."""
    read: dict[str, list[Any]] = {}
    for each in plan["resource_changes"]:
        after = each["change"]["after"]
        if each["type"] == "google_monitoring_dashboard":
            read.setdefault(each["type"], []).append(dashboard(after["dashboard_json"]))
        elif each["type"] in RESOURCES and each["mode"] == "managed":
            read.setdefault(each["type"], []).append(message_of(each["type"], after))
    return read


def metrics(plan: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Return the metrics of ours that a plan makes, and those that its alerts and charts ask for."""
    made = {
        each["change"]["after"]["name"]
        for each in plan["resource_changes"]
        if each["type"] == "google_logging_metric"
    }
    asking = ("google_monitoring_alert_policy", "google_monitoring_dashboard")
    text = "".join(
        json.dumps(each["change"]["after"]) for each in plan["resource_changes"] if each["type"] in asking
    )
    return made, set(_OWN_METRIC.findall(text))
