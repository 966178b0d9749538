"""The fake Cloud Tasks delivers over real HTTP: when, how often, with what headers and by what token."""

import json
import threading
import time
from itertools import pairwise
from typing import Any

import jwt
import pytest
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.auth.transport import requests
from google.oauth2 import id_token
from tasks_desk import LOCATION, QUEUE

from fakes.cloud import FakeCloud
from fakes.tasks_queue import Answer
from fakes.tasks_tokens import TokenSigner
from fakes.worker import Delivered, FakeWorker, Said

ACCOUNT = "dispatcher@audobon-test.iam.gserviceaccount.com"


def make(client: Any, worker: FakeWorker, name: str | None = None, *, path: str = "/", **task: Any) -> Any:
    request = {"http_request": {"url": worker.url + path, "body": b'{"task":1}'}, **task}
    if name is not None:
        request["name"] = f"{QUEUE}/tasks/{name}"
    return client.create_task(parent=QUEUE, task=request)


def retry_counts(worker: FakeWorker) -> list[str]:
    return [each.headers["x-cloudtasks-taskretrycount"] for each in worker.delivered]


def test_a_delivery_is_what_was_asked_for_with_the_headers_of_cloud_tasks(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker
) -> None:
    headers = {"Content-Type": "application/json", "X-Own": "yes", "X-Google-Fake": "no", "User-Agent": "no"}
    call = {"url": f"{worker.url}/tasks/run?a=b", "body": b'{"task":1}', "headers": headers}
    make(client, worker, "named", http_request=call)
    assert cloud.tasks.deliver() == 1
    (delivered,) = worker.delivered
    assert (delivered.method, delivered.path, delivered.body) == ("POST", "/tasks/run?a=b", b'{"task":1}')
    assert {name: value for name, value in delivered.headers.items() if name.startswith("x-")} == {
        "x-own": "yes",
        "x-cloudtasks-queuename": "audobon-batch-normal",
        "x-cloudtasks-taskname": "named",
        "x-cloudtasks-taskretrycount": "0",
        "x-cloudtasks-taskexecutioncount": "0",
        "x-cloudtasks-tasketa": "1800000000.000000",
    }
    assert delivered.headers["user-agent"] == "Google-Cloud-Tasks"
    assert "authorization" not in delivered.headers
    with pytest.raises(exceptions.NotFound):
        client.get_task(name=f"{queue}/tasks/named")


def test_what_fails_is_tried_again_at_the_documented_instants(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker
) -> None:
    worker.handle = lambda _: Said(500)
    made = make(client, worker)
    began = cloud.clock()
    instants = []
    for _ in range(8):
        while cloud.tasks.deliver() == 0:
            cloud.clock.turn(1.0)
        instants.append(cloud.clock() - began)
    waits = [after - before for before, after in pairwise(instants)]
    assert waits == [10, 20, 40, 80, 160, 240, 300]
    assert retry_counts(worker) == list("01234567")
    task = client.get_task(name=made.name)
    assert (task.dispatch_count, task.response_count) == (8, 8)
    assert task.last_attempt.response_status.code == 2
    assert worker.delivered[-1].headers["x-cloudtasks-taskpreviousresponse"] == "500"


@pytest.mark.parametrize(("status", "code"), [(503, 14), (429, 8), (404, 5), (302, 2), (0, 14)])
def test_anything_but_2xx_is_a_failure(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker, status: int, code: int
) -> None:
    worker.handle = lambda _: Said(status)
    made = make(client, worker)
    cloud.tasks.deliver()
    assert client.get_task(name=made.name).last_attempt.response_status.code == code


def test_a_worker_that_asks_for_rest_gets_it(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker
) -> None:
    worker.handle = lambda _: Said(503, {"Retry-After": "25"})
    make(client, worker)
    cloud.tasks.deliver()
    cloud.clock.turn(24.0)
    assert cloud.tasks.deliver() == 0
    cloud.clock.turn(1.0)
    assert cloud.tasks.deliver() == 1


def test_a_task_whose_attempts_are_used_up_is_deleted_without_a_word(
    client: Any, cloud: FakeCloud, worker: FakeWorker
) -> None:
    worker.handle = lambda _: Said(500)
    retry = {"max_attempts": 3, "min_backoff": {"seconds": 1}, "max_backoff": {"seconds": 1}}
    client.create_queue(parent=LOCATION, queue={"name": QUEUE, "retry_config": retry})
    make(client, worker)
    for _ in range(9):
        cloud.tasks.deliver()
        cloud.clock.turn(1.0)
    assert len(worker.delivered) == 3
    assert list(client.list_tasks(parent=QUEUE)) == []


def test_a_task_that_never_succeeds_is_deleted_after_a_month(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker
) -> None:
    worker.handle = lambda _: Said(500)
    make(client, worker)
    cloud.tasks.deliver()
    cloud.clock.turn(31 * 86400.0 + 1.0)
    assert cloud.tasks.deliver() == 0
    assert list(client.list_tasks(parent=queue)) == []


def test_a_task_waits_for_its_time(client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker) -> None:
    make(client, worker, schedule_time={"seconds": 1_800_000_060})
    cloud.clock.turn(59.0)
    assert cloud.tasks.deliver() == 0
    cloud.clock.turn(1.0)
    assert cloud.tasks.deliver() == 1


def test_no_more_go_than_the_rate_and_the_concurrency_allow(
    client: Any, cloud: FakeCloud, worker: FakeWorker
) -> None:
    limits = {"max_dispatches_per_second": 5, "max_concurrent_dispatches": 3}
    client.create_queue(parent=LOCATION, queue={"name": QUEUE, "rate_limits": limits})
    for _ in range(20):
        make(client, worker)
    begun = cloud.tasks.begin()
    assert len(begun) == 3
    assert cloud.tasks.begin() == []
    for attempt in begun:
        cloud.tasks.settle(attempt, Answer(200))
    assert cloud.tasks.deliver() == 2
    assert cloud.tasks.deliver() == 0
    cloud.clock.turn(1.0)
    assert cloud.tasks.deliver() == 5


def test_after_the_deadline_nobody_listens_and_the_task_is_delivered_again(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker
) -> None:
    made = make(client, worker, dispatch_deadline={"seconds": 15})
    (first,) = cloud.tasks.begin()
    cloud.clock.turn(15.0)
    assert cloud.tasks.begin() == []
    assert client.get_task(name=made.name).last_attempt.response_status.code == 4
    cloud.clock.turn(10.0)
    (second,) = cloud.tasks.begin()
    cloud.tasks.settle(first, Answer(200))
    assert client.get_task(name=made.name).dispatch_count == 2
    cloud.tasks.settle(second, Answer(200))
    with pytest.raises(exceptions.NotFound):
        client.get_task(name=made.name)


def test_a_paused_queue_delivers_nothing_until_it_is_resumed_but_what_is_run(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker
) -> None:
    assert client.pause_queue(name=queue).state.name == "PAUSED"
    make(client, worker, path="/a")
    run = make(client, worker, path="/b")
    assert cloud.tasks.deliver() == 0
    assert client.run_task(name=run.name).dispatch_count == 1
    assert cloud.tasks.deliver() == 1
    assert client.resume_queue(name=queue).state.name == "RUNNING"
    assert cloud.tasks.deliver() == 1
    assert [each.path for each in worker.delivered] == ["/b", "/a"]


@pytest.mark.parametrize(
    ("fault", "deliveries"), [("duplicate", 2), ("forgotten", 2), ("lost", 0), ("late", 1)]
)
def test_faults_strike_deliveries(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker, fault: Any, deliveries: int
) -> None:
    cloud.tasks.deliveries.strike_next(fault)
    make(client, worker)
    cloud.tasks.deliver()
    for _ in range(6):
        cloud.clock.turn(10.0)
        cloud.tasks.deliver()
    assert len(worker.delivered) == deliveries
    assert cloud.tasks.deliveries.struck[fault] == 1
    assert list(client.list_tasks(parent=queue)) == []


def test_deliveries_that_are_due_may_come_in_any_order(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker
) -> None:
    cloud.tasks.deliveries.is_shuffled = True
    for number in range(20):
        make(client, worker, path=f"/{number:02}")
    cloud.tasks.deliver()
    paths = [each.path for each in worker.delivered]
    assert paths != sorted(paths)
    assert len(set(paths)) == 20


def test_what_is_due_goes_by_itself_once_the_fake_runs(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker
) -> None:
    cloud.tasks.start()
    made = [make(client, worker) for _ in range(30)]
    until = time.monotonic() + 30
    while list(client.list_tasks(parent=queue)) and time.monotonic() < until:
        pass
    names = {each.headers["x-cloudtasks-taskname"] for each in worker.delivered}
    assert names == {task.name.rpartition("/")[2] for task in made}


def test_a_token_is_verified_by_googles_own_library_and_a_forged_one_is_not(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker
) -> None:
    cloud.tasks.signer = signer = TokenSigner()
    cloud.tasks._courier._signer = signer
    call = {
        "url": worker.url,
        "oidc_token": {"service_account_email": ACCOUNT, "audience": "https://service"},
    }
    make(client, worker, http_request=call)
    cloud.tasks.deliver()
    kind, _, token = worker.delivered[0].headers["authorization"].partition(" ")
    assert kind == "Bearer"

    def verified(token: str, audience: str = "https://service") -> Any:
        url = f"http://127.0.0.1:{cloud.http.port}/oauth2/v3/certs"
        return id_token.verify_token(token, requests.Request(), audience=audience, certs_url=url)

    claims = verified(token)
    assert (claims["email"], claims["aud"], claims["email_verified"]) == (ACCOUNT, "https://service", True)
    assert claims["iss"] == "https://accounts.google.com"
    now = int(time.time())
    wrong = [
        signer.token(account=ACCOUNT, audience="https://other"),
        signer.token(account=ACCOUNT, audience="https://service", iat=now - 7200, exp=now - 3600),
        TokenSigner().token(account=ACCOUNT, audience="https://service"),
        jwt.encode({"email": ACCOUNT, "aud": "https://service"}, "secret" * 8, headers={"kid": "test-key"}),
        token[:-4] + "AAAA",
    ]
    for each in wrong:
        with pytest.raises((GoogleAuthError, ValueError, jwt.PyJWTError)):
            verified(each)


def test_a_token_is_for_the_url_when_no_audience_is_said(
    client: Any, queue: str, cloud: FakeCloud, worker: FakeWorker
) -> None:
    url = f"{worker.url}/tasks/run"
    make(client, worker, http_request={"url": url, "oidc_token": {"service_account_email": ACCOUNT}})
    cloud.tasks.deliver()
    token = worker.delivered[0].headers["authorization"].removeprefix("Bearer ")
    assert jwt.decode(token, options={"verify_signature": False})["aud"] == url


def test_a_worker_that_cannot_be_reached_is_tried_again(client: Any, queue: str, cloud: FakeCloud) -> None:
    with FakeWorker() as gone:
        url = gone.url
    made = client.create_task(parent=queue, task={"http_request": {"url": url}})
    cloud.tasks.deliver()
    task = client.get_task(name=made.name)
    assert (task.dispatch_count, task.response_count) == (1, 0)
    assert task.last_attempt.response_status.code == 14


def test_many_deliveries_go_at_once_and_a_slow_worker_holds_nobody_else_up(
    client: Any, queue: str, cloud: FakeCloud
) -> None:
    gate = threading.Event()

    def answer(delivered: Delivered) -> Said:
        if json.loads(delivered.body)["task"] == 0:
            gate.wait()
        return Said()

    with FakeWorker(answer) as worker:
        cloud.tasks.start()
        for number in range(5):
            body = json.dumps({"task": number}).encode()
            client.create_task(parent=queue, task={"http_request": {"url": worker.url, "body": body}})
        until = time.monotonic() + 30
        while len(list(client.list_tasks(parent=queue))) > 1 and time.monotonic() < until:
            pass
        (left,) = client.list_tasks(parent=queue)
        gate.set()
        while list(client.list_tasks(parent=queue)) and time.monotonic() < until:
            pass
        assert left.dispatch_count == 1
        assert list(client.list_tasks(parent=queue)) == []
