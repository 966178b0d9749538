"""Cloud Monitoring: time series, alert policies, channels, uptime checks and dashboards.

source  cloud.google.com/monitoring/api/ref_v3/rpc; what it has beyond is UNIMPLEMENTED
"""

import itertools
import re
from collections.abc import Callable
from typing import Any, ClassVar

from google.api import metric_pb2
from google.cloud import monitoring_dashboard_v1, monitoring_v3
from google.protobuf.empty_pb2 import Empty

from fakes.api import FakeApi
from fakes.faults import Faults
from fakes.grpc_server import GrpcServer
from fakes.names import Name
from fakes.pages import page_of
from fakes.refusal import Refused, invalid, not_found
from fakes.shelf import Shelf

_PROJECT = Name("projects/{project}")
_POLICY = Name("projects/{project}/alertPolicies/{policy}")
_CHANNEL = Name("projects/{project}/notificationChannels/{channel}")
_UPTIME = Name("projects/{project}/uptimeCheckConfigs/{check}")
_DASHBOARD = Name("projects/{project}/dashboards/{dashboard}", r"[a-zA-Z0-9-]{1,127}")
_OWN_METRIC = re.compile(
    r"(custom\.googleapis\.com|external\.googleapis\.com|workload\.googleapis\.com)/[\w/]+"
)
_COMPARISON = re.compile(r'\s*(?P<path>[\w.]+)\s*=\s*"(?P<value>[^"]*)"\s*(?:AND\b)?')
_MOST_SERIES = 200
_MOST_CONDITIONS = 6
_SHORTEST_PERIOD_SECONDS = 5.0
_OLDEST_SECONDS = 25 * 3600.0
_FIXED = {"name", "creation_record", "mutation_record", "mutation_records", "validity", "verification_status"}


class FakeMonitoring(FakeApi):
    """The service MetricService; the others are its attributes."""

    api: ClassVar[str] = "monitoring"

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        super().__init__(clock, faults)
        self._descriptors: dict[str, metric_pb2.MetricDescriptor] = {}
        self._series: dict[bytes, monitoring_v3.TimeSeries] = {}
        self.numbers = itertools.count(1000)
        self.channels = FakeChannels(self)
        self.policies = FakePolicies(self)
        self.uptime = FakeUptime(self)
        self.dashboards = FakeDashboards(self)

    def install(self, server: GrpcServer) -> None:
        """Serve all of them."""
        server.serve("google.monitoring.v3.MetricService", self)
        server.serve("google.monitoring.v3.AlertPolicyService", self.policies)
        server.serve("google.monitoring.v3.NotificationChannelService", self.channels)
        server.serve("google.monitoring.v3.UptimeCheckService", self.uptime)
        server.serve("google.monitoring.dashboard.v1.DashboardsService", self.dashboards)

    def create_metric_descriptor(
        self, request: monitoring_v3.CreateMetricDescriptorRequest
    ) -> metric_pb2.MetricDescriptor:
        """Describe a metric of one's own."""
        _PROJECT.parse(request.name)
        _check_own(request.metric_descriptor.type)
        name = f"{request.name}/metricDescriptors/{request.metric_descriptor.type}"
        made = metric_pb2.MetricDescriptor()
        made.CopyFrom(request.metric_descriptor)
        made.name = name
        self._descriptors[name] = made
        return made

    def get_metric_descriptor(
        self, request: monitoring_v3.GetMetricDescriptorRequest
    ) -> metric_pb2.MetricDescriptor:
        """Return what describes a metric."""
        if request.name not in self._descriptors:
            raise not_found(request.name)
        return self._descriptors[request.name]

    def delete_metric_descriptor(self, request: monitoring_v3.DeleteMetricDescriptorRequest) -> Empty:
        """Forget a metric."""
        if self._descriptors.pop(request.name, None) is None:
            raise not_found(request.name)
        return Empty()

    def create_time_series(self, request: monitoring_v3.CreateTimeSeriesRequest) -> Empty:
        """Write one point to each of some series; all or nothing."""
        _PROJECT.parse(request.name)
        if len(request.time_series) > _MOST_SERIES:
            raise invalid(f"time_series: at most {_MOST_SERIES} in one call")
        keys = [_key(series) for series in request.time_series]
        if len(set(keys)) < len(keys):
            raise invalid("time_series: a series must be written once in a call")
        for number, series in enumerate(request.time_series):
            self._check_point(f"timeSeries[{number}]", series)
        for key, series in zip(keys, request.time_series, strict=True):
            self._write(request.name, key, series)
        return Empty()

    def list_time_series(
        self, request: monitoring_v3.ListTimeSeriesRequest
    ) -> monitoring_v3.ListTimeSeriesResponse:
        """Return the series that fit a filter, with their points in an interval, newest first."""
        _PROJECT.parse(request.name)
        wanted = _comparisons(request.filter)
        if "metric.type" not in wanted:
            raise invalid("filter: must name one metric.type")
        end = request.interval.end_time.timestamp()
        start = request.interval.start_time.timestamp() if request.interval.start_time else end
        found = []
        for series in self._series.values():
            if not all(_attribute(series, path) == value for path, value in wanted.items()):
                continue
            shown = monitoring_v3.TimeSeries(series)
            shown.points = [
                point
                for point in reversed(series.points)
                if start <= point.interval.end_time.timestamp() <= end
            ]
            if shown.points:
                found.append(shown)
        series_page, token = page_of(found, size=request.page_size, token=request.page_token)
        return monitoring_v3.ListTimeSeriesResponse(time_series=series_page, next_page_token=token)

    def _check_point(self, where: str, series: monitoring_v3.TimeSeries) -> None:
        _check_own(series.metric.type)
        if len(series.points) != 1:
            raise invalid(f"{where}: must have exactly one point, not {len(series.points)}")
        if not series.points[0].interval.end_time:
            raise invalid(f"{where}.points[0].interval.end_time: must be set")
        at = series.points[0].interval.end_time.timestamp()
        if not self.clock() - _OLDEST_SECONDS <= at <= self.clock() + 300.0:
            raise invalid(f"{where}.points[0].interval.end_time: more than 25 hours ago, or in the future")
        before = self._series.get(_key(series))
        if before is not None:
            newest = before.points[-1].interval.end_time.timestamp()
            if at <= newest:
                raise invalid(f"{where}: points must be written in order of time")
            if at - newest < _SHORTEST_PERIOD_SECONDS:
                raise invalid(f"{where}: points were written more often than every 5 seconds")

    def _write(self, project: str, key: bytes, series: monitoring_v3.TimeSeries) -> None:
        name = f"{project}/metricDescriptors/{series.metric.type}"
        if name not in self._descriptors:
            self._descriptors[name] = metric_pb2.MetricDescriptor(name=name, type=series.metric.type)
        kept = self._series.get(key)
        if kept is None:
            self._series[key] = monitoring_v3.TimeSeries(series)
        else:
            kept.points.append(series.points[0])


class _Part(FakeApi):
    """A service that shares the lock, the clock and the numbers of the others."""

    api: ClassVar[str] = "monitoring"

    def __init__(self, whole: FakeMonitoring) -> None:
        super().__init__(whole.clock, whole.faults)
        self.lock = whole.lock
        self._whole = whole

    def _new_name(self, project: str, collection: str) -> str:
        _PROJECT.parse(project)
        return f"{project}/{collection}/{next(self._whole.numbers)}"


class FakeChannels(_Part):
    """The service NotificationChannelService."""

    def __init__(self, whole: FakeMonitoring) -> None:
        super().__init__(whole)
        self.shelf: Shelf[monitoring_v3.NotificationChannel] = Shelf(
            monitoring_v3.NotificationChannel, _CHANNEL
        )

    def create_notification_channel(
        self, request: monitoring_v3.CreateNotificationChannelRequest
    ) -> monitoring_v3.NotificationChannel:
        """Make a channel."""
        wanted = monitoring_v3.NotificationChannel(request.notification_channel)
        if not wanted.type_:
            raise invalid("notification_channel.type: must be set")
        if wanted.type_ == "email" and "email_address" not in wanted.labels:
            raise invalid("notification_channel.labels: email_address must be set")
        wanted.name = self._new_name(request.name, "notificationChannels")
        return self.shelf.add(wanted.name, wanted)

    def get_notification_channel(
        self, request: monitoring_v3.GetNotificationChannelRequest
    ) -> monitoring_v3.NotificationChannel:
        """Return a channel."""
        return self.shelf.copy(request.name)

    def list_notification_channels(
        self, request: monitoring_v3.ListNotificationChannelsRequest
    ) -> monitoring_v3.ListNotificationChannelsResponse:
        """List the channels of a project."""
        found, token = self.shelf.page(request.name + "/", size=request.page_size, token=request.page_token)
        return monitoring_v3.ListNotificationChannelsResponse(
            notification_channels=found, next_page_token=token
        )

    def delete_notification_channel(self, request: monitoring_v3.DeleteNotificationChannelRequest) -> Empty:
        """Remove a channel; one that a policy tells of incidents only by force."""
        self.shelf.get(request.name)
        users = [each for each in self._whole.policies.shelf if request.name in each.notification_channels]
        if users and not request.force:
            raise Refused("FAILED_PRECONDITION", f"{request.name} is used by {users[0].name}.")
        for policy in users:
            policy.notification_channels.remove(request.name)
        self.shelf.remove(request.name)
        return Empty()


class FakePolicies(_Part):
    """The service AlertPolicyService."""

    def __init__(self, whole: FakeMonitoring) -> None:
        super().__init__(whole)
        self.shelf: Shelf[monitoring_v3.AlertPolicy] = Shelf(monitoring_v3.AlertPolicy, _POLICY)

    def create_alert_policy(
        self, request: monitoring_v3.CreateAlertPolicyRequest
    ) -> monitoring_v3.AlertPolicy:
        """Make a policy."""
        wanted = monitoring_v3.AlertPolicy(request.alert_policy)
        if wanted.name:
            raise invalid("alert_policy.name: must not be set")
        wanted.name = self._new_name(request.name, "alertPolicies")
        self._check(wanted)
        return self.shelf.add(wanted.name, wanted)

    def get_alert_policy(self, request: monitoring_v3.GetAlertPolicyRequest) -> monitoring_v3.AlertPolicy:
        """Return a policy."""
        return self.shelf.copy(request.name)

    def list_alert_policies(
        self, request: monitoring_v3.ListAlertPoliciesRequest
    ) -> monitoring_v3.ListAlertPoliciesResponse:
        """List the policies of a project."""
        found, token = self.shelf.page(request.name + "/", size=request.page_size, token=request.page_token)
        return monitoring_v3.ListAlertPoliciesResponse(
            alert_policies=found, next_page_token=token, total_size=len(list(self.shelf))
        )

    def update_alert_policy(
        self, request: monitoring_v3.UpdateAlertPolicyRequest
    ) -> monitoring_v3.AlertPolicy:
        """Change a policy."""
        name = request.alert_policy.name
        wanted = self.shelf.changed(name, request.alert_policy, request.update_mask, fixed=_FIXED)
        self._check(wanted)
        self.shelf.put(name, wanted)
        return self.shelf.copy(name)

    def delete_alert_policy(self, request: monitoring_v3.DeleteAlertPolicyRequest) -> Empty:
        """Remove a policy."""
        self.shelf.remove(request.name)
        return Empty()

    def _check(self, policy: monitoring_v3.AlertPolicy) -> None:
        if not policy.display_name:
            raise invalid("alert_policy.display_name: must be set")
        if not 1 <= len(policy.conditions) <= _MOST_CONDITIONS:
            raise invalid(f"alert_policy.conditions: must be 1 to {_MOST_CONDITIONS}")
        if not policy.combiner:
            raise invalid("alert_policy.combiner: must be set")
        for number, condition in enumerate(policy.conditions):
            kinds = monitoring_v3.AlertPolicy.Condition.pb(condition).WhichOneof("condition")
            if kinds is None or not condition.display_name:
                raise invalid(f"alert_policy.conditions[{number}]: must have a display_name and a condition")
            condition.name = condition.name or f"{policy.name}/conditions/{next(self._whole.numbers)}"
        for channel in policy.notification_channels:
            if channel not in self._whole.channels.shelf:
                raise not_found(f"alert_policy.notification_channels: {channel}")


class FakeUptime(_Part):
    """The service UptimeCheckService."""

    def __init__(self, whole: FakeMonitoring) -> None:
        super().__init__(whole)
        self._shelf: Shelf[monitoring_v3.UptimeCheckConfig] = Shelf(monitoring_v3.UptimeCheckConfig, _UPTIME)

    def create_uptime_check_config(
        self, request: monitoring_v3.CreateUptimeCheckConfigRequest
    ) -> monitoring_v3.UptimeCheckConfig:
        """Make a check."""
        wanted = monitoring_v3.UptimeCheckConfig(request.uptime_check_config)
        raw = monitoring_v3.UptimeCheckConfig.pb(wanted)
        if not wanted.display_name:
            raise invalid("uptime_check_config.display_name: must be set")
        if raw.WhichOneof("resource") is None or raw.WhichOneof("check_request_type") is None:
            raise invalid("uptime_check_config: must have a resource, and what to ask it for")
        if wanted.period and wanted.period.total_seconds() not in (60, 300, 600, 900):
            raise invalid("uptime_check_config.period: must be 60s, 300s, 600s or 900s")
        if wanted.timeout and not 1 <= wanted.timeout.total_seconds() <= 60:
            raise invalid("uptime_check_config.timeout: must be from 1 to 60 seconds")
        wanted.name = self._new_name(request.parent, "uptimeCheckConfigs")
        return self._shelf.add(wanted.name, wanted)

    def get_uptime_check_config(
        self, request: monitoring_v3.GetUptimeCheckConfigRequest
    ) -> monitoring_v3.UptimeCheckConfig:
        """Return a check."""
        return self._shelf.copy(request.name)

    def list_uptime_check_configs(
        self, request: monitoring_v3.ListUptimeCheckConfigsRequest
    ) -> monitoring_v3.ListUptimeCheckConfigsResponse:
        """List the checks of a project."""
        prefix = request.parent + "/"
        found, token = self._shelf.page(prefix, size=request.page_size, token=request.page_token)
        return monitoring_v3.ListUptimeCheckConfigsResponse(uptime_check_configs=found, next_page_token=token)

    def delete_uptime_check_config(self, request: monitoring_v3.DeleteUptimeCheckConfigRequest) -> Empty:
        """Remove a check."""
        self._shelf.remove(request.name)
        return Empty()


class FakeDashboards(_Part):
    """The service DashboardsService."""

    def __init__(self, whole: FakeMonitoring) -> None:
        super().__init__(whole)
        self._shelf: Shelf[monitoring_dashboard_v1.Dashboard] = Shelf(
            monitoring_dashboard_v1.Dashboard, _DASHBOARD, etag="etag"
        )

    def create_dashboard(
        self, request: monitoring_dashboard_v1.CreateDashboardRequest
    ) -> monitoring_dashboard_v1.Dashboard:
        """Make a dashboard."""
        wanted = monitoring_dashboard_v1.Dashboard(request.dashboard)
        _check_layout(wanted)
        wanted.name = wanted.name or self._new_name(request.parent, "dashboards")
        if request.validate_only:
            return wanted
        return self._shelf.add(wanted.name, wanted)

    def get_dashboard(
        self, request: monitoring_dashboard_v1.GetDashboardRequest
    ) -> monitoring_dashboard_v1.Dashboard:
        """Return a dashboard."""
        return self._shelf.copy(request.name)

    def list_dashboards(
        self, request: monitoring_dashboard_v1.ListDashboardsRequest
    ) -> monitoring_dashboard_v1.ListDashboardsResponse:
        """List the dashboards of a project."""
        prefix = request.parent + "/"
        found, token = self._shelf.page(prefix, size=request.page_size, token=request.page_token)
        return monitoring_dashboard_v1.ListDashboardsResponse(dashboards=found, next_page_token=token)

    def update_dashboard(
        self, request: monitoring_dashboard_v1.UpdateDashboardRequest
    ) -> monitoring_dashboard_v1.Dashboard:
        """Put another in a dashboard's place; its etag says which it was made from."""
        name = request.dashboard.name
        self._shelf.check_etag(name, request.dashboard.etag)
        wanted = monitoring_dashboard_v1.Dashboard(request.dashboard)
        _check_layout(wanted)
        self._shelf.put(name, wanted)
        return self._shelf.copy(name)

    def delete_dashboard(self, request: monitoring_dashboard_v1.DeleteDashboardRequest) -> Empty:
        """Remove a dashboard."""
        self._shelf.remove(request.name)
        return Empty()


def _check_layout(dashboard: monitoring_dashboard_v1.Dashboard) -> None:
    if monitoring_dashboard_v1.Dashboard.pb(dashboard).WhichOneof("layout") is None:
        raise invalid("dashboard.layout: must be set")


def _check_own(kind: str) -> None:
    if _OWN_METRIC.fullmatch(kind) is None:
        raise invalid(f"metric.type: {kind!r} is not a metric of one's own (custom.googleapis.com/…)")


def _key(series: monitoring_v3.TimeSeries) -> bytes:
    whole = monitoring_v3.TimeSeries(metric=series.metric, resource=series.resource)
    return bytes(monitoring_v3.TimeSeries.pb(whole).SerializeToString(deterministic=True))


def _comparisons(text: str) -> dict[str, str]:
    found, at = {}, 0
    while at < len(text.rstrip()):
        match = _COMPARISON.match(text, at)
        if match is None:
            raise invalid(f"filter: syntax error at column {at + 1}; this fake compares with = and AND")
        found[match["path"]] = match["value"]
        at = match.end()
    return found


def _attribute(series: monitoring_v3.TimeSeries, path: str) -> Any:
    of, _, rest = path.partition(".")
    part = {"metric": series.metric, "resource": series.resource}.get(of)
    if part is None:
        raise invalid(f"filter: {path!r} is not known to this fake")
    if rest == "type":
        return part.type
    for prefix in ("labels.", "label."):
        if rest.startswith(prefix):
            return part.labels.get(rest.removeprefix(prefix))
    raise invalid(f"filter: {path!r} is not known to this fake")
