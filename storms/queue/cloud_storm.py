"""10,000 tasks through the fake Cloud Tasks, while everything fails and is killed; then the count."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "queue"))

from cloud_process import KINDS, LOCATION, PREFIX
from postgres_server import PostgresServer

from audobon.queue.dispatching import BANDS, lane_name
from audobon.queue.postgres import PostgresQueue
from audobon.queue.rules import QueueRules, RetryPolicy, default_rules
from audobon.queue.tasks import Needs, NewTask

_HERE = Path(__file__).parent
_QUEUES = ("interactive", "batch")
_CONCURRENCY = 10
_CHUNK = 250
_MOST_OPEN_TASKS = 2000
_CANCELLED_SHARE = 0.01
_SETTLE_SECONDS = 300.0
# What is killed must have time to come back.
_PAUSE_SECONDS = 0.6
_PATIENT = RetryPolicy(max_attempts=1_000_000, first_seconds=0.01, most_seconds=0.05)


class CloudStorm:
    """Two dispatchers, three worker services and a rival here, all killed again and again, about a bad cloud.

    tasks     how many go through it
    breaking  a way to break the services, to see that it is noticed
    """

    def __init__(self, folder: Path, *, tasks: int, seed: int, breaking: str = "") -> None:
        self._journals = folder / "journals"
        self._journals.mkdir(parents=True)
        self._tasks, self._seed, self._draw = tasks, seed, random.Random(seed)
        self._breaking = breaking
        self._ports = _free_ports(1 + len(KINDS))
        self._services = {
            kind: f"http://127.0.0.1:{port}" for kind, port in zip(KINDS, self._ports[1:], strict=True)
        }
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._started = 0
        self._cancelled: set[int] = set()
        self.killed: Counter[str] = Counter()
        self.declared_dead = 0

    def run(self) -> dict[str, Any]:
        """Return what was done and what was found wrong."""
        with PostgresServer(durable=False, settings={"max_connections": "600"}) as server:
            self._url = server.create_database()
            with PostgresQueue(self._url) as queue:
                for name in _QUEUES:
                    queue.configure(_patient(default_rules(name)))  # type: ignore[arg-type]
                try:
                    return self._storm(queue)
                finally:
                    for process in self._processes.values():
                        process.kill()
                        process.communicate()

    def _storm(self, queue: PostgresQueue) -> dict[str, Any]:
        cloud = self._start("cloud", "cloud", str(self._ports[0]), str(self._seed))
        assert cloud.stdout is not None
        assert cloud.stdin is not None
        if cloud.stdout.readline() != "ready\n":
            raise RuntimeError("the fake cloud did not start")
        _make_lanes(self._ports[0])
        added: list[int] = []
        began = time.monotonic()
        until = began + _SETTLE_SECONDS + self._tasks / 20
        is_calm, is_settled, open_tasks = False, False, 0
        while time.monotonic() < until and not is_settled:
            self._keep_alive()
            if len(added) < self._tasks and open_tasks < _MOST_OPEN_TASKS:
                added += self._add(queue, min(_CHUNK, self._tasks - len(added)))
            open_tasks = _open_tasks(queue)
            if len(added) == self._tasks and open_tasks < self._tasks * 0.05 and not is_calm:
                cloud.stdin.write("calm\n")
                is_calm = True
            if not is_calm:
                self._strike(queue)
                cloud.stdin.write("strike\n")
            cloud.stdin.flush()
            time.sleep(self._draw.expovariate(1 / _PAUSE_SECONDS))
            is_settled = len(added) == self._tasks and open_tasks == 0
        struck = json.loads(cloud.stdout.readline()) if is_calm else {}
        seconds = time.monotonic() - began
        return self._judge(queue, added, struck, seconds, is_settled=is_settled)

    def _keep_alive(self) -> None:
        services = json.dumps(self._services)
        for name in ("dispatcher 1", "dispatcher 2"):
            self._revive(name, "dispatch", self._url, services)
        for kind, port in zip(KINDS, self._ports[1:], strict=True):
            self._revive(f"service {kind}", "serve", self._url, str(port), kind, "JOURNAL", "SEED")
        self._revive("rival", "rival", self._url, "JOURNAL", "SEED")

    def _revive(self, name: str, *arguments: str) -> None:
        if name not in self._processes or self._processes[name].poll() is not None:
            self._start(name, *arguments)

    def _start(self, name: str, *arguments: str) -> "subprocess.Popen[str]":
        self._started += 1
        own = {"JOURNAL": str(self._journals / f"{self._started}"), "SEED": str(self._seed + self._started)}
        self._processes[name] = subprocess.Popen(
            [sys.executable, _HERE / "cloud_process.py", *(own.get(each, each) for each in arguments)],
            env={
                **os.environ,
                "PYTHONPATH": str(_HERE),
                "STORM_BREAKING": self._breaking,
                "AUDOBON_GCP_ENDPOINT_TASKS": f"127.0.0.1:{self._ports[0]}",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self._processes[name]

    def _add(self, queue: PostgresQueue, count: int) -> list[int]:
        ids: list[int] = []
        for name in _QUEUES:
            tasks = [
                NewTask(
                    needs=Needs(kind=self._draw.choice(KINDS), model=self._draw.choice("ab")),
                    priority=self._draw.randint(-2, 2),
                    delay_seconds=self._draw.choice([0.0, 0.0, 0.0, 0.2]),
                )
                for _ in range(count // 2 if name == _QUEUES[0] else count - count // 2)
            ]
            ids += queue.enqueue(name, tasks)
        called_off = [task_id for task_id in ids if self._draw.random() < _CANCELLED_SHARE]
        queue.cancel(task_ids=called_off, reason="storm")
        self._cancelled.update(called_off)
        return ids

    def _strike(self, queue: PostgresQueue) -> None:
        kind = self._draw.choices(["dispatcher", "service", "rival", "handover", ""], [3, 5, 1, 3, 8])[0]
        if kind == "handover":
            owners = queue.owners()
            if owners:
                owner = self._draw.choice(owners).name
                queue.retire(owner, reason="thought dead", is_blameless=True)
                self.declared_dead += 1
        elif kind:
            living = [
                process
                for name, process in self._processes.items()
                if name.startswith(kind) and process.poll() is None
            ]
            if living:
                os.kill(self._draw.choice(living).pid, signal.SIGKILL)
                self.killed[kind] += 1

    def _judge(
        self,
        queue: PostgresQueue,
        added: list[int],
        struck: dict[str, int],
        seconds: float,
        *,
        is_settled: bool,
    ) -> dict[str, Any]:
        notes = [
            line.split()
            for path in sorted(self._journals.iterdir())
            for line in path.read_text().splitlines()
        ]
        published = Counter(int(note[1]) for note in notes if note[0] == "published")
        states = {task.id: task for task in queue.select(limit=10_000_000)}
        usurped = [
            note
            for note in notes
            if note[0] == "published" and states[int(note[1])].result_blob != f"{note[1]}-{note[2]}"
        ]
        wanted = {"done", "cancelled"}
        return {
            "seconds_of_storm": round(seconds, 1),
            "tasks": len(states),
            "kills": dict(sorted(self.killed.items())),
            "thought_dead": self.declared_dead,
            "deliveries_struck": struck,
            "stale_deliveries": sum(note[0] == "stale" for note in notes),
            "late_finishers_turned_away": sum(note[0] == "lost" for note in notes),
            "called_off_in_time": sum(task.state == "cancelled" for task in states.values()),
            "wrong": {
                "acknowledged and lost": sum(task_id not in states for task_id in added),
                "published twice": sum(count > 1 for count in published.values()),
                "published, but another's result is on record": len(usurped),
                "called off, and yet published": sum(
                    states[task_id].state == "cancelled" for task_id in published
                ),
                "cancelled though nobody asked": sum(
                    task.state == "cancelled" and task.id not in self._cancelled for task in states.values()
                ),
                "stuck": sum(task.state not in wanted for task in states.values()),
                "not settled in time": int(not is_settled),
            },
        }


def _make_lanes(port: int) -> None:
    import grpc
    from google.cloud import tasks_v2

    kind = tasks_v2.CloudTasksClient
    client = kind(
        transport=kind.get_transport_class("grpc")(channel=grpc.insecure_channel(f"127.0.0.1:{port}"))
    )
    for queue in _QUEUES:
        for band in BANDS:
            client.create_queue(
                parent=LOCATION,
                queue={
                    "name": f"{LOCATION}/queues/{lane_name(PREFIX, queue, band)}",
                    "rate_limits": {"max_concurrent_dispatches": _CONCURRENCY},
                    "retry_config": {
                        "max_attempts": 5,
                        "min_backoff": {"seconds": 1},
                        "max_backoff": {"seconds": 5},
                    },
                },
            )


def _patient(rules: QueueRules) -> QueueRules:
    return msgspec.structs.replace(rules, retry=_PATIENT, lease_seconds=2.0)


def _open_tasks(queue: PostgresQueue) -> int:
    return sum(figures.ready + figures.waiting + figures.leased for figures in queue.figures())


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
