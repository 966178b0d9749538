"""The worker processes of an engine: started when there is work, replaced when they die."""

import select
import time

from audobon.clock import utc_now
from audobon.compute.engine_news import News, Tell
from audobon.compute.engine_settings import POOL, EngineSettings
from audobon.compute.restarts import Restarts
from audobon.compute.stopping import Stalls, Stopping
from audobon.compute.worker_messages import RECYCLE_STATUS, Hello, Order
from audobon.compute.worker_process import WorkerProcess, status_in_words
from audobon.errors import AudobonError, Corrupt, Denied, DiskFull, Misconfigured, Unavailable, WorkerDied
from audobon.ids import new_id
from audobon.queue.port import Queue
from audobon.queue.tasks import Owner
from audobon.queue.vanished import boot_id

_WORKER_MODULE = "audobon.jobs.worker"
# Where the system cannot wait for several processes at once.
_LOOK_SECONDS = 0.05
# What stops one worker in this way stops every other.
_STOPS_ALL: dict[int, type[AudobonError]] = {
    kind.exit: kind for kind in (Misconfigured, Denied, DiskFull, Corrupt)
}


class Crew:
    """The workers of one engine."""

    def __init__(self, settings: EngineSettings, queue: Queue, tell: Tell) -> None:
        self._settings = settings
        self._queue = queue
        self._tell = tell
        self._workers: list[WorkerProcess] = []
        self._restarts = Restarts()
        self._stopping = Stopping()
        self._stalls = Stalls(settings.stall_seconds)
        self._called_off: set[str] = set()
        self._budget_bytes = 0

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers alive."""
        return [worker.pid for worker in self._workers]

    @property
    def owners(self) -> list[str]:
        """The names of the workers on leases."""
        return [worker.owner for worker in self._workers]

    @property
    def rest_seconds(self) -> float:
        """For how long no worker is to be started after a death."""
        return self._restarts.rest_seconds

    def set_budget(self, budget_bytes: int) -> None:
        """Tell every worker, now and to come, what all may hold together."""
        self._budget_bytes = budget_bytes
        for worker in self._workers:
            worker.order(Order(budget_bytes=budget_bytes))

    def man(self) -> None:
        """Start one of the workers that are lacking, when there is something to do."""
        is_short = len(self._workers) < self._settings.workers
        if is_short and not self._restarts.rest_seconds and self._queue.has_due():
            self.start()

    def start(self) -> None:
        """Start a worker, unless there are as many as there should be."""
        if len(self._workers) >= self._settings.workers:
            return
        owner = Owner(new_id(), POOL, boot_id(), 0, 0, utc_now())
        # Known before it can hold anything: whoever is killed here leaves no task that nobody would look for.
        self._queue.register(owner)
        worker = WorkerProcess(_WORKER_MODULE, self._hello(owner.name))
        self._workers.append(worker)
        self._queue.register(Owner(owner.name, POOL, owner.boot_id, worker.pid, 0, owner.started_at))
        self._tell(News(what="worker started", pid=worker.pid, words=f"worker {worker.pid} started"))

    def _hello(self, owner: str) -> Hello:
        settings = self._settings
        return Hello(
            folder=str(settings.folder),
            owner=owner,
            pool=POOL,
            threads=settings.threads,
            device=settings.device,
            limits=settings.limits,
            max_seconds=settings.max_seconds,
            budget_bytes=self._budget_bytes,
            cache_bytes=settings.cache_bytes,
            keeping=settings.keeping,
            ships_first=settings.ships_first,
            idle_seconds=settings.idle_seconds,
            passphrase=settings.passphrase(),
        )

    def wait(self, timeout_seconds: float) -> None:
        """Return as soon as any worker ends, or after the time-out."""
        descriptors = [worker.descriptor for worker in self._workers]
        if None in descriptors:
            self._workers[0].wait(min(timeout_seconds, _LOOK_SECONDS))
            return
        ends = select.poll()
        for descriptor in descriptors:
            assert descriptor is not None
            ends.register(descriptor, select.POLLIN)
        ends.poll(timeout_seconds * 1000)

    def bury(self) -> None:
        """Give back the tasks of workers that ended, and start others in their place.

        raises  WorkerDied when workers die one after the other without taking up a task; DiskFull, Denied,
                Corrupt and Misconfigured when no worker could fare better
        """
        for worker in list(self._workers):
            status = worker.status()
            if status is not None:
                self._workers.remove(worker)
                try:
                    self._take_leave(worker, status)
                finally:
                    worker.close()
                self.man()

    def _take_leave(self, worker: WorkerProcess, status: int) -> None:
        words, is_called_off = status_in_words(status), worker.owner in self._called_off
        self._called_off.discard(worker.owner)
        is_outer = status in _STOPS_ALL or status == Unavailable.exit
        taken = self._queue.retire(
            worker.owner,
            reason=f"the worker ended with {words}",
            is_blameless=status == RECYCLE_STATUS or is_outer or is_called_off,
        )
        # A worker that ends by itself holds nothing; what ended it in the middle of a task may do so again.
        is_planned = status == RECYCLE_STATUS or (status == 0 and taken == 0)
        self._tell(_news(worker.pid, status, taken, worker.last_words(), is_called_off=is_called_off))
        if status in _STOPS_ALL:
            hint = "free some space and run the same command again" if status == DiskFull.exit else None
            raise _STOPS_ALL[status](worker.last_words(), hint=hint or "audobon doctor")
        if is_planned or is_called_off:
            self._restarts.was_sound()
            return
        lived_seconds = time.monotonic() - worker.started_seconds
        self._restarts.died(lived_seconds=lived_seconds, had_task=taken > 0 and not is_outer)
        if self._restarts.is_hopeless:
            raise WorkerDied(
                f"no worker process can run here: several in a row ended before taking up a page, the last"
                f" with {words}. Its last words: {worker.last_words()}",
                hint="audobon doctor",
            )

    def end_what_was_called_off(self) -> None:
        """Signal the workers whose tasks were to stop and did not."""
        workers = {worker.owner: worker for worker in self._workers}
        for owner, deed, _ in self._stopping.look(self._queue.stop_requests()):
            if owner in workers:
                self._called_off.add(owner)
                if deed == "kill":
                    workers[owner].kill()
                else:
                    workers[owner].terminate()

    def end_what_stalled(self) -> None:
        """Kill the workers whose tasks make no step any more."""
        leased = [
            (task.id, task.token, task.owner or "", task.done_units)
            for task in self._queue.select(states=["leased"], limit=1000)
        ]
        stalled = set(self._stalls.look(leased))
        for worker in self._workers:
            if worker.owner in stalled:
                seconds = f"{self._settings.stall_seconds:g} s"
                words = f"worker {worker.pid} made no step for {seconds} and is ended"
                self._tell(News(what="worker stalled", pid=worker.pid, words=words))
                worker.kill()

    def end(self) -> list[str]:
        """End all workers now; return their names, whose tasks are to be given back."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.end()
            worker.close()
        return [worker.owner for worker in workers]


def _news(pid: int, status: int, tasks: int, last_words: str, *, is_called_off: bool) -> News:
    words = status_in_words(status)
    if is_called_off:
        told = f"worker {pid} was ended, since its task was called off and did not stop"
        return News(what="worker called off", pid=pid, words=told, status=words, tasks=tasks)
    if status == RECYCLE_STATUS:
        told = f"worker {pid} makes way for a fresh one, since memory did not come back"
        return News(what="worker recycled", pid=pid, words=told, status=words, tasks=tasks)
    if status == 0:
        return News(what="worker ended", pid=pid, words=f"worker {pid} ended for want of work", status=words)
    again = {0: "", 1: "; its task is done again"}.get(tasks, f"; its {tasks} tasks are done again")
    said = "" if last_words == "none" else f" ({last_words})"
    told = f"worker {pid} died with {words}{again}{said}"
    return News(what="worker died", pid=pid, words=told, status=words, tasks=tasks)
