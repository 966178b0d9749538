"""Google's clients are opened where the endpoints say, as whom the surroundings name; no secret is ours."""

import sys
from pathlib import Path
from typing import Any

import google.auth
import pytest
import requests
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import kms_v1

from audobon.errors import CloudDenied, CloudUnavailable, Misconfigured
from audobon.gcloud import retrying
from audobon.gcloud.clients import grpc_client, rest_session, storage_client
from audobon.gcloud.credentials import ambient_credentials
from audobon.gcloud.errors import google_errors
from audobon.gcloud.retrying import usual_retry


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody is logged in, and this is no machine of Google's."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> AnonymousCredentials:
    """Somebody is logged in."""
    credentials = AnonymousCredentials()
    monkeypatch.setattr(google.auth, "default", lambda scopes: (credentials, "p"))
    return credentials


def test_whoever_is_not_logged_in_is_told_how_to_be(nobody: None) -> None:
    with pytest.raises(CloudDenied, match="looking for credentials") as error:
        ambient_credentials()
    assert error.value.hint == "gcloud auth application-default login"
    with pytest.raises(CloudDenied):
        grpc_client(kms_v1.KeyManagementServiceClient, "kms")
    with pytest.raises(CloudDenied):
        storage_client("p")
    with pytest.raises(CloudDenied):
        rest_session("sqladmin")


def test_a_fake_on_this_machine_needs_nobody(nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDOBON_GCP_ENDPOINT_STORAGE", "http://127.0.0.1:1")
    monkeypatch.setenv("AUDOBON_GCP_ENDPOINT_KMS", "127.0.0.1:1")
    assert storage_client("p")._connection.API_BASE_URL == "http://127.0.0.1:1"
    client = grpc_client(kms_v1.KeyManagementServiceClient, "kms")
    with pytest.raises(CloudUnavailable), google_errors("trying it"):
        client.get_key_ring(name="projects/p/locations/l/keyRings/r", retry=None, timeout=5)
    client.transport.close()


def test_google_itself_is_spoken_to_by_whom_the_surroundings_name(somebody: AnonymousCredentials) -> None:
    client = grpc_client(kms_v1.KeyManagementServiceClient, "kms")
    assert client.transport.host == "cloudkms.googleapis.com:443"
    assert client.transport._credentials is somebody
    client.transport.close()
    assert storage_client("p")._connection.API_BASE_URL == "https://storage.googleapis.com"


def test_another_place_with_tls_gets_the_credentials(
    somebody: AnonymousCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDOBON_GCP_ENDPOINT_KMS", "https://kms.example.net")
    monkeypatch.setenv("AUDOBON_GCP_ENDPOINT_STORAGE", "https://storage.example.net")
    client = grpc_client(kms_v1.KeyManagementServiceClient, "kms")
    assert (client.transport.host, client.transport._credentials) == ("kms.example.net:443", somebody)
    client.transport.close()
    found = storage_client("p")
    assert found._connection.API_BASE_URL == "https://storage.example.net:443"
    assert found._credentials is somebody


def test_without_googles_packages_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google", None)  # type: ignore[arg-type]
    for open_it in (ambient_credentials, lambda: storage_client("p"), lambda: rest_session("sqladmin")):
        with pytest.raises(Misconfigured, match="needs the packages of Google Cloud") as error:
            open_it()
        assert error.value.hint == "pip install 'audobon[gcp]'"


def test_a_server_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDOBON_GCP_ENDPOINT_SQLADMIN", "http://127.0.0.1:1")
    session = rest_session("sqladmin")
    with pytest.raises(CloudUnavailable, match="GET /v1/projects"):
        session.call("GET", "/v1/projects/p/instances")
    session.close()


@pytest.mark.parametrize(
    ("error", "is_tried_again"),
    [
        (exceptions.ServiceUnavailable("down"), True),
        (exceptions.InternalServerError("oops"), True),
        (exceptions.TooManyRequests("slowly"), True),
        (requests.ConnectionError("gone"), True),
        (exceptions.NotFound("no"), False),
        (exceptions.PermissionDenied("no"), False),
        (exceptions.FailedPrecondition("no"), False),
    ],
    ids=lambda each: type(each).__name__,
)
def test_only_what_passes_by_itself_is_tried_again(
    error: Exception, is_tried_again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "_FIRST_PAUSE_SECONDS", 0.001)
    answers: list[Any] = [error, "answer"]

    def call() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    if is_tried_again:
        assert usual_retry()(call)() == "answer"
    else:
        with pytest.raises(type(error)):
            usual_retry()(call)()
        assert answers == ["answer"]
