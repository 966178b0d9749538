"""Lanes, services and cloud names for the tests of what is released into Cloud Tasks."""

from collections.abc import Sequence
from typing import Any

from audobon.queue.dispatching import BANDS, Lane, QueueDispatcher, Release, Service, lane_name
from audobon.queue.postgres_releases import ReleasingQueue
from audobon.queue.tasks import Claimant, Lease

LOCATION = "projects/audobon-test/locations/us-central1"
SERVICE = Service(
    url="http://127.0.0.1:9",
    devices=frozenset({"cpu", "cuda"}),
    ram_bytes=1 << 40,
    vram_bytes=1 << 40,
)


def lanes_of(queue: str, concurrency: int = 2) -> list[Lane]:
    return [Lane(lane_name("audobon", queue, band), queue, band, concurrency) for band in BANDS]


def dispatcher_of(
    *queues: str, concurrency: int = 2, services: Sequence[Service] = (SERVICE,)
) -> QueueDispatcher:
    return QueueDispatcher([lane for queue in queues for lane in lanes_of(queue, concurrency)], services)


def take(queue: ReleasingQueue, release: Release, owner: str = "service", **claimant: Any) -> Any:
    """Claim what was released, as a worker service does."""
    return queue.claim_released(
        Claimant(owner=owner, **claimant), task_id=release.task_id, token=release.token
    )


def taken(queue: ReleasingQueue, release: Release, owner: str = "service", **claimant: Any) -> Lease:
    """Claim what was released; it must be handed out."""
    found = take(queue, release, owner, **claimant)
    assert isinstance(found, Lease)
    return found


def released_names(queue: ReleasingQueue, releases: Sequence[Release]) -> list[str]:
    """Return the names of what was released, in order."""
    return [queue.find(each.task_id).payload.strip('"') for each in releases]
