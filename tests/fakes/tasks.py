"""A fake of Cloud Tasks: queues, tasks, and their delivery over real HTTP. Google's own client talks to it.

It keeps what the documentation says and refuses what it says is refused. It was never compared with the real
service. Not imitated: the slow start of queues that are new or idle, throttling beyond `Retry-After`,
redirects, App Engine tasks, OAuth tokens, targets of whole queues, batches, CMEK and IAM.
"""

import secrets
from collections.abc import Callable
from typing import Any

from google.cloud import tasks_v2
from google.protobuf import empty_pb2

from fakes.faults import Faults
from fakes.grpc_server import GrpcServer
from fakes.http_server import HttpAnswer, Route
from fakes.refusal import Refused, invalid
from fakes.tasks_checks import check_name, check_queue, check_task
from fakes.tasks_driver import DrivenTasks
from fakes.tasks_queue import PAUSED, RUNNING, LiveQueue
from fakes.tasks_tokens import TokenSigner

MOST_QUEUES = 1000
QUEUE_NAME_KEPT_SECONDS = 7 * 86400.0
MOST_PER_PAGE = {"queues": 9800, "tasks": 1000}
CERTIFICATES = "/oauth2/v3/certs"
_SERVICE = "google.cloud.tasks.v2.CloudTasks"
_FULL = 2


class FakeTasks(DrivenTasks):
    """The service. Each method of the API takes its request and returns its answer, or raises Refused."""

    def __init__(
        self, clock: Callable[[], float], faults: Faults, *, signer: TokenSigner | None = None
    ) -> None:
        super().__init__(clock, faults, signer=signer)
        self._gone_queues: dict[str, float] = {}

    def install(self, server: GrpcServer) -> None:
        """Serve the API."""
        server.serve(_SERVICE, self)

    def routes(self) -> list[Route]:
        """Return what answers by which keys the tokens of deliveries are verified."""
        return [Route("tokens.certs", "GET", CERTIFICATES, lambda _: HttpAnswer(self.signer.jwks()))]

    # Queues

    def create_queue(self, request: tasks_v2.CreateQueueRequest) -> Any:
        """Create a queue; its limits are checked and its defaults filled in."""
        request = type(request).pb(request)
        check_name("location", request.parent)
        self._check_new_queue(request.parent, request.queue.name)
        with self._at_work() as now:
            if request.queue.name in self._queues:
                raise Refused("ALREADY_EXISTS", "Queue already exists")
            return self._put_queue(request.queue, now)

    def update_queue(self, request: tasks_v2.UpdateQueueRequest) -> Any:
        """Change a queue, or create it when there is none; its state stays as it is."""
        request = type(request).pb(request)
        check_name("queue", request.queue.name)
        with self._at_work() as now:
            live = self._queues.get(request.queue.name)
            if live is None:
                return self._put_queue(request.queue, now)
            changed = _copy(live.message)
            paths = list(request.update_mask.paths) or ["rate_limits", "retry_config"]
            for path in paths:
                _copy_path(request.queue, changed, path)
            check_queue(changed)
            changed.state = live.message.state
            live.message.CopyFrom(changed)
            live.set_limits(now)
            return _copy(live.message)

    def get_queue(self, request: tasks_v2.GetQueueRequest) -> Any:
        """Return a queue."""
        request = type(request).pb(request)
        with self._at_work():
            return _copy(self._queue(request.name).message)

    def list_queues(self, request: tasks_v2.ListQueuesRequest) -> Any:
        """Return the queues of a location, by name, a page at a time."""
        request = type(request).pb(request)
        check_name("location", request.parent)
        if request.filter:
            raise Refused("UNIMPLEMENTED", "This fake knows no filters.")
        with self._at_work():
            names = sorted(name for name in self._queues if name.startswith(request.parent + "/queues/"))
            page, token = _page(names, request, MOST_PER_PAGE["queues"])
            answer = tasks_v2.ListQueuesResponse.pb()(next_page_token=token)
            answer.queues.extend(self._queues[name].message for name in page)
            return answer

    def delete_queue(self, request: tasks_v2.DeleteQueueRequest) -> Any:
        """Delete a queue and all in it; its name is barred for a week."""
        request = type(request).pb(request)
        with self._at_work() as now:
            self._queue(request.name).purge(now)
            del self._queues[request.name]
            self._gone_queues[request.name] = now + QUEUE_NAME_KEPT_SECONDS
            return empty_pb2.Empty()

    def purge_queue(self, request: tasks_v2.PurgeQueueRequest) -> Any:
        """Delete all tasks of a queue."""
        request = type(request).pb(request)
        with self._at_work() as now:
            live = self._queue(request.name)
            live.purge(now)
            return _copy(live.message)

    def pause_queue(self, request: tasks_v2.PauseQueueRequest) -> Any:
        """Deliver nothing more of a queue; what is on its way is not called back."""
        request = type(request).pb(request)
        return self._set_state(request.name, PAUSED)

    def resume_queue(self, request: tasks_v2.ResumeQueueRequest) -> Any:
        """Deliver again."""
        request = type(request).pb(request)
        return self._set_state(request.name, RUNNING)

    # Tasks

    def create_task(self, request: tasks_v2.CreateTaskRequest) -> Any:
        """Put a task into a queue; a name that is or was there a short while ago is refused."""
        request = type(request).pb(request)
        check_name("queue", request.parent)
        with self._at_work() as now:
            live = self._queues.get(request.parent)
            if live is None:
                was_here = self._gone_queues.get(request.parent, now) > now
                raise Refused(
                    "FAILED_PRECONDITION",
                    "The queue no longer exists, though a queue with this name existed recently."
                    if was_here
                    else "Queue does not exist.",
                )
            check_task(request.task, parent=request.parent, now=now)
            message = _copy(request.task)
            for output in ("dispatch_count", "response_count", "first_attempt", "last_attempt", "view"):
                message.ClearField(output)
            message.name = message.name or f"{request.parent}/tasks/{secrets.randbits(63)}"
            if live.is_taken(message.name, now):
                raise Refused("ALREADY_EXISTS", "Requested entity already exists")
            return _viewed(live.add(message, now).message, request.response_view)

    def get_task(self, request: tasks_v2.GetTaskRequest) -> Any:
        """Return a task that is there still."""
        request = type(request).pb(request)
        check_name("task", request.name)
        with self._at_work():
            return _viewed(self._task(request.name)[1].message, request.response_view)

    def list_tasks(self, request: tasks_v2.ListTasksRequest) -> Any:
        """Return the tasks of a queue, a page at a time."""
        request = type(request).pb(request)
        with self._at_work():
            tasks = self._queue(request.parent).tasks
            page, token = _page(sorted(tasks), request, MOST_PER_PAGE["tasks"])
            answer = tasks_v2.ListTasksResponse.pb()(next_page_token=token)
            answer.tasks.extend(_viewed(tasks[name].message, request.response_view) for name in page)
            return answer

    def delete_task(self, request: tasks_v2.DeleteTaskRequest) -> Any:
        """Delete a task; what is on its way is not called back."""
        request = type(request).pb(request)
        check_name("task", request.name)
        with self._at_work() as now:
            self._task(request.name)[0].remove(request.name, now)
            return empty_pb2.Empty()

    def run_task(self, request: tasks_v2.RunTaskRequest) -> Any:
        """Deliver a task now, whatever the limits, even of a paused queue."""
        request = type(request).pb(request)
        check_name("task", request.name)
        with self._at_work() as now:
            live, task = self._task(request.name)
            self._forced.append(live.begin_one(task, now))
            return _viewed(task.message, request.response_view)

    def _check_new_queue(self, parent: str, name: str) -> None:
        check_name("queue", name)
        if not name.startswith(parent + "/queues/"):
            raise invalid(f"Queue.name {name!r} does not lie in {parent!r}.")

    def _put_queue(self, asked: Any, now: float) -> Any:
        location = asked.name.rpartition("/queues/")[0] + "/queues/"
        if self._gone_queues.get(asked.name, now) > now:
            raise Refused(
                "FAILED_PRECONDITION",
                "The queue cannot be created because a queue with this name existed too recently.",
            )
        if sum(name.startswith(location) for name in self._queues) >= MOST_QUEUES:
            raise Refused("RESOURCE_EXHAUSTED", "Too many queues in this location.")
        message = _copy(asked)
        check_queue(message)
        message.state = RUNNING
        message.ClearField("purge_time")
        self._queues[message.name] = LiveQueue(message, faults=self.deliveries, now=now)
        return _copy(message)

    def _set_state(self, name: str, state: int) -> Any:
        with self._at_work():
            live = self._queue(name)
            live.message.state = state
            return _copy(live.message)

    def _queue(self, name: str) -> LiveQueue:
        check_name("queue", name)
        if name not in self._queues:
            raise Refused("NOT_FOUND", "Requested entity was not found.")
        return self._queues[name]

    def _task(self, name: str) -> tuple[LiveQueue, Any]:
        live = self._queue(name.rpartition("/tasks/")[0])
        if name not in live.tasks:
            raise Refused("NOT_FOUND", "The task no longer exists, or never did.")
        return live, live.tasks[name]


def _copy(message: Any) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied


def _viewed(message: Any, view: int) -> Any:
    """Return a copy of a task as a view shows it: the body may be large or private, and is asked for."""
    shown = _copy(message)
    shown.view = view or 1
    if view != _FULL:
        shown.http_request.ClearField("body")
    return shown


def _page(names: list[str], request: Any, most: int) -> tuple[list[str], str]:
    """Return the names after the page token, and the token of the next page."""
    if request.page_size < 0:
        raise invalid("page_size must not be negative.")
    after = [name for name in names if name > request.page_token]
    size = min(request.page_size or most, most)
    return after[:size], after[size - 1] if len(after) > size else ""


def _copy_path(source: Any, target: Any, path: str) -> None:
    """Copy what a path of an update mask names."""
    first, _, rest = path.partition(".")
    if first not in source.DESCRIPTOR.fields_by_name:
        raise invalid(f"update_mask: there is no field {path!r}.")
    if rest:
        _copy_path(getattr(source, first), getattr(target, first), rest)
        return
    field = source.DESCRIPTOR.fields_by_name[first]
    target.ClearField(first)
    if field.message_type is None:
        setattr(target, first, getattr(source, first))
    elif source.HasField(first):
        getattr(target, first).CopyFrom(getattr(source, first))
