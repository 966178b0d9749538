"""Kills everything around the queue at random instants, and then counts what became of every task."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from light_process import KIND

from audobon.database.service import Database
from audobon.queue.embedded import SqliteQueue
from audobon.queue.port import Queue
from audobon.queue.rules import QueueRules, RetryPolicy, default_rules

_HERE = Path(__file__).parent
_ENQUEUERS = 2
_SETTLE_SECONDS = 120.0
# A task must outlive as many deaths as there are: here nothing may be given up.
_PATIENT = RetryPolicy(max_attempts=1_000_000, first_seconds=0.01, most_seconds=0.05)


class LightStorm:
    """Two that add tasks, an engine with three workers, and a hand that kills one of them again and again.

    Also hands tasks of living workers to others, as when a machine is thought dead and is not.
    breaking  a way to break the queue, to see that it is noticed
    """

    def __init__(self, folder: Path, *, kills: int, seed: int, breaking: str = "") -> None:
        self._folder, self._journals = folder / "data", folder / "journals"
        self._journals.mkdir(parents=True)
        self._kills, self._draw, self._breaking = kills, random.Random(seed), breaking
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._started = 0
        self.killed: Counter[str] = Counter()
        self.declared_dead = 0

    def run(self) -> dict[str, Any]:
        """Return what was done and what was found wrong."""
        with SqliteQueue(Database(self._folder).open()) as queue:
            for category in ("interactive", "batch"):
                queue.configure(_patient(default_rules(category)))
            try:
                while self.killed.total() < self._kills:
                    self._keep_alive()
                    time.sleep(self._draw.expovariate(1 / 0.12))
                    self._strike(queue)
                self._end("enqueuer")
                is_settled = self._settle(queue)
            finally:
                self._end("")
            return self._judge(queue, is_settled=is_settled)

    def _keep_alive(self) -> None:
        wanted = ["engine", *(f"enqueuer {number}" for number in range(_ENQUEUERS))]
        for name in wanted:
            if name not in self._processes or self._processes[name].poll() is not None:
                self._start(name)

    def _start(self, name: str) -> None:
        self._started += 1
        arguments = (
            ["engine", self._folder, self._journals]
            if name == "engine"
            else ["enqueue", self._folder, self._journals / f"enqueuer-{self._started}", self._started]
        )
        self._processes[name] = subprocess.Popen(
            [sys.executable, _HERE / "light_process.py", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(_HERE), "STORM_BREAKING": self._breaking},
            stdin=subprocess.DEVNULL,
        )

    def _strike(self, queue: Queue) -> None:
        kind = self._draw.choices(
            ["worker", "engine", "enqueuer", "handover"], [5, 2, 2, 20 if self._breaking else 2]
        )[0]
        if kind == "handover":
            owners = queue.owners()
            if owners:
                queue.retire(self._draw.choice(owners).name, reason="thought dead", is_blameless=True)
                self.declared_dead += 1
            return
        pid = self._pick(kind, queue)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self.killed[kind] += 1

    def _pick(self, kind: str, queue: Queue) -> int | None:
        if kind == "worker":
            living = [owner.pid for owner in queue.owners() if _is_light(owner.pid)]
            return self._draw.choice(living) if living else None
        found = [
            process
            for name, process in self._processes.items()
            if name.startswith(kind) and process.poll() is None
        ]
        return self._draw.choice(found).pid if found else None

    def _settle(self, queue: Queue) -> bool:
        """Let what is left be done; tell whether it was."""
        until = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < until:
            if self._processes["engine"].poll() is not None:
                self._start("engine")
            left = sum(each.ready + each.waiting + each.leased for each in queue.figures())
            if left == 0:
                return True
            time.sleep(0.1)
        return False

    def _end(self, prefix: str) -> None:
        for name, process in self._processes.items():
            if name.startswith(prefix):
                process.kill()
                process.wait()

    def _judge(self, queue: Queue, *, is_settled: bool) -> dict[str, Any]:
        notes = [
            line.split()
            for path in sorted(self._journals.iterdir())
            for line in path.read_text().splitlines()
        ]
        added = [int(task_id) for mark, *ids in notes if mark == "added" for task_id in ids]
        published = Counter(int(note[1]) for note in notes if note[0] == "published")
        states = {task.id: task for task in queue.select(limit=10_000_000)}
        lost = [task_id for task_id in added if task_id not in states]
        stuck = [task.id for task in states.values() if task.state != "done"]
        # Whoever was told that it published must be the one whose result is on record.
        usurped = [
            note
            for note in notes
            if note[0] == "published" and states[int(note[1])].result_blob != f"{note[1]}-{note[2]}"
        ]
        held = [pool for pool in queue.pools() if pool.reserved_ram_bytes or pool.reserved_vram_bytes]
        return {
            "kills": dict(sorted(self.killed.items())),
            "thought_dead": self.declared_dead,
            "tasks": len(states),
            "acknowledged": len(added),
            "late_finishers_turned_away": sum(note[0] == "lost" for note in notes),
            "wrong": {
                "acknowledged and lost": len(lost),
                "published twice": sum(count > 1 for count in published.values()),
                "published, but another's result is on record": len(usurped),
                "added twice under one key": sum(note[0] == "doubled" for note in notes)
                + len(added)
                - len(set(added)),
                "stuck": len(stuck),
                "memory still reserved": len(held),
                "not settled in time": int(not is_settled),
            },
        }


def _patient(rules: QueueRules) -> QueueRules:
    return msgspec.structs.replace(rules, retry_by_kind={KIND: _PATIENT}, patience_seconds=0.2)


def _is_light(pid: int) -> bool:
    try:
        return b"light_process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
