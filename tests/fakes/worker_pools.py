"""Cloud Run's worker pools: containers that nobody calls, so many as somebody says, in revisions.

source  cloud.google.com/run/docs/reference/rpc/google.cloud.run.v2#workerpools
"""

import itertools
import uuid
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from google.cloud import run_v2
from google.longrunning.operations_pb2 import Operation

from fakes.api import FakeApi
from fakes.grpc_server import GrpcServer
from fakes.names import Name
from fakes.refusal import Refused, invalid
from fakes.run import FakeRun, failed, succeeded
from fakes.shelf import Shelf

_LOCATION = Name("projects/{project}/locations/{location}", r"[a-z0-9-]+")
_POOL = Name(_LOCATION.pattern + "/workerPools/{worker_pool}", r"[a-z]([a-z0-9-]{0,47}[a-z0-9])?")
_FIXED = {
    "name", "uid", "generation", "create_time", "update_time", "delete_time", "expire_time", "creator",
    "last_modifier", "observed_generation", "terminal_condition", "conditions", "latest_ready_revision",
    "latest_created_revision", "instance_split_statuses", "reconciling", "etag", "satisfies_pzs",
    "threat_detection_enabled",
}  # fmt: skip
_Kind = run_v2.InstanceSplitAllocationType
_State = run_v2.Condition.State


class FakeWorkerPools(FakeApi):
    """The service WorkerPools; how long a change takes and which images are broken is said to the FakeRun."""

    api: ClassVar[str] = "run"

    def __init__(self, run: FakeRun) -> None:
        super().__init__(run.clock, run.faults)
        self.lock = run.lock
        self._run = run
        self._pools: Shelf[run_v2.WorkerPool] = Shelf(run_v2.WorkerPool, _POOL, etag="etag")
        self._ready: set[str] = set()
        self._numbers = itertools.count(1)

    def install(self, server: GrpcServer) -> None:
        """Serve it."""
        server.serve("google.cloud.run.v2.WorkerPools", self)

    def create_worker_pool(self, request: run_v2.CreateWorkerPoolRequest) -> Operation:
        """Make a pool with its first revision."""
        _LOCATION.parse(request.parent)
        name = f"{request.parent}/workerPools/{request.worker_pool_id}"
        wanted = run_v2.WorkerPool(request.worker_pool)
        for each in _FIXED:
            setattr(wanted, each, None)
        wanted.name, wanted.uid, wanted.create_time = name, str(uuid.uuid4()), self.now()
        _check(wanted)
        self._pools.add(name, wanted)
        return self._change(wanted, is_other=True)

    def get_worker_pool(self, request: run_v2.GetWorkerPoolRequest) -> run_v2.WorkerPool:
        """Return a pool as it stands."""
        self._run.operations.settle()
        return self._pools.copy(request.name)

    def list_worker_pools(self, request: run_v2.ListWorkerPoolsRequest) -> run_v2.ListWorkerPoolsResponse:
        """List the pools of a place."""
        _LOCATION.parse(request.parent)
        self._run.operations.settle()
        prefix = f"{request.parent}/workerPools/"
        found, token = self._pools.page(prefix, size=request.page_size, token=request.page_token)
        return run_v2.ListWorkerPoolsResponse(worker_pools=found, next_page_token=token)

    def update_worker_pool(self, request: run_v2.UpdateWorkerPoolRequest) -> Operation:
        """Change a pool; another template makes another revision, another count of instances makes none."""
        name = request.worker_pool.name
        self._run.operations.settle()
        before = self._pools.get(name)
        wanted = self._pools.changed(name, request.worker_pool, request.update_mask, fixed=_FIXED)
        _check(wanted)
        is_other = request.force_new_revision or _template(wanted) != _template(before)
        self._pools.put(name, wanted)
        return self._change(wanted, is_other=is_other)

    def delete_worker_pool(self, request: run_v2.DeleteWorkerPoolRequest) -> Operation:
        """Remove a pool."""
        self._run.operations.settle()
        self._pools.check_etag(request.name, request.etag)
        pool = self._pools.get(request.name)

        def finish() -> Any:
            self._pools.remove(request.name)
            return run_v2.WorkerPool.pb(pool)

        return self._start(pool, finish)

    def _change(self, wanted: run_v2.WorkerPool, *, is_other: bool) -> Operation:
        wanted.generation += 1
        wanted.update_time, wanted.reconciling = self.now(), True
        wanted.terminal_condition = run_v2.Condition(type_="Ready", state=_State.CONDITION_RECONCILING)
        if is_other:
            short = wanted.name.rpartition("/")[2]
            revision = (
                wanted.template.revision or f"{short}-{wanted.generation:05d}-{next(self._numbers):03d}"
            )
            wanted.latest_created_revision = f"{wanted.name}/revisions/{revision}"
        generation = wanted.generation
        return self._start(wanted, lambda: self._reconcile(wanted, generation))

    def _reconcile(self, wanted: run_v2.WorkerPool, generation: int) -> Any:
        images = {container.image for container in wanted.template.containers}
        if broken := images & self._run.broken_images:
            words = f"The container {min(broken)} failed to start."
            wanted.terminal_condition, wanted.reconciling = failed("Ready", words), False
            raise Refused("FAILED_PRECONDITION", words)
        self._ready.add(wanted.latest_created_revision)
        for split in wanted.instance_splits:
            if split.revision and f"{wanted.name}/revisions/{split.revision}" not in self._ready:
                words = f"Revision '{split.revision}' is not ready."
                wanted.terminal_condition, wanted.reconciling = failed("Ready", words), False
                raise Refused("FAILED_PRECONDITION", words)
        wanted.latest_ready_revision = wanted.latest_created_revision
        wanted.observed_generation, wanted.reconciling = generation, False
        wanted.terminal_condition = succeeded("Ready", self.now())
        wanted.instance_split_statuses = [
            run_v2.InstanceSplitStatus(type_=split.type_, revision=split.revision, percent=split.percent)
            for split in wanted.instance_splits
        ]
        return run_v2.WorkerPool.pb(wanted)

    def _start(self, pool: run_v2.WorkerPool, finish: Callable[[], Any]) -> Operation:
        parent = pool.name.partition("/workerPools/")[0]
        metadata = run_v2.WorkerPool.pb(pool)
        return self._run.operations.start(
            parent, finish, metadata=metadata, seconds=self._run.seconds_to_ready
        )


def _check(pool: run_v2.WorkerPool) -> None:
    containers: Sequence[Any] = pool.template.containers
    if not containers or any(not container.image for container in containers):
        raise invalid("worker_pool.template.containers: each must have an image.")
    if pool.scaling.manual_instance_count < 0:
        raise invalid("worker_pool.scaling.manual_instance_count: must not be negative.")
    if not pool.instance_splits:
        latest = _Kind.INSTANCE_SPLIT_ALLOCATION_TYPE_LATEST
        pool.instance_splits = [run_v2.InstanceSplit(type_=latest, percent=100)]
    for number, split in enumerate(pool.instance_splits):
        is_named = split.type_ == _Kind.INSTANCE_SPLIT_ALLOCATION_TYPE_REVISION
        if is_named != bool(split.revision):
            raise invalid(
                f"worker_pool.instance_splits[{number}].revision: only, and always, of the type REVISION"
            )
    total = sum(split.percent for split in pool.instance_splits)
    if total != 100:
        raise invalid(f"worker_pool.instance_splits: the percentages must sum to 100, not {total}.")


def _template(pool: run_v2.WorkerPool) -> bytes:
    return bytes(run_v2.WorkerPoolRevisionTemplate.pb(pool.template).SerializeToString(deterministic=True))
