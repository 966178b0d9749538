"""The Cloud Monitoring in effigy does what Google's does, spoken to by Google's own clients."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import monitoring_dashboard_v1, monitoring_v3

from audobon.gcloud.clients import grpc_client
from fakes.cloud import FakeCloud

PROJECT = "projects/p"
METRIC = "custom.googleapis.com/queue/oldest_seconds"
CONDITION = {
    "display_name": "old",
    "condition_threshold": {"filter": f'metric.type="{METRIC}"', "comparison": "COMPARISON_GT"},
}


@contextmanager
def client_of(kind: Any) -> Iterator[Any]:
    client = grpc_client(kind, "monitoring")
    yield client
    client.transport.close()


def point(at: float, value: float, *, queue: str = "upscale") -> dict[str, Any]:
    return {
        "metric": {"type": METRIC, "labels": {"queue": queue}},
        "resource": {"type": "global", "labels": {"project_id": "p"}},
        "points": [{"interval": {"end_time": {"seconds": int(at)}}, "value": {"double_value": value}}],
    }


@pytest.fixture
def metrics(cloud: FakeCloud) -> Iterator[monitoring_v3.MetricServiceClient]:
    with client_of(monitoring_v3.MetricServiceClient) as client:
        yield client


def values(metrics: monitoring_v3.MetricServiceClient, at: float, filter_text: str) -> list[list[float]]:
    request = {
        "name": PROJECT,
        "filter": filter_text,
        "interval": {"start_time": {"seconds": int(at) - 3600}, "end_time": {"seconds": int(at)}},
        "view": monitoring_v3.ListTimeSeriesRequest.TimeSeriesView.FULL,
    }
    return [[p.value.double_value for p in series.points] for series in metrics.list_time_series(request)]


def test_points_are_read_back_newest_first_by_series(
    cloud: FakeCloud, metrics: monitoring_v3.MetricServiceClient
) -> None:
    now = cloud.clock()
    for number in range(3):
        metrics.create_time_series(name=PROJECT, time_series=[point(now - 60 + 10 * number, number)])
    metrics.create_time_series(name=PROJECT, time_series=[point(now, 9.0, queue="clean")])
    assert values(metrics, now, f'metric.type = "{METRIC}"') == [[2.0, 1.0, 0.0], [9.0]]
    one = f'metric.type = "{METRIC}" AND metric.labels.queue = "clean"'
    assert values(metrics, now, one) == [[9.0]]
    assert metrics.get_metric_descriptor(name=f"{PROJECT}/metricDescriptors/{METRIC}").type == METRIC


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-10, "in order of time"), (3, "more often than every 5 seconds"), (3600, "or in the future")],
)
def test_points_out_of_order_too_often_or_in_the_future_are_refused(
    cloud: FakeCloud, metrics: monitoring_v3.MetricServiceClient, seconds: float, words: str
) -> None:
    metrics.create_time_series(name=PROJECT, time_series=[point(cloud.clock(), 1.0)])
    with pytest.raises(exceptions.InvalidArgument, match=words):
        metrics.create_time_series(
            name=PROJECT,
            time_series=[point(cloud.clock(), 5.0, queue="other"), point(cloud.clock() + seconds, 2.0)],
        )
    assert values(metrics, cloud.clock(), f'metric.type="{METRIC}"') == [[1.0]]


def test_a_call_carries_one_point_per_series_and_200_series(
    cloud: FakeCloud, metrics: monitoring_v3.MetricServiceClient
) -> None:
    now = cloud.clock()
    metrics.create_time_series(name=PROJECT, time_series=[point(now, 1.0, queue=str(n)) for n in range(200)])
    with pytest.raises(exceptions.InvalidArgument, match="at most 200"):
        metrics.create_time_series(
            name=PROJECT, time_series=[point(now, 1.0, queue=f"b{n}") for n in range(201)]
        )
    with pytest.raises(exceptions.InvalidArgument, match="written once in a call"):
        metrics.create_time_series(name=PROJECT, time_series=[point(now + 9, 1.0), point(now + 9, 1.0)])
    foreign = point(now, 1.0) | {"metric": {"type": "run.googleapis.com/request_count"}}
    with pytest.raises(exceptions.InvalidArgument, match="not a metric of one's own"):
        metrics.create_time_series(name=PROJECT, time_series=[foreign])


def test_a_policy_needs_what_google_asks_for_and_channels_that_exist(cloud: FakeCloud) -> None:
    policy = {"display_name": "old tasks", "combiner": "OR", "conditions": [CONDITION]}
    with (
        client_of(monitoring_v3.AlertPolicyServiceClient) as policies,
        client_of(monitoring_v3.NotificationChannelServiceClient) as channels,
    ):
        for lacking, words in (
            ("display_name", "display_name"),
            ("combiner", "combiner"),
            ("conditions", "must be 1 to 6"),
        ):
            with pytest.raises(exceptions.InvalidArgument, match=words):
                policies.create_alert_policy(
                    name=PROJECT, alert_policy={key: policy[key] for key in policy if key != lacking}
                )
        with pytest.raises(exceptions.NotFound, match="notificationChannels/9"):
            policies.create_alert_policy(
                name=PROJECT,
                alert_policy=policy | {"notification_channels": [f"{PROJECT}/notificationChannels/9"]},
            )
        channel = channels.create_notification_channel(
            name=PROJECT,
            notification_channel={"type_": "email", "labels": {"email_address": "a@example.net"}},
        )
        made = policies.create_alert_policy(
            name=PROJECT, alert_policy=policy | {"notification_channels": [channel.name]}
        )
        assert made.conditions[0].name.startswith(made.name + "/conditions/")
        with pytest.raises(exceptions.FailedPrecondition, match="is used by"):
            channels.delete_notification_channel(name=channel.name)
        channels.delete_notification_channel(name=channel.name, force=True)
        assert list(policies.get_alert_policy(name=made.name).notification_channels) == []
        changed = policies.update_alert_policy(
            alert_policy={"name": made.name, "display_name": "new"}, update_mask={"paths": ["display_name"]}
        )
        assert (changed.display_name, len(changed.conditions)) == ("new", 1)
        policies.delete_alert_policy(name=made.name)
        assert list(policies.list_alert_policies(name=PROJECT)) == []


def test_an_uptime_check_asks_something_of_something(cloud: FakeCloud) -> None:
    check = {
        "display_name": "worker",
        "monitored_resource": {"type": "uptime_url", "labels": {"host": "example.net"}},
        "http_check": {"path": "/ready"},
        "period": {"seconds": 60},
    }
    with client_of(monitoring_v3.UptimeCheckServiceClient) as checks:
        made = checks.create_uptime_check_config(parent=PROJECT, uptime_check_config=check)
        assert checks.get_uptime_check_config(name=made.name) == made
        for fields, words in (
            ({"period": {"seconds": 61}}, "60s, 300s"),
            ({"http_check": None}, "what to ask it for"),
            ({"monitored_resource": None}, "must have a resource"),
        ):
            with pytest.raises(exceptions.InvalidArgument, match=words):
                checks.create_uptime_check_config(parent=PROJECT, uptime_check_config=check | fields)
        checks.delete_uptime_check_config(name=made.name)
        assert list(checks.list_uptime_check_configs(parent=PROJECT)) == []


def test_a_dashboard_is_replaced_only_by_who_saw_the_present_one(cloud: FakeCloud) -> None:
    dashboard = {"display_name": "queue", "grid_layout": {"columns": 2}}
    with client_of(monitoring_dashboard_v1.DashboardsServiceClient) as boards:
        made = boards.create_dashboard({"parent": PROJECT, "dashboard": dashboard})
        changed = {"name": made.name, "etag": made.etag, **dashboard, "display_name": "queues"}
        assert boards.update_dashboard({"dashboard": changed}).display_name == "queues"
        with pytest.raises(exceptions.Aborted, match="has the etag"):
            boards.update_dashboard({"dashboard": changed})
        with pytest.raises(exceptions.InvalidArgument, match="display_name"):
            boards.create_dashboard({"parent": PROJECT, "dashboard": {"grid_layout": {}}})
        with pytest.raises(exceptions.InvalidArgument, match="layout"):
            boards.create_dashboard({"parent": PROJECT, "dashboard": {"display_name": "x"}})
