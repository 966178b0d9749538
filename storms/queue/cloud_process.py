"""The processes of the storm through the cloud: the fake Cloud Tasks, dispatchers, worker services, a rival.

cloud_process.py cloud PORT SEED                         the fake, with faults by the hundred
cloud_process.py dispatch URL SERVICES                   keeps the lanes filled until it is killed
cloud_process.py serve URL PORT KIND JOURNAL SEED        a worker service on its port
cloud_process.py rival URL JOURNAL SEED                  a worker here, that takes tasks by itself

With STORM_BREAKING=unfenced, services take up whatever is delivered, to see that the storm notices.
"""

import json
import os
import random
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from light_process import Journal

from audobon.errors import AudobonError, LeaseLost
from audobon.queue.deliveries import read_delivery, response_to
from audobon.queue.dispatching import Service
from audobon.queue.gcp import CloudDispatcher, DispatchSettings
from audobon.queue.port import Queue
from audobon.queue.postgres import PostgresQueue
from audobon.queue.postgres_releases import ReleasingQueue
from audobon.queue.tasks import Claimant, Lease, Owner, Result

KINDS = ("storm-a", "storm-b", "storm-c")
LOCATION = "projects/audobon-storm/locations/us-central1"
PREFIX = "audobon"
# The fake's clock runs ahead, so that a rest of a second does not take one.
HASTE = 5.0
_BEAT_SECONDS = 0.5
_STATUSES = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL", "ABORTED")


def cloud(port: int, seed: int) -> None:
    """Be Cloud Tasks, and a bad one, until killed."""
    from fakes.cloud import FakeCloud

    began, draw = time.time(), random.Random(seed)
    with FakeCloud(clock=lambda: began + (time.time() - began) * HASTE, grpc_port=port) as fake:
        faults = fake.tasks.deliveries
        faults.is_shuffled, faults.late_seconds = True, 5.0
        for name, share in {"duplicate": 0.03, "forgotten": 0.03, "late": 0.02, "lost": 0.01}.items():
            faults.strike_share(name, share)  # type: ignore[arg-type]
        fake.tasks.start()
        print("ready", flush=True)
        for line in sys.stdin:
            if line.strip() == "calm":
                break
            _strike(fake, draw)
        for name in ("duplicate", "forgotten", "late", "lost"):
            faults.strike_share(name, 0.0)
        fake.faults.clear()
        print(json.dumps(faults.struck), flush=True)
        threading.Event().wait()


def _strike(fake: Any, draw: random.Random) -> None:
    """Have something go wrong with the calls to come."""
    match draw.choice(["fail", "fail", "drop", "duplicate", "outage", "purge"]):
        case "fail":
            status, after = draw.choice(_STATUSES), draw.random() < 0.5
            method = draw.choice(["tasks.CreateTask", "tasks.CreateTask", "tasks.ListTasks"])
            fake.faults.fail(method, status, times=draw.randint(1, 5), after_commit=after)
        case "drop":
            fake.faults.drop("tasks.CreateTask", times=3, after_commit=draw.random() < 0.5)
        case "duplicate":
            fake.faults.duplicate("tasks.CreateTask", times=5)
        case "outage":
            fake.faults.network_down()
            time.sleep(0.2)
            fake.faults.network_up()
        case "purge" if draw.random() < 0.3:
            from google.cloud import tasks_v2

            listed = fake.tasks.list_queues(tasks_v2.ListQueuesRequest(parent=LOCATION)).queues
            if listed:
                fake.tasks.purge_queue(tasks_v2.PurgeQueueRequest(name=draw.choice(listed).name))


def dispatch(url: str, services: dict[str, str]) -> None:
    """Keep the lanes filled until killed; services are URLs by the kind they do."""
    settings = DispatchSettings(
        location=LOCATION,
        prefix=PREFIX,
        services=tuple(
            Service(url=where, kinds=frozenset({kind}), ram_bytes=1 << 40) for kind, where in services.items()
        ),
        doubt_seconds=1.0,
        overdue_seconds=3.0,
    )
    while True:
        # What cannot be mended by trying again is tried again all the same, by a new dispatcher.
        with (
            suppress(AudobonError),
            ReleasingQueue(url) as queue,
            CloudDispatcher(queue, settings) as dispatcher,
        ):
            dispatcher.run(threading.Event(), tell=lambda _: None)
        time.sleep(0.1)


class Worker:
    """Does tasks badly, for a service or by itself: some fail, some linger, some answers are lost."""

    def __init__(self, url: str, kind: str | None, journal: Journal, seed: int) -> None:
        self.owner = f"{kind or 'rival'}-{os.getpid()}"
        self.claimant = Claimant(owner=self.owner, kinds=None if kind is None else frozenset({kind}))
        self.draw = random.Random(seed)
        self.journal = journal
        self._url = url
        self._of_thread = threading.local()
        with PostgresQueue(url) as queue:
            queue.register(Owner(self.owner, "elsewhere", "boot", os.getpid(), 0, time.time()))
        threading.Thread(target=self._beat, daemon=True).start()

    @property
    def queue(self) -> ReleasingQueue:
        """The queue, over a connection of this thread."""
        if not hasattr(self._of_thread, "queue"):
            self._of_thread.queue = ReleasingQueue(self._url)
        found: ReleasingQueue = self._of_thread.queue
        return found

    def do(self, queue: Queue, lease: Lease) -> None:
        """Do a task and note what came of it."""
        with suppress(LeaseLost):
            if self.draw.random() < 0.1:
                time.sleep(self.draw.random() * 0.05)
            if self.draw.random() < 0.03:
                queue.fail(lease, code="storm", message="thrown back", retry=True)
                return
            lost = queue.finish_all([Result(lease, f"{lease.id}-{lease.token}", "{}")])
            self.journal.note("lost" if lost else "published", lease.id, lease.token)

    def _beat(self) -> None:
        with PostgresQueue(self._url) as queue:
            while True:
                queue.beat([self.owner])
                time.sleep(_BEAT_SECONDS)


def serve(url: str, port: int, kind: str, journal: Path, seed: int) -> None:
    """Be a worker service until killed."""
    is_fenced = os.environ.get("STORM_BREAKING") != "unfenced"
    worker = Worker(url, kind, Journal(journal), seed)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            return

        def handle(self) -> None:
            with suppress(OSError):
                super().handle()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            delivery = read_delivery(body)
            queue = worker.queue
            if not is_fenced:
                queue.connection.execute(
                    "UPDATE task SET state = 'ready', token = %s WHERE id = %s",
                    (delivery.token, delivery.task),
                )
            found = queue.claim_released(worker.claimant, task_id=delivery.task, token=delivery.token)
            status, rest = 200, 0
            if isinstance(found, Lease):
                worker.do(queue, found)
                if worker.draw.random() < 0.02:
                    # Dead after its commit, as far as the cloud can tell.
                    self.close_connection = True
                    return
            else:
                worker.journal.note(found, delivery.task, delivery.token)
                response = response_to(found)
                status, rest = response.status, response.retry_after_seconds
            self.send_response(status)
            self.send_header("Content-Length", "0")
            if rest:
                self.send_header("Retry-After", str(rest))
            self.end_headers()

    class Server(ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

    Server(("127.0.0.1", port), Handler).serve_forever()


def rival(url: str, journal: Path, seed: int) -> None:
    """Take some tasks by oneself until killed, as a machine that shares the queue."""
    worker = Worker(url, None, Journal(journal), seed)
    while True:
        for lease in worker.queue.claim(worker.claimant):
            worker.do(worker.queue, lease)
        time.sleep(0.05)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["cloud", port, seed]:
            cloud(int(port), int(seed))
        case ["dispatch", url, services]:
            dispatch(url, json.loads(services))
        case ["serve", url, port, kind, journal, seed]:
            serve(url, int(port), kind, Path(journal), int(seed))
        case ["rival", url, journal, seed]:
            rival(url, Path(journal), int(seed))
        case _:
            raise SystemExit(__doc__)
