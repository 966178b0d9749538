"""All fakes together: one gRPC server and one HTTP server on loopback."""

from collections.abc import Callable
from types import TracebackType

from fakes.api import Call
from fakes.budgets import FakeBudgets
from fakes.faults import Faults
from fakes.grpc_server import GrpcServer
from fakes.http_server import HttpServer
from fakes.kms import FakeKms
from fakes.logs import FakeLogging
from fakes.monitoring import FakeMonitoring
from fakes.operations import FakeOperations
from fakes.run import FakeRun
from fakes.secrets import FakeSecrets
from fakes.sqladmin import FakeSqlAdmin
from fakes.storage import FakeStorage
from fakes.tasks import FakeTasks
from fakes.worker_pools import FakeWorkerPools

_GRPC = ("tasks", "kms", "run", "logging", "monitoring", "budgets", "secrets")
_HTTP = ("storage", "sqladmin")


class FakeCloud:
    """Google Cloud on this machine, until it is stopped.

    clock   seconds since 1970, UTC; every date, back-off and lifecycle goes by it
    faults  what shall go wrong
    ports   of the gRPC and the HTTP server; 0: any that are free
    """

    def __init__(self, *, clock: Callable[[], float], grpc_port: int = 0, http_port: int = 0) -> None:
        self.clock = clock
        self.faults = Faults()
        self.grpc = GrpcServer(self.faults, port=grpc_port)
        self.http = HttpServer(self.faults, port=http_port)
        operations = FakeOperations(clock, self.faults)
        self.kms = FakeKms(clock, self.faults)
        self.run = FakeRun(clock, self.faults, operations)
        self.worker_pools = FakeWorkerPools(self.run)
        self.logging = FakeLogging(clock, self.faults)
        self.monitoring = FakeMonitoring(clock, self.faults)
        self.budgets = FakeBudgets(clock, self.faults)
        self.secrets = FakeSecrets(clock, self.faults)
        self.sqladmin = FakeSqlAdmin(clock, self.faults)
        for by_grpc in (operations, self.kms, self.run, self.worker_pools, self.logging):
            by_grpc.install(self.grpc)
        for by_grpc in (self.monitoring, self.budgets, self.secrets):
            by_grpc.install(self.grpc)
        self.sqladmin.install(self.http)
        self.storage = FakeStorage(clock, self.faults)
        self.storage.install(self.http)
        self.tasks = FakeTasks(clock, self.faults)
        self.tasks.install(self.grpc)
        self.http.serve(self.tasks.routes(), self.tasks)

    @property
    def calls(self) -> list[Call]:
        """Every call that arrived, by gRPC and then by HTTP."""
        return [*self.grpc.calls, *self.http.calls]

    def calls_of(self, method: str) -> list[Call]:
        """Return the calls of a method, such as "kms.Encrypt"."""
        return [call for call in self.calls if call.method == method]

    def environment(self) -> dict[str, str]:
        """Return the variables that send Audobon's clients here."""
        grpc = {f"AUDOBON_GCP_ENDPOINT_{api.upper()}": f"127.0.0.1:{self.grpc.port}" for api in _GRPC}
        http = {f"AUDOBON_GCP_ENDPOINT_{api.upper()}": f"http://127.0.0.1:{self.http.port}" for api in _HTTP}
        return grpc | http

    def stop(self) -> None:
        """Stop at once; what was kept is forgotten."""
        self.faults.stop()
        self.tasks.stop()
        self.grpc.stop()
        self.http.stop()

    def __enter__(self) -> "FakeCloud":
        """Return the cloud itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()
