"""What does bringing in the next task's model save, when tasks of two models take turns?

A worker's own loop, in this process, does pages that alternate between two models: once with looking ahead,
once without, in turns. Memory is given so that the two do not fit beside each other when one runs, but what
loading the other takes does: every change of models needs a load. Seconds are from the first claim to the
last result; the seconds that tasks wait for their models are counted apart. "Cold" takes the files of the
model that does not run out of the page cache when a task begins. Both ways must give the same blobs.
"""

import io
import os
import statistics
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from audobon.compute.codec import Codec
from audobon.compute.perform import Performer
from audobon.compute.placement import PageLoad
from audobon.compute.prefetch import Prefetch
from audobon.compute.work import PAGE_KIND, Work, least_budget, model_names, page_load, place
from audobon.compute.worker import WorkLoop
from audobon.compute.worker_messages import Hello
from audobon.config import keyrings_folder
from audobon.database.service import Database
from audobon.keys.unlocking import open_keys
from audobon.models.accounts import Key
from audobon.models.card import built_in_card
from audobon.models.preparing import prepare_apart
from audobon.models.runtime import LoadedModel, import_runtime, return_memory_at_once
from audobon.models.service import ModelLease, Models, loading_bytes
from audobon.models.store import prepared_folder
from audobon.pages.operations import CleanSettings, Settings, UpscaleSettings
from audobon.pages.picture_info import PictureInfo
from audobon.pages.picture_limits import PictureLimits
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Capacity, Needs, NewTask
from audobon.storage.service import Storage
from measuring import interleave, median_ratio, save, table

ROUNDS = 7
TASKS = 8
LIMITS = PictureLimits(10**9, 10**9, 10**6)
Pair = tuple[Settings, Settings]
PAIRS: dict[str, tuple[Pair, tuple[int, int]]] = {
    "2 MB and 5 MB": ((UpscaleSettings(), CleanSettings()), (130, 90)),
    "64 MB and 17 MB": (
        (
            UpscaleSettings(model="realesrgan-x4plus", scale=4),
            UpscaleSettings(model="realesrgan-x4plus-anime", scale=4),
        ),
        (48, 32),
    ),
}


class WatchedModels(Models):
    """Counts the loads, and the seconds from asking for a model to having it."""

    waited_seconds = 0.0
    loads = 0
    cold: tuple[Path, ...] = ()

    def _load(self, key: Key) -> LoadedModel:
        self.loads += 1
        return super()._load(key)

    def lease(self, name: str, **options: Any) -> "WatchedLease":
        for folder in self.cold:
            if folder.parent.name != name:
                forget(folder)
        return WatchedLease(self, super().lease(name, **options))


class WatchedLease(ModelLease):
    def __init__(self, models: WatchedModels, lease: ModelLease) -> None:
        self._watched, self._lease = models, lease

    def __enter__(self) -> LoadedModel:
        start = time.perf_counter()
        model = self._lease.__enter__()
        self._watched.waited_seconds += time.perf_counter() - start
        return model

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lease.__exit__(kind, error, trace)


def main() -> None:
    return_memory_at_once()
    import_runtime()
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "models"
        for title, (pair, size) in PAIRS.items():
            for settings in pair:
                prepare_apart(built_in_card(model_names(settings)[0]), prepared)
            for is_cold in (False, True):
                name = f"{title}, {'cold' if is_cold else 'warm'}"
                one = partial(work, prepared, pair, size, is_cold=is_cold)
                done = interleave(
                    ROUNDS, {"without": partial(one, ahead=False), "with": partial(one, ahead=True)}
                )
                if len({found.pop("blobs") for found_all in done.values() for found in found_all}) != 1:
                    raise SystemExit("looking ahead changed a result")
                rows.append([name, *row(done)])
                figures[name] = done
    table(
        f"{TASKS} tasks of two models in turns; {ROUNDS} rounds, medians, paired ratios",
        ["models", "loads", "waits without", "with", "ratio", "all without", "with", "ratio"],
        rows,
    )
    save("prefetch", {"rounds": ROUNDS, "tasks": TASKS, "figures": figures, "rows": rows})


def row(done: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the medians of both ways, and the paired ratios."""
    cells = [f"{statistics.median(found['loads'] for found in done['without']):.0f}"]
    for figure in ("waited_seconds", "seconds"):
        ways = {way: [found[figure] for found in found_all] for way, found_all in done.items()}
        cells += [f"{statistics.median(ways[way]) * 1000:.0f} ms" for way in ("without", "with")]
        middle, low, high = median_ratio(ways["with"], ways["without"])
        cells.append(f"{middle:.2f} ({low:.2f}-{high:.2f})")
    return cells


def work(prepared: Path, pair: Pair, size: tuple[int, int], *, ahead: bool, is_cold: bool) -> dict[str, Any]:
    """Do the tasks in a data folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        keys = open_keys(Path(folder), unlock_folder=keyrings_folder())
        storage, database = Storage(Path(folder), keys), Database(Path(folder))
        models = WatchedModels(prepared)
        if is_cold:
            cards = [built_in_card(model_names(settings)[0]) for settings in pair]
            models.cold = tuple(prepared_folder(card, prepared) for card in cards)
        codecs = (Codec(LIMITS, max_seconds=60), Codec(LIMITS, max_seconds=60))
        hello = Hello(
            folder=folder,
            owner="worker",
            pool="here",
            threads=0,
            limits=LIMITS,
            max_seconds=60,
            budget_bytes=1 << 40,
            idle_seconds=0.001,
        )
        try:
            with closing(database.open()) as connection, SqliteQueue(connection) as queue:
                queue.set_capacity("here", Capacity(budget(pair, size)))
                queue.enqueue("batch", tasks(storage, pair, size))
                performer = Performer(storage, models, codecs)
                prefetch = Prefetch(models) if ahead else None
                loop = WorkLoop(queue, performer, hello, lambda _: "{}", prefetch=prefetch)
                start = time.perf_counter()
                loop.run()
                seconds = time.perf_counter() - start
                if prefetch is not None:
                    prefetch.close()
                records = sorted(queue.select(states=["done"]), key=lambda record: record.id)
                if len(records) != TASKS:
                    raise SystemExit(f"tasks failed: {queue.select(states=['failed'])}")
        finally:
            for codec in codecs:
                codec.close()
            models.close()
        return {
            "seconds": seconds,
            "waited_seconds": models.waited_seconds,
            "loads": models.loads,
            "blobs": tuple(record.result_blob for record in records),
        }


def forget(folder: Path) -> None:
    """Take files out of the page cache, unless somebody has them mapped."""
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def budget(pair: Pair, size: tuple[int, int]) -> int:
    """Return room for the larger task and for loading the other model, but not for what that keeps."""
    peaks = [place(load_of(size, 1 << 16), settings, 1 << 40).peak_bytes for settings in pair]
    return max(peaks) + max(loading_bytes(built_in_card(model_names(settings)[0])) for settings in pair)


def load_of(size: tuple[int, int], file_bytes: int) -> PageLoad:
    info = PictureInfo(width=size[0], height=size[1], mode="RGB", format="PNG")
    return page_load(info, file_bytes, None)


def tasks(storage: Storage, pair: Pair, size: tuple[int, int]) -> list[NewTask]:
    """Return the tasks, ranked so far apart that what is in memory does not change their order."""
    noise = np.random.default_rng(1)
    made = []
    for index in range(TASKS):
        settings = pair[index % 2]
        page = io.BytesIO()
        Image.fromarray(noise.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).save(page, "PNG")
        data = page.getvalue()
        operation = "clean" if isinstance(settings, CleanSettings) else "upscale"
        asked = Work(operation, msgspec.json.encode(settings).decode(), storage.put(data))
        least_bytes = least_budget(load_of(size, len(data)), settings)
        needs = Needs(kind=PAGE_KIND, model=model_names(settings)[0], ram_bytes=least_bytes)
        payload = msgspec.json.encode(asked).decode()
        made.append(NewTask(needs=needs, payload=payload, priority=10 * (TASKS - index)))
    return made


if __name__ == "__main__":
    main()
