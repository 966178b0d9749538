"""What every benchmark uses: processes timed and weighed, rounds interleaved, tables written."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from audobon.processes import family_resident_bytes

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
AUDOBON = ROOT / ".venv" / "bin" / "audobon"
_SAMPLE_SECONDS = 0.02


class Run(NamedTuple):
    """One finished process with its descendants.

    seconds      from start to end
    peak_bytes   largest sum of resident memory seen, shared pages counted in each process
    cpu_seconds  user and system, descendants that ended included
    """

    seconds: float
    peak_bytes: int
    cpu_seconds: float
    output: str


def measure(command: Sequence[str | Path], environment: Mapping[str, str]) -> Run:
    """Run a command to its end; a failing one ends the benchmark."""
    before = os.times()
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        text=True,
    )
    peak = 0
    ended = threading.Event()

    def weigh() -> None:
        nonlocal peak
        while not ended.wait(_SAMPLE_SECONDS):
            peak = max(peak, family_resident_bytes([process.pid]))

    thread = threading.Thread(target=weigh)
    thread.start()
    output, errors = process.communicate()
    seconds = time.perf_counter() - start
    ended.set()
    thread.join()
    after = os.times()
    if process.returncode != 0:
        raise SystemExit(f"{command} ended with {process.returncode}:\n{errors}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(seconds, peak, cpu, output)


def interleave(rounds: int, contenders: Mapping[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    """Run contenders in turns, the order turned round each time; return what each gave, in order."""
    outcomes: dict[str, list[Any]] = {name: [] for name in contenders}
    for index in range(rounds):
        names = list(contenders) if index % 2 == 0 else list(reversed(contenders))
        for name in names:
            outcomes[name].append(contenders[name]())
    return outcomes


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Return the median of the paired ratios, and the smallest and largest."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


@contextmanager
def scratch() -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield an empty folder, and an environment in which Audobon keeps its data there."""
    folder = Path(tempfile.mkdtemp(prefix="audobon-bench-"))
    environment = {**os.environ, "AUDOBON_STORAGE_FOLDER": str(folder / "data"), "HOME": str(folder)}
    try:
        yield folder, environment
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def machine() -> dict[str, Any]:
    """Return what figures depend on."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("onnxruntime", "numpy", "pillow", "onnx")},
        "commit": subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def save(name: str, figures: dict[str, Any]) -> None:
    """Keep the figures of a benchmark beside those of earlier runs."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine(), **figures}, indent=1, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    print(f"\n{title}")
    for row in [header, ["-" * width for width in widths], *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def verdict(is_met: bool) -> str:
    """Return the word for a goal."""
    return "met" if is_met else "NOT MET"
