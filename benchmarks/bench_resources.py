"""What does watching the machine's resources cost, for an engine with five workers and codecs?"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from audobon.processes import family
from audobon.telemetry.figures import figures_of
from audobon.telemetry.history import ResourceHistory
from audobon.telemetry.resources import ResourceMonitor
from measuring import save, table, verdict

ROUNDS = 300
CHILDREN = 5
EVERY_SECONDS = 2.0
GOALS = {"sample": 2.0, "share of a core": 0.5}


def main() -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        for _ in range(CHILDREN)
    ]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            rows, figures = measure(Path(scratch))
    finally:
        for child in children:
            child.communicate()
    table(
        f"Watching resources, {CHILDREN + 1} processes of ours, {ROUNDS} rounds",
        ["what", "median", "95th percentile", "processor time", "goal", ""],
        rows,
    )
    save("resources", {"rounds": ROUNDS, "milliseconds": figures, "rows": rows})


def measure(folder: Path) -> tuple[list[list[str]], dict[str, list[float]]]:
    monitor = ResourceMonitor(folder, lambda: family([os.getpid()]))
    history = ResourceHistory(folder)
    monitor.sample()
    sample = monitor.sample()
    assert sample.processes == CHILDREN + 1, sample
    rows, figures, burnt = [], {}, 0.0
    acts: dict[str, Callable[[], object]] = {
        "sample": monitor.sample,
        "record": lambda: history.record(time.time(), figures_of(sample)),
    }
    for name, act in acts.items():
        milliseconds, per_round = timed(act)
        burnt += per_round
        figures[name] = milliseconds
        median, slow = statistics.median(milliseconds), sorted(milliseconds)[int(0.95 * ROUNDS)]
        goal = GOALS.get(name)
        rows.append(
            [
                name,
                f"{median:.2f} ms",
                f"{slow:.2f} ms",
                f"{per_round:.2f} ms",
                "" if goal is None else f"<= {goal:g} ms",
                "" if goal is None else verdict(median <= goal),
            ]
        )
    assert history.history("memory_ours_bytes", time.time() - 60, time.time())
    history.close()
    percent = burnt / EVERY_SECONDS / 10
    goal = GOALS["share of a core"]
    rows.append(
        [f"every {EVERY_SECONDS:g} s", "", "", f"{percent:.2f} %", f"<= {goal} %", verdict(percent <= goal)]
    )
    return rows, figures


def timed(act: Callable[[], object]) -> tuple[list[float], float]:
    act()
    found, burnt = [], time.process_time()
    for _ in range(ROUNDS):
        began = time.perf_counter()
        act()
        found.append(1000 * (time.perf_counter() - began))
    return found, 1000 * (time.process_time() - burnt) / ROUNDS


if __name__ == "__main__":
    main()
