"""The process that does tasks: `python -m audobon.compute.worker`.

It reads two lines of JSON on standard input: `Hello` at once, so that it can load what it will need, and
`Go` when the tasks are enqueued. It ends when no task of the job is left, or when its input closes, which
is how it learns that the process that started it is gone. Killing it at any instant loses nothing.
"""

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec

from audobon.clock import utc_now
from audobon.compute.codec import Codec
from audobon.compute.perform import LastStep, Performer
from audobon.compute.work import Work
from audobon.compute.worker_messages import Go, Hello
from audobon.database.service import Database
from audobon.errors import AudobonError, DiskFull, Exhausted, LeaseLost, Unavailable
from audobon.models.runtime import return_memory_at_once
from audobon.models.service import Models
from audobon.queue.service import Lease, Queue
from audobon.storage.service import Storage

# Often enough for a smooth bar, seldom enough to cost nothing.
_REPORT_SECONDS = 0.1
_WAIT_SECONDS = 0.05


def main() -> None:
    """Get ready, then do every task of the job."""
    return_memory_at_once()
    hello = msgspec.json.decode(sys.stdin.buffer.readline() or b"null", type=Hello | None)
    if hello is None:
        return
    folder = Path(hello.folder)
    codecs = (
        Codec(hello.limits, max_seconds=hello.max_seconds),
        Codec(hello.limits, max_seconds=hello.max_seconds),
    )
    codecs[0].start()
    import onnxruntime  # noqa: F401  (the dearest import, done while the tasks are being prepared)

    models = Models(folder / "models", threads=hello.threads or None)
    go = msgspec.json.decode(sys.stdin.buffer.readline() or b"null", type=Go | None)
    if go is None:
        return
    threading.Thread(target=_end_with_parent, daemon=True).start()
    performer = Performer(Storage(folder), models, codecs, budget_bytes=go.budget_bytes)
    database = Database(folder)
    try:
        with database.errors():
            queue, notes = Queue(database.open()), Queue(database.open(durable=False))
            WorkLoop(queue, notes, performer, go).run()
    except (DiskFull, Unavailable) as error:
        sys.stderr.write(error.message + "\n")
        sys.exit(error.exit)
    finally:
        for codec in codecs:
            codec.close()


class WorkLoop:
    """Does the tasks of a job until none is left for this worker.

    While one page is being written by its codec, the next is begun, if there is memory for both.
    notes  the same queue over a connection that does not wait for the disk, for progress
    """

    def __init__(self, queue: Queue, notes: Queue, performer: Performer, go: Go) -> None:
        self._queue = queue
        self._notes = notes
        self._performer = performer
        self._go = go
        # The queue is used by this thread and by the one that takes last steps.
        self._lock = threading.Lock()
        self._last_step: Future[None] | None = None

    def run(self) -> None:
        """Return when no task is left; raises DiskFull and the database's errors."""
        free_bytes = self._go.budget_bytes
        with ThreadPoolExecutor(max_workers=1) as beside:
            while True:
                with self._lock:
                    lease = self._queue.claim(self._go.job_id, self._go.owner, free_ram_bytes=free_bytes)
                    run_at = self._queue.next_run_at(self._go.job_id)
                if lease is not None:
                    self._do(lease, beside)
                elif self._last_step is not None:
                    # It may fail and give its task back.
                    self._await_last_step()
                elif run_at is None:
                    return
                elif run_at <= utc_now():
                    # What is left asks for more than the budget: taken up, it fails with that reason.
                    free_bytes = sys.maxsize
                else:
                    time.sleep(_WAIT_SECONDS)

    def _do(self, lease: Lease, beside: ThreadPoolExecutor) -> None:
        told = 0.0

        def report(done: int, total: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= _REPORT_SECONDS or done == total:
                self._notes.progress(lease, done, total)
                told = now

        def publish(blob: str | None, result: str) -> None:
            with self._lock:
                self._queue.finish(lease, result_blob=blob, result=result)

        step: LastStep | None = None
        with self._recording(lease):
            work = msgspec.json.decode(lease.payload, type=Work)
            step = self._performer.perform(work, report=report, publish=publish, alone=self._await_last_step)
        self._await_last_step()
        if step is not None:
            self._last_step = beside.submit(self._take_last_step, lease, step)
            if not step.may_run_beside:
                self._await_last_step()

    def _take_last_step(self, lease: Lease, step: LastStep) -> None:
        with self._recording(lease):
            step.run()

    def _await_last_step(self) -> None:
        step, self._last_step = self._last_step, None
        if step is not None:
            step.result()

    @contextmanager
    def _recording(self, lease: Lease) -> Iterator[None]:
        """Record why a task failed; let through what is not about its page."""
        try:
            yield
        except (DiskFull, sqlite3.Error):
            # No page after this one would fare better; the one in hand is given back untried.
            raise
        except LeaseLost:
            # Somebody else has the task now, and what we made of it was not published.
            return
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
        with self._lock:
            self._queue.fail(lease, error_code=code, error_message=message, retry=retry)


def _end_with_parent() -> None:
    # Returns nothing only when the pipe closes, that is, when the other side is gone. Unbuffered: a
    # thread caught inside Python's own buffer would bring the interpreter down at its end.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
