"""How soon is a task taken up again after its worker was killed, and what does an idle engine cost?

Method: the real `audobon up` with one real worker. A page so large that it takes seconds is handed to it; 1 s
into it the whole worker process is killed with -9. Timed is the span to the new lease on record (a loop reads
the database every 2 ms), and to the first step the new worker reports. Then the engine is left alone until
its worker has ended by idleness, and its processor time and memory are read over a minute.
bench_engine.py [--quick]
"""

import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from measuring import AUDOBON, ROOT, save, scratch, table, verdict

_ROUNDS = 7
_IDLE_SECONDS = 60.0
_GOAL_SECONDS, _GOAL_SHARE, _GOAL_BYTES = 1.0, 0.005, 90 << 20
_SAMPLE = ROOT / "samples" / "the-wren" / "page-1.png"


def main() -> None:
    is_quick = "--quick" in sys.argv
    with scratch() as (folder, environment):
        environment["AUDOBON_COMPUTE_IDLE_SECONDS"] = "2"
        subprocess.run(_upscale(folder / "warm.png"), env=environment, check=True, capture_output=True)
        up = subprocess.Popen([str(AUDOBON), "up"], env=environment, stderr=subprocess.DEVNULL)
        try:
            looks = _Looks(folder / "data" / "audobon.db")
            rounds = [
                _redelivery(looks, folder / f"out-{n}.png", environment)
                for n in range(2 if is_quick else _ROUNDS)
            ]
            _await(lambda: not _workers(up.pid), 30, "the idle worker did not end")
            idle = _idle(up.pid, 10.0 if is_quick else _IDLE_SECONDS)
        finally:
            up.send_signal(signal.SIGINT)
            up.wait()
    leased, begun = ([each[name] for each in rounds] for name in ("leased", "begun"))
    share, memory = idle["share"], idle["bytes"]
    table(
        "The engine",
        ["goal", "what", "found", "goal", ""],
        [
            ["G6", "leased again after kill -9, median s", f"{statistics.median(leased):.2f}", "", ""],
            [
                "G6",
                "the same, longest s",
                f"{max(leased):.2f}",
                "<= 1",
                verdict(max(leased) <= _GOAL_SECONDS),
            ],
            ["G6", "first step of the new worker, median s", f"{statistics.median(begun):.2f}", "", ""],
            ["", "idle: share of a core", f"{share:.3%}", "<= 0.5 %", verdict(share <= _GOAL_SHARE)],
            [
                "",
                "idle: memory of all its processes, MB",
                f"{memory / 2**20:.0f}",
                "<= 90",
                verdict(memory <= _GOAL_BYTES),
            ],
        ],
    )
    if not is_quick:
        save("engine", {"leased_again_seconds": leased, "first_step_seconds": begun, "idle": idle})


def _upscale(target: Path, scale: int = 2) -> list[str]:
    return [str(AUDOBON), "run", "upscale", str(_SAMPLE), "-o", str(target), "--scale", str(scale)]


def _redelivery(looks: "_Looks", target: Path, environment: dict[str, str]) -> dict[str, float]:
    """Kill the worker in the middle of a page; return when the page was taken up again."""
    # Another scale and target each time would be other work; equal work would be adopted.
    source = target.with_name("in-" + target.name)
    source.write_bytes(_noisy(target.name))
    command = [str(AUDOBON), "run", "upscale", str(source), "-o", str(target), "--scale", "4", "--quiet"]
    run = subprocess.Popen(command, env=environment)
    task = _await(looks.at_work, 30, "no page was begun")
    _await(lambda: looks.steps(task) > 0, 30, "no step was made")
    owner_pid = looks.pid(task)
    killed_at = time.monotonic()
    os.kill(owner_pid, signal.SIGKILL)
    token = looks.token(task)
    _await(lambda: looks.token(task) > token and looks.is_leased(task), 30, "not leased again", pause=0.002)
    leased = time.monotonic() - killed_at
    _await(lambda: looks.steps(task) > 0, 30, "no step of the new worker", pause=0.002)
    begun = time.monotonic() - killed_at
    if run.wait(120) != 0 or not target.exists():
        raise SystemExit("the page did not come out")
    return {"leased": leased, "begun": begun}


def _noisy(seed: str) -> bytes:
    import io
    import zlib

    import numpy as np
    from PIL import Image

    page = np.asarray(Image.open(_SAMPLE).convert("RGB")).copy()
    page[:8, :8] = np.random.default_rng(zlib.crc32(seed.encode())).integers(0, 255, (8, 8, 3))
    file = io.BytesIO()
    Image.fromarray(page).save(file, "PNG")
    return file.getvalue()


class _Looks:
    """Looks at tasks in the database, as the operator would."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)

    def _one(self, sql: str, *values: Any) -> Any:
        row = self._connection.execute(sql, values).fetchone()
        return None if row is None else row[0]

    def at_work(self) -> Any:
        return self._one("SELECT id FROM task WHERE state = 'leased'")

    def steps(self, task: int) -> int:
        return int(self._one("SELECT done_units FROM task WHERE id = ?", task))

    def token(self, task: int) -> int:
        return int(self._one("SELECT token FROM task WHERE id = ?", task))

    def is_leased(self, task: int) -> bool:
        return self._one("SELECT state FROM task WHERE id = ?", task) == "leased"

    def pid(self, task: int) -> int:
        return int(
            self._one(
                "SELECT owner.pid FROM task JOIN owner ON owner.name = task.owner WHERE task.id = ?", task
            )
        )


def _workers(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def _idle(pid: int, seconds: float) -> dict[str, float]:
    process = psutil.Process(pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(seconds)
    after = sum(process.cpu_times()[:2])
    resident = process.memory_info().rss + sum(child.memory_info().rss for child in _workers(pid))
    return {"seconds": seconds, "share": (after - before) / seconds, "bytes": resident}


def _await(holds: Callable[[], Any], seconds: float, fault: str, *, pause: float = 0.01) -> Any:
    until = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > until:
            raise SystemExit(fault)
        time.sleep(pause)
    return found


if __name__ == "__main__":
    main()
