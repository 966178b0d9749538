"""The process that does tasks: `python -m audobon.jobs.worker`; pages by `compute`, upkeep by `jobs`.

It reads lines of JSON on standard input: `Hello` first, then orders. Its input closing is how it learns that
the process that started it is gone.
"""

import os
import sys
from pathlib import Path

import msgspec

from audobon.compute.codec import Codec
from audobon.compute.fence import Fence
from audobon.compute.orders import Orders
from audobon.compute.perform import Performer
from audobon.compute.prefetch import Prefetch
from audobon.compute.results import Results
from audobon.compute.tuning import load_tuning, threads_to_use
from audobon.compute.worker import WorkLoop
from audobon.compute.worker_messages import RECYCLE_STATUS, Hello
from audobon.config import keyrings_folder
from audobon.database.service import Database
from audobon.errors import AudobonError
from audobon.jobs.maintenance import Upkeep, maintain
from audobon.keys.unlocking import open_keys
from audobon.models.devices import Wanted
from audobon.models.runtime import import_runtime, return_memory_at_once
from audobon.models.service import Models
from audobon.processes import end_with_parent
from audobon.queue.embedded import SqliteQueue
from audobon.storage.opening import open_storage
from audobon.storage.result_cache import ResultCache


def main() -> None:
    """Do tasks until told to end."""
    end_with_parent()
    return_memory_at_once()
    hello = msgspec.json.decode(_first_line() or b"null", type=Hello | None)
    if hello is None:
        return
    folder = Path(hello.folder)
    fence = Fence(hello.budget_bytes)
    Orders(on_budget=fence.set_budget).listen(sys.stdin.buffer)
    codecs = (
        Codec(hello.limits, max_seconds=hello.max_seconds),
        Codec(hello.limits, max_seconds=hello.max_seconds),
    )
    codecs[0].start()
    import_runtime()
    keys = open_keys(folder, unlock_folder=keyrings_folder())
    storage, database = open_storage(folder, keys, hello.keeping), Database(folder)
    tuning = load_tuning(folder)
    models = Models(
        folder / "models",
        threads=threads_to_use(hello.threads, tuning) or None,
        device=msgspec.convert(hello.device, Wanted),
        running=tuning.running,
    )
    cache = ResultCache(folder, budget_bytes=hello.cache_bytes)
    results = Results(cache, storage, device=hello.device)
    performer = Performer(storage, models, codecs, results, tuning=tuning)
    prefetch = Prefetch(models)
    try:
        with database.errors():
            connection = database.open(grouped=True)

            with SqliteQueue(connection) as queue:
                upkeep = Upkeep(connection, queue, storage, cache)
                work = WorkLoop(
                    queue,
                    performer,
                    hello,
                    lambda lease: maintain(lease.kind, upkeep),
                    between_tasks=fence.settle,
                    prefetch=prefetch,
                )
                try:
                    work.run()
                finally:
                    # Before the connection closes: it may be asking the queue.
                    prefetch.close()
    except AudobonError as error:
        sys.stderr.write(error.message + "\n")
        sys.exit(error.exit)
    finally:
        for codec in codecs:
            codec.close()
        cache.close()
        storage.close()
    if performer.needs_recycling:
        sys.exit(RECYCLE_STATUS)


def _first_line() -> bytes:
    # Byte by byte, so that what follows is left for the thread that reads orders.
    line = b""
    while (byte := os.read(sys.stdin.fileno(), 1)) not in (b"", b"\n"):
        line += byte
    return line


if __name__ == "__main__":
    main()
