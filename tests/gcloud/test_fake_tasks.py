"""The fake Cloud Tasks, through Google's own client: names, limits, queues, tasks."""

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions
from tasks_desk import LOCATION, QUEUE

from fakes.cloud import FakeCloud
from fakes.worker import FakeWorker

URL = "https://worker.example/tasks/run"


def make(client: Any, name: str | None = None, *, parent: str = QUEUE, **task: Any) -> Any:
    request = {"http_request": {"url": URL, "body": b"{}"}, **task}
    if name is not None:
        request["name"] = f"{parent}/tasks/{name}"
    return client.create_task(parent=parent, task=request)


def test_a_queue_that_says_nothing_gets_the_defaults(client: Any) -> None:
    made = client.create_queue(parent=LOCATION, queue={"name": f"{LOCATION}/queues/plain"})
    assert (made.state.name, made.rate_limits.max_dispatches_per_second) == ("RUNNING", 500.0)
    assert (made.rate_limits.max_concurrent_dispatches, made.rate_limits.max_burst_size) == (1000, 500)
    assert (made.retry_config.max_attempts, made.retry_config.max_doublings) == (100, 16)
    assert made.retry_config.min_backoff.total_seconds() == 0.1
    assert made.retry_config.max_backoff.total_seconds() == 3600.0
    assert client.get_queue(name=made.name) == made


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": f"{LOCATION}/queues/under_score"},
        {"name": f"{LOCATION}/queues/{'x' * 101}"},
        {"name": "projects/other/locations/us-central1/queues/elsewhere"},
        {"rate_limits": {"max_dispatches_per_second": 501}},
        {"rate_limits": {"max_concurrent_dispatches": 5001}},
        {"retry_config": {"max_attempts": -2}},
        {"retry_config": {"min_backoff": {"seconds": 9}, "max_backoff": {"seconds": 8}}},
    ],
    ids=str,
)
def test_a_queue_that_may_not_be_is_refused(client: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        client.create_queue(parent=LOCATION, queue={"name": f"{LOCATION}/queues/q", **wrong})
    assert list(client.list_queues(parent=LOCATION)) == []


def test_a_queues_name_is_its_own_and_barred_for_a_week_after_it(
    client: Any, queue: str, cloud: FakeCloud
) -> None:
    with pytest.raises(exceptions.AlreadyExists):
        client.create_queue(parent=LOCATION, queue={"name": queue})
    client.delete_queue(name=queue)
    with pytest.raises(exceptions.NotFound):
        client.get_queue(name=queue)
    with pytest.raises(exceptions.FailedPrecondition, match="existed too recently"):
        client.create_queue(parent=LOCATION, queue={"name": queue})
    with pytest.raises(exceptions.FailedPrecondition, match="existed recently"):
        make(client)
    cloud.clock.turn(7 * 86400.0)
    client.create_queue(parent=LOCATION, queue={"name": queue})


def test_an_update_changes_what_its_mask_names_and_never_the_state(client: Any, queue: str) -> None:
    client.pause_queue(name=queue)
    changed = client.update_queue(
        queue={"name": queue, "rate_limits": {"max_dispatches_per_second": 7}, "state": "RUNNING"},
        update_mask={"paths": ["rate_limits.max_dispatches_per_second"]},
    )
    assert (changed.state.name, changed.rate_limits.max_burst_size) == ("PAUSED", 7)
    assert changed.retry_config.max_doublings == 3
    assert client.get_queue(name=queue) == changed
    made = client.update_queue(queue={"name": f"{LOCATION}/queues/new"})
    assert (made.state.name, made.rate_limits.max_burst_size) == ("RUNNING", 500)


def test_lists_come_by_pages(client: Any, queue: str) -> None:
    names = [make(client, f"task-{number}").name for number in range(5)]
    pages = list(client.list_tasks(request={"parent": queue, "page_size": 2}).pages)
    assert [[task.name for task in page.tasks] for page in pages] == [names[:2], names[2:4], names[4:]]
    assert [each.name for each in client.list_queues(parent=LOCATION)] == [queue]


def test_a_task_shows_its_body_only_to_who_asks_for_it(client: Any, queue: str) -> None:
    made = make(client)
    assert made.view.name == "BASIC"
    assert made.http_request.body == b""
    full = client.get_task(request={"name": made.name, "response_view": "FULL"})
    assert (full.view.name, full.http_request.body) == ("FULL", b"{}")
    assert made.name.startswith(f"{queue}/tasks/")


def test_a_name_is_taken_while_its_task_is_there_and_for_a_day_after(
    client: Any, queue: str, cloud: FakeCloud
) -> None:
    made = make(client, "once")
    with pytest.raises(exceptions.AlreadyExists):
        make(client, "once")
    client.delete_task(name=made.name)
    cloud.clock.turn(86_399.0)
    with pytest.raises(exceptions.AlreadyExists):
        make(client, "once")
    cloud.clock.turn(1.0)
    assert make(client, "once").name == made.name


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": f"{QUEUE}/tasks/with.dot"},
        {"name": f"{QUEUE}/tasks/{'x' * 501}"},
        {"name": f"{LOCATION}/queues/other/tasks/t"},
        {"http_request": {"url": "ftp://worker.example"}},
        {"http_request": {"url": "https://" + "x" * 2083}},
        {"http_request": {"url": URL, "http_method": "GET", "body": b"{}"}},
        {"http_request": {"url": URL, "headers": {"X-Long": "x" * 80_000}}},
        {"http_request": {"url": URL, "body": b"x" * (1 << 20)}},
        {"http_request": {"url": URL, "oidc_token": {"service_account_email": "nobody"}}},
        {"dispatch_deadline": {"seconds": 14}},
        {"dispatch_deadline": {"seconds": 1801}},
        {"schedule_time": {"seconds": 1_800_000_000 + 31 * 86400}},
    ],
    ids=lambda wrong: str(wrong)[:60],
)
def test_a_task_that_could_not_be_delivered_is_refused(
    client: Any, queue: str, wrong: dict[str, Any]
) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        client.create_task(parent=queue, task={"http_request": {"url": URL}, **wrong})
    assert list(client.list_tasks(parent=queue)) == []


def test_a_queue_that_is_not_there_takes_no_task(client: Any) -> None:
    with pytest.raises(exceptions.FailedPrecondition, match="Queue does not exist"):
        make(client)


def test_what_is_required_and_what_is_not_imitated_is_said(client: Any, queue: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="'task' is required"):
        client.create_task(parent=queue)
    with pytest.raises(exceptions.MethodNotImplemented):
        client.create_task(parent=queue, task={"app_engine_http_request": {"relative_uri": "/"}})
    with pytest.raises(exceptions.MethodNotImplemented):
        client.batch_delete_tasks(request={"parent": queue, "names": []})


@pytest.mark.parametrize(
    "take_away",
    [
        lambda client, name: client.delete_task(name=name),
        lambda client, name: client.purge_queue(name=QUEUE),
    ],
    ids=["deleted", "purged"],
)
def test_what_is_taken_out_is_not_delivered(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker, take_away: Callable[[Any, str], object]
) -> None:
    made = make(client, http_request={"url": worker.url})
    take_away(client, made.name)
    assert cloud.tasks.deliver() == 0
    with pytest.raises(exceptions.NotFound):
        client.get_task(name=made.name)


def test_a_purged_queue_knows_when_and_takes_new_tasks(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker
) -> None:
    make(client, http_request={"url": worker.url})
    assert client.purge_queue(name=queue).purge_time.timestamp() == cloud.clock()
    make(client, http_request={"url": f"{worker.url}/after"})
    assert cloud.tasks.deliver() == 1
    assert [each.path for each in worker.delivered] == ["/after"]
