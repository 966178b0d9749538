"""The Cloud Run in effigy does what Google's does, spoken to by Google's own client."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from audobon.gcloud.clients import grpc_client
from fakes.cloud import FakeCloud

PARENT = "projects/p/locations/us-central1"
NAME = f"{PARENT}/services/worker"
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
State = run_v2.Condition.State


@pytest.fixture
def run(cloud: FakeCloud) -> Iterator[run_v2.ServicesClient]:
    client = grpc_client(run_v2.ServicesClient, "run")
    yield client
    client.transport.close()


@pytest.fixture
def revisions(cloud: FakeCloud) -> Iterator[run_v2.RevisionsClient]:
    client = grpc_client(run_v2.RevisionsClient, "run")
    yield client
    client.transport.close()


def service(image: str, *, revision: str = "", **fields: Any) -> dict[str, Any]:
    return {"template": {"containers": [{"image": image}], "revision": revision}, **fields}


def created(run: run_v2.ServicesClient, image: str = "one", **fields: Any) -> run_v2.Service:
    operation = run.create_service(
        parent=PARENT, service_id="worker", service=service(image, revision="worker-1", **fields)
    )
    made: run_v2.Service = operation.result(timeout=10)
    return made


def shares(found: run_v2.Service) -> list[tuple[str, int, str]]:
    return [(each.revision, each.percent, each.tag) for each in found.traffic_statuses]


def test_a_new_service_gives_all_traffic_to_its_first_revision(run: run_v2.ServicesClient) -> None:
    made = created(run)
    assert made.latest_ready_revision == made.latest_created_revision == f"{NAME}/revisions/worker-1"
    assert (made.traffic_statuses[0].type_, made.traffic_statuses[0].percent) == (LATEST, 100)
    assert made.terminal_condition.state == State.CONDITION_SUCCEEDED
    assert (made.generation, made.observed_generation, made.reconciling) == (1, 1, False)
    assert made.uri == "https://worker-p.us-central1.run.app"
    with pytest.raises(exceptions.AlreadyExists):
        created(run)


def test_another_template_makes_another_revision_and_another_traffic_alone_makes_none(
    run: run_v2.ServicesClient, revisions: run_v2.RevisionsClient
) -> None:
    created(run)
    changed = run.update_service(service=service("two", revision="worker-2") | {"name": NAME}).result()
    assert changed.latest_ready_revision.endswith("/worker-2")
    split = [
        {"type_": REVISION, "revision": "worker-1", "percent": 90},
        {"type_": REVISION, "revision": "worker-2", "percent": 10, "tag": "canary"},
    ]
    changed = run.update_service(
        service=service("two", revision="worker-2") | {"name": NAME, "traffic": split}
    ).result()
    assert shares(changed) == [("worker-1", 90, ""), ("worker-2", 10, "canary")]
    assert changed.traffic_statuses[1].uri == "https://canary---worker-p.us-central1.run.app"
    names = [revision.name.rpartition("/")[2] for revision in revisions.list_revisions(parent=NAME)]
    assert names == ["worker-2", "worker-1"]
    back = [{"type_": REVISION, "revision": "worker-1", "percent": 100}]
    rolled_back = run.update_service(
        service=service("two", revision="worker-2") | {"name": NAME, "traffic": back}
    ).result()
    assert shares(rolled_back) == [("worker-1", 100, "")]
    assert len(list(revisions.list_revisions(parent=NAME))) == 2


@pytest.mark.parametrize(
    ("traffic", "words"),
    [
        ([{"type_": LATEST, "percent": 99}], "must sum to 100, not 99"),
        ([{"type_": LATEST, "percent": 60}, {"type_": LATEST, "percent": 60}], "must sum to 100, not 120"),
        ([{"type_": LATEST, "percent": 101}], "between 0 and 100"),
        ([{"type_": REVISION, "percent": 100}], "if and only if traffic type is"),
        ([{"type_": LATEST, "revision": "worker-1", "percent": 100}], "if and only if traffic type is"),
        ([{"percent": 100}], "type: must be specified"),
        (
            [{"type_": LATEST, "percent": 100, "tag": "a"}, {"type_": LATEST, "tag": "a"}],
            "a tag must be unique",
        ),
        ([{"type_": LATEST, "percent": 100, "tag": "Not Valid"}], "'Not Valid' is not valid"),
        ([{"type_": LATEST, "percent": 100}, {"type_": LATEST}], "must have a percent or a tag"),
    ],
)
def test_traffic_that_does_not_add_up_is_refused_and_changes_nothing(
    run: run_v2.ServicesClient, traffic: Sequence[dict[str, Any]], words: str
) -> None:
    before = created(run)
    with pytest.raises(exceptions.InvalidArgument, match=words):
        run.update_service(service=service("two") | {"name": NAME, "traffic": traffic})
    assert run.get_service(name=NAME) == before


def test_a_change_takes_its_time_by_the_clock_and_old_traffic_flows_meanwhile(
    cloud: FakeCloud, run: run_v2.ServicesClient
) -> None:
    created(run)
    cloud.run.seconds_to_ready = 30.0
    operation = run.update_service(service=service("two", revision="worker-2") | {"name": NAME})
    assert not operation.done()
    meanwhile = run.get_service(name=NAME)
    assert meanwhile.reconciling
    assert meanwhile.latest_created_revision.endswith("/worker-2")
    assert meanwhile.latest_ready_revision.endswith("/worker-1")
    cloud.clock.turn(31)  # type: ignore[attr-defined]
    assert operation.done()
    assert operation.result().latest_ready_revision.endswith("/worker-2")
    assert not run.get_service(name=NAME).reconciling


def test_a_revision_that_does_not_start_fails_the_operation_and_traffic_stays(
    cloud: FakeCloud, run: run_v2.ServicesClient, revisions: run_v2.RevisionsClient
) -> None:
    created(run)
    cloud.run.broken_images.add("two")
    operation = run.update_service(service=service("two", revision="worker-2") | {"name": NAME})
    with pytest.raises(exceptions.GoogleAPICallError, match="failed to start and listen"):
        operation.result()
    found = run.get_service(name=NAME)
    assert found.terminal_condition.state == State.CONDITION_FAILED
    assert found.latest_ready_revision.endswith("/worker-1")
    assert found.latest_created_revision.endswith("/worker-2")
    broken = revisions.get_revision(name=f"{NAME}/revisions/worker-2")
    assert broken.conditions[0].state == State.CONDITION_FAILED
    named = [{"type_": REVISION, "revision": "worker-2", "percent": 100}]
    operation = run.update_service(
        service=service("one", revision="worker-3") | {"name": NAME, "traffic": named}
    )
    with pytest.raises(exceptions.GoogleAPICallError, match="'worker-2' is not ready"):
        operation.result()


def test_whoever_read_an_older_state_is_refused(run: run_v2.ServicesClient) -> None:
    first = created(run)
    run.update_service(service=service("two") | {"name": NAME, "etag": first.etag}).result()
    with pytest.raises(exceptions.Aborted, match="Conflict for resource"):
        run.update_service(service=service("three") | {"name": NAME, "etag": first.etag})


def test_a_template_must_have_an_image_and_names_that_belong_to_the_service(
    run: run_v2.ServicesClient,
) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="must have an image"):
        run.create_service(parent=PARENT, service_id="worker", service={"template": {}})
    with pytest.raises(exceptions.InvalidArgument, match=r"service\.template"):
        run.create_service(parent=PARENT, service_id="worker", service={"description": "x"})
    with pytest.raises(exceptions.InvalidArgument, match="must begin with 'worker-'"):
        run.create_service(parent=PARENT, service_id="worker", service=service("one", revision="other-1"))
    with pytest.raises(exceptions.InvalidArgument, match="not a name of the form"):
        run.create_service(parent=PARENT, service_id="Worker", service=service("one"))
    assert list(run.list_services(parent=PARENT)) == []
    created(run)
    with pytest.raises(exceptions.AlreadyExists, match="different configuration"):
        run.update_service(service=service("two", revision="worker-1") | {"name": NAME})


def test_trying_alone_changes_nothing(run: run_v2.ServicesClient) -> None:
    before = created(run)
    request = run_v2.UpdateServiceRequest(service=service("two") | {"name": NAME}, validate_only=True)
    assert run.update_service(request).result().template.containers[0].image == "two"
    assert run.get_service(name=NAME) == before


def test_a_revision_that_serves_is_not_removed_and_an_idle_one_is(
    run: run_v2.ServicesClient, revisions: run_v2.RevisionsClient
) -> None:
    created(run)
    run.update_service(service=service("two", revision="worker-2") | {"name": NAME}).result()
    with pytest.raises(exceptions.FailedPrecondition):
        revisions.delete_revision(name=f"{NAME}/revisions/worker-2")
    revisions.delete_revision(name=f"{NAME}/revisions/worker-1").result()
    with pytest.raises(exceptions.NotFound):
        revisions.get_revision(name=f"{NAME}/revisions/worker-1")


def test_a_service_that_is_removed_is_gone(run: run_v2.ServicesClient) -> None:
    created(run)
    run.delete_service(name=NAME).result()
    with pytest.raises(exceptions.NotFound, match="'worker' of kind 'SERVICE'"):
        run.get_service(name=NAME)


POOL = f"{PARENT}/workerPools/gpu"


@pytest.fixture
def pools(cloud: FakeCloud) -> Iterator[run_v2.WorkerPoolsClient]:
    client = grpc_client(run_v2.WorkerPoolsClient, "run")
    yield client
    client.transport.close()


def pool(image: str, **fields: Any) -> dict[str, Any]:
    return {"template": {"containers": [{"image": image}]}, **fields}


def test_a_pool_has_as_many_instances_as_is_said_and_a_revision_for_each_template(
    pools: run_v2.WorkerPoolsClient,
) -> None:
    made = pools.create_worker_pool(
        parent=PARENT, worker_pool_id="gpu", worker_pool=pool("one", scaling={"manual_instance_count": 1})
    ).result()
    assert made.latest_ready_revision == f"{POOL}/revisions/gpu-00001-001"
    assert [split.percent for split in made.instance_split_statuses] == [100]
    more = pools.update_worker_pool(
        worker_pool={"name": POOL, "scaling": {"manual_instance_count": 3}},
        update_mask={"paths": ["scaling"]},
    ).result()
    assert (more.scaling.manual_instance_count, more.latest_ready_revision) == (3, made.latest_ready_revision)
    other = pools.update_worker_pool(
        worker_pool=pool("two") | {"name": POOL}, update_mask={"paths": ["template"]}
    ).result()
    assert other.latest_ready_revision == f"{POOL}/revisions/gpu-00003-002"
    with pytest.raises(exceptions.Aborted, match="has the etag"):
        pools.update_worker_pool(
            worker_pool=pool("three") | {"name": POOL, "etag": made.etag}, update_mask={"paths": ["template"]}
        )
    pools.delete_worker_pool(name=POOL).result()
    assert list(pools.list_worker_pools(parent=PARENT)) == []


def test_a_pool_that_cannot_be_is_refused_and_one_that_does_not_start_fails(
    cloud: FakeCloud, pools: run_v2.WorkerPoolsClient
) -> None:
    split = {"type_": run_v2.InstanceSplitAllocationType.INSTANCE_SPLIT_ALLOCATION_TYPE_LATEST, "percent": 50}
    for wanted, words in (
        (pool("one", instance_splits=[split]), "must sum to 100, not 50"),
        (pool("one", instance_splits=[split | {"revision": "gpu-1"}]), "only, and always"),
        (pool("one", scaling={"manual_instance_count": -1}), "must not be negative"),
        (pool(""), "containers.image' is required"),
    ):
        with pytest.raises(exceptions.InvalidArgument, match=words):
            pools.create_worker_pool(parent=PARENT, worker_pool_id="gpu", worker_pool=wanted)
    pools.create_worker_pool(parent=PARENT, worker_pool_id="gpu", worker_pool=pool("one")).result()
    cloud.run.broken_images.add("two")
    operation = pools.update_worker_pool(
        worker_pool=pool("two") | {"name": POOL}, update_mask={"paths": ["template"]}
    )
    with pytest.raises(exceptions.GoogleAPICallError, match="two failed to start"):
        operation.result()
    found = pools.get_worker_pool(name=POOL)
    assert found.terminal_condition.state == State.CONDITION_FAILED
    assert found.latest_ready_revision.endswith("gpu-00001-001")
