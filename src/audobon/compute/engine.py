"""The engine: the one supervisor of a data folder, its workers, and the upkeep of the queue."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from audobon.clock import utc_now
from audobon.compute.clean_stop import RunningMark
from audobon.compute.clock_watch import ClockWatch
from audobon.compute.crew import Crew
from audobon.compute.engine_news import News, Tell
from audobon.compute.engine_settings import POOL, EngineSettings
from audobon.compute.fence import fence_kind
from audobon.compute.graphics_memory import GraphicsMemory
from audobon.errors import AudobonError
from audobon.processes import FileLock, family, family_resident_bytes
from audobon.queue.port import Queue
from audobon.queue.tasks import Capacity
from audobon.queue.vanished import Vanished, boot_id
from audobon.telemetry.logs import Log

_BEAT_SECONDS = 3.0
_LOOK_SECONDS = 0.5
_UPKEEP_SECONDS = 5.0
_LEAST_REST_SECONDS = 0.05
# What is free wavers all the time; a change below this is not worth telling.
_BUDGET_TOLERANCE = 0.05


class Engine:
    """Workers and upkeep of one data folder; only one engine has it at a time.

    Use as a context manager: entering takes the folder's lock and gives back what an earlier engine left
    half done; leaving ends the workers. `tick` must be called often; it never blocks for long.
    budget_bytes  asked ever again: what all processes of the engine may hold together now
    vram_bytes    the same of graphics memory; None: as `GraphicsMemory` finds
    tell          told what happens to the workers
    raises        AlreadyRunning from entering, when another engine has the folder
    """

    def __init__(
        self,
        settings: EngineSettings,
        queue: Queue,
        log: Log,
        *,
        budget_bytes: Callable[[], int],
        vram_bytes: Callable[[], int] | None = None,
        tell: Tell | None = None,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._log = log
        self._ask_budget = budget_bytes
        self._ask_vram = vram_bytes or _graphics_memory(settings)
        self._listener = tell
        self._capacity = Capacity(0)
        self._crew = Crew(settings, queue, self._tell)
        self._vanished = Vanished()
        self._clock_watch = ClockWatch()
        self._lock = ExitStack()
        self._mark = RunningMark(settings.folder)
        self._upkeep_seconds = min(_UPKEEP_SECONDS, settings.stall_seconds / 4)
        self._beat_at = self._looked_at = self._kept_up_at = float("-inf")
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        self._lock.enter_context(engine_lock(self._settings.folder))
        try:
            self._mark.begin()
            self._recover()
            self._set_capacity()
            self._log.write(
                "worker",
                "engine started",
                pid=os.getpid(),
                budget_bytes=self._capacity.ram_bytes,
                vram_bytes=self._capacity.vram_bytes,
                fence=fence_kind(),
            )
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def budget_bytes(self) -> int:
        """What the engine gives its workers now."""
        return self._capacity.ram_bytes

    @property
    def rest_seconds(self) -> float:
        """How long `wait` may last until the next `tick`; a new task or a death ends it earlier."""
        if self._crew.pids:
            return _LOOK_SECONDS
        rests = [self._upkeep_seconds]
        if self._crew.rest_seconds:
            # Until then nothing is begun, whatever is due.
            rests.append(self._crew.rest_seconds)
        elif (due_at := self._queue.next_run_at()) is not None:
            rests.append(due_at - utc_now())
        return max(_LEAST_REST_SECONDS, min(rests))

    def start_worker(self) -> None:
        """Start a worker before there is a task, so that it is ready when one comes."""
        self._crew.start()

    def tick(self) -> None:
        """Look after the workers and the queue; raises as `Crew.bury` does."""
        now = time.monotonic()
        self._crew.bury()
        if now - self._looked_at >= _LOOK_SECONDS or not self._crew.pids:
            self._looked_at = now
            self._crew.man()
            if self._crew.pids:
                self._crew.end_what_was_called_off()
        if now - self._beat_at >= _BEAT_SECONDS and self._crew.pids:
            self._beat_at = now
            self._queue.beat(self._crew.owners)
        if now - self._kept_up_at >= self._upkeep_seconds:
            self._kept_up_at = now
            self._keep_up()
        self.sample()

    def wait(self, timeout_seconds: float) -> None:
        """Return when a worker ends or, while there is none, a task was added; or after the time-out."""
        if self._crew.pids:
            self._crew.wait(timeout_seconds)
        else:
            self._queue.wait(timeout_seconds)

    def sample(self) -> None:
        """Note the memory all processes of the engine hold now."""
        self.peak_bytes = max(self.peak_bytes, family_resident_bytes([os.getpid()]))

    def stop(self) -> None:
        """End the workers now, give back what they were doing, and let go of the folder."""
        try:
            # The next engine of the folder does the same; failing here must not hide what brought us here.
            with suppress(AudobonError):
                for owner in self._crew.end():
                    self._queue.retire(owner, reason="its engine was stopped", is_blameless=True)
                self._mark.end()
        finally:
            self._lock.close()

    # Upkeep

    def _recover(self) -> None:
        """Give back what an earlier engine of this folder left; its workers cannot publish any more."""
        this_boot = boot_id()
        for owner in self._queue.owners():
            if owner.pool == POOL:
                # One that nobody registered has no boot.
                is_reboot = owner.boot_id not in ("", this_boot)
                reason = "the machine was started anew" if is_reboot else "its engine ended"
                self._queue.retire(owner.name, reason=reason, is_blameless=True)

    def _keep_up(self) -> None:
        self._set_capacity()
        moved_seconds = self._clock_watch.moved_seconds()
        if moved_seconds:
            self._queue.clock_moved(moved_seconds)
        self._queue.run_schedules()
        lease_seconds = max(rules.lease_seconds for rules in self._queue.rules())
        owners = self._queue.owners()
        elsewhere = [owner for owner in owners if owner.pool != POOL]
        for owner in self._vanished.look(elsewhere, lease_seconds=lease_seconds):
            self._queue.retire(owner.name, reason="its machine gave no sign of life", is_blameless=False)
        for owner in owners:
            if owner.pool == POOL and owner.name not in self._crew.owners:
                self._queue.retire(owner.name, reason="its engine ended", is_blameless=True)
        if self._crew.pids:
            self._crew.end_what_stalled()

    def _set_capacity(self) -> None:
        capacity = Capacity(self._ask_budget(), self._ask_vram())
        if _is_alike(capacity.ram_bytes, self._capacity.ram_bytes) and _is_alike(
            capacity.vram_bytes, self._capacity.vram_bytes
        ):
            return
        self._capacity = capacity
        self._queue.set_capacity(POOL, capacity)
        self._crew.set_budget(capacity.ram_bytes)

    def _tell(self, news: News) -> None:
        facts: dict[str, Any] = {
            "pid": news.pid,
            "status": news.status,
            "tasks": news.tasks,
            "words": news.words,
        }
        self._log.write("worker", news.what, level="warning" if news.is_grave else "info", **facts)
        if self._listener is not None:
            self._listener(news)


def engine_lock(folder: Path) -> FileLock:
    """Return the lock that the engine of a data folder holds."""
    return FileLock(folder / "locks" / "engine.lock", purpose=f"an engine for {folder}")


def _graphics_memory(settings: EngineSettings) -> Callable[[], int]:
    return (
        (lambda: 0)
        if settings.device == "cpu"
        else GraphicsMemory(lambda: family([os.getpid()])).budget_bytes
    )


def _is_alike(new_bytes: int, old_bytes: int) -> bool:
    return abs(new_bytes - old_bytes) <= old_bytes * _BUDGET_TOLERANCE
