"""The queue through Cloud Tasks: released by the dispatcher, delivered over HTTP, taken up by token.

The service is a fake that Google's own client speaks to; the real one has never been touched.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from conformance import OpenQueue, QueueConformance
from conformance_adding import Adding
from conformance_handout import HandingOut
from conformance_limits import Limiting
from conformance_looking import Looking
from conformance_schedules import Scheduling
from conformance_stopping import Stopping
from conformance_working import Working
from google.cloud import tasks_v2
from queue_tasks import FixedDraw, TurnedClock, add, claim, keys_in, new_task
from release_desk import LOCATION, SERVICE, lanes_of

from audobon.errors import CloudMisconfigured, CloudNotFound, CloudUnavailable, QuotaExceeded
from audobon.gcloud.clients import grpc_client
from audobon.queue.deliveries import TAKEN, read_delivery, response_to
from audobon.queue.dispatching import QueueDispatcher
from audobon.queue.gcp import CloudDispatcher, DispatchSettings
from audobon.queue.postgres_releases import ReleasingQueue
from audobon.queue.tasks import Claimant, Lease
from fakes.cloud import FakeCloud
from fakes.worker import Delivered, FakeWorker, Said

pytest_plugins = ("postgres_fixture",)

ACCOUNT = "dispatcher@audobon-test.iam.gserviceaccount.com"
RETRIES = {"max_attempts": -1, "min_backoff": {"seconds": 1}, "max_backoff": {"seconds": 5}}


def make_queues(client: Any, *queues: str, concurrency: int = 2) -> None:
    for queue in queues:
        for lane in lanes_of(queue, concurrency):
            client.create_queue(
                parent=LOCATION,
                queue={
                    "name": f"{LOCATION}/queues/{lane.name}",
                    "rate_limits": {"max_concurrent_dispatches": concurrency},
                    "retry_config": RETRIES,
                },
            )


class Service:
    """A worker service that takes up what is delivered, by the rules of `deliveries`."""

    def __init__(self, queue: ReleasingQueue, claimant: Claimant) -> None:
        self.queue = queue
        self.claimant = claimant
        self.leases: list[Lease] = []
        self.answers: list[str] = []

    def handle(self, delivered: Delivered) -> Said:
        assert (delivered.method, delivered.path) == ("POST", "/tasks/run")
        delivery = read_delivery(delivered.body)
        found = self.queue.claim_released(self.claimant, task_id=delivery.task, token=delivery.token)
        if isinstance(found, Lease):
            self.leases.append(found)
            self.answers.append("taken")
            return Said(TAKEN.status)
        self.answers.append(found)
        response = response_to(found)
        return Said(response.status, {"Retry-After": str(response.retry_after_seconds)})


class ThroughTheCloud(ReleasingQueue):
    """The queue whose every claim goes through Cloud Tasks: released, delivered, taken up by its token."""

    def through(self, cloud: FakeCloud) -> "ThroughTheCloud":
        self._cloud = cloud
        self._client = grpc_client(tasks_v2.CloudTasksClient, "tasks")
        return self

    def claim(self, claimant: Claimant, *, limit: int = 1, may_exceed: bool = False) -> list[Lease]:
        service = Service(self, claimant)
        with FakeWorker(service.handle) as worker:
            while len(service.leases) < limit and self._release_what_comes_first(claimant, worker.url):
                self._cloud.tasks.deliver()
        return service.leases

    def _release_what_comes_first(self, claimant: Claimant, url: str) -> bool:
        with self.transaction():
            self._settle(self._clock())
        rows = self._queues()
        heads = sorted(
            (head.rank, head.task_id, head.queue)
            for head in self._heads()
            if (claimant.kinds is None or head.kind in claimant.kinds)
            and (claimant.queues is None or head.queue in claimant.queues)
            and (head.device == "any" or head.device in claimant.devices)
            and rows[head.queue].rules.state != "pause"
        )
        return any(
            self._release_one_of(queue, claimant, url)
            for queue in dict.fromkeys(queue for _, _, queue in heads)
        )

    def _release_one_of(self, queue: str, claimant: Claimant, url: str) -> bool:
        service = type(SERVICE)(
            url=url, kinds=claimant.kinds, devices=claimant.devices, ram_bytes=1 << 62, vram_bytes=1 << 62
        )
        if not any(name.endswith(f"/queues/audobon-{queue}-low") for name in self._known_lanes()):
            make_queues(self._client, queue, concurrency=1000)
        dispatcher = QueueDispatcher(lanes_of(queue, 1000), [service])
        releases = self.release_next(queue, dispatcher, limit=1)
        settings = DispatchSettings(location=LOCATION, prefix="audobon", services=(service,))
        with CloudDispatcher(self, settings, lanes=lanes_of(queue, 1000), client=self._client) as cloud:
            cloud._create(releases)
        return bool(releases)

    def _known_lanes(self) -> list[str]:
        return [queue.name for queue in self._client.list_queues(parent=LOCATION)]


class TestThroughTheCloud(Adding, HandingOut, Limiting, Working, Stopping, Scheduling, Looking):
    """The promise of the queue where it applies: memory, warm models and forecasts are a machine's own.

    Other processes add and claim as they do on PostgreSQL, which `test_postgres.py` shows.
    """

    clock = QueueConformance.clock
    draw = QueueConformance.draw
    queue = QueueConformance.queue
    other_queue = QueueConformance.other_queue

    @pytest.fixture
    def open_queue(
        self, queue_url: str, tmp_path: Path, clock: TurnedClock, draw: FixedDraw, cloud: FakeCloud
    ) -> OpenQueue:
        keys = keys_in(tmp_path)
        return lambda: ThroughTheCloud(queue_url, keys=keys, clock=clock, draw=draw).through(cloud)


class Desk:
    """A queue, a worker service and a dispatcher between them, on one clock that is turned."""

    def __init__(self, queue: ReleasingQueue, cloud: FakeCloud, clock: TurnedClock) -> None:
        self.queue, self.cloud, self.clock = queue, cloud, clock
        self.client: Any = grpc_client(tasks_v2.CloudTasksClient, "tasks")
        self.service = Service(queue, Claimant(owner="service"))
        self.worker = FakeWorker(self.service.handle)
        make_queues(self.client, "batch")
        self.settings = DispatchSettings(
            location=LOCATION,
            prefix="audobon",
            services=(type(SERVICE)(url=self.worker.url, ram_bytes=1 << 40),),
            account=ACCOUNT,
        )
        self.dispatcher = self.open_dispatcher()

    def open_dispatcher(self) -> CloudDispatcher:
        """Return a dispatcher, as another process would have."""
        return CloudDispatcher(self.queue, self.settings, client=self.client, clock=self.clock)

    def turn(self, seconds: float) -> None:
        self.clock.seconds += seconds
        cast(Any, self.cloud.clock).turn(seconds)

    def go(self) -> int:
        """Release, deliver and finish; return how many tasks were released."""
        count = self.dispatcher.tick()
        self.cloud.tasks.deliver()
        for lease in self.service.leases:
            self.queue.finish(lease)
        self.service.leases.clear()
        return count

    def lying(self) -> list[str]:
        """The tasks that lie in Cloud Tasks."""
        names = [f"{LOCATION}/queues/{lane.name}" for lane in lanes_of("batch")]
        return [task.name for name in names for task in self.client.list_tasks(parent=name)]

    def states(self) -> set[str]:
        return {task.state for task in self.queue.select()}


@pytest.fixture
def desk(queue_url: str, tmp_path: Path, cloud: FakeCloud) -> Iterator[Desk]:
    clock = TurnedClock()
    with ReleasingQueue(queue_url, keys=keys_in(tmp_path), clock=clock, draw=lambda: 0.0) as queue:
        desk = Desk(queue, cloud, clock)
        yield desk
        desk.dispatcher.close()
        desk.worker.close()


def test_what_is_released_says_only_which_task_it_is_and_by_what_right(desk: Desk, cloud: FakeCloud) -> None:
    (task_id,) = add(desk.queue, "the-wren/page-3.png")
    assert desk.go() == 1
    (delivered,) = desk.worker.delivered
    assert json.loads(delivered.body) == {"task": task_id, "token": 0}
    assert delivered.headers["authorization"].startswith("Bearer ")
    (call,) = cloud.calls_of("tasks.CreateTask")
    task = call.request.task
    assert b"wren" not in type(task).serialize(task)
    assert task.dispatch_deadline.total_seconds() == 1800
    assert task.http_request.oidc_token.audience == desk.worker.url
    assert task.http_request.oidc_token.service_account_email == ACCOUNT
    assert (desk.states(), desk.lying()) == ({"done"}, [])


def test_the_windows_are_twice_what_cloud_tasks_runs_at_once(desk: Desk) -> None:
    add(desk.queue, *(str(number) for number in range(30)))
    assert [desk.dispatcher.tick(), desk.dispatcher.tick()] == [8, 0]
    assert len(desk.lying()) == 8
    while desk.go() or desk.states() != {"done"}:
        pass
    assert desk.service.answers == ["taken"] * 30


def test_all_of_a_backlog_comes_in_the_order_of_rank_within_the_windows(desk: Desk) -> None:
    desk.cloud.tasks.deliveries.is_shuffled = True
    ids = add(desk.queue, *(new_task(str(n), priority=n % 5 - 2) for n in range(60)))
    right = sorted(ids, key=lambda task_id: (-desk.queue.find(task_id).priority, task_id))
    while desk.go() or desk.states() != {"done"}:
        pass
    begun = [json.loads(each.body)["task"] for each in desk.worker.delivered]
    place = {task_id: index for index, task_id in enumerate(right)}
    assert sorted(begun) == sorted(ids)
    assert begun != right
    assert max(abs(place[task_id] - index) for index, task_id in enumerate(begun)) <= 12


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("UNAVAILABLE", CloudUnavailable),
        ("DEADLINE_EXCEEDED", CloudUnavailable),
        ("INTERNAL", CloudUnavailable),
    ],
)
@pytest.mark.parametrize("after_commit", [False, True], ids=["before", "after"])
def test_a_create_call_that_is_lost_is_made_again(
    desk: Desk, cloud: FakeCloud, status: str, error: type[Exception], after_commit: bool
) -> None:
    add(desk.queue, "a")
    cloud.faults.fail("tasks.CreateTask", status, after_commit=after_commit)
    with pytest.raises(error):
        desk.dispatcher.tick()
    assert len(desk.lying()) == int(after_commit)
    assert desk.dispatcher.tick() == 0
    desk.turn(10)
    assert desk.go() == 1
    assert desk.service.answers == ["taken"]
    assert len({call.request.task.name for call in cloud.calls_of("tasks.CreateTask")}) == 1
    desk.turn(10)
    assert (desk.go(), desk.states()) == (0, {"done"})


def test_a_create_call_that_was_aborted_is_made_again_without_a_word(desk: Desk, cloud: FakeCloud) -> None:
    add(desk.queue, "a")
    cloud.faults.fail("tasks.CreateTask", "ABORTED")
    assert (desk.dispatcher.tick(), desk.lying()) == (1, [])
    desk.turn(10)
    assert (desk.go(), desk.states()) == (1, {"done"})


def test_one_call_that_fails_keeps_no_other_from_being_made(desk: Desk, cloud: FakeCloud) -> None:
    add(desk.queue, *"abcdefgh")
    cloud.faults.fail("tasks.CreateTask", "RESOURCE_EXHAUSTED", times=3)
    with pytest.raises(QuotaExceeded):
        desk.dispatcher.tick()
    assert len(desk.lying()) == 5
    desk.turn(10)
    assert desk.go() == 3
    assert desk.states() == {"done"}


def test_a_dispatcher_that_dies_between_its_note_and_the_call_leaves_the_call_to_the_next(desk: Desk) -> None:
    add(desk.queue, *"abc")
    dispatcher = QueueDispatcher(lanes_of("batch"), desk.settings.services)
    assert len(desk.queue.release_next("batch", dispatcher)) == 3
    with desk.open_dispatcher() as next_one:
        assert next_one.tick() == 0
        desk.turn(10)
        assert next_one.tick() == 3
    desk.cloud.tasks.deliver()
    assert desk.service.answers == ["taken"] * 3


def test_what_cloud_tasks_deletes_is_found_missing_and_released_again(desk: Desk) -> None:
    add(desk.queue, *"abcd")
    assert desk.dispatcher.tick() == 4
    lying = desk.lying()
    desk.client.purge_queue(name=lying[0].rpartition("/tasks/")[0])
    desk.turn(59)
    assert desk.go() == 0
    desk.turn(1)
    assert desk.go() == 4
    assert desk.states() == {"done"}
    assert set(lying).isdisjoint(each.headers["x-cloudtasks-taskname"] for each in desk.worker.delivered)


def test_what_still_lies_there_after_long_is_left_there(desk: Desk, cloud: FakeCloud) -> None:
    add(desk.queue, *"ab")
    desk.dispatcher.tick()
    for lane in lanes_of("batch"):
        desk.client.pause_queue(name=f"{LOCATION}/queues/{lane.name}")
    desk.turn(600)
    assert desk.go() == 0
    assert len(cloud.calls_of("tasks.CreateTask")) == 2


def test_what_is_cancelled_is_taken_out_of_cloud_tasks(desk: Desk) -> None:
    ids = add(desk.queue, *"ab")
    desk.dispatcher.tick()
    desk.queue.cancel(task_ids=[ids[0]], reason="no more")
    desk.dispatcher.tick()
    assert len(desk.lying()) == 1
    desk.go()
    assert [desk.queue.find(task_id).state for task_id in ids] == ["cancelled", "done"]
    assert desk.service.answers == ["taken"]


def test_what_cannot_be_taken_out_is_delivered_and_found_stale(desk: Desk, cloud: FakeCloud) -> None:
    (task_id,) = add(desk.queue, "a")
    desk.dispatcher.tick()
    desk.queue.cancel(task_ids=[task_id], reason="no more")
    cloud.faults.fail("tasks.DeleteTask", "UNAVAILABLE")
    desk.go()
    assert desk.service.answers == ["stale"]
    assert (desk.lying(), desk.states()) == ([], {"cancelled"})


def test_what_is_taken_up_here_is_not_done_there(desk: Desk) -> None:
    add(desk.queue, *"ab")
    desk.dispatcher.tick()
    (lease,) = claim(desk.queue, "local")
    desk.cloud.tasks.deliver()
    desk.queue.finish(lease)
    assert sorted(desk.service.answers) == ["stale", "taken"]
    assert desk.lying() == []


@pytest.mark.parametrize("fault", ["duplicate", "forgotten", "late", "lost"])
def test_faults_of_deliveries_lose_and_double_nothing(desk: Desk, fault: Any) -> None:
    add(desk.queue, *(str(number) for number in range(6)))
    desk.cloud.tasks.deliveries.strike_next(*[fault] * 6)
    for _ in range(30):
        desk.go()
        desk.turn(10)
    assert desk.states() == {"done"}
    assert desk.service.answers.count("taken") == 6
    assert desk.lying() == []
    assert [task.attempt for task in desk.queue.select()] == [1] * 6


def test_a_worker_that_dies_over_a_task_gives_it_up_to_another(desk: Desk) -> None:
    (task_id,) = add(desk.queue, "a")
    handle = desk.worker.handle

    def die(delivered: Delivered) -> Said:
        handle(delivered)
        desk.service.leases.clear()
        return Said(0)

    desk.worker.handle = die
    desk.dispatcher.tick()
    desk.cloud.tasks.deliver()
    desk.worker.handle = handle
    desk.turn(5)
    desk.cloud.tasks.deliver()
    # Here the lease counts, not the delivery: nobody takes the task from a worker that may be alive.
    assert set(desk.service.answers) == {"taken", "stale"}
    assert desk.queue.find(task_id).state == "leased"
    desk.queue.retire("service", reason="no sign of life", is_blameless=False)
    assert desk.go() == 1
    assert (desk.queue.find(task_id).state, desk.queue.find(task_id).attempt) == ("done", 2)


def test_a_paused_queue_keeps_what_was_delivered_and_goes_on_later(desk: Desk) -> None:
    add(desk.queue, "a")
    desk.dispatcher.tick()
    desk.queue.set_state("batch", "pause")
    assert desk.go() == 0
    assert (desk.service.answers, desk.states(), desk.lying()) == (["paused"], {"ready"}, [])
    desk.queue.set_state("batch", "run")
    assert desk.go() == 1
    assert desk.states() == {"done"}


def test_without_lanes_a_dispatcher_says_what_is_missing(queue_url: str, cloud: FakeCloud) -> None:
    settings = DispatchSettings(location=LOCATION, prefix="audobon", services=(SERVICE,))
    client = grpc_client(tasks_v2.CloudTasksClient, "tasks")
    client.create_queue(parent=LOCATION, queue={"name": f"{LOCATION}/queues/default"})
    with ReleasingQueue(queue_url) as queue, pytest.raises(CloudNotFound) as caught:
        CloudDispatcher(queue, settings)
    assert caught.value.message == f"Cloud Tasks has no queues audobon-…-high, -normal or -low in {LOCATION}"
    assert caught.value.hint == "audobon cloud apply"


def test_a_lane_that_is_gone_is_an_error_and_loses_nothing(desk: Desk) -> None:
    add(desk.queue, "a")
    name = f"{LOCATION}/queues/audobon-batch-normal"
    desk.client.delete_queue(name=name)
    with pytest.raises(CloudMisconfigured):
        desk.dispatcher.tick()
    assert desk.states() == {"ready"}
    desk.turn(7 * 86400)
    desk.client.create_queue(parent=LOCATION, queue={"name": name})
    assert desk.go() == 1
    assert desk.states() == {"done"}
