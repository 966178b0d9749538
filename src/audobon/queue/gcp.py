"""Releases tasks of the queue on PostgreSQL into Cloud Tasks, which calls worker services.

It has never been run against the real Cloud Tasks; tests speak to a fake through Google's own client.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import msgspec

from audobon.errors import AudobonError, CloudConflict, CloudNotFound, CloudUnavailable, QuotaExceeded
from audobon.gcloud.clients import grpc_client
from audobon.gcloud.errors import google_errors
from audobon.queue.deliveries import TASK_PATH, body_of
from audobon.queue.dispatching import Lane, QueueDispatcher, Release, Service, parse_lane
from audobon.queue.postgres_releases import ReleasingQueue
from audobon.queue.rules import RetryPolicy
from audobon.queue.upkeep import Upkeep

_CALLS_AT_ONCE = 16
_CALL_SECONDS = 20.0
_PAGE = 1000
# What ends need not wake anybody, and makes room all the same.
_LOOK_SECONDS = 0.05
_UPKEEP_SECONDS = 1.0
_RESTS = RetryPolicy(first_seconds=0.5, most_seconds=30.0)


class DispatchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where tasks are released to, and how.

    location          projects/PROJECT/locations/REGION
    prefix            what the names of our queues there begin with: PREFIX-QUEUE-BAND
    services          what does the tasks
    account           as whom deliveries call the services; empty: they carry no token, as on this machine
    deadline_seconds  for so long Cloud Tasks waits for an answer, 15 to 1800
    doubt_seconds     after so long a release that is not known to lie there is created again
    overdue_seconds   after so long one that nobody took up is looked for
    """

    location: str
    prefix: str
    services: tuple[Service, ...]
    account: str = ""
    deadline_seconds: int = 1800
    doubt_seconds: float = 10.0
    overdue_seconds: float = 60.0


class CloudDispatcher:
    """Keeps the lanes filled, and finds again what went missing on the way.

    Any number of processes may do so at once. Dying at any instant loses nothing: what was noted is created
    again, what was created twice is done once.

    lanes   None: as Cloud Tasks has them now
    client  None: one of Google's own
    clock   monotonic seconds
    raises  CloudNotFound when there are no lanes; CloudDenied, CloudUnavailable
    """

    def __init__(
        self,
        queue: ReleasingQueue,
        settings: DispatchSettings,
        *,
        lanes: Iterable[Lane] | None = None,
        client: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._client = open_client() if client is None else client
        found = self._find_lanes() if lanes is None else list(lanes)
        self._lanes = [lane.name for lane in found]
        self._dispatcher = QueueDispatcher(found, settings.services)
        self._clock = clock
        self._looked_at = clock()
        self._callers = ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="dispatcher")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; the queue is the caller's."""
        self._callers.shutdown(cancel_futures=True)

    def tick(self) -> int:
        """Release what there is room for, and create again what is in doubt; return how many tasks.

        raises  CloudUnavailable, QuotaExceeded and the like when a call failed, after all others were made;
                what failed stays in doubt, and is created again later
        """
        void = self._queue.drop_void()
        releases = [
            release
            for queue in self._dispatcher.queues
            for release in self._queue.release_next(queue, self._dispatcher)
        ]
        releases += self._queue.doubtful(seconds=self._settings.doubt_seconds)
        if self._clock() - self._looked_at >= self._settings.overdue_seconds:
            releases += self.find_missing()
        self._create(releases)
        self._withdraw(void)
        return len(releases)

    def run(self, is_stopped: threading.Event, *, tell: Callable[[AudobonError], None]) -> None:
        """Keep the lanes filled until it is told to stop, and keep up the queue.

        tell    told what failed and is tried again after a rest
        raises  what would fail again, unchanged: CloudDenied, CloudMisconfigured and the like
        """
        upkeep, looked_at, failures = Upkeep(self._queue), self._clock(), 0
        while not is_stopped.is_set():
            try:
                if self._clock() - looked_at >= _UPKEEP_SECONDS:
                    looked_at = self._clock()
                    upkeep.look()
                if not self.tick():
                    self._queue.wait(_LOOK_SECONDS)
                failures = 0
            except AudobonError as error:
                if not error.retry:
                    raise
                tell(error)
                failures += 1
                is_stopped.wait(_RESTS.rest_seconds(failures))

    def find_missing(self) -> list[Release]:
        """Return what Cloud Tasks lost or gave up, under new names, to be created anew."""
        self._looked_at = self._clock()
        missing = []
        for lane in self._lanes:
            overdue = self._queue.overdue(lane, seconds=self._settings.overdue_seconds)
            if overdue:
                known = self._names_in(lane)
                missing += [release for release in overdue if release.name not in known]
        return self._queue.release_again(missing)

    def _create(self, releases: Sequence[Release]) -> None:
        errors: list[AudobonError] = []
        created: list[Release] = []
        for release, error in zip(releases, self._callers.map(self._try_to_create, releases), strict=True):
            if error is None:
                created.append(release)
            elif not isinstance(error, CloudConflict):
                # One that was aborted for no fault of its own only stays in doubt.
                errors.append(error)
        self._queue.confirm(created)
        if errors:
            raise errors[0]

    def _try_to_create(self, release: Release) -> AudobonError | None:
        from google.api_core.exceptions import AlreadyExists

        try:
            with google_errors("releasing a task into Cloud Tasks", release.lane), suppress(AlreadyExists):
                # One that exists was created before, and the answer was lost.
                self._client.create_task(self._request(release), timeout=_CALL_SECONDS)
        except AudobonError as error:
            return error
        return None

    def _request(self, release: Release) -> Any:
        from google.cloud import tasks_v2

        parent = f"{self._settings.location}/queues/{release.lane}"
        call = {
            "url": release.url.rstrip("/") + TASK_PATH,
            "headers": {"Content-Type": "application/json"},
            "body": body_of(release.task_id, release.token),
        }
        if self._settings.account:
            call["oidc_token"] = {
                "service_account_email": self._settings.account,
                "audience": release.url,
            }
        task = {
            "name": f"{parent}/tasks/{release.name}",
            "dispatch_deadline": {"seconds": self._settings.deadline_seconds},
            "http_request": call,
        }
        return tasks_v2.CreateTaskRequest(parent=parent, task=task)

    def _withdraw(self, releases: Sequence[Release]) -> None:
        """Delete what is void, so that it is not delivered for nothing."""
        for _ in self._callers.map(self._try_to_delete, releases):
            pass

    def _try_to_delete(self, release: Release) -> None:
        name = f"{self._settings.location}/queues/{release.lane}/tasks/{release.name}"
        # One that stays is delivered, and found to be stale.
        with (
            suppress(CloudNotFound, CloudUnavailable, QuotaExceeded),
            google_errors("deleting a task of Cloud Tasks", release.lane),
        ):
            self._client.delete_task(name=name, retry=None, timeout=_CALL_SECONDS)

    def _names_in(self, lane: str) -> set[str]:
        with google_errors("listing the tasks of a queue of Cloud Tasks", lane):
            parent = f"{self._settings.location}/queues/{lane}"
            found = self._client.list_tasks(request={"parent": parent, "page_size": _PAGE})
            return {task.name.rpartition("/")[2] for task in found}

    def _find_lanes(self) -> list[Lane]:
        location, prefix = self._settings.location, self._settings.prefix
        with google_errors("listing the queues of Cloud Tasks", location):
            queues = list(self._client.list_queues(parent=location))
        lanes = []
        for queue in queues:
            name = queue.name.rpartition("/")[2]
            lane = parse_lane(prefix, name, queue.rate_limits.max_concurrent_dispatches)
            if lane is not None:
                lanes.append(lane)
        if not lanes:
            raise CloudNotFound(
                f"Cloud Tasks has no queues {prefix}-…-high, -normal or -low in {location}",
                hint="audobon cloud apply",
            )
        return lanes


def open_client() -> Any:
    """Return Google's own client of Cloud Tasks. raises CloudDenied, Misconfigured."""
    with google_errors("opening a client of Cloud Tasks"):
        from google.cloud import tasks_v2

        return grpc_client(tasks_v2.CloudTasksClient, "tasks")
