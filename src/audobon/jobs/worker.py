"""The process that does tasks: `python -m audobon.jobs.worker`; pages by `compute`, upkeep by `jobs`.

It reads lines of JSON on standard input: `Hello` first, then orders. Its input closing is how it learns that
the process that started it is gone.
"""

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from audobon import config
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
from audobon.database.copies import ship_before_answers
from audobon.database.service import Database
from audobon.errors import AudobonError, Cancelled, LeaseLost
from audobon.jobs.maintenance import Upkeep, maintain
from audobon.keys.passphrase import Passphrase
from audobon.keys.service import Keys
from audobon.keys.unlocking import open_keys
from audobon.models.devices import Wanted
from audobon.models.runtime import import_runtime, return_memory_at_once
from audobon.models.service import Models
from audobon.processes import end_with_parent
from audobon.queue.embedded import SqliteQueue
from audobon.queue.port import Queue
from audobon.queue.tasks import Lease
from audobon.storage.opening import open_storage
from audobon.storage.result_cache import ResultCache
from audobon.storage.service import Storage
from audobon.telemetry.logs import Log

if TYPE_CHECKING:
    from audobon.backup.service import Backups


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
    keys = open_keys(folder, unlock_folder=keyrings_folder(), passphrase=Passphrase(given=hello.passphrase))
    storage = open_storage(folder, keys, hello.keeping)
    # Otherwise the process that started this one ships, which need not wait for anybody.
    shipping = ship_before_answers(folder, keys) if hello.ships_first else None
    database = Database(folder, shipping=shipping)
    tuning = load_tuning(folder)
    models = Models(
        folder / "models",
        threads=threads_to_use(hello.threads, tuning) or None,
        device=msgspec.convert(hello.device, Wanted),
        running=tuning.running,
    )
    cache = ResultCache(folder, keys, budget_bytes=hello.cache_bytes)
    results = Results(cache, storage, device=hello.device)
    performer = Performer(storage, models, codecs, results, tuning=tuning)
    prefetch = Prefetch(models)
    try:
        with database.errors():
            connection = database.open(grouped=True)

            with SqliteQueue(connection, keys=keys) as queue:
                upkeep = Upkeep(
                    connection,
                    queue,
                    storage,
                    cache,
                    keys,
                    folder,
                    lambda: _backups(folder, keys, storage, database),
                    config.load,
                )
                work = WorkLoop(
                    queue,
                    performer,
                    hello,
                    lambda lease: maintain(lease.kind, upkeep, partial(_note_step, queue, lease)),
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


def _backups(folder: Path, keys: Keys, storage: Storage, database: Database) -> "Backups":
    # Dear to import, and seldom needed.
    from audobon.backup.opening import open_backups
    from audobon.backup.sources import Sources

    settings = config.load()
    sources = Sources(
        folder=folder, keys=keys, storage=storage, database=database, settings_file=config.config_file()
    )
    return open_backups(sources, settings.backup, Log(folder, keys.seal_text, level=settings.logs.level))


def _note_step(queue: Queue, lease: Lease, done: int, total: int) -> None:
    standing = queue.progress(lease, done, total)
    if standing == "asked to stop":
        raise Cancelled("called off while it was worked on")
    if standing == "lost":
        raise LeaseLost(f"task {lease.id} was handed on while it was being worked on")


def _first_line() -> bytes:
    # Byte by byte, so that what follows is left for the thread that reads orders.
    line = b""
    while (byte := os.read(sys.stdin.fileno(), 1)) not in (b"", b"\n"):
        line += byte
    return line


if __name__ == "__main__":
    main()
