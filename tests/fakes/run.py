"""Cloud Run: services, their revisions that never change, and the traffic between them.

source  cloud.google.com/run/docs/reference/rpc/google.cloud.run.v2; what it has beyond is UNIMPLEMENTED
"""

import itertools
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from google.cloud import run_v2
from google.longrunning.operations_pb2 import Operation
from google.protobuf.field_mask_pb2 import FieldMask

from fakes.api import FakeApi
from fakes.etags import new_etag
from fakes.faults import Faults
from fakes.grpc_server import GrpcServer
from fakes.names import Name
from fakes.operations import FakeOperations
from fakes.pages import page_of
from fakes.refusal import Refused, invalid, not_found
from fakes.traffic import check_traffic, statuses, usual_traffic

_LOCATION = Name("projects/{project}/locations/{location}", r"[a-z0-9-]+")
_SERVICE = Name(_LOCATION.pattern + "/services/{service}", r"[a-z]([a-z0-9-]{0,47}[a-z0-9])?")
_REVISION = Name(_SERVICE.pattern + "/revisions/{revision}", r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")

_State = run_v2.Condition.State
_OUTPUT_ONLY = {
    "name", "uid", "generation", "create_time", "update_time", "delete_time", "expire_time", "creator",
    "last_modifier", "observed_generation", "terminal_condition", "conditions", "latest_ready_revision",
    "latest_created_revision", "traffic_statuses", "uri", "urls", "reconciling", "etag", "satisfies_pzs",
    "threat_detection_enabled",
}  # fmt: skip
# What a revision takes from the template that it was made by.
_OF_TEMPLATE = (
    "labels", "annotations", "scaling", "vpc_access", "timeout", "service_account", "containers", "volumes",
    "execution_environment", "encryption_key", "max_instance_request_concurrency", "session_affinity",
    "node_selector",
)  # fmt: skip


@dataclass
class _Service:
    public: run_v2.Service
    revisions: dict[str, run_v2.Revision] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)


class FakeRun(FakeApi):
    """The service Services; `revisions` is the other.

    seconds_to_ready  how long a change takes, by the clock; 0: it is done in the answer
    broken_images     images whose container never listens: their revisions fail, and traffic stays
    """

    api: ClassVar[str] = "run"

    def __init__(self, clock: Callable[[], float], faults: Faults, operations: FakeOperations) -> None:
        super().__init__(clock, faults)
        self.lock = operations.lock
        self.operations = operations
        self.services: dict[str, _Service] = {}
        self._numbers = itertools.count(1)
        self.revisions = FakeRevisions(self)
        self.seconds_to_ready = 0.0
        self.broken_images: set[str] = set()

    def install(self, server: GrpcServer) -> None:
        """Serve both."""
        server.serve("google.cloud.run.v2.Services", self)
        server.serve("google.cloud.run.v2.Revisions", self.revisions)

    def create_service(self, request: run_v2.CreateServiceRequest) -> Operation:
        """Make a service with its first revision."""
        _LOCATION.parse(request.parent)
        name = f"{request.parent}/services/{request.service_id}"
        _SERVICE.parse(name)
        if name in self.services:
            raise Refused("ALREADY_EXISTS", f"Resource '{request.service_id}' already exists.")
        wanted = run_v2.Service(request.service)
        for each in _OUTPUT_ONLY:
            setattr(wanted, each, None)
        wanted.name, wanted.uid, wanted.create_time = name, str(uuid.uuid4()), self.now()
        service = _Service(wanted)
        return self._change(service, wanted, is_new=True, validate_only=request.validate_only)

    def update_service(self, request: run_v2.UpdateServiceRequest) -> Operation:
        """Change a service; another template makes another revision, another traffic alone makes none."""
        name = request.service.name
        _SERVICE.parse(name)
        if name not in self.services and request.allow_missing:
            parent, _, service_id = name.partition("/services/")
            return self.create_service(
                run_v2.CreateServiceRequest(parent=parent, service_id=service_id, service=request.service)
            )
        service = self.found(name)
        _check_etag(request.service.etag, service.public.etag, name)
        wanted = run_v2.Service(service.public)
        _merge(wanted, request.service, request.update_mask)
        return self._change(service, wanted, is_new=False, validate_only=request.validate_only)

    def get_service(self, request: run_v2.GetServiceRequest) -> run_v2.Service:
        """Return a service as it stands."""
        return run_v2.Service(self.found(request.name).public)

    def list_services(self, request: run_v2.ListServicesRequest) -> run_v2.ListServicesResponse:
        """List the services of a place."""
        _LOCATION.parse(request.parent)
        self.operations.settle()
        found = [
            service.public
            for name, service in sorted(self.services.items())
            if name.startswith(f"{request.parent}/services/")
        ]
        services, token = page_of(found, size=request.page_size, token=request.page_token)
        return run_v2.ListServicesResponse(services=services, next_page_token=token)

    def delete_service(self, request: run_v2.DeleteServiceRequest) -> Operation:
        """Remove a service with its revisions."""
        service = self.found(request.name)
        _check_etag(request.etag, service.public.etag, request.name)

        def finish() -> Any:
            self.services.pop(request.name, None)
            return run_v2.Service.pb(service.public)

        return self._start(service, finish)

    def found(self, name: str) -> _Service:
        """Return a service with its revisions. raises Refused."""
        _SERVICE.parse(name)
        self.operations.settle()
        if name not in self.services:
            raise not_found(f"Resource '{name.rpartition('/')[2]}' of kind 'SERVICE'")
        return self.services[name]

    def _change(
        self, service: _Service, wanted: run_v2.Service, *, is_new: bool, validate_only: bool
    ) -> Operation:
        kind = "Create" if is_new else "Update"
        _check_template(wanted, kind)
        wanted.traffic = list(wanted.traffic) or usual_traffic()
        check_traffic(wanted.traffic, kind)
        if validate_only:
            return self.operations.start(
                _parent(wanted.name),
                lambda: run_v2.Service.pb(wanted),
                metadata=run_v2.Service.pb(wanted),
                seconds=0.0,
            )
        is_other = is_new or _template(wanted) != _template(service.public)
        wanted.generation = service.public.generation + 1
        wanted.update_time, wanted.etag, wanted.reconciling = self.now(), new_etag(), True
        if is_other:
            revision = self._new_revision(wanted, service.revisions)
            service.revisions[revision.name] = revision
            wanted.latest_created_revision = revision.name
        wanted.terminal_condition = run_v2.Condition(type_="Ready", state=_State.CONDITION_RECONCILING)
        service.public = wanted
        self.services[wanted.name] = service
        return self._start(service, lambda: self._reconcile(service, wanted))

    def _start(self, service: _Service, finish: Callable[[], Any]) -> Operation:
        return self.operations.start(
            _parent(service.public.name),
            finish,
            metadata=run_v2.Service.pb(service.public),
            seconds=self.seconds_to_ready,
        )

    def _reconcile(self, service: _Service, wanted: run_v2.Service) -> Any:
        """Bring a service to the state that was wanted, or say what keeps it from there."""
        created = wanted.latest_created_revision
        revision = service.revisions.get(created)
        if revision is not None and created not in service.ready:
            images = {container.image for container in revision.containers}
            revision.reconciling = False
            if broken := images & self.broken_images:
                words = f"The user-provided container {min(broken)} failed to start and listen on its port."
                revision.conditions = [failed("Ready", words)]
                raise self._fail(service, wanted, Refused("FAILED_PRECONDITION", words))
            service.ready.add(created)
            revision.conditions = [succeeded("Ready", self.now())]
        for target in wanted.traffic:
            name = f"{wanted.name}/revisions/{target.revision}"
            if target.revision and name not in service.ready:
                words = f"Revision '{target.revision}' is not ready and cannot serve traffic."
                raise self._fail(service, wanted, Refused("FAILED_PRECONDITION", words))
        # Of two changes under way the later one counts.
        if service.public.generation == wanted.generation:
            wanted.latest_ready_revision = created
            wanted.observed_generation = wanted.generation
            wanted.uri = _uri(wanted.name)
            wanted.urls = [wanted.uri]
            wanted.traffic_statuses = statuses(wanted.traffic, wanted.uri)
            wanted.terminal_condition = succeeded("Ready", self.now())
            wanted.conditions = [
                succeeded(each, self.now()) for each in ("RoutesReady", "ConfigurationsReady")
            ]
            wanted.reconciling = False
        return run_v2.Service.pb(wanted)

    def _fail(self, service: _Service, wanted: run_v2.Service, refused: Refused) -> Refused:
        if service.public.generation == wanted.generation:
            wanted.terminal_condition = failed("Ready", refused.message)
            wanted.reconciling = False
        return refused

    def _new_revision(self, service: run_v2.Service, others: dict[str, run_v2.Revision]) -> run_v2.Revision:
        service_id = service.name.rpartition("/")[2]
        wanted = (
            service.template.revision or f"{service_id}-{service.generation:05d}-{next(self._numbers):03d}"
        )
        if not wanted.startswith(f"{service_id}-"):
            raise invalid(f"service.template.revision: {wanted!r} must begin with '{service_id}-'")
        name = f"{service.name}/revisions/{wanted}"
        _REVISION.parse(name)
        if name in others:
            raise Refused(
                "ALREADY_EXISTS", f"Revision named '{wanted}' with different configuration already exists."
            )
        revision = run_v2.Revision(
            name=name,
            uid=str(uuid.uuid4()),
            generation=1,
            create_time=self.now(),
            service=service_id,
            etag=new_etag(),
            reconciling=True,
        )
        for each in _OF_TEMPLATE:
            setattr(revision, each, getattr(service.template, each))
        return revision


class FakeRevisions(FakeApi):
    """The service Revisions, of the services of another fake."""

    api: ClassVar[str] = "run"

    def __init__(self, run: FakeRun) -> None:
        super().__init__(run.clock, run.faults)
        self.lock = run.lock
        self._run = run

    def get_revision(self, request: run_v2.GetRevisionRequest) -> run_v2.Revision:
        """Return a revision."""
        return run_v2.Revision(self._revision(request.name)[1])

    def list_revisions(self, request: run_v2.ListRevisionsRequest) -> run_v2.ListRevisionsResponse:
        """List the revisions of a service, newest first."""
        found = list(reversed(self._run.found(request.parent).revisions.values()))
        revisions, token = page_of(found, size=request.page_size, token=request.page_token)
        return run_v2.ListRevisionsResponse(revisions=revisions, next_page_token=token)

    def delete_revision(self, request: run_v2.DeleteRevisionRequest) -> Operation:
        """Remove a revision that serves nothing and is not the latest."""
        service, revision = self._revision(request.name)
        _check_etag(request.etag, revision.etag, request.name)
        short = request.name.rpartition("/")[2]
        is_latest = request.name == service.public.latest_created_revision
        if is_latest or any(target.revision == short for target in service.public.traffic):
            raise Refused(
                "FAILED_PRECONDITION", f"Revision '{short}' is the latest, or has traffic or a tag."
            )
        del service.revisions[request.name]
        service.ready.discard(request.name)
        return self._run._start(service, lambda: run_v2.Revision.pb(revision))

    def _revision(self, name: str) -> tuple[_Service, run_v2.Revision]:
        _REVISION.parse(name)
        service = self._run.found(name.partition("/revisions/")[0])
        if name not in service.revisions:
            raise not_found(f"Resource '{name.rpartition('/')[2]}' of kind 'REVISION'")
        return service, service.revisions[name]


def _merge(wanted: run_v2.Service, given: run_v2.Service, mask: FieldMask) -> None:
    paths: Iterable[str] = mask.paths
    if not mask.paths:
        paths = set(run_v2.Service.meta.fields) - _OUTPUT_ONLY
    for path in paths:
        top = path.partition(".")[0]
        if top not in run_v2.Service.meta.fields or top in _OUTPUT_ONLY:
            raise invalid(f"update_mask: {path!r} is no field that can be updated")
        if "." in path:
            raise invalid(f"update_mask: this fake takes whole fields, not {path!r}")
        setattr(wanted, top, getattr(given, top))


def _check_template(service: run_v2.Service, kind: str) -> None:
    containers = list(service.template.containers)
    if not containers or any(not container.image for container in containers):
        raise invalid(
            f"Violation in {kind}ServiceRequest.service.template.containers: each must have an image."
        )
    names = [container.name for container in containers]
    if len(containers) > 1 and len(set(names)) < len(names):
        raise invalid(f"Violation in {kind}ServiceRequest.service.template.containers: names must differ.")


def _template(service: run_v2.Service) -> bytes:
    return bytes(run_v2.RevisionTemplate.pb(service.template).SerializeToString(deterministic=True))


def _check_etag(given: str, present: str, name: str) -> None:
    if given and given != present:
        raise Refused(
            "ABORTED", f"Conflict for resource '{name}': etag {given} was specified, it has {present}."
        )


def _parent(name: str) -> str:
    return name.partition("/services/")[0]


def _uri(name: str) -> str:
    found = _SERVICE.parse(name)
    project = re.sub(r"[^a-z0-9]", "", found["project"])
    return f"https://{found['service']}-{project}.{found['location']}.run.app"


def succeeded(kind: str, now: Any) -> run_v2.Condition:
    """Return the condition of what is as it should be."""
    return run_v2.Condition(type_=kind, state=_State.CONDITION_SUCCEEDED, last_transition_time=now)


def failed(kind: str, words: str) -> run_v2.Condition:
    """Return the condition of what is not, with the reason."""
    return run_v2.Condition(
        type_=kind,
        state=_State.CONDITION_FAILED,
        message=words,
        reason=run_v2.Condition.CommonReason.REVISION_FAILED,
    )
