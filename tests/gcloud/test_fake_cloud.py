"""The frame of the fakes: strict as every API of Google is, with the faults that a test asks for."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE, Popen, run
from sys import executable
from typing import ClassVar

import grpc
import pytest
import requests
from google.api_core import exceptions
from google.cloud import kms_v1

from audobon.errors import CloudMisconfigured, CloudNotFound, CloudUnavailable, QuotaExceeded
from audobon.gcloud.clients import grpc_client, rest_session
from fakes.api import FakeApi
from fakes.cloud import FakeCloud
from fakes.http_server import HttpAnswer, HttpRequest, Route
from fakes.refusal import Refused

KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
TESTS = Path(__file__).parents[1]


@pytest.fixture
def kms(cloud: FakeCloud) -> Iterator[kms_v1.KeyManagementServiceClient]:
    cloud.kms.make_key(KEY)
    client = grpc_client(kms_v1.KeyManagementServiceClient, "kms")
    yield client
    client.transport.close()


class Notes(FakeApi):
    """Keeps what is put."""

    api: ClassVar[str] = "sqladmin"

    def __init__(self, cloud: FakeCloud) -> None:
        super().__init__(cloud.clock, cloud.faults)
        self.kept: dict[str, bytes] = {}
        self.times = 0
        cloud.http.serve(
            [
                Route("notes.put", "PUT", "/notes/{note}", self.put),
                Route("notes.get", "GET", "/notes/{note}", self.get),
                Route("notes.append", "POST", "/notes/{note}", self.append, is_told_cuts=True),
            ],
            self,
        )

    def put(self, request: HttpRequest) -> HttpAnswer:
        self.times += 1
        self.kept[request.names["note"]] = request.body
        return HttpAnswer({"kept": len(request.body)})

    def append(self, request: HttpRequest) -> HttpAnswer:
        note = request.names["note"]
        self.kept[note] = self.kept.get(note, b"") + request.body
        return HttpAnswer(status=204)

    def get(self, request: HttpRequest) -> HttpAnswer:
        if request.names["note"] not in self.kept:
            raise Refused(404, "no such note", reason="notFound")
        return HttpAnswer({"text": self.kept[request.names["note"]].decode(), **request.parameters})


@pytest.fixture
def notes(cloud: FakeCloud) -> Notes:
    return Notes(cloud)


def place(cloud: FakeCloud) -> str:
    return cloud.environment()["AUDOBON_GCP_ENDPOINT_SQLADMIN"]


def test_a_missing_field_is_refused_by_its_name(kms: kms_v1.KeyManagementServiceClient) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="'plaintext' is required"):
        kms.encrypt(name=KEY)
    with pytest.raises(exceptions.InvalidArgument, match="'key_ring_id' is required"):
        kms.create_key_ring({"parent": "projects/p/locations/l"})
    with pytest.raises(exceptions.InvalidArgument, match="'crypto_key' is required"):
        kms.create_crypto_key({"parent": KEY.partition("/crypto")[0], "crypto_key_id": "x"})


def test_a_call_without_its_routing_header_is_refused(cloud: FakeCloud) -> None:
    cloud.kms.make_key(KEY)
    request = kms_v1.GetCryptoKeyRequest(name=KEY)
    with grpc.insecure_channel(f"127.0.0.1:{cloud.grpc.port}") as channel:
        call = channel.unary_unary(
            "/google.cloud.kms.v1.KeyManagementService/GetCryptoKey",
            request_serializer=kms_v1.GetCryptoKeyRequest.serialize,
            response_deserializer=kms_v1.CryptoKey.deserialize,
        )
        for header in ([], [("x-goog-request-params", "name=another")]):
            with pytest.raises(grpc.RpcError) as error:
                call(request, metadata=header)
            assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
            assert "routing header" in error.value.details()  # type: ignore[attr-defined]
        found = call(request, metadata=[("x-goog-request-params", f"name={KEY.replace('/', '%2F')}")])
        assert found.name == KEY


def test_an_unknown_method_is_unimplemented(kms: kms_v1.KeyManagementServiceClient) -> None:
    with pytest.raises(exceptions.MethodNotImplemented):
        kms.generate_random_bytes(location="projects/p/locations/l", length_bytes=8)


def test_calls_are_recorded_with_their_headers(
    cloud: FakeCloud, kms: kms_v1.KeyManagementServiceClient
) -> None:
    kms.get_crypto_key(name=KEY)
    (call,) = cloud.calls_of("kms.GetCryptoKey")
    assert call.request.name == KEY
    assert call.metadata["x-goog-request-params"].startswith("name=projects")


def test_a_fault_is_met_as_often_as_it_was_asked_for(
    cloud: FakeCloud, kms: kms_v1.KeyManagementServiceClient
) -> None:
    cloud.faults.fail("kms.GetCryptoKey", "RESOURCE_EXHAUSTED", times=2)
    for _ in range(2):
        with pytest.raises(exceptions.ResourceExhausted):
            kms.get_crypto_key(name=KEY, retry=None)
    assert kms.get_crypto_key(name=KEY, retry=None).name == KEY


def test_a_fault_after_the_commit_takes_the_answer_alone(
    cloud: FakeCloud, kms: kms_v1.KeyManagementServiceClient
) -> None:
    cloud.faults.fail("kms.CreateCryptoKeyVersion", "UNAVAILABLE", after_commit=True)
    with pytest.raises(exceptions.ServiceUnavailable):
        kms.create_crypto_key_version(parent=KEY, crypto_key_version={}, retry=None)
    assert len(list(kms.list_crypto_key_versions(parent=KEY))) == 2


def test_a_duplicate_is_done_twice_and_answered_once(
    cloud: FakeCloud, kms: kms_v1.KeyManagementServiceClient
) -> None:
    cloud.faults.duplicate("kms.*")
    kms.create_crypto_key_version(parent=KEY, crypto_key_version={})
    assert len(list(kms.list_crypto_key_versions(parent=KEY))) == 3


def test_a_call_that_is_held_runs_into_its_deadline_and_goes_on_when_let_go(
    cloud: FakeCloud, kms: kms_v1.KeyManagementServiceClient
) -> None:
    held = cloud.faults.hold("kms.GetCryptoKey")
    with pytest.raises(exceptions.DeadlineExceeded):
        kms.get_crypto_key(name=KEY, retry=None, timeout=0.05)
    assert held.reached.wait(10)
    held.let_go()
    assert kms.get_crypto_key(name=KEY, retry=None).name == KEY


def test_a_late_answer_is_late_by_the_real_clock(
    cloud: FakeCloud, kms: kms_v1.KeyManagementServiceClient
) -> None:
    cloud.faults.delay("kms.GetCryptoKey", 60.0)
    with pytest.raises(exceptions.DeadlineExceeded):
        kms.get_crypto_key(name=KEY, retry=None, timeout=0.05)


def test_without_a_network_nothing_gets_through_until_it_is_back(
    cloud: FakeCloud, kms: kms_v1.KeyManagementServiceClient, notes: Notes
) -> None:
    session = rest_session("sqladmin")
    cloud.faults.network_down()
    with pytest.raises(exceptions.ServiceUnavailable):
        kms.get_crypto_key(name=KEY, retry=None)
    with pytest.raises(CloudUnavailable):
        session.call("PUT", "/notes/a", body={})
    cloud.faults.network_up()
    assert kms.get_crypto_key(name=KEY, retry=None).name == KEY
    assert session.call("PUT", "/notes/a", body={}) == {"kept": 2}
    session.close()


def test_an_api_that_is_switched_off_says_so(cloud: FakeCloud, notes: Notes) -> None:
    cloud.faults.disable("notes")
    session = rest_session("sqladmin")
    with pytest.raises(CloudMisconfigured, match="has not been used in project 1 before or it is disabled"):
        session.call("GET", "/notes/a")
    session.close()


def test_json_is_answered_by_routes_with_names_and_parameters(cloud: FakeCloud, notes: Notes) -> None:
    session = rest_session("sqladmin")
    assert requests.put(f"{place(cloud)}/notes/a%2Fb", data=b"text").json() == {"kept": 4}
    assert session.call("GET", "/notes/a%2Fb", parameters={"alt": "x"}) == {"text": "text", "alt": "x"}
    with pytest.raises(CloudNotFound, match="no such note"):
        session.call("GET", "/notes/c")
    with pytest.raises(CloudNotFound, match="Not Found: GET /nowhere"):
        session.call("GET", "/nowhere")
    cloud.faults.fail("notes.get", 429, reason="rateLimitExceeded")
    with pytest.raises(QuotaExceeded):
        session.call("GET", "/notes/a%2Fb")
    session.close()


def test_a_body_in_chunks_arrives_whole(cloud: FakeCloud, notes: Notes) -> None:
    requests.put(f"{place(cloud)}/notes/a", data=iter([b"one ", b"two"]))
    assert notes.kept["a"] == b"one two"


def test_an_upload_that_is_cut_off_leaves_what_arrived_where_that_counts(
    cloud: FakeCloud, notes: Notes
) -> None:
    cloud.faults.cut("notes.*", 3, times=2)
    for method in ("PUT", "POST"):
        with pytest.raises(requests.ConnectionError):
            requests.request(method, f"{place(cloud)}/notes/a", data=b"whole")
    assert notes.kept == {"a": b"who"}


def test_a_dropped_connection_after_the_commit_loses_the_answer_alone(cloud: FakeCloud, notes: Notes) -> None:
    cloud.faults.drop("notes.put", after_commit=True)
    with pytest.raises(requests.ConnectionError):
        requests.put(f"{place(cloud)}/notes/a", data=b"text")
    assert notes.kept == {"a": b"text"}


def test_many_connections_at_once_are_served_and_calls_of_an_api_never_mix(
    cloud: FakeCloud, notes: Notes
) -> None:
    def put(number: int) -> int:
        return requests.put(f"{place(cloud)}/notes/{number % 4}", data=b"x" * number).status_code

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(put, range(64))) == {200}
    assert notes.times == 64


def test_stopping_ends_every_thread_and_connection() -> None:
    before = threading.active_count()
    cloud = FakeCloud(clock=lambda: 0.0)
    with requests.Session() as session:
        assert session.get(f"http://127.0.0.1:{cloud.http.port}/nowhere").status_code == 404
        cloud.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(f"http://127.0.0.1:{cloud.http.port}/nowhere")
    assert threading.active_count() <= before + 1


@pytest.fixture
def process() -> Iterator["Popen[str]"]:
    """The fakes as a process of their own."""
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    command = [executable, "-W", "error", "-m", "fakes"]
    with Popen(command, stdout=PIPE, text=True, env=environment) as process:
        yield process
        process.kill()


def variables_of(process: "Popen[str]") -> dict[str, str]:
    assert process.stdout is not None
    variables: dict[str, str] = {}
    for line in process.stdout:
        if line.startswith("#"):
            break
        name, _, value = line.removeprefix("export ").strip().partition("=")
        variables[name] = value
    return variables


def test_it_runs_as_a_process_that_says_where_it_is_and_ends_when_told(process: "Popen[str]") -> None:
    variables = variables_of(process)
    answer = requests.get(variables["AUDOBON_GCP_ENDPOINT_STORAGE"] + "/nowhere")
    assert json.loads(answer.content)["error"]["code"] == 404
    with grpc.insecure_channel(variables["AUDOBON_GCP_ENDPOINT_KMS"]) as channel:
        grpc.channel_ready_future(channel).result(10)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_a_person_locks_a_keyring_by_the_fake_of_another_process(
    process: "Popen[str]", tmp_path: Path
) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AUDOBON_")},
        **variables_of(process),
        "AUDOBON_STORAGE_FOLDER": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }

    def audobon(*words: str) -> str:
        command = [executable, "-m", "audobon", *words]
        return run(command, env=environment, capture_output=True, text=True, check=True).stdout

    audobon("keys", "protect", "--with", "cloud-kms")
    status = json.loads(audobon("keys", "status", "--json"))
    assert status["protector"] == "cloud-kms"
    assert status["cloud_version"] == environment["AUDOBON_CLOUD_KMS_KEY"] + "/cryptoKeyVersions/1"
    assert json.loads(audobon("keys", "rotate", "--json"))["kek_version"] == "2"
