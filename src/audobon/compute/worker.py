"""Does tasks, one after the other, until there are none; killing it at any instant loses nothing."""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import msgspec

from audobon.compute.allowance import Allowance
from audobon.compute.perform import LastStep, Performer
from audobon.compute.prefetch import SETTLED_RUNS, Prefetch
from audobon.compute.queue_turns import QueueFailed, QueueTurns
from audobon.compute.work import PAGE_KIND, Work
from audobon.compute.worker_messages import Hello
from audobon.errors import AudobonError, Cancelled, DiskFull, Exhausted, LeaseLost, SubjectErased
from audobon.queue.port import Queue
from audobon.queue.sealing import ERASED_JSON
from audobon.queue.tasks import Claimant, Lease

# Often enough for a smooth bar, seldom enough to cost nothing.
_REPORT_SECONDS = 0.1
# A net below the bell: a wake-up can be missed where there are no pipes.
_LOOK_SECONDS = 0.5

Upkeep = Callable[[Lease], str]
"""Does a maintenance task and returns its result as JSON."""


class WorkLoop:
    """Does the tasks of a queue until it has been idle for long, or should be replaced.

    While one page is being written by its codec, the next is begun, if there is memory for both.
    between_tasks  called again and again while no task is at work
    """

    def __init__(
        self,
        queue: Queue,
        performer: Performer,
        hello: Hello,
        upkeep: Upkeep,
        *,
        between_tasks: Callable[[], None] = lambda: None,
        prefetch: Prefetch | None = None,
    ) -> None:
        self._queue = queue
        self._performer = performer
        self._hello = hello
        self._upkeep = upkeep
        self._prefetch = prefetch
        self._between_tasks = between_tasks
        # The queue is used by this thread, the one that takes last steps, and the one that looks ahead.
        self._turn = QueueTurns()
        self._allowance = Allowance(queue, hello.pool, self._turn)
        self._last_step: Future[None] | None = None
        # Found once: asking a driver takes longer than a claim.
        self._devices = performer.devices()

    def run(self) -> None:
        """Return when idle for long, or when the worker should be recycled.

        raises  DiskFull, and what the queue complains of
        """
        try:
            self._run()
        except QueueFailed as failure:
            raise failure.reason from failure

    def _run(self) -> None:
        busy_at = time.monotonic()
        with ThreadPoolExecutor(max_workers=1) as beside:
            while not self._performer.needs_recycling:
                if self._last_step is None:
                    self._between_tasks()
                lease = self._claim()
                if lease is not None:
                    self._do(lease, beside)
                    busy_at = time.monotonic()
                elif self._last_step is not None:
                    # It may fail and give its task back, and what it holds comes free.
                    self._await_last_step()
                elif 0 < self._hello.idle_seconds <= time.monotonic() - busy_at:
                    return
                else:
                    self._give_way()
                    self._queue.wait(_LOOK_SECONDS)
            self._await_last_step()

    def _give_way(self) -> None:
        """Let go of idle models whose memory other workers were given meanwhile."""
        if self._performer.loaded_models():
            self._performer.keep_models_within(max(0, self._allowance.room_bytes()))

    def _claim(self) -> Lease | None:
        claimant = Claimant(
            owner=self._hello.owner,
            pool=self._hello.pool,
            devices=self._devices,
            models=self._performer.loaded_models(),
        )
        with self._turn:
            leases = self._queue.claim(claimant, may_exceed=True)
        if leases and leases[0].kind == PAGE_KIND and self._prefetch is not None:
            self._prefetch.look_ahead(lambda: self._upcoming(claimant, leases[0]))
        return leases[0] if leases else None

    def _upcoming(self, claimant: Claimant, lease: Lease) -> list[str]:
        claimant = msgspec.structs.replace(claimant, models=claimant.models | {lease.model})
        with self._turn:
            return self._queue.upcoming(claimant)

    def _do(self, lease: Lease, beside: ThreadPoolExecutor) -> None:
        step: LastStep | None = None
        self._allowance.take_up(lease)
        try:
            with self._recording(lease):
                if lease.kind == PAGE_KIND:
                    step = self._do_page(lease)
                else:
                    # Upkeep uses the connection as it likes: nobody else may meanwhile.
                    self._await_last_step()
                    with self._turn.alone():
                        result = self._upkeep(lease)
                    with self._turn:
                        self._queue.finish(lease, result=result)
        finally:
            if step is None:
                self._allowance.let_go(lease)
        self._await_last_step()
        if step is not None:
            self._last_step = beside.submit(self._take_last_step, lease, step)
            if not step.may_run_beside:
                self._await_last_step()

    def _do_page(self, lease: Lease) -> LastStep | None:
        told = 0.0

        def report(done: int, total: int) -> None:
            nonlocal told
            if self._prefetch is not None and done >= min(SETTLED_RUNS, total):
                self._prefetch.may_load()
            now = time.monotonic()
            if now - told < _REPORT_SECONDS and done != total:
                return
            told = now
            with self._turn:
                standing = self._queue.progress(lease, done, total)
            if standing == "asked to stop":
                raise Cancelled("called off while it was worked on")
            if standing == "lost":
                raise LeaseLost(f"task {lease.id} was handed on while it was being worked on")

        def publish(blob: str | None, result: str) -> None:
            with self._turn:
                self._queue.finish(lease, blob=blob, result=result)

        if lease.payload == ERASED_JSON:
            raise SubjectErased("the person or project that the page belongs to was erased")
        work = msgspec.json.decode(lease.payload, type=Work)
        return self._performer.perform(
            work,
            report=report,
            publish=publish,
            alone=self._await_last_step,
            memory=self._allowance.of_task(lease),
        )

    def _take_last_step(self, lease: Lease, step: LastStep) -> None:
        try:
            with self._recording(lease):
                step.run()
        finally:
            self._allowance.let_go(lease)

    def _await_last_step(self) -> None:
        step, self._last_step = self._last_step, None
        if step is not None:
            step.result()

    @contextmanager
    def _recording(self, lease: Lease) -> Iterator[None]:
        """Record why a task failed; let through what is not about its page."""
        try:
            yield
        except (DiskFull, QueueFailed):
            # No page after this one would fare better; the one in hand is given back untried.
            raise
        except LeaseLost:
            # Somebody else has the task now, and what we made of it was not published.
            return
        except Cancelled as error:
            # Whoever called it off may have thought better of it since: then it is only given back.
            with self._turn:
                self._queue.release(lease, reason=error.message)
        except AudobonError as error:
            message = f"{error.message} ({error.hint})" if error.hint else error.message
            self._fail(lease, error.code, message, retry=error.retry)
        except MemoryError as error:
            self._fail(lease, Exhausted.code, f"memory ran out: {error}", retry=True)
        except Exception as error:  # noqa: BLE001  the boundary of a task: a fault must not end the book
            sys.excepthook(type(error), error, error.__traceback__)
            self._fail(
                lease, AudobonError.code, f"a fault in Audobon: {type(error).__name__}: {error}", retry=False
            )

    def _fail(self, lease: Lease, code: str, message: str, *, retry: bool) -> None:
        try:
            with self._turn:
                self._queue.fail(lease, code=code, message=message, retry=retry)
        except LeaseLost:
            # As above.
            return
