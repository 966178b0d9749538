"""What is measured of a system, each in a fresh place; the answer is checked before its time counts."""

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import children
from counters import Counters
from place import Place
from probes import probe
from system import System

_WARM_UP = 20
_READY_SECONDS = 30.0
_DONE_SECONDS = 120.0

Outcome = dict[str, Any]


def single(system: System, tasks: int) -> Outcome:
    """One producer, one task per call."""
    return _enqueue(system, tasks, system.enqueue_one)


def bulk(system: System, tasks: int) -> Outcome:
    """One producer, all tasks in one call."""
    return _enqueue(system, tasks, system.enqueue_bulk)


def _enqueue(system: System, tasks: int, enqueue: Callable[[range], None]) -> Outcome:
    system.enqueue_one(range(_WARM_UP))
    before = probe(system.place.folder)
    started = time.perf_counter()
    enqueue(range(_WARM_UP, _WARM_UP + tasks))
    seconds = time.perf_counter() - started
    after = probe(system.place.folder)
    _require(system.unfinished() == _WARM_UP + tasks, f"{system.unfinished()} tasks are there")
    return {"seconds": seconds, "tasks": tasks, "probes": [before, after]}


def producers(system: System, tasks: int, count: int) -> Outcome:
    """Several producers at once, one task per call each."""
    counters = Counters(system.place.counters, tasks=count)
    share = tasks // count
    script = str(Path(__file__).with_name("producer.py"))
    for index in range(count):
        children.start([sys.executable, script, type(system).__module__, str(index), str(share)])
    _await(lambda: counters.waiting() == count, _READY_SECONDS, "the producers did not start")
    before = probe(system.place.folder)
    started = time.perf_counter()
    counters.open_gate()
    _await(lambda: counters.ended() == count, _DONE_SECONDS, "the producers did not finish", pause=0.001)
    seconds = time.perf_counter() - started
    children.end_all()
    after = probe(system.place.folder)
    _require(system.unfinished() == share * count, f"{system.unfinished()} tasks are there")
    return {"seconds": seconds, "tasks": share * count, "probes": [before, after]}


def backlog(system: System, tasks: int, workers: int) -> Outcome:
    """Workers that are ready empty a backlog; the time ends when the last task is acknowledged."""
    counters = Counters(system.place.counters, tasks=tasks)
    system.fill(range(tasks))
    _start_workers(system, workers)
    _await(lambda: counters.waiting() >= workers, _READY_SECONDS, "the workers did not start")
    before = probe(system.place.folder)
    started = time.perf_counter()
    counters.open_gate()
    _await(lambda: counters.ended() == tasks, _DONE_SECONDS, "the backlog was not emptied", pause=0.005)
    _await(lambda: system.unfinished() == 0, _DONE_SECONDS, "the tasks were not acknowledged", pause=0.002)
    seconds = time.perf_counter() - started
    children.end_all()
    after = probe(system.place.folder)
    faults = counters.faults()
    _require(faults == {"lost": 0, "repeated": 0}, str(faults))
    return {"seconds": seconds, "tasks": tasks, "probes": [before, after]}


def pickup(system: System, tasks: int) -> Outcome:
    """A worker is idle; from the call that enqueues a task to its start."""
    counters = Counters(system.place.counters, tasks=_WARM_UP + tasks)
    counters.open_gate()
    _start_workers(system, 1)
    _pick_up(system, counters, range(_WARM_UP))
    before = probe(system.place.folder)
    waits = _pick_up(system, counters, range(_WARM_UP, _WARM_UP + tasks))
    children.end_all()
    after = probe(system.place.folder)
    _require(counters.faults() == {"lost": 0, "repeated": 0}, str(counters.faults()))
    return {"milliseconds": sorted(waits), "tasks": tasks, "probes": [before, after]}


def _pick_up(system: System, counters: Counters, indexes: range) -> list[float]:
    waits: list[float] = []
    for index in indexes:
        called = time.monotonic_ns()
        system.enqueue_one(range(index, index + 1))
        _await(
            lambda i=index: counters.started_ns(i), _READY_SECONDS, "a task was not picked up", pause=0.001
        )
        waits.append((counters.started_ns(index) - called) / 1e6)
        # Out of step with whatever looks for tasks at intervals.
        time.sleep(random.uniform(0.005, 0.025))
    return waits


def _start_workers(system: System, workers: int) -> None:
    with Path(system.place.folder, "workers.log").open("wb") as log:
        for command in system.worker_commands(workers):
            children.start(command, stdout=log, stderr=log)


def _await(holds: Callable[[], object], seconds: float, fault: str, *, pause: float = 0.01) -> None:
    until = time.monotonic() + seconds
    while not holds():
        _require(time.monotonic() < until, f"{fault} within {seconds:.0f} s")
        time.sleep(pause)


def _require(holds: bool, fault: str) -> None:
    if not holds:
        raise SystemExit(f"the answer is wrong: {fault}")


MEASURES: dict[str, Callable[..., Outcome]] = {
    "single": single,
    "bulk": bulk,
    "producers": producers,
    "backlog": backlog,
    "pickup": pickup,
}


@contextmanager
def stopped_at_end(system: System) -> Iterator[System]:
    """Stop a system and every process it started, whatever happens."""
    try:
        yield system
    finally:
        children.end_all()
        system.stop()


def measure(name: str, system: System, arguments: dict[str, Any]) -> Outcome:
    """Measure once."""
    with stopped_at_end(system):
        system.lay()
        system.connect()
        return MEASURES[name](system, **arguments)


def adapter(name: str, place: Place) -> System:
    """Return the adapter of a module."""
    from importlib import import_module

    found: System = import_module(name).Adapter(place)
    return found
