"""The Cloud Logging in effigy does what Google's does, spoken to by Google's own clients."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.logging_v2.services.config_service_v2 import ConfigServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.metrics_service_v2 import MetricsServiceV2Client
from google.cloud.logging_v2.types import LifecycleState
from google.logging.type.log_severity_pb2 import ERROR, INFO

from audobon.gcloud.clients import grpc_client
from fakes.cloud import FakeCloud

LOG = "projects/p/logs/audobon"
RESOURCE = {"type": "global"}
DAY = 86_400
BUCKET = "projects/p/locations/global/buckets/audit"


@pytest.fixture
def logs(cloud: FakeCloud) -> Iterator[LoggingServiceV2Client]:
    client = grpc_client(LoggingServiceV2Client, "logging")
    yield client
    client.transport.close()


@pytest.fixture
def config(cloud: FakeCloud) -> Iterator[ConfigServiceV2Client]:
    client = grpc_client(ConfigServiceV2Client, "logging")
    yield client
    client.transport.close()


def write(logs: LoggingServiceV2Client, *entries: dict[str, Any], **fields: Any) -> None:
    request = {"log_name": LOG, "resource": RESOURCE, "entries": entries}
    logs.write_log_entries(request | fields)


def texts(logs: LoggingServiceV2Client, filter_text: str = "", order: str = "") -> list[str]:
    request = {"resource_names": ["projects/p"], "filter": filter_text, "order_by": order}
    return [entry.text_payload for entry in logs.list_log_entries(request)]


def test_entries_are_completed_and_found_again(cloud: FakeCloud, logs: LoggingServiceV2Client) -> None:
    write(logs, {"text_payload": "one"}, {"text_payload": "two", "labels": {"a": "2"}}, labels={"a": "1"})
    first, second = cloud.logging.entries
    assert first.timestamp.timestamp() == cloud.clock()
    assert first.insert_id
    assert (dict(first.labels), dict(second.labels)) == ({"a": "1"}, {"a": "2"})
    assert sorted(texts(logs)) == ["one", "two"]
    assert list(logs.list_logs(parent="projects/p")) == [LOG]


def test_an_entry_written_twice_is_kept_once(cloud: FakeCloud, logs: LoggingServiceV2Client) -> None:
    cloud.faults.duplicate("logging.WriteLogEntries")
    entry = {"text_payload": "one", "insert_id": "x", "timestamp": {"seconds": int(cloud.clock())}}
    write(logs, entry)
    write(logs, entry)
    assert texts(logs) == ["one"]


@pytest.mark.parametrize(
    ("filter_text", "found"),
    [
        ("severity>=ERROR", ["bad"]),
        ('severity = "INFO"', ["good"]),
        ('jsonPayload.task = "7"', ["task"]),
        ('labels.page="3" AND severity>=INFO', ["bad"]),
        ('labels.page="3"\nseverity>=INFO', ["bad"]),
        ('NOT labels.page="3" severity>DEFAULT', ["good"]),
        ('logName="projects/p/logs/other"', []),
        ('resource.type = global AND textPayload:"oo"', ["good"]),
        ('textPayload =~ "^b.d$"', ["bad"]),
        ('timestamp < "2027-01-15T08:00:00Z"', []),
    ],
)
def test_filters_find_what_googles_would(
    logs: LoggingServiceV2Client, filter_text: str, found: list[str]
) -> None:
    write(
        logs,
        {"text_payload": "good", "severity": INFO},
        {"text_payload": "bad", "severity": ERROR, "labels": {"page": "3"}},
        {"json_payload": {"task": "7"}},
    )
    assert [text or "task" for text in texts(logs, filter_text)] == found


@pytest.mark.parametrize("filter_text", ["severity>=", "(a=1 OR b=2)", "severity=LOUD", 'a="1" garbage here'])
def test_a_filter_beyond_this_part_of_the_language_is_refused(
    logs: LoggingServiceV2Client, filter_text: str
) -> None:
    write(logs, {"text_payload": "one"})
    with pytest.raises(exceptions.InvalidArgument, match="Unparseable filter"):
        texts(logs, filter_text)


def test_one_bad_entry_refuses_all_unless_a_part_is_wanted(logs: LoggingServiceV2Client) -> None:
    bad = {"text_payload": "x" * 300_000}
    with pytest.raises(exceptions.InvalidArgument, match=r"entries\[1\].*256 KiB"):
        write(logs, {"text_payload": "one"}, bad)
    assert texts(logs) == []
    with pytest.raises(exceptions.InvalidArgument, match=r"entries\[1\]"):
        write(logs, {"text_payload": "one"}, bad, partial_success=True)
    assert texts(logs) == ["one"]
    write(logs, {"text_payload": "two"}, dry_run=True)
    assert texts(logs) == ["one"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"log_name": ""}, "log_name: must be set"),
        ({"log_name": "projects/p/logs/a b"}, "not a name of the form"),
        ({"resource": {}}, "resource: must be set"),
    ],
)
def test_what_has_no_place_is_refused(
    logs: LoggingServiceV2Client, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=words):
        write(logs, {"text_payload": "one"}, **fields)


def test_a_log_is_deleted_alone(logs: LoggingServiceV2Client) -> None:
    write(logs, {"text_payload": "one"})
    write(logs, {"text_payload": "two"}, log_name="projects/p/logs/other")
    logs.delete_log(log_name=LOG)
    assert texts(logs) == ["two"]


def test_a_locked_bucket_keeps_its_retention_for_ever(config: ConfigServiceV2Client) -> None:
    parent, _, name = BUCKET.rpartition("/buckets/")
    config.create_bucket({"parent": parent, "bucket_id": name, "bucket": {"retention_days": 400}})
    change = {"name": BUCKET, "bucket": {"retention_days": 500}, "update_mask": {"paths": ["retention_days"]}}
    assert config.update_bucket(change).retention_days == 500
    config.update_bucket({"name": BUCKET, "bucket": {"locked": True}, "update_mask": {"paths": ["locked"]}})
    for refused in (
        change | {"bucket": {"retention_days": 30}},
        {"name": BUCKET, "bucket": {"locked": False}, "update_mask": {"paths": ["locked"]}},
    ):
        with pytest.raises(exceptions.FailedPrecondition, match="is locked"):
            config.update_bucket(refused)
    with pytest.raises(exceptions.FailedPrecondition, match="is locked"):
        config.delete_bucket({"name": BUCKET})
    assert config.get_bucket({"name": BUCKET}).retention_days == 500


def test_a_bucket_that_is_deleted_can_be_had_back_for_a_week(
    cloud: FakeCloud, config: ConfigServiceV2Client
) -> None:
    parent, _, name = BUCKET.rpartition("/buckets/")
    config.create_bucket({"parent": parent, "bucket_id": name, "bucket": {}})
    assert config.get_bucket({"name": BUCKET}).retention_days == 30
    config.delete_bucket({"name": BUCKET})
    assert config.get_bucket({"name": BUCKET}).lifecycle_state == LifecycleState.DELETE_REQUESTED
    config.undelete_bucket({"name": BUCKET})
    config.delete_bucket({"name": BUCKET})
    cloud.clock.turn(7 * DAY + 1)  # type: ignore[attr-defined]
    with pytest.raises(exceptions.NotFound):
        config.get_bucket({"name": BUCKET})


def test_a_sink_has_an_identity_of_its_own_when_it_is_wanted(config: ConfigServiceV2Client) -> None:
    sink = {"name": "audit", "destination": "storage.googleapis.com/audit-logs", "filter": "severity>=INFO"}
    made = config.create_sink({"parent": "projects/p", "sink": sink, "unique_writer_identity": True})
    other = config.create_sink(
        {"parent": "projects/p", "sink": sink | {"name": "two"}, "unique_writer_identity": True}
    )
    assert made.writer_identity.endswith("@gcp-sa-logging.iam.gserviceaccount.com")
    assert made.writer_identity != other.writer_identity
    with pytest.raises(exceptions.AlreadyExists):
        config.create_sink({"parent": "projects/p", "sink": sink})
    with pytest.raises(exceptions.InvalidArgument, match="is not a destination"):
        config.create_sink({"parent": "projects/p", "sink": sink | {"destination": "gs://audit"}})
    with pytest.raises(exceptions.InvalidArgument, match=r"sink\.destination.*required"):
        config.create_sink({"parent": "projects/p", "sink": {"name": "three"}})


def test_a_metric_counts_by_a_filter_that_is_one(cloud: FakeCloud) -> None:
    client = grpc_client(MetricsServiceV2Client, "logging")
    made = client.create_log_metric(
        parent="projects/p", metric={"name": "dead-letters", "filter": 'jsonPayload.event="dead"'}
    )
    assert client.get_log_metric(metric_name="projects/p/metrics/dead-letters") == made
    with pytest.raises(exceptions.InvalidArgument, match="Unparseable"):
        client.create_log_metric(parent="projects/p", metric={"name": "x", "filter": ">>"})
    client.delete_log_metric(metric_name="projects/p/metrics/dead-letters")
    assert list(client.list_log_metrics(parent="projects/p")) == []
    client.transport.close()
