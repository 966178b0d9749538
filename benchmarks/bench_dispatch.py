"""How fast does the queue go into Cloud Tasks, and does what is urgent still come first?

bench_dispatch.py [--quick]

The service is our fake, in a process of its own; the real Cloud Tasks was never measured.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from measuring import ROOT, save, table, verdict

sys.path.insert(0, str(ROOT / "tests" / "queue"))

from postgres_server import PostgresServer

from audobon.queue.deliveries import read_delivery, response_to
from audobon.queue.dispatching import Service, lane_name
from audobon.queue.gcp import CloudDispatcher, DispatchSettings, open_client
from audobon.queue.postgres_releases import ReleasingQueue
from audobon.queue.tasks import Claimant, Lease, Needs, NewTask

LOCATION = "projects/audobon-bench/locations/us-central1"
PREFIX = "audobon"
TASKS = 5000
ROUNDS = 5
CONCURRENCY = 50
MOST_CONCURRENT = 5000
GOAL_PER_SECOND = 500.0
# As `bench_queue.py` has it; what is acknowledged is on the disk.
POSTGRES_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "1h"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the tasks; judges and saves nothing")
    is_quick = parser.parse_args().quick
    count, rounds = (TASKS // 10, 2) if is_quick else (TASKS, ROUNDS)
    into: list[float] = []
    through: list[dict[str, float]] = []
    with PostgresServer(settings=POSTGRES_SETTINGS) as server, fake_cloud():
        for number in range(rounds):
            into.append(release_all(server.create_database(), f"into{number}", count))
            through.append(go_through(server.create_database(), f"through{number}", count))
            print(f"round {number + 1}: {into[-1]:.0f}/s into, {through[-1]}", flush=True)
    figures = {
        "tasks": count,
        "rounds": rounds,
        "released_per_second": {"median": statistics.median(into), "rounds": into},
        "through": through,
        "window": 2 * CONCURRENCY,
        "largest_advance": max(each["largest_advance"] for each in through),
        "done_per_second": statistics.median(each["done_per_second"] for each in through),
    }
    rows = [
        [
            "released into one queue of the fake",
            f"{figures['released_per_second']['median']:.0f}/s ({min(into):.0f}–{max(into):.0f})",
            f"≥ {GOAL_PER_SECOND:.0f}/s",
            verdict(statistics.median(into) >= GOAL_PER_SECOND),
        ],
        [
            "places by which a task began too early",
            f"at most {figures['largest_advance']:.0f}",
            f"≤ {figures['window']}, the window",
            verdict(figures["largest_advance"] <= figures["window"]),
        ],
        ["released, delivered, taken up and done", f"{figures['done_per_second']:.0f}/s", "", ""],
    ]
    table(f"Into Cloud Tasks ({count:,} tasks, fake)", ["", "measured", "goal", ""], rows)
    if not is_quick:
        save("dispatch", figures)


@contextmanager
def fake_cloud() -> Iterator[None]:
    """Run the fakes as one process, and speak to them until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fakes"], cwd=ROOT / "tests", stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            name, _, value = line.removeprefix("export ").strip().partition("=")
            if line.startswith("#"):
                break
            os.environ[name] = value
        yield
    finally:
        process.terminate()
        process.wait()


def release_all(url: str, queue_name: str, count: int) -> float:
    """Return how many tasks a second go into a queue that takes them all and delivers none."""
    client = open_client()
    with ReleasingQueue(url) as queue:
        fill(queue, count)
        lane = make_lane(client, queue_name, MOST_CONCURRENT)
        client.pause_queue(name=f"{LOCATION}/queues/{lane}")
        with CloudDispatcher(queue, settings(queue_name, "http://127.0.0.1:9"), client=client) as dispatcher:
            begun, released = time.perf_counter(), 0
            while released < count:
                released += dispatcher.tick()
            seconds = time.perf_counter() - begun
        client.purge_queue(name=f"{LOCATION}/queues/{lane}")
    return count / seconds


def go_through(url: str, queue_name: str, count: int) -> dict[str, float]:
    """Return how many tasks a second are done over the whole way, and how far out of order they began."""
    client = open_client()
    service = subprocess.Popen(
        [sys.executable, __file__, "--serve", url], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        assert service.stdout is not None
        where = service.stdout.readline().strip()
        with ReleasingQueue(url) as queue:
            right = fill(queue, count)
            make_lane(client, queue_name, CONCURRENCY)
            is_stopped = threading.Event()
            with CloudDispatcher(queue, settings(queue_name, where), client=client) as dispatcher:
                begun = time.perf_counter()
                thread = threading.Thread(target=dispatcher.run, args=(is_stopped,), kwargs={"tell": print})
                thread.start()
                with ReleasingQueue(url) as looking:
                    while sum(each.ready + each.leased for each in looking.figures()):
                        time.sleep(0.05)
                    seconds = time.perf_counter() - begun
                    started = looking._rows("SELECT id FROM task ORDER BY started_at, id", {})
                is_stopped.set()
                thread.join()
    finally:
        service.terminate()
        service.wait()
    place = {task_id: index for index, task_id in enumerate(right)}
    advances = [place[task_id] - index for index, (task_id,) in enumerate(started)]
    return {
        "done_per_second": count / seconds,
        "largest_advance": max(advances),
        "largest_delay": -min(advances),
        "median_displacement": statistics.median(map(abs, advances)),
    }


def fill(queue: ReleasingQueue, count: int) -> list[int]:
    """Add tasks of all urgencies in a random order; return their ids in the order of rank."""
    draw = random.Random(1)
    priorities = [draw.randint(-5, 5) for _ in range(count)]
    needs = Needs(kind="page")
    ids = queue.enqueue("batch", [NewTask(needs=needs, priority=each) for each in priorities])
    return [task_id for _, task_id in sorted(zip((-each for each in priorities), ids, strict=True))]


def make_lane(client: Any, name: str, concurrency: int) -> str:
    """Make the one lane that takes anything."""
    lane = lane_name(name, "batch", "low")
    client.create_queue(
        parent=LOCATION,
        queue={
            "name": f"{LOCATION}/queues/{lane}",
            "rate_limits": {"max_concurrent_dispatches": concurrency},
        },
    )
    return lane


def settings(prefix: str, url: str) -> DispatchSettings:
    return DispatchSettings(location=LOCATION, prefix=prefix, services=(Service(url=url),))


def serve(url: str) -> None:
    """Be a worker service whose tasks take no time."""
    of_thread = threading.local()
    claimant = Claimant(owner="service")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            return

        def do_POST(self) -> None:
            if not hasattr(of_thread, "queue"):
                of_thread.queue = ReleasingQueue(url)
            delivery = read_delivery(self.rfile.read(int(self.headers["Content-Length"])))
            found = of_thread.queue.claim_released(claimant, task_id=delivery.task, token=delivery.token)
            status = 200
            if isinstance(found, Lease):
                of_thread.queue.finish(found)
            else:
                status = response_to(found).status
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    class Server(ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        main()
