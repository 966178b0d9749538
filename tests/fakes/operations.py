"""Operations that take time, by the clock: what Google calls long-running."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from google.longrunning import operations_pb2
from google.protobuf.empty_pb2 import Empty
from google.rpc import code_pb2

from fakes.api import FakeApi
from fakes.faults import Faults
from fakes.grpc_server import GrpcServer
from fakes.pages import page_of
from fakes.refusal import Refused, invalid, not_found


@dataclass
class _Operation:
    public: operations_pb2.Operation
    ready_at: float
    finish: Callable[[], Any]


class FakeOperations(FakeApi):
    """The service Operations, for every API whose calls go on after their answer.

    Whoever starts operations shares its lock, since finishing one changes what that API holds.
    """

    api: ClassVar[str] = "operations"

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        super().__init__(clock, faults)
        self._operations: dict[str, _Operation] = {}
        self._numbers = itertools.count(1)

    def install(self, server: GrpcServer) -> None:
        """Serve it."""
        server.serve("google.longrunning.Operations", self)

    def start(
        self, parent: str, finish: Callable[[], Any], *, metadata: Any, seconds: float
    ) -> operations_pb2.Operation:
        """Begin an operation and return it as it stands.

        finish   returns the result when its time has come, as a raw message; Refused makes it fail
        seconds  until then, by the clock; 0: it is done at once
        """
        public = operations_pb2.Operation(name=f"{parent}/operations/{next(self._numbers):08d}")
        public.metadata.Pack(metadata)
        self._operations[public.name] = _Operation(public, self.clock() + seconds, finish)
        self.settle()
        return _copy(public)

    def settle(self) -> None:
        """Finish what is due; called before anything is read that an operation may have changed."""
        for operation in self._operations.values():
            if operation.public.done or operation.ready_at > self.clock():
                continue
            operation.public.done = True
            try:
                operation.public.response.Pack(operation.finish())
            except Refused as refused:
                operation.public.error.code = code_pb2.Code.Value(refused.status)
                operation.public.error.message = refused.message

    def get_operation(self, request: operations_pb2.GetOperationRequest) -> operations_pb2.Operation:
        """Return an operation as it stands."""
        self.settle()
        return _copy(self._operation(request.name).public)

    def list_operations(
        self, request: operations_pb2.ListOperationsRequest
    ) -> operations_pb2.ListOperationsResponse:
        """List the operations of a place."""
        self.settle()
        if request.filter:
            raise invalid("this fake does not filter")
        names = [name for name in self._operations if name.startswith(f"{request.name}/operations/")]
        found, token = page_of(names, size=request.page_size, token=request.page_token)
        return operations_pb2.ListOperationsResponse(
            operations=[self._operations[name].public for name in found], next_page_token=token
        )

    def delete_operation(self, request: operations_pb2.DeleteOperationRequest) -> Empty:
        """Forget an operation."""
        if not self._operation(request.name).public.done:
            raise Refused("FAILED_PRECONDITION", f"{request.name} is still under way.")
        del self._operations[request.name]
        return Empty()

    def _operation(self, name: str) -> _Operation:
        if name not in self._operations:
            raise not_found(f"Operation {name}")
        return self._operations[name]


def _copy(operation: operations_pb2.Operation) -> operations_pb2.Operation:
    copied = operations_pb2.Operation()
    copied.CopyFrom(operation)
    return copied
