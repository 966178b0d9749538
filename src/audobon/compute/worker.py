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
from pathlib import Path

import msgspec

from audobon.clock import utc_now
from audobon.compute.codec import Codec
from audobon.compute.perform import Performer
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
    codec = Codec(hello.limits, max_seconds=hello.max_seconds)
    codec.start()
    import onnxruntime  # noqa: F401  (the dearest import, done while the tasks are being prepared)

    models = Models(folder / "models", threads=hello.threads or None)
    go = msgspec.json.decode(sys.stdin.buffer.readline() or b"null", type=Go | None)
    if go is None:
        return
    threading.Thread(target=_end_with_parent, daemon=True).start()
    performer = Performer(Storage(folder), models, codec, budget_bytes=go.budget_bytes)
    database = Database(folder)
    try:
        with database.errors():
            work_off(Queue(database.open()), Queue(database.open(durable=False)), performer, go)
    except (DiskFull, Unavailable) as error:
        sys.stderr.write(error.message + "\n")
        sys.exit(error.exit)
    finally:
        codec.close()


def work_off(queue: Queue, notes: Queue, performer: Performer, go: Go) -> None:
    """Do the tasks of a job until none is left for this worker.

    notes  the same queue over a connection that does not wait for the disk, for progress
    """
    free_bytes = go.budget_bytes
    while True:
        lease = queue.claim(go.job_id, go.owner, free_ram_bytes=free_bytes)
        if lease is not None:
            do(queue, notes, performer, lease)
        elif (run_at := queue.next_run_at(go.job_id)) is None:
            return
        elif run_at <= utc_now():
            # What is left asks for more than the budget: taken up all the same, it fails with that reason.
            free_bytes = sys.maxsize
        else:
            time.sleep(_WAIT_SECONDS)


def do(queue: Queue, notes: Queue, performer: Performer, lease: Lease) -> None:
    """Do one task: publish its result, or record why not."""
    told = 0.0

    def report(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= _REPORT_SECONDS or done == total:
            notes.progress(lease, done, total)
            told = now

    def publish(blob: str | None, result: str) -> None:
        queue.finish(lease, result_blob=blob, result=result)

    try:
        performer.perform(msgspec.json.decode(lease.payload, type=Work), report=report, publish=publish)
    except DiskFull:
        # No page after this one would fare better; the one in hand is given back untried.
        raise
    except LeaseLost:
        # Somebody else has the task now, and what we made of it was not published.
        return
    except AudobonError as error:
        message = f"{error.message} ({error.hint})" if error.hint else error.message
        queue.fail(lease, error_code=error.code, error_message=message, retry=error.retry)
    except sqlite3.Error:
        # About the database, not about the page.
        raise
    except MemoryError as error:
        queue.fail(lease, error_code=Exhausted.code, error_message=f"memory ran out: {error}", retry=True)
    except Exception as error:  # noqa: BLE001  the boundary of a task: a fault in one page must not end the book
        sys.excepthook(type(error), error, error.__traceback__)
        queue.fail(
            lease,
            error_code=AudobonError.code,
            error_message=f"a fault in Audobon: {type(error).__name__}: {error}",
            retry=False,
        )


def _end_with_parent() -> None:
    # Returns nothing only when the pipe closes, that is, when the other side is gone. Unbuffered: a
    # thread caught inside Python's own buffer would bring the interpreter down at its end.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
