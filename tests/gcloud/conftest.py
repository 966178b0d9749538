"""The fake Cloud Tasks with a queue, a worker on loopback, and Google's own client."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud import tasks_v2
from tasks_desk import LOCATION, QUEUE

from audobon.gcloud.clients import grpc_client
from fakes.cloud import FakeCloud
from fakes.worker import FakeWorker


@pytest.fixture
def client(cloud: FakeCloud) -> Any:
    return grpc_client(tasks_v2.CloudTasksClient, "tasks")


@pytest.fixture
def worker() -> Iterator[FakeWorker]:
    with FakeWorker() as worker:
        yield worker


@pytest.fixture
def queue(client: Any) -> str:
    """The name of a queue that tries again as the documentation's example does."""
    client.create_queue(
        parent=LOCATION,
        queue={
            "name": QUEUE,
            "retry_config": {
                "max_attempts": -1,
                "min_backoff": {"seconds": 10},
                "max_backoff": {"seconds": 300},
                "max_doublings": 3,
            },
        },
    )
    return QUEUE
