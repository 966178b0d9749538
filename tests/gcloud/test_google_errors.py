"""Every exception of Google's packages becomes one of ours, and none gets through unnamed."""

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import google.auth.exceptions
import google.cloud.exceptions
import google.cloud.storage.exceptions
import google.resumable_media.common
import grpc
import pytest
import requests
import requests.exceptions
from google.api_core import exceptions
from google.cloud import kms_v1
from google.rpc.error_details_pb2 import ErrorInfo

from audobon.errors import (
    AudobonError,
    CloudConflict,
    CloudDenied,
    CloudMisconfigured,
    CloudNotFound,
    CloudUnavailable,
    Corrupt,
    Misconfigured,
    QuotaExceeded,
)
from audobon.gcloud.clients import grpc_client, rest_session
from audobon.gcloud.errors import google_errors
from fakes.cloud import FakeCloud

MODULES = [
    exceptions,
    google.auth.exceptions,
    google.cloud.exceptions,
    google.cloud.storage.exceptions,
    google.resumable_media.common,
    requests.exceptions,
]

OURS = {
    "GoogleAPIError": CloudUnavailable,
    "DuplicateCredentialArgs": CloudMisconfigured,
    "RetryError": CloudUnavailable,
    "GoogleAPICallError": CloudUnavailable,
    "Redirection": CloudMisconfigured,
    "MovedPermanently": CloudMisconfigured,
    "NotModified": CloudConflict,
    "TemporaryRedirect": CloudMisconfigured,
    "ResumeIncomplete": CloudUnavailable,
    "ClientError": CloudMisconfigured,
    "BadRequest": CloudMisconfigured,
    "InvalidArgument": CloudMisconfigured,
    "FailedPrecondition": CloudMisconfigured,
    "OutOfRange": CloudMisconfigured,
    "Unauthorized": CloudDenied,
    "Unauthenticated": CloudDenied,
    "Forbidden": CloudDenied,
    "PermissionDenied": CloudDenied,
    "NotFound": CloudNotFound,
    "MethodNotAllowed": CloudMisconfigured,
    "Conflict": CloudConflict,
    "AlreadyExists": CloudConflict,
    "Aborted": CloudConflict,
    "LengthRequired": CloudMisconfigured,
    "PreconditionFailed": CloudConflict,
    "RequestRangeNotSatisfiable": CloudMisconfigured,
    "TooManyRequests": QuotaExceeded,
    "ResourceExhausted": QuotaExceeded,
    "Cancelled": CloudUnavailable,
    "ServerError": CloudUnavailable,
    "InternalServerError": CloudUnavailable,
    "Unknown": CloudUnavailable,
    "DataLoss": Corrupt,
    "MethodNotImplemented": CloudMisconfigured,
    "BadGateway": CloudUnavailable,
    "ServiceUnavailable": CloudUnavailable,
    "GatewayTimeout": CloudUnavailable,
    "DeadlineExceeded": CloudUnavailable,
    "AsyncRestUnsupportedParameterError": CloudMisconfigured,
    "ResumableTransferError": CloudUnavailable,
    "TransferStalledError": CloudUnavailable,
    "UnseekableStreamError": CloudMisconfigured,
    "UploadCancelledError": CloudUnavailable,
    "MissingStatusHeaderError": CloudUnavailable,
    # google.auth
    "GoogleAuthError": CloudDenied,
    "TransportError": CloudUnavailable,
    "RefreshError": CloudDenied,
    "UserAccessTokenError": CloudDenied,
    "DefaultCredentialsError": CloudDenied,
    "MutualTLSChannelError": CloudDenied,
    "ClientCertError": CloudDenied,
    "OAuthError": CloudDenied,
    "ReauthFailError": CloudDenied,
    "ReauthSamlChallengeFailError": CloudDenied,
    "MalformedError": CloudDenied,
    "InvalidResource": CloudDenied,
    "InvalidOperation": CloudDenied,
    "InvalidValue": CloudDenied,
    "InvalidType": CloudDenied,
    "OSError": CloudDenied,
    "TimeoutError": CloudUnavailable,
    "ResponseError": CloudUnavailable,
    # Cloud Storage
    "InvalidPathError": CloudMisconfigured,
    "InvalidResponse": CloudUnavailable,
    "DataCorruption": Corrupt,
    # requests
    "RequestException": CloudUnavailable,
    "InvalidJSONError": CloudMisconfigured,
    "JSONDecodeError": CloudMisconfigured,
    "HTTPError": CloudUnavailable,
    "ConnectionError": CloudUnavailable,
    "ProxyError": CloudUnavailable,
    "SSLError": CloudUnavailable,
    "Timeout": CloudUnavailable,
    "ConnectTimeout": CloudUnavailable,
    "ReadTimeout": CloudUnavailable,
    "URLRequired": CloudMisconfigured,
    "TooManyRedirects": CloudUnavailable,
    "MissingSchema": CloudMisconfigured,
    "InvalidSchema": CloudMisconfigured,
    "InvalidURL": CloudMisconfigured,
    "InvalidHeader": CloudMisconfigured,
    "InvalidProxyURL": CloudMisconfigured,
    "ChunkedEncodingError": CloudUnavailable,
    "ContentDecodingError": CloudUnavailable,
    "StreamConsumedError": CloudUnavailable,
    "UnrewindableBodyError": CloudUnavailable,
}


def classes(module: ModuleType) -> Iterator[type[Exception]]:
    for _, kind in inspect.getmembers(module, inspect.isclass):
        is_ours = issubclass(kind, Exception) and not issubclass(kind, Warning)
        if is_ours and kind.__module__.partition(".")[0] in ("google", "requests"):
            yield kind


def every_class() -> list[type[Exception]]:
    return sorted(
        {kind for module in MODULES for kind in classes(module)},
        key=lambda kind: (kind.__module__, kind.__name__),
    )


def made(kind: type[Exception]) -> Exception:
    """Return an exception of a class, as its makers make it."""
    if kind is exceptions.RetryError:
        return kind("tried too often", exceptions.ServiceUnavailable("down"))  # type: ignore[call-arg]
    if kind.__name__ in ("InvalidResponse", "DataCorruption"):
        response = requests.Response()
        response.status_code = 503
        return kind(response, "not as expected")
    if kind.__name__ == "JSONDecodeError":
        return kind("not JSON", "{", 0)
    return kind("something is wrong")


def ours_of(error: BaseException) -> AudobonError:
    with pytest.raises(AudobonError) as caught, google_errors("trying it", "projects/p"):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize("kind", every_class(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_exception_is_one_of_ours(kind: type[Exception]) -> None:
    ours = ours_of(made(kind))
    assert type(ours) is OURS[kind.__name__]
    assert ours.message.startswith("trying it (projects/p): ")


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
def test_every_status_of_grpc_is_one_of_ours(code: grpc.StatusCode) -> None:
    class Raised(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return code

    if code is grpc.StatusCode.OK:
        return
    through_api_core = exceptions.from_grpc_status(code, "wrong")
    assert type(ours_of(Raised())) is type(ours_of(through_api_core)) or code is grpc.StatusCode.DATA_LOSS
    assert type(ours_of(through_api_core)) is OURS[type(through_api_core).__name__]


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (exceptions.Forbidden("off", error_info=ErrorInfo(reason="SERVICE_DISABLED")), CloudMisconfigured),
        (exceptions.PermissionDenied("x", error_info=ErrorInfo(reason="IAM_PERMISSION_DENIED")), CloudDenied),
        (exceptions.Forbidden("slow down", errors=[{"reason": "rateLimitExceeded"}]), QuotaExceeded),
        (exceptions.Forbidden("no", errors=[{"reason": "forbidden"}]), CloudDenied),
        (exceptions.RetryError("late", exceptions.NotFound("no bucket")), CloudNotFound),
        (exceptions.from_http_status(418, "teapot"), CloudMisconfigured),
        (exceptions.from_http_status(507, "full"), CloudUnavailable),
        (google.auth.exceptions.RefreshError("offline", retryable=True), CloudUnavailable),
        (ConnectionResetError("gone"), CloudUnavailable),
        (TimeoutError(), CloudUnavailable),
    ],
    ids=str,
)
def test_a_reason_says_more_than_a_status(error: Exception, ours: type[AudobonError]) -> None:
    assert type(ours_of(error)) is ours


def test_whoever_is_not_logged_in_is_told_how_and_whoever_may_not_is_told_so() -> None:
    assert ours_of(exceptions.Unauthenticated("who?")).hint == "gcloud auth application-default login"
    assert ours_of(google.auth.exceptions.DefaultCredentialsError("none")).hint == (
        "gcloud auth application-default login"
    )
    assert "role" in str(ours_of(exceptions.PermissionDenied("no")).hint)


def test_a_package_that_is_missing_is_told_with_what_to_install() -> None:
    missing: Any = ModuleNotFoundError("No module named 'google'", name="google.cloud")
    ours = ours_of(missing)
    assert type(ours) is Misconfigured
    assert ours.hint == "pip install 'audobon[gcp]'"
    with pytest.raises(ModuleNotFoundError), google_errors("trying it"):
        raise ModuleNotFoundError("No module named 'surely_not'", name="surely_not")


def test_our_own_errors_and_mistakes_pass() -> None:
    with pytest.raises(Corrupt, match="as it is"), google_errors("trying it"):
        raise Corrupt("as it is")
    with pytest.raises(KeyError), google_errors("trying it"):
        raise KeyError("a mistake")


def test_long_words_are_cut_and_lines_are_joined() -> None:
    ours = ours_of(exceptions.NotFound("one\n  two " + "x" * 1000))
    assert "one two xxx" in ours.message
    assert len(ours.message) < 400


def test_a_quota_says_which_it_is_how_large_and_when_to_come_back(cloud: FakeCloud) -> None:
    cloud.faults.fail(
        "kms.*",
        "RESOURCE_EXHAUSTED",
        reason="RATE_LIMIT_EXCEEDED",
        retry_seconds=7.5,
        quota_metric="cloudkms.googleapis.com/crypto_requests",
        quota_limit_value="60000",
    )
    client = grpc_client(kms_v1.KeyManagementServiceClient, "kms")
    with pytest.raises(QuotaExceeded) as caught, google_errors("trying it"):
        client.get_crypto_key(name="projects/p/locations/l/keyRings/r/cryptoKeys/k", retry=None)
    assert caught.value.hint == (
        "try again in 8 s, or ask Google for a larger quota of cloudkms.googleapis.com/crypto_requests;"
        " it is 60000 now"
    )
    client.transport.close()
    cloud.faults.fail("sqladmin.*", 429, retry_seconds=30)
    session = rest_session("sqladmin")
    with pytest.raises(QuotaExceeded) as caught:
        session.call("GET", "/v1/projects/p/instances")
    assert caught.value.hint == "try again in 30 s, or ask Google for a larger quota"
    session.close()
    unsaid = ours_of(exceptions.TooManyRequests("slowly"))
    assert unsaid.hint == "try again later, or ask Google for a larger quota"
    by_json = exceptions.TooManyRequests("slowly", details=[{"retryDelay": "2.5s"}])
    assert str(ours_of(by_json).hint).startswith("try again in 3 s,")
