"""One gRPC server for all fakes; strict about what every API of Google is strict about.

A fake's methods are named as the API's, in small letters with underscores, and take the request that their
annotation names: `def create_key_ring(self, request: kms_v1.CreateKeyRingRequest) -> kms_v1.KeyRing`.
"""

import inspect
import threading
import typing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import grpc

from fakes.api import Call, FakeApi
from fakes.faults import Faults
from fakes.refusal import Dropped, Refused, invalid
from fakes.required import missing_field, not_masked

_THREADS = 16
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_ROUTED_BY = ("name", "parent", "resource", "sink_name", "metric_name", "log_name")


class GrpcServer:
    """Serves services on a port of loopback.

    calls  every call that arrived, in that order
    """

    def __init__(self, faults: Faults, *, port: int = 0) -> None:
        self._faults = faults
        self._methods: dict[str, _Method] = {}
        self._lock = threading.Lock()
        self.calls: list[Call] = []
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="fake-grpc")
        self._server = grpc.server(self._threads, handlers=[_Handler(self)], options=_UNLIMITED)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def serve(
        self,
        service: str,
        fake: FakeApi,
        *,
        unrouted: frozenset[str] = frozenset(),
        excused: frozenset[str] = frozenset(),
    ) -> None:
        """Serve a fake's methods as a service.

        service   its full name: google.cloud.kms.v1.KeyManagementService
        unrouted  methods that Google's clients call without a routing header
        excused   fields that are called required and yet may lack, after their method: "Write.entries.name"
        """
        for name, function in inspect.getmembers(fake, inspect.ismethod):
            kind = typing.get_type_hints(function).get("request")
            if kind is None or name.startswith("_"):
                continue
            method = "".join(part.capitalize() for part in name.split("_"))
            excuses = {each.partition(".")[2] for each in excused if each.startswith(f"{method}.")}
            self._methods[f"/{service}/{method}"] = _Method(
                fake,
                f"{fake.api}.{method}",
                kind,
                function,
                is_routed=method not in unrouted,
                excuses=excuses,
            )

    def method(self, path: str) -> "_Method | None":
        """Return what serves a path; None when nothing does, which is answered with UNIMPLEMENTED."""
        return self._methods.get(path)

    def answer(self, method: "_Method", request: Any, context: grpc.ServicerContext) -> Any:
        """Answer a call, with the faults that wait for it."""
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        with self._lock:
            self.calls.append(Call(method.name, request, metadata))
        try:
            with self._faults.around(method.name) as is_duplicate:
                method.check(request, metadata)
                answer = method.run(request)
                if is_duplicate:
                    # Who sent it once hears of it once.
                    with suppress(Refused):
                        method.run(request)
            return answer
        except Refused as refused:
            context.abort_with_status(refused.rpc())
        except Dropped:
            context.abort(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses")
        raise AssertionError("unreachable: abort raises")

    def stop(self) -> None:
        """Stop at once; calls under way are called off."""
        self._server.stop(grace=None).wait()
        self._threads.shutdown(wait=True)


class _Method:
    def __init__(
        self,
        fake: FakeApi,
        name: str,
        kind: Any,
        function: Callable[[Any], Any],
        *,
        is_routed: bool,
        excuses: set[str],
    ) -> None:
        self._fake = fake
        self.name = name
        self._kind = kind
        self._function = function
        self._is_routed = is_routed
        self._excuses = excuses

    def decode(self, data: bytes) -> Any:
        # Both generations of Google's generated types.
        decode = self._kind.deserialize if hasattr(self._kind, "deserialize") else self._kind.FromString
        return decode(data)

    def check(self, request: Any, metadata: dict[str, str]) -> None:
        """Refuse what every API refuses: a missing field, or a call that cannot be routed."""
        if (field := missing_field(request, excused=self._excuses | not_masked(request))) is not None:
            raise invalid(f"{self.name}: the field {field!r} is required")
        if not self._is_routed or not any(_field(request, path) for path in _ROUTED_BY):
            return
        routing = dict(parse_qsl(metadata.get("x-goog-request-params", ""), keep_blank_values=True))
        if not routing:
            raise invalid(f"{self.name}: the call has no routing header (x-goog-request-params)")
        for path, value in routing.items():
            found = _field(request, path)
            if found is not None and found != value:
                raise invalid(f"{self.name}: the routing header says {path}={value!r}, the request {found!r}")

    def run(self, request: Any) -> Any:
        with self._fake.lock:
            return self._function(request)


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, server: GrpcServer) -> None:
        self._server = server

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        method = self._server.method(details.method)
        if method is None:
            return None
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._server.answer(method, request, context),
            request_deserializer=method.decode,
            response_serializer=_encode,
        )


def _encode(answer: Any) -> bytes:
    encode: Any = getattr(answer, "SerializeToString", None)
    if encode is None:
        encode = type(answer).serialize
        return bytes(encode(answer))
    return bytes(encode())


def _field(request: Any, path: str) -> str | None:
    found = request
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, str) and found else None
