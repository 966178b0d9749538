"""The engine of a folder, with real workers that have nothing to do, and a budget that tests turn."""

import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from queue_of_pages import POOL, TurnedClock, add_pages, queue_of_pages

from audobon.compute.engine import Engine
from audobon.compute.engine_news import News
from audobon.compute.engine_settings import EngineSettings
from audobon.errors import AlreadyRunning, Unavailable
from audobon.pages.picture_limits import PictureLimits
from audobon.queue.embedded import SqliteQueue
from audobon.queue.figures import PoolFigures
from audobon.queue.rules import QueueRules
from audobon.queue.tasks import Claimant, Needs, NewTask, Owner
from audobon.queue.vanished import boot_id
from audobon.telemetry.logs import Log

MB = 1 << 20
SLACK_BYTES = 512 * MB


def _unsealed(subject: str, text: str, *, context: bytes) -> str:
    return text


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[SqliteQueue]:
    with queue_of_pages(tmp_path) as queue:
        yield queue


class Budget:
    """What is free, as tests say."""

    def __init__(self, ram_bytes: int = 1000 * MB, vram_bytes: int = 0) -> None:
        self.ram_bytes = ram_bytes
        self.vram_bytes = vram_bytes


def engine_of(
    folder: Path, queue: SqliteQueue, budget: Budget | None = None, *, stall_seconds: float = 0.2, **rest: Any
) -> Engine:
    """Return an engine that looks after its budget twenty times a second."""
    budget = budget or Budget()
    settings = EngineSettings(
        folder=folder,
        limits=PictureLimits(1 << 20, 1 << 19, 2000),
        max_seconds=5.0,
        stall_seconds=stall_seconds,
    )
    return Engine(
        settings,
        queue,
        Log(folder, _unsealed, level="error"),
        budget_bytes=lambda: budget.ram_bytes,
        vram_bytes=lambda: budget.vram_bytes,
        **rest,
    )


def tick_until(engine: Engine, condition: Callable[[], object]) -> None:
    until = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        engine.tick()
        engine.wait(0.02)


def fence_of(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_DATA)[0]


def worker_pids(queue: SqliteQueue) -> list[int]:
    return [owner.pid for owner in queue.owners()]


def fence_for(budget_bytes: int) -> int:
    return budget_bytes + budget_bytes // 4 + SLACK_BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="the fence is drawn on Linux only")
def test_a_budget_that_changes_while_workers_live_is_told_to_the_queue_and_to_them(
    tmp_path: Path, queue: SqliteQueue
) -> None:
    budget = Budget(1000 * MB, vram_bytes=300)
    with engine_of(tmp_path, queue, budget) as engine:
        assert queue.pools() == [PoolFigures(POOL, 1000 * MB, 300, 0, 0)]
        engine.start_worker()
        (pid,) = worker_pids(queue)
        tick_until(engine, lambda: fence_of(pid) == fence_for(1000 * MB))

        budget.ram_bytes, budget.vram_bytes = 400 * MB, 100
        tick_until(engine, lambda: fence_of(pid) == fence_for(400 * MB))
        assert queue.pools() == [PoolFigures(POOL, 400 * MB, 100, 0, 0)]
        assert engine.budget_bytes == 400 * MB

        budget.ram_bytes = 2000 * MB
        tick_until(engine, lambda: fence_of(pid) == fence_for(2000 * MB))
        assert worker_pids(queue) == [pid]


def test_a_budget_that_only_wavers_is_left_as_it_was(tmp_path: Path, queue: SqliteQueue) -> None:
    budget = Budget(1000, vram_bytes=1000)
    with engine_of(tmp_path, queue, budget) as engine:
        budget.ram_bytes, budget.vram_bytes = 1049, 951
        engine.tick()
        assert queue.pools() == [PoolFigures(POOL, 1000, 1000, 0, 0)]


def test_a_folder_has_one_engine_and_the_next_may_come_when_it_left(
    tmp_path: Path, queue: SqliteQueue
) -> None:
    with (
        engine_of(tmp_path, queue),
        pytest.raises(AlreadyRunning, match="already under way in process"),
        engine_of(tmp_path, queue),
    ):
        pytest.fail("two engines in one folder")
    with engine_of(tmp_path, queue) as engine:
        assert engine.budget_bytes == 1000 * MB


def test_an_engine_that_cannot_begin_lets_go_of_the_folder(tmp_path: Path, queue: SqliteQueue) -> None:
    def broken() -> int:
        raise ZeroDivisionError

    settings = EngineSettings(folder=tmp_path, limits=PictureLimits(1, 1, 1), max_seconds=1.0)
    with (
        pytest.raises(ZeroDivisionError),
        Engine(settings, queue, Log(tmp_path, _unsealed, level="error"), budget_bytes=broken),
    ):
        pytest.fail("an engine without a budget")
    with engine_of(tmp_path, queue):
        pass


def test_what_an_earlier_engine_left_is_ready_at_once_and_what_others_hold_is_theirs(
    tmp_path: Path, queue: SqliteQueue
) -> None:
    add_pages(queue, ("left", 1), ("theirs", 1))
    queue.register(Owner("left over", POOL, boot_id(), 1, 5, 0.0))
    queue.register(Owner("elsewhere", "another machine", "its boot", 1, 5, 0.0))
    queue.claim(Claimant(owner="left over", pool=POOL))
    queue.claim(Claimant(owner="elsewhere", pool="another machine"), may_exceed=True)

    with engine_of(tmp_path, queue):
        tasks = [(task.state, task.owner, task.attempt) for task in queue.tasks("job")]
        assert [owner.name for owner in queue.owners()] == ["elsewhere"]

    assert tasks == [("ready", None, 0), ("leased", "elsewhere", 1)]


def test_a_machine_without_a_sign_of_life_for_its_lease_loses_its_tasks(
    tmp_path: Path, queue: SqliteQueue
) -> None:
    queue.configure(QueueRules(name="batch", lease_seconds=0.3, state="pause"))
    for category in ("interactive", "maintenance"):
        queue.configure(QueueRules(name=category, lease_seconds=0.3))
    queue.set_state("batch", "run")
    add_pages(queue, ("theirs", 1))
    queue.register(Owner("elsewhere", "another machine", "its boot", 1, 5, 0.0))
    queue.claim(Claimant(owner="elsewhere", pool="another machine"), may_exceed=True)
    queue.set_state("batch", "pause")

    with engine_of(tmp_path, queue) as engine:
        tick_until(engine, lambda: not queue.owners())

    (task,) = queue.tasks("job")
    assert (task.state, task.attempt, task.error_message) == ("ready", 1, "its machine gave no sign of life")


def test_the_engine_beats_for_its_workers_and_tells_of_their_start(
    tmp_path: Path, queue: SqliteQueue
) -> None:
    told: list[News] = []
    with engine_of(tmp_path, queue, tell=told.append) as engine:
        engine.start_worker()
        (pid,) = worker_pids(queue)
        tick_until(engine, lambda: queue.owners()[0].beat > 0)
        (owner,) = queue.owners()
        assert (owner.pool, owner.pid, owner.boot_id) == (POOL, pid, boot_id())

    assert told == [News(what="worker started", pid=pid, words=f"worker {pid} started")]
    assert queue.owners() == []


def test_without_workers_the_engine_may_rest_until_something_is_due(
    tmp_path: Path, queue: SqliteQueue
) -> None:
    with engine_of(tmp_path, queue, stall_seconds=600.0) as engine:
        engine.tick()
        assert engine.rest_seconds == 5.0
        add_pages(queue, ("page", 1))
        queue.set_state("batch", "pause")
        assert engine.rest_seconds == 5.0
        engine.start_worker()
        assert engine.rest_seconds == 0.5


def test_a_database_that_fails_as_the_engine_ends_hides_nothing_and_the_folder_is_free(
    tmp_path: Path, queue: SqliteQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object, **__: object) -> int:
        raise Unavailable("kept locked")

    with engine_of(tmp_path, queue) as engine:
        engine.start_worker()
        monkeypatch.setattr(queue, "retire", locked)
    monkeypatch.undo()
    with engine_of(tmp_path, queue):
        pass


def test_a_task_that_is_due_in_a_paused_queue_does_not_keep_the_engine_busy(
    tmp_path: Path,
) -> None:
    clock = TurnedClock()
    with queue_of_pages(tmp_path, clock=clock) as queue:
        queue.enqueue("batch", [NewTask(needs=Needs(kind="page"), delay_seconds=1.0)])
        queue.set_state("batch", "pause")
        clock.seconds += 2.0
        with engine_of(tmp_path, queue, stall_seconds=600.0) as engine:
            engine.tick()
            assert engine.rest_seconds == 5.0


_ENDS_QUIETLY = """
import json, sys
from pathlib import Path
from audobon.database.service import Database
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Claimant
hello = json.loads(sys.stdin.readline())
with SqliteQueue(Database(Path(hello["folder"])).open()) as queue:
    while not queue.claim(Claimant(owner=hello["owner"], pool=hello["pool"])):
        queue.wait(0.1)
"""


def test_a_page_that_makes_its_worker_end_quietly_is_given_up_all_the_same(
    tmp_path: Path, queue: SqliteQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ends_quietly.py").write_text(_ENDS_QUIETLY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("audobon.compute.crew._WORKER_MODULE", "ends_quietly")
    add_pages(queue, ("page", 1))

    with engine_of(tmp_path, queue) as engine:
        tick_until(engine, lambda: queue.tasks("job")[0].state == "failed")

    (task,) = queue.tasks("job")
    assert (task.attempt, task.error_code, task.error_message) == (
        3,
        "worker_died",
        "the worker ended with status 0",
    )
