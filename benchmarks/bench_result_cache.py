"""What does the result cache save, and what does it cost? A page again, a page with one changed panel.

    python benchmarks/bench_result_cache.py

Checked before any time is told: a page from the cache equals the page made without it, byte for byte, and
the tiles that ran are those whose windows see the change.
"""

import statistics
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from audobon.clock import utc_now
from audobon.compute.results import Results
from audobon.config import keyrings_folder
from audobon.database.service import Database
from audobon.keys.unlocking import open_keys
from audobon.models.card import Card, built_in_card
from audobon.models.preparing import prepare_apart
from audobon.models.service import Models
from audobon.models.store import machine_digest
from audobon.pages.panels import find_panels
from audobon.pages.picture import Picture, Pixels
from audobon.pages.picture_info import PictureInfo
from audobon.pages.plates import plates
from audobon.pages.restore import PictureModel, restore
from audobon.pages.tile_results import Cut, TileResults
from audobon.pages.tiles import plan_axis
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Needs, NewTask
from audobon.storage.facts import Keeping
from audobon.storage.opening import open_storage
from audobon.storage.result_cache import ResultCache
from eviction_traces import compare
from measuring import AUDOBON, ROOT, measure, save, scratch, table, verdict

PAGE = ROOT / "samples" / "the-wren" / "page-1.png"
MODELS = ("waifu2x-upconv7-x2", "waifu2x-upconv7-x2-draft", "realesrgan-animevideov3-x4")
SIZE = (1000, 1500)
ROUNDS = 9
BUDGET_BYTES = 2 << 30
MOST_REPEAT_MS = 5.0
MOST_PUT_SHARE = 0.02


def main() -> None:
    with scratch() as (folder, environment):
        data = Path(environment["AUDOBON_STORAGE_FOLDER"])
        repeat = repeated_page(folder, data, environment)
        panels = [changed_panel(built_in_card(name), folder) for name in MODELS]
    evictions = compare()
    table(
        f"A page of 1.5 megapixels again, ×2 (goal: ≤ {MOST_REPEAT_MS:g} ms in the engine, 0 model runs)",
        ["what", "median", "worst"],
        repeat["rows"],
    )
    print(f"model runs: {repeat['runs']}; {verdict(repeat['is_met'])}")
    table(
        "One panel of the sample changed"
        f" (goals: only the tiles that see it run; putting ≤ {MOST_PUT_SHARE:.0%} of a run's processor time)",
        [
            "model",
            "tiles",
            "see it",
            "ran",
            "pixels",
            "a run",
            "key",
            "put",
            "of a run",
            "by the clock",
            "get",
            "packed",
            "",
        ],
        panels,
    )
    table(
        "Seconds saved by a cache too small for all, of those that an endless one saves (by trace)",
        ["budget", "least worth first (ours)", "least recent first", "ratio"],
        evictions,
    )
    save("result_cache", {"repeat": repeat, "changed_panel": panels, "eviction": evictions})


def repeated_page(folder: Path, data: Path, environment: dict[str, str]) -> dict[str, Any]:
    page = folder / "page.png"
    with Image.open(PAGE) as image:
        image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(page)

    def command(target: str, *options: str) -> tuple[float, dict[str, Any]]:
        run = measure(
            [AUDOBON, "run", "upscale", page, "-o", folder / target, "--overwrite", "--json", *options],
            environment,
        )
        return run.seconds, msgspec.json.decode(run.output)

    command("without.png", "--no-cache")
    made_seconds, made = command("made.png")
    again = [command(f"again-{number}.png") for number in range(ROUNDS)]
    files = {
        (folder / name).read_bytes() for name in ("without.png", "made.png", "again-0.png", "again-8.png")
    }
    assert len(files) == 1, "a page from the cache differs"
    assert all(report["pages_cached"] == 1 for _, report in again)
    runs = sum(report["tiles"] - report["tiles_cached"] for _, report in again)

    with closing(Database(data).open()) as connection, SqliteQueue(connection) as queue:
        (key,) = connection.execute("SELECT DISTINCT work_key FROM task").fetchone()
        connection.execute(
            "INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
            " VALUES ('bench', 'bench', 'upscale', '{}', 'page.png', 'picture', 'running', ?)",
            (utc_now(),),
        )
        cache = ResultCache(data, budget_bytes=BUDGET_BYTES)
        results = Results(
            cache,
            open_storage(data, open_keys(data, unlock_folder=keyrings_folder()), Keeping()),
            device="auto",
        )
        finding, adopting, recording = [], [], []
        for ordinal in range(20 * ROUNDS):
            start = time.perf_counter()
            found = results.find(key)
            finding.append(time.perf_counter() - start)
            assert found is not None
            started = time.perf_counter()
            with queue.transaction():
                task = NewTask(
                    needs=Needs(kind="page", model="", ram_bytes=1),
                    payload="{}",
                    job_id="bench",
                    ordinal=ordinal,
                    work_key=key,
                    total_units=1,
                )
                (task_id,) = queue.enqueue("interactive", [task])
                start = time.perf_counter()
                queue.adopt(task_id, *found)
                adopting.append(time.perf_counter() - start)
            recording.append(time.perf_counter() - started)
        cache.close()
    both = [a + b for a, b in zip(finding, adopting, strict=True)]
    rows = [
        ["found in the cache, every byte of it proved", *_ms(finding)],
        ["its task adopts it", *_ms(adopting)],
        ["both: what a page from the cache costs", *_ms(both)],
        ["a job's transaction with its sync, cache or not", *_ms(recording)],
    ]
    seconds = statistics.median(seconds for seconds, _ in again)
    rows += [
        ["whole command, again", f"{seconds:.2f} s", f"{max(seconds for seconds, _ in again):.2f} s"],
        ["whole command, the first time", f"{made_seconds:.2f} s", ""],
    ]
    is_met = statistics.median(both) * 1e3 <= MOST_REPEAT_MS and runs == 0
    size = (folder / "made.png").stat().st_size
    return {"rows": rows, "runs": runs, "is_met": is_met, "page_bytes": size, "first": made["tiles"]}


def changed_panel(card: Card, folder: Path) -> list[str]:
    shape = card.picture
    assert shape is not None
    with Image.open(PAGE) as image:
        before = np.asarray(image.convert("RGB"))
    box = find_panels(before, order="ltr")[-1].box
    after = before.copy()
    # Its left half is drawn anew: mirrored.
    left = after[box.y : box.bottom, box.x : box.x + box.width // 2]
    left[:] = left[:, ::-1].copy()

    prepare_apart(card, folder / "models")
    models = Models(folder / "models")
    cache = TimedCache(ResultCache(folder / card.name, budget_bytes=BUDGET_BYTES))
    run_seconds: list[float] = []
    run_cpu_seconds: list[float] = []
    with models.lease(card.name) as model:

        def timed(window: Any) -> Any:
            start, cpu = time.perf_counter(), time.process_time()
            answer = model(window)
            run_seconds.append(time.perf_counter() - start)
            run_cpu_seconds.append(time.process_time() - cpu)
            return answer

        def made(page: Pixels, results: TileResults | None) -> bytes:
            info = PictureInfo(width=page.shape[1], height=page.shape[0], mode="RGB", format="PNG")
            bands = restore(
                Picture(info, page),
                PictureModel(shape, timed),
                passes=1,
                tile_px=shape.tile_px,
                report=lambda _done, _total: None,
                results=results,
            )
            return b"".join(band.tobytes() for band in bands)

        identity = (card.graph_sha256, machine_digest())
        made(before, TileResults(cache, identity))
        tiles = len(run_seconds)
        ran = TileResults(cache, identity)
        with_cache = made(after, ran)
        run = len(run_seconds) - tiles
        is_equal = with_cache == made(after, None)
    models.close()
    seen = _windows_that_differ(before, after, card)
    window = after[: shape.tile_px + 2 * shape.padding_px, : shape.tile_px + 2 * shape.padding_px]
    key = _best(lambda: ran.key(window, Cut(0, 0, 1, 1), plates("RGB")[0], is_transparency=False))
    put, get, a_run, put_cpu, run_cpu = (
        statistics.median(values)
        for values in (cache.puts, cache.gets, run_seconds, cache.cpu_seconds, run_cpu_seconds)
    )
    share, cpu_share = (put + key) / a_run, (put_cpu + key) / run_cpu
    figures = cache.store.figures()
    packed = tiles and figures.size_bytes / (figures.tiles * len(with_cache) / tiles)
    cache.store.close()
    is_met = is_equal and run == seen and cpu_share <= MOST_PUT_SHARE
    return [
        card.name,
        str(tiles),
        str(seen),
        str(run),
        "equal" if is_equal else "DIFFER",
        f"{a_run * 1e3:.0f} ms",
        f"{key * 1e3:.2f} ms",
        f"{put * 1e3:.1f} ms",
        f"{cpu_share:.1%}",
        f"{share:.1%}",
        f"{get * 1e3:.1f} ms",
        f"{packed:.0%}",
        verdict(is_met),
    ]


class TimedCache:
    """A cache that notes how long it takes; what it does not find is not counted."""

    def __init__(self, store: ResultCache) -> None:
        self.store = store
        self.puts: list[float] = []
        self.cpu_seconds: list[float] = []
        self.gets: list[float] = []

    def get(self, key: bytes) -> Any:
        start = time.perf_counter()
        kept = self.store.get(key)
        if kept is not None:
            self.gets.append(time.perf_counter() - start)
        return kept

    def put(self, key: bytes, value: bytes, *, kind: str, seconds: float) -> None:
        start, cpu = time.perf_counter(), time.process_time()
        self.store.put(key, value, kind=kind, seconds=seconds)
        self.puts.append(time.perf_counter() - start)
        self.cpu_seconds.append(time.process_time() - cpu)


def _windows_that_differ(before: Pixels, after: Pixels, card: Card) -> int:
    shape = card.picture
    assert shape is not None
    changed = (before != after).any(axis=2)
    vertical, horizontal = (plan_axis(length, shape.tile_px, shape) for length in changed.shape)
    return sum(
        bool(
            changed[
                max(0, rows.read) : rows.read + vertical.window,
                max(0, columns.read) : columns.read + horizontal.window,
            ].any()
        )
        for rows in vertical.spans
        for columns in horizontal.spans
    )


def _best(act: Callable[[], object]) -> float:
    times = []
    for _ in range(20):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _ms(seconds: list[float]) -> list[str]:
    return [f"{statistics.median(seconds) * 1e3:.2f} ms", f"{max(seconds) * 1e3:.2f} ms"]


if __name__ == "__main__":
    main()
