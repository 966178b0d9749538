"""The engine: the one supervisor of a data folder, its workers, and the upkeep of the queue."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import msgspec

from audobon.clock import utc_now
from audobon.compute.restarts import Restarts
from audobon.compute.stopping import Stalls, Stopping
from audobon.compute.vanished import Vanished, boot_id
from audobon.compute.worker_messages import RECYCLE_STATUS, Hello, Order
from audobon.compute.worker_process import WorkerProcess, status_in_words
from audobon.errors import DiskFull, WorkerDied
from audobon.ids import new_id
from audobon.pages.picture_limits import PictureLimits
from audobon.processes import FileLock, family_resident_bytes
from audobon.queue.port import Queue
from audobon.queue.tasks import Capacity, Owner
from audobon.telemetry.logs import Log

POOL = "here"
"""The name of this machine's memory in its own queue."""

_WORKER_MODULE = "audobon.jobs.worker"
_BEAT_SECONDS = 3.0
_LOOK_SECONDS = 0.5
_UPKEEP_SECONDS = 5.0
# What is free wavers all the time; a change below this is not worth telling.
_BUDGET_TOLERANCE = 0.05


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine works.

    workers        processes that do tasks
    threads        processors each may use; 0: as tuned, else all it may
    device         what models run on: auto, cpu or cuda
    cache_bytes    the most that results from before may take; 0: none are kept
    idle_seconds   a worker without a task for so long ends, and is started again when there is one; 0: never
    stall_seconds  a task that makes no step for so long is taken from its worker, which is ended
    """

    folder: Path
    limits: PictureLimits
    max_seconds: float
    threads: int = 0
    workers: int = 1
    idle_seconds: float = 0.0
    stall_seconds: float = 600.0
    device: str = "auto"
    cache_bytes: int = 0


class Engine:
    """Workers and upkeep of one data folder; only one engine has it at a time.

    Use as a context manager: entering takes the folder's lock and gives back what an earlier engine left
    half done; leaving ends the workers. `tick` must be called often; it never blocks for long.
    budget_bytes  asked ever again: what all processes of the engine may hold together now
    raises        AlreadyRunning from entering, when another engine has the folder
    """

    def __init__(
        self, settings: EngineSettings, queue: Queue, log: Log, *, budget_bytes: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._log = log
        self._ask_budget = budget_bytes
        self._budget_bytes = 0
        self._workers: list[WorkerProcess] = []
        self._restarts = Restarts()
        self._stopping = Stopping()
        self._stalls = Stalls(settings.stall_seconds)
        self._vanished = Vanished(lease_seconds=10.0)
        self._lock = ExitStack()
        self._called_off: set[str] = set()
        self._beat_at = self._looked_at = self._kept_up_at = float("-inf")
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        self._lock.enter_context(engine_lock(self._settings.folder))
        try:
            self._recover()
            self._set_budget()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the workers alive."""
        return [worker.pid for worker in self._workers]

    @property
    def budget_bytes(self) -> int:
        """What the engine gives its workers now."""
        return self._budget_bytes

    def start_worker(self) -> None:
        """Start a worker before there is a task, so that it is ready when one comes."""
        if len(self._workers) < self._settings.workers:
            self._start()

    def tick(self) -> None:
        """Look after the workers and the queue.

        raises  WorkerDied when workers die one after the other without taking up a task, DiskFull when
                results have no room
        """
        now = time.monotonic()
        for worker in list(self._workers):
            status = worker.status()
            if status is not None:
                self._bury(worker, status)
        if now - self._looked_at >= _LOOK_SECONDS or not self._workers:
            self._looked_at = now
            self._man()
            self._end_what_was_called_off()
        if now - self._beat_at >= _BEAT_SECONDS:
            self._beat_at = now
            if self._workers:
                self._queue.beat(worker.owner for worker in self._workers)
        if now - self._kept_up_at >= _UPKEEP_SECONDS:
            self._kept_up_at = now
            self._keep_up()
        self.sample()

    def wait(self, timeout_seconds: float) -> None:
        """Return when a worker ends or a task was added, or after the time-out."""
        if len(self._workers) == 1 and timeout_seconds > 0:
            self._workers[0].wait(timeout_seconds)
        else:
            self._queue.wait(timeout_seconds)

    def sample(self) -> None:
        """Note the memory all processes of the engine hold now."""
        self.peak_bytes = max(self.peak_bytes, family_resident_bytes([os.getpid()]))

    def stop(self) -> None:
        """End the workers now, give back what they were doing, and let go of the folder."""
        workers, self._workers = self._workers, []
        try:
            for worker in workers:
                worker.end()
                worker.close()
            for worker in workers:
                self._queue.retire(worker.owner, reason="its engine was stopped", is_blameless=True)
        finally:
            self._lock.close()

    # Workers

    def _man(self) -> None:
        """Start the workers that are lacking, when there is something to do."""
        if self._restarts.may_start and len(self._workers) < self._settings.workers and self._queue.has_due():
            self._start()

    def _start(self) -> None:
        owner = new_id()
        hello = Hello(
            folder=str(self._settings.folder),
            owner=owner,
            pool=POOL,
            threads=self._settings.threads,
            device=self._settings.device,
            limits=self._settings.limits,
            max_seconds=self._settings.max_seconds,
            budget_bytes=self._budget_bytes,
            cache_bytes=self._settings.cache_bytes,
            idle_seconds=self._settings.idle_seconds,
        )
        worker = WorkerProcess(_WORKER_MODULE, hello)
        self._workers.append(worker)
        self._queue.register(Owner(owner, POOL, boot_id(), worker.pid, 0, utc_now()))

    def _bury(self, worker: WorkerProcess, status: int) -> None:
        self._workers.remove(worker)
        words, last_words = status_in_words(status), worker.last_words()
        worker.close()
        is_full = status == DiskFull.exit
        is_planned = status in (0, RECYCLE_STATUS)
        is_blameless = is_full or is_planned or worker.owner in self._called_off
        taken = self._queue.retire(
            worker.owner, reason=f"the worker ended with {words}", is_blameless=is_blameless
        )
        if is_full:
            raise DiskFull(last_words, hint="free some space and run the same command again")
        if is_planned:
            return
        if worker.owner in self._called_off:
            self._called_off.discard(worker.owner)
            return
        self._restarts.died(lived_seconds=time.monotonic() - worker.started_seconds, had_task=taken > 0)
        self._log.write("worker", "worker died", level="warning", status=words, tasks=taken, words=last_words)
        if self._restarts.is_hopeless:
            raise WorkerDied(
                f"no worker process can run here: several in a row ended before taking up a page, the last"
                f" with {words}. Its last words: {last_words}",
                hint="audobon doctor",
            )
        self._man()

    def _end_what_was_called_off(self) -> None:
        workers = {worker.owner: worker for worker in self._workers}
        for owner, deed, _ in self._stopping.look(self._queue.stop_requests()):
            if owner in workers:
                self._called_off.add(owner)
                if deed == "kill":
                    workers[owner].kill()
                else:
                    workers[owner].terminate()

    # Upkeep

    def _recover(self) -> None:
        """Give back what an earlier engine of this folder left; its workers cannot publish any more."""
        this_boot = boot_id()
        for owner in self._queue.owners():
            if owner.pool == POOL:
                is_reboot = owner.boot_id != this_boot
                reason = "the machine was started anew" if is_reboot else "its engine ended"
                self._queue.retire(owner.name, reason=reason, is_blameless=True)

    def _keep_up(self) -> None:
        self._set_budget()
        self._queue.run_schedules()
        ours = {worker.owner for worker in self._workers}
        owners = self._queue.owners()
        for owner in self._vanished.look([owner for owner in owners if owner.pool != POOL]):
            self._queue.retire(owner.name, reason="its machine gave no sign of life", is_blameless=False)
        for owner in owners:
            if owner.pool == POOL and owner.name not in ours:
                self._queue.retire(owner.name, reason="its engine ended", is_blameless=True)
        leased = [
            (task.id, task.token, task.owner or "", task.done_units)
            for task in self._queue.select(states=["leased"], limit=1000)
        ]
        stalled = set(self._stalls.look(leased))
        for worker in self._workers:
            if worker.owner in stalled:
                self._log.write("worker", "worker stalled", level="warning", pid=worker.pid)
                worker.kill()

    def _set_budget(self) -> None:
        budget_bytes = self._ask_budget()
        if abs(budget_bytes - self._budget_bytes) <= self._budget_bytes * _BUDGET_TOLERANCE:
            return
        self._budget_bytes = budget_bytes
        self._queue.set_capacity(POOL, Capacity(budget_bytes))
        for worker in self._workers:
            worker.order(Order(budget_bytes=budget_bytes))


def engine_lock(folder: Path) -> FileLock:
    """Return the lock that the engine of a data folder holds."""
    return FileLock(folder / "locks" / "engine.lock", purpose=f"an engine for {folder}")
