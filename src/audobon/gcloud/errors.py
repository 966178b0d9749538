"""What Google's failures are called here: every exception of its packages becomes one of our tree."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

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
from audobon.gcloud.quotas import quota_of

LOG_IN = "gcloud auth application-default login"
INSTALL = "pip install 'audobon[gcp]'"

_EXTRA = ("google", "grpc", "grpc_status", "requests", "urllib3", "google_crc32c")
_LONGEST_WORDS = 300

# Both wires meet in the status of HTTP: https://cloud.google.com/apis/design/errors#handling_errors
_BY_STATUS: dict[int, type[AudobonError]] = {
    HTTPStatus.UNAUTHORIZED: CloudDenied,
    HTTPStatus.FORBIDDEN: CloudDenied,
    HTTPStatus.NOT_FOUND: CloudNotFound,
    HTTPStatus.GONE: CloudNotFound,
    HTTPStatus.REQUEST_TIMEOUT: CloudUnavailable,
    HTTPStatus.CONFLICT: CloudConflict,
    HTTPStatus.PRECONDITION_FAILED: CloudConflict,
    HTTPStatus.NOT_MODIFIED: CloudConflict,
    HTTPStatus.PERMANENT_REDIRECT: CloudUnavailable,  # an upload that is not complete yet
    HTTPStatus.TOO_MANY_REQUESTS: QuotaExceeded,
    499: CloudUnavailable,  # called off
    HTTPStatus.NOT_IMPLEMENTED: CloudMisconfigured,
}
# What says more than its status: https://cloud.google.com/apis/docs/reference/rest/Shared.Types/ErrorReason
_BY_REASON: dict[str, type[AudobonError]] = {
    "SERVICE_DISABLED": CloudMisconfigured,
    "BILLING_DISABLED": CloudMisconfigured,
    "CONSUMER_INVALID": CloudMisconfigured,
    "RESOURCE_PROJECT_INVALID": CloudMisconfigured,
    "accessNotConfigured": CloudMisconfigured,
    "RATE_LIMIT_EXCEEDED": QuotaExceeded,
    "RESOURCE_QUOTA_EXCEEDED": QuotaExceeded,
    "rateLimitExceeded": QuotaExceeded,
    "userRateLimitExceeded": QuotaExceeded,
    "quotaExceeded": QuotaExceeded,
    "dailyLimitExceeded": QuotaExceeded,
}
_HINTS: dict[type[AudobonError], str | None] = {
    CloudUnavailable: "try again later, or look at the network",
    CloudDenied: LOG_IN,
    CloudMisconfigured: "compare the section [cloud] of the settings with the project: audobon config show",
    CloudNotFound: "compare the section [cloud] of the settings with the project: audobon config show",
    CloudConflict: None,
    Corrupt: None,
}


@contextmanager
def google_errors(doing: str, which: str = "") -> Iterator[None]:
    """Turn the complaints of Google's packages in the block into ours.

    doing   what the block does, for the message: "encrypting a key"
    which   the resource it is done to, by its full name
    raises  CloudUnavailable, CloudDenied, QuotaExceeded, CloudConflict, CloudNotFound, CloudMisconfigured,
            Corrupt, and Misconfigured when the extra `gcp` is not installed
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise Misconfigured(f"{doing} needs the packages of Google Cloud", hint=INSTALL) from error
    except _google_kinds() as error:
        raise as_ours(error, doing, which) from error


def as_ours(error: BaseException, doing: str, which: str = "") -> AudobonError:
    """Return our error for one of Google's."""
    while (cause := getattr(error, "cause", None)) is not None:
        # Tried again and again, and what happened last is what is wrong.
        error = cause
    kind = kind_of(error)
    where = f" ({which})" if which else ""
    hint = quota_of(error).hint if kind is QuotaExceeded else _HINTS[kind]
    # A 401 says that nobody is logged in; a 403 that whoever is may not.
    if kind is CloudDenied and _status(error) == HTTPStatus.FORBIDDEN:
        hint = "give the account the role that it needs, or use another account"
    return kind(f"{doing}{where}: {_words(error)}", hint=hint)


def kind_of(error: BaseException) -> type[AudobonError]:
    """Return the class of our tree that one of Google's exceptions is called."""
    for reason in _reasons(error):
        if reason in _BY_REASON:
            return _BY_REASON[reason]
    if (found := _by_class(error)) is not None:
        return found
    status = _status(error)
    if status is None:
        return _without_status(error)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return CloudMisconfigured if status < HTTPStatus.INTERNAL_SERVER_ERROR else CloudUnavailable


def _without_status(error: BaseException) -> type[AudobonError]:
    from google.api_core.exceptions import ClientError, Redirection

    return CloudMisconfigured if isinstance(error, ClientError | Redirection) else CloudUnavailable


def _google_kinds() -> tuple[type[BaseException], ...]:
    """Return the roots of all exceptions that Google's packages raise, of those that are installed."""
    kinds: list[type[BaseException]] = [ConnectionError, TimeoutError]
    try:
        from google.api_core.exceptions import AsyncRestUnsupportedParameterError, GoogleAPIError
        from google.auth.exceptions import GoogleAuthError
        from grpc import RpcError
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        kinds += [GoogleAPIError, GoogleAuthError, AsyncRestUnsupportedParameterError]
        kinds += [RpcError, RequestException, HTTPError]
    except ModuleNotFoundError:
        pass
    return (*kinds, *_of_storage("DataCorruption", "InvalidResponse", "InvalidPathError"))


def _of_storage(*names: str) -> tuple[type[BaseException], ...]:
    """Return classes that only Cloud Storage raises, which whoever raised one has imported."""
    modules = ("google.resumable_media.common", "google.cloud.storage.exceptions")
    loaded = [module for name in modules if (module := sys.modules.get(name)) is not None]
    return tuple(kind for module in loaded for name in names if (kind := getattr(module, name, None)))


def _by_class(error: BaseException) -> type[AudobonError] | None:
    """Return what an exception is called whose class says more than its status; None: ask the status."""
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from requests import exceptions as requests

    if isinstance(error, (api.DataLoss, *_of_storage("DataCorruption"))):
        return Corrupt
    if isinstance(error, _of_storage("InvalidPathError")):
        return CloudMisconfigured
    if isinstance(error, auth.GoogleAuthError):
        is_passing = isinstance(error, auth.TransportError | auth.TimeoutError | auth.ResponseError)
        return CloudUnavailable if is_passing or error.retryable else CloudDenied
    if isinstance(
        error,
        api.DuplicateCredentialArgs
        | api.AsyncRestUnsupportedParameterError
        | api.UnseekableStreamError
        | requests.InvalidURL
        | requests.InvalidSchema
        | requests.MissingSchema
        | requests.URLRequired
        | requests.InvalidHeader
        | requests.InvalidJSONError,
    ):
        return CloudMisconfigured
    return None


def _status(error: BaseException) -> int | None:
    """Return the status of HTTP that an exception stands for; None when it has none."""
    code: Any = getattr(error, "code", None)
    if callable(code):
        # An exception of gRPC itself.
        from google.api_core.exceptions import exception_class_for_grpc_status

        code = exception_class_for_grpc_status(code()).code
    if code is None:
        code = getattr(getattr(error, "response", None), "status_code", None)
    return int(code) if isinstance(code, int) else None


def _reasons(error: BaseException) -> list[str]:
    """Return why, in Google's own words for programs, of both generations of its APIs."""
    found = [getattr(error, "reason", None)]
    found += [each.get("reason") for each in getattr(error, "errors", []) if isinstance(each, dict)]
    return [each for each in found if isinstance(each, str)]


def _words(error: BaseException) -> str:
    words = getattr(error, "message", None)
    if not isinstance(words, str) or not words:
        words = str(error) or type(error).__name__
    line = " ".join(words.split())
    return line if len(line) <= _LONGEST_WORDS else line[: _LONGEST_WORDS - 1] + "…"
