"""Cloud Logging: entries, sinks, buckets with locked retention, and metrics from logs.

source  cloud.google.com/logging/docs/reference/v2/rpc; what it has beyond is UNIMPLEMENTED
"""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from google.cloud.logging_v2 import types
from google.protobuf.empty_pb2 import Empty

from fakes.api import DAY_SECONDS, FakeApi
from fakes.faults import Faults
from fakes.grpc_server import GrpcServer
from fakes.log_filter import parse_filter
from fakes.names import Name
from fakes.pages import page_of
from fakes.refusal import Refused, invalid
from fakes.shelf import Shelf

_PROJECT = Name("projects/{project}")
_LOG = Name("projects/{project}/logs/{log}", r"[A-Za-z0-9._%~-]{1,511}")
_SINK = Name("projects/{project}/sinks/{sink}", r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BUCKET = Name(
    "projects/{project}/locations/{location}/buckets/{bucket}", r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
)
_METRIC = Name("projects/{project}/metrics/{metric}", r"[A-Za-z0-9_.,+!*',()%/-]{1,100}")
_DESTINATION = re.compile(
    r"storage\.googleapis\.com/[^/]+"
    r"|bigquery\.googleapis\.com/projects/[^/]+/datasets/[^/]+"
    r"|pubsub\.googleapis\.com/projects/[^/]+/topics/[^/]+"
    r"|logging\.googleapis\.com/projects/[^/]+(/locations/[^/]+/buckets/[^/]+)?"
)
_MOST_ENTRY_BYTES = 256 * 1024
_MOST_REQUEST_BYTES = 10 * 1024 * 1024
_USUAL_RETENTION_DAYS, _LONGEST_RETENTION_DAYS = 30, 3650
_DELETED_DAYS = 7

_Lifecycle = types.LifecycleState


@dataclass
class _Kept:
    """What the three services of the API share."""

    entries: list[types.LogEntry] = field(default_factory=list)
    seen: set[tuple[str, float, str]] = field(default_factory=set)


class FakeLogging(FakeApi):
    """The service LoggingServiceV2; `config` and `metrics` are the others."""

    api: ClassVar[str] = "logging"

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        super().__init__(clock, faults)
        self._kept = _Kept()
        self.config = FakeLogConfig(self)
        self.metrics = FakeLogMetrics(self)

    @property
    def entries(self) -> list[types.LogEntry]:
        """Every entry that was written, oldest first."""
        with self.lock:
            return list(self._kept.entries)

    def install(self, server: GrpcServer) -> None:
        """Serve all three."""
        server.serve(
            "google.logging.v2.LoggingServiceV2",
            self,
            unrouted=frozenset({"WriteLogEntries"}),
            # The request gives them to entries that have none.
            excused=frozenset({"WriteLogEntries.entries.log_name", "WriteLogEntries.entries.resource"}),
        )
        server.serve("google.logging.v2.ConfigServiceV2", self.config)
        server.serve("google.logging.v2.MetricsServiceV2", self.metrics)

    def write_log_entries(self, request: types.WriteLogEntriesRequest) -> types.WriteLogEntriesResponse:
        """Write entries; one with the name, instant and insert id of another is written once."""
        if types.WriteLogEntriesRequest.pb(request).ByteSize() > _MOST_REQUEST_BYTES:
            raise invalid("the request must be at most 10 MiB")
        good: list[types.LogEntry] = []
        failure: Refused | None = None
        for number, given in enumerate(request.entries):
            try:
                good.append(self._completed(given, request))
            except Refused as refused:
                failure = failure or invalid(f"entries[{number}]: {refused.message}")
        if failure is not None and not request.partial_success:
            raise failure
        if not request.dry_run:
            for entry in good:
                self._keep(entry)
        if failure is not None:
            raise failure
        return types.WriteLogEntriesResponse()

    def list_log_entries(self, request: types.ListLogEntriesRequest) -> types.ListLogEntriesResponse:
        """List the entries that fit a filter, oldest first unless the order says otherwise."""
        for name in request.resource_names:
            _PROJECT.parse(name)
        fits = parse_filter(request.filter)
        if request.order_by not in ("", "timestamp asc", "timestamp desc"):
            raise invalid("order_by: must be 'timestamp asc' or 'timestamp desc'")
        prefixes = tuple(f"{name}/logs/" for name in request.resource_names)
        found = [entry for entry in self._kept.entries if entry.log_name.startswith(prefixes) and fits(entry)]
        is_falling = request.order_by == "timestamp desc"
        found.sort(key=lambda entry: (entry.timestamp, entry.insert_id), reverse=is_falling)
        entries, token = page_of(found, size=request.page_size, token=request.page_token)
        return types.ListLogEntriesResponse(entries=entries, next_page_token=token)

    def list_logs(self, request: types.ListLogsRequest) -> types.ListLogsResponse:
        """List the names of the logs of a project that have entries."""
        _PROJECT.parse(request.parent)
        prefix = f"{request.parent}/logs/"
        names = sorted({entry.log_name for entry in self._kept.entries if entry.log_name.startswith(prefix)})
        found, token = page_of(names, size=request.page_size, token=request.page_token)
        return types.ListLogsResponse(log_names=found, next_page_token=token)

    def delete_log(self, request: types.DeleteLogRequest) -> Empty:
        """Delete the entries of a log."""
        _LOG.parse(request.log_name)
        self._kept.entries = [entry for entry in self._kept.entries if entry.log_name != request.log_name]
        return Empty()

    def _completed(self, given: types.LogEntry, request: types.WriteLogEntriesRequest) -> types.LogEntry:
        entry = types.LogEntry(given)
        entry.log_name = entry.log_name or request.log_name
        if not entry.log_name:
            raise invalid("log_name: must be set in the entry or in the request")
        _LOG.parse(entry.log_name)
        if not entry.resource.type:
            entry.resource = request.resource
        if not entry.resource.type:
            raise invalid("resource: must be set in the entry or in the request")
        entry.labels = dict(request.labels) | dict(entry.labels)
        entry.timestamp = entry.timestamp or self.now()
        if entry.timestamp.timestamp() > self.clock() + DAY_SECONDS:
            raise invalid("timestamp: must not be more than 24 hours in the future")
        entry.insert_id = entry.insert_id or uuid.uuid4().hex
        entry.receive_timestamp = self.now()
        if types.LogEntry.pb(entry).ByteSize() > _MOST_ENTRY_BYTES:
            raise invalid("Log entry with size over 256 KiB exceeds maximum size")
        return entry

    def _keep(self, entry: types.LogEntry) -> None:
        key = (entry.log_name, entry.timestamp.timestamp(), entry.insert_id)
        if key not in self._kept.seen:
            self._kept.seen.add(key)
            self._kept.entries.append(entry)


class FakeLogConfig(FakeApi):
    """The service ConfigServiceV2: sinks and buckets."""

    api: ClassVar[str] = "logging"

    def __init__(self, logs: FakeLogging) -> None:
        super().__init__(logs.clock, logs.faults)
        self.lock = logs.lock
        self._sinks: Shelf[types.LogSink] = Shelf(types.LogSink, _SINK)
        self._buckets: Shelf[types.LogBucket] = Shelf(types.LogBucket, _BUCKET)
        self._deleted_at: dict[str, float] = {}

    def create_sink(self, request: types.CreateSinkRequest) -> types.LogSink:
        """Make a sink, with an identity that needs the right to write where it leads."""
        _PROJECT.parse(request.parent)
        wanted = types.LogSink(request.sink)
        name = f"{request.parent}/sinks/{wanted.name}"
        self._check_sink(wanted)
        wanted.create_time = wanted.update_time = self.now()
        is_same_project = wanted.destination.startswith(f"logging.googleapis.com/{request.parent}/")
        if not is_same_project:
            account = uuid.uuid4().hex[:12] if request.unique_writer_identity else "cloud-logs"
            wanted.writer_identity = f"serviceAccount:{account}@gcp-sa-logging.iam.gserviceaccount.com"
        return self._sinks.add(name, wanted)

    def get_sink(self, request: types.GetSinkRequest) -> types.LogSink:
        """Return a sink."""
        return self._sinks.copy(request.sink_name)

    def list_sinks(self, request: types.ListSinksRequest) -> types.ListSinksResponse:
        """List the sinks of a project."""
        _PROJECT.parse(request.parent)
        prefix = f"{request.parent}/sinks/"
        found, token = self._sinks.page(prefix, size=request.page_size, token=request.page_token)
        return types.ListSinksResponse(sinks=found, next_page_token=token)

    def update_sink(self, request: types.UpdateSinkRequest) -> types.LogSink:
        """Change a sink."""
        fixed = {"name", "writer_identity", "create_time", "update_time", "output_version_format"}
        wanted = self._sinks.changed(request.sink_name, request.sink, request.update_mask, fixed=fixed)
        self._check_sink(wanted)
        wanted.update_time = self.now()
        self._sinks.put(request.sink_name, wanted)
        return self._sinks.copy(request.sink_name)

    def delete_sink(self, request: types.DeleteSinkRequest) -> Empty:
        """Remove a sink; the two that every project has stay."""
        if request.sink_name.endswith(("/_Default", "/_Required")):
            raise invalid(f"{request.sink_name} cannot be deleted.")
        self._sinks.remove(request.sink_name)
        return Empty()

    def create_bucket(self, request: types.CreateBucketRequest) -> types.LogBucket:
        """Make a bucket of entries."""
        name = f"{request.parent}/buckets/{request.bucket_id}"
        wanted = types.LogBucket(request.bucket)
        wanted.name, wanted.create_time, wanted.update_time = name, self.now(), self.now()
        wanted.retention_days = wanted.retention_days or _USUAL_RETENTION_DAYS
        wanted.lifecycle_state = _Lifecycle.ACTIVE
        _check_retention(wanted)
        return self._buckets.add(name, wanted)

    def get_bucket(self, request: types.GetBucketRequest) -> types.LogBucket:
        """Return a bucket."""
        self._let_time_pass()
        return self._buckets.copy(request.name)

    def list_buckets(self, request: types.ListBucketsRequest) -> types.ListBucketsResponse:
        """List the buckets of a place; "-" is every place."""
        self._let_time_pass()
        prefix = f"{request.parent}/buckets/"
        if request.parent.endswith("/locations/-"):
            prefix = request.parent.removesuffix("-")
        found, token = self._buckets.page(prefix, size=request.page_size, token=request.page_token)
        return types.ListBucketsResponse(buckets=found, next_page_token=token)

    def update_bucket(self, request: types.UpdateBucketRequest) -> types.LogBucket:
        """Change a bucket; one that is locked keeps its retention, and its lock, for ever."""
        self._let_time_pass()
        before = self._buckets.get(request.name)
        fixed = {"name", "create_time", "update_time", "lifecycle_state"}
        wanted = self._buckets.changed(request.name, request.bucket, request.update_mask, fixed=fixed)
        _check_retention(wanted)
        if before.locked and (not wanted.locked or wanted.retention_days != before.retention_days):
            raise Refused("FAILED_PRECONDITION", f"{request.name} is locked.")
        wanted.update_time = self.now()
        self._buckets.put(request.name, wanted)
        return self._buckets.copy(request.name)

    def delete_bucket(self, request: types.DeleteBucketRequest) -> Empty:
        """Have a bucket gone in seven days; one that is locked stays while it holds anything."""
        self._let_time_pass()
        bucket = self._buckets.get(request.name)
        if bucket.locked:
            raise Refused("FAILED_PRECONDITION", f"{request.name} is locked and holds entries.")
        bucket.lifecycle_state = _Lifecycle.DELETE_REQUESTED
        self._deleted_at[request.name] = self.clock() + _DELETED_DAYS * DAY_SECONDS
        return Empty()

    def undelete_bucket(self, request: types.UndeleteBucketRequest) -> Empty:
        """Keep a bucket that was to be gone."""
        self._let_time_pass()
        bucket = self._buckets.get(request.name)
        if bucket.lifecycle_state != _Lifecycle.DELETE_REQUESTED:
            raise Refused("FAILED_PRECONDITION", f"{request.name} is not to be deleted.")
        bucket.lifecycle_state = _Lifecycle.ACTIVE
        del self._deleted_at[request.name]
        return Empty()

    def _check_sink(self, wanted: types.LogSink) -> None:
        if _DESTINATION.fullmatch(wanted.destination) is None:
            raise invalid(f"sink.destination: {wanted.destination!r} is not a destination.")
        parse_filter(wanted.filter)

    def _let_time_pass(self) -> None:
        for name, due in list(self._deleted_at.items()):
            if due <= self.clock():
                self._buckets.remove(name)
                del self._deleted_at[name]


class FakeLogMetrics(FakeApi):
    """The service MetricsServiceV2."""

    api: ClassVar[str] = "logging"

    def __init__(self, logs: FakeLogging) -> None:
        super().__init__(logs.clock, logs.faults)
        self.lock = logs.lock
        self._metrics: Shelf[types.LogMetric] = Shelf(types.LogMetric, _METRIC)

    def create_log_metric(self, request: types.CreateLogMetricRequest) -> types.LogMetric:
        """Make a metric that counts entries."""
        _PROJECT.parse(request.parent)
        wanted = types.LogMetric(request.metric)
        parse_filter(wanted.filter)
        wanted.create_time = wanted.update_time = self.now()
        return self._metrics.add(f"{request.parent}/metrics/{wanted.name}", wanted)

    def get_log_metric(self, request: types.GetLogMetricRequest) -> types.LogMetric:
        """Return a metric."""
        return self._metrics.copy(request.metric_name)

    def list_log_metrics(self, request: types.ListLogMetricsRequest) -> types.ListLogMetricsResponse:
        """List the metrics of a project."""
        _PROJECT.parse(request.parent)
        prefix = f"{request.parent}/metrics/"
        found, token = self._metrics.page(prefix, size=request.page_size, token=request.page_token)
        return types.ListLogMetricsResponse(metrics=found, next_page_token=token)

    def delete_log_metric(self, request: types.DeleteLogMetricRequest) -> Empty:
        """Remove a metric."""
        self._metrics.remove(request.metric_name)
        return Empty()


def _check_retention(bucket: types.LogBucket) -> None:
    if not 1 <= bucket.retention_days <= _LONGEST_RETENTION_DAYS:
        raise invalid(f"bucket.retention_days: must be from 1 to {_LONGEST_RETENTION_DAYS}")
