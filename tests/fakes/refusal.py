"""The error answers of Google's APIs, as both wires say them."""

from typing import Any

from google.protobuf.any_pb2 import Any as Packed
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

# https://cloud.google.com/apis/design/errors#handling_errors
_HTTP = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 401,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
}
_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Refused(Exception):
    """An API refuses a call.

    status         Google's name of it ("NOT_FOUND"), or the status of HTTP, where that says more (412)
    reason         why, for programs, in an ErrorInfo or as the old JSON APIs say it ("SERVICE_DISABLED")
    retry_seconds  when to come back; None: it does not say
    metadata       of the reason, such as quota_metric
    """

    def __init__(
        self,
        status: str | int,
        message: str,
        *,
        reason: str = "",
        retry_seconds: float | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.http = status if isinstance(status, int) else _HTTP[status]
        self.status = status if isinstance(status, str) else _NAMES.get(status, "UNKNOWN")
        self.reason = reason
        self.retry_seconds = retry_seconds
        self.metadata = metadata

    def rpc(self) -> Any:
        """Return it as gRPC aborts with it: its code, its words and, when it has a reason, the details."""
        found = status_pb2.Status(code=code_pb2.Code.Value(self.status), message=self.message)
        if self.reason:
            info = error_details_pb2.ErrorInfo(
                reason=self.reason, domain="googleapis.com", metadata=self.metadata
            )
            found.details.append(_packed(info))
        if self.retry_seconds is not None:
            delay = error_details_pb2.RetryInfo()
            delay.retry_delay.FromMilliseconds(int(self.retry_seconds * 1000))
            found.details.append(_packed(delay))
        return rpc_status.to_status(found)

    def json(self) -> dict[str, Any]:
        """Return it as the JSON APIs say it."""
        error: dict[str, Any] = {"code": self.http, "message": self.message, "status": self.status}
        if self.reason:
            error["errors"] = [{"message": self.message, "domain": "global", "reason": self.reason}]
            error["details"] = [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": self.reason,
                    "domain": "googleapis.com",
                    "metadata": self.metadata,
                }
            ]
        return {"error": error}

    def headers(self) -> dict[str, str]:
        """Return the headers that go with the JSON."""
        return {} if self.retry_seconds is None else {"Retry-After": f"{self.retry_seconds:.0f}"}


class Dropped(Exception):
    """The network takes the answer, or the call before it, away."""


def _packed(message: Any) -> Packed:
    packed = Packed()
    packed.Pack(message)
    return packed


def invalid(message: str) -> Refused:
    """Return the refusal of a request that could never be right."""
    return Refused("INVALID_ARGUMENT", message)


def not_found(name: str) -> Refused:
    """Return the refusal to find a resource."""
    return Refused("NOT_FOUND", f"{name} not found.")
