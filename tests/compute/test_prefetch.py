"""While a page runs, the model of the next one is brought in, if there is memory; nobody waits for it."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from audobon.compute.perform import LastStep, PageMemory, Performer, Publish, Report
from audobon.compute.prefetch import SETTLED_RUNS, Prefetch
from audobon.compute.work import PAGE_KIND, Work
from audobon.compute.worker import WorkLoop
from audobon.compute.worker_messages import Hello
from audobon.database.service import Database
from audobon.models import running
from audobon.models.accounts import Key
from audobon.models.card import built_in_card
from audobon.models.residency import Residency
from audobon.models.runtime import LoadedModel
from audobon.models.service import Models
from audobon.models.store import prepared_folder
from audobon.pages.picture_limits import PictureLimits
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Capacity, Claimant, Lease, Needs, NewTask

FIRST, SECOND = "waifu2x-upconv7-x2", "waifu2x-cunet-clean1"
DETECTOR, CLASSIFIER, RECOGNISER = "ppocr-v6-detector", "ppocr-v2-classifier", "ppocr-v6-recogniser"
POOL = "here"
MEGABYTE = 1 << 20
DEADLINE_SECONDS = 20.0


class MadeUpModel(LoadedModel):
    """Holds nothing and runs nothing."""

    def __init__(self) -> None:
        self.load_seconds = 0.01
        self.opened_bytes = MEGABYTE
        self._kept_bytes = 0
        self._observations = []

    def close(self) -> None:
        return


class MadeUpModels(Models):
    """The real books over models that are not there; keeps a list of what happens, in order."""

    def __init__(self, folder: Path, happened: list[str], *, budget_bytes: int | None) -> None:
        super().__init__(folder, threads=1, budget_bytes=budget_bytes)
        self._happened = happened
        self._residency = Residency(self._load_made_up, budget_bytes=budget_bytes)
        self.have_loaded = threading.Semaphore(0)

    def read_ahead(self, name: str) -> None:
        self._happened.append(f"read {name}")
        super().read_ahead(name)

    def _load_made_up(self, key: Key) -> LoadedModel:
        self._happened.append(f"load {key.name}{' lean' if key.lean else ''}")
        self.have_loaded.release()
        return MadeUpModel()


class OnePageAfterTheOther(Performer):
    """Takes each page's model, tells of its runs, and goes on when what is expected has happened."""

    def __init__(self, models: MadeUpModels, happened: list[str], *, peak_bytes: int) -> None:
        self._models: MadeUpModels = models
        self._happened = happened
        self._peak_bytes = peak_bytes
        self.during: dict[str, Callable[[], None]] = {}

    def perform(
        self, work: Work, *, report: Report, publish: Publish, memory: PageMemory, alone: Callable[[], None]
    ) -> LastStep | None:
        with self._models.lease(work.settings, peak_bytes=self._peak_bytes):
            self._happened.append(f"run {work.settings}")
            for done in range(1, SETTLED_RUNS + 1):
                report(done, SETTLED_RUNS)
            self.during.get(work.settings, lambda: None)()
        publish(None, "{}")
        return None


class WatchedQueue(SqliteQueue):
    """Notes claims, with what the worker held by then, and looks ahead."""

    happened: list[str]
    looks = 0

    def claim(self, claimant: Claimant, *, limit: int = 1, may_exceed: bool = False) -> list[Lease]:
        leases: list[Lease] = super().claim(claimant, limit=limit, may_exceed=may_exceed)
        self.happened += [f"claim {lease.model} holding {sorted(claimant.models)}" for lease in leases]
        return leases

    def upcoming(self, claimant: Claimant, *, limit: int = 1) -> list[str]:
        self.looks += 1
        return super().upcoming(claimant, limit=limit)


class Desk:
    """A worker's loop over a real queue and real books of memory."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, *, budget_bytes: int | None) -> None:
        self.happened: list[str] = []
        self.queue = WatchedQueue(connection)
        self.queue.happened = self.happened
        self.queue.set_capacity(POOL, Capacity(1 << 40))
        self.models = MadeUpModels(folder / "models", self.happened, budget_bytes=budget_bytes)
        self.performer = OnePageAfterTheOther(self.models, self.happened, peak_bytes=100 * MEGABYTE)

    def enqueue(self, *models: str) -> None:
        tasks = [
            NewTask(
                needs=Needs(kind=PAGE_KIND, model=model),
                payload=msgspec.json.encode(Work("upscale", model, "blob")).decode(),
            )
            for model in models
        ]
        self.queue.enqueue("batch", tasks)

    def work(self) -> list[str]:
        hello = Hello(
            folder="",
            owner="worker",
            pool=POOL,
            threads=1,
            limits=PictureLimits(1, 1, 1),
            max_seconds=1.0,
            budget_bytes=1 << 40,
            idle_seconds=0.001,
        )
        prefetch = Prefetch(self.models)
        loop = WorkLoop(self.queue, self.performer, hello, lambda _: "{}", prefetch=prefetch)
        try:
            loop.run()
        finally:
            prefetch.close()
        return self.happened


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = Database(tmp_path).open(durable=False)
    yield connection
    connection.close()


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audobon.models.service.is_prepared", lambda *_: True)


@pytest.mark.usefixtures("prepared")
def test_the_next_model_is_loaded_before_its_task_is_claimed(
    tmp_path: Path, connection: sqlite3.Connection
) -> None:
    desk = Desk(tmp_path, connection, budget_bytes=None)
    desk.enqueue(FIRST, SECOND)

    def until_the_next_is_loaded() -> None:
        for _ in (FIRST, SECOND):
            assert desk.models.have_loaded.acquire(timeout=DEADLINE_SECONDS)
        pause = threading.Event()
        while len(desk.models.resident()) < 2:
            pause.wait(0.001)

    desk.performer.during[FIRST] = until_the_next_is_loaded

    happened = desk.work()

    # Reading and running begin side by side; the rest has one order.
    assert sorted(happened[1:4]) == [f"load {FIRST}", f"read {SECOND}", f"run {FIRST}"]
    assert happened[:1] + happened[4:] == [
        f"claim {FIRST} holding []",
        f"load {SECOND}",
        f"claim {SECOND} holding {sorted([FIRST, SECOND])}",
        f"run {SECOND}",
    ]
    assert desk.queue.looks == 2


@pytest.mark.usefixtures("prepared")
def test_with_a_tight_budget_only_the_page_cache_is_asked_and_nothing_goes(
    tmp_path: Path, connection: sqlite3.Connection
) -> None:
    desk = Desk(tmp_path, connection, budget_bytes=101 * MEGABYTE)
    desk.enqueue(FIRST, SECOND)
    there: list[list[str]] = []
    asked = threading.Event()
    load_ahead = desk.models.load_ahead

    def watched(name: str, *, lean: bool = False) -> bool:
        loaded = load_ahead(name, lean=lean)
        desk.happened.append(f"refused {name}" if not loaded else f"loaded {name}")
        asked.set()
        return loaded

    desk.models.load_ahead = watched  # type: ignore[method-assign]

    def until_it_was_asked_for() -> None:
        assert asked.wait(DEADLINE_SECONDS)
        there.append([model.name for model in desk.models.resident()])

    desk.performer.during[FIRST] = until_it_was_asked_for

    happened = desk.work()

    assert there == [[FIRST]]
    assert f"read {SECOND}" in happened
    assert happened.index(f"refused {SECOND}") < happened.index(f"claim {SECOND} holding ['{FIRST}']")
    assert [event for event in happened if event.startswith("load ")] == [f"load {FIRST}", f"load {SECOND}"]


@pytest.mark.usefixtures("prepared")
def test_a_look_that_fails_harms_no_page(tmp_path: Path, connection: sqlite3.Connection) -> None:
    desk = Desk(tmp_path, connection, budget_bytes=None)
    desk.enqueue(FIRST, SECOND)

    def fail(_: Claimant, *, limit: int = 1) -> list[str]:
        raise sqlite3.OperationalError("database is locked")

    desk.queue.upcoming = fail  # type: ignore[method-assign]

    happened = desk.work()

    assert [event for event in happened if event.startswith("run")] == [f"run {FIRST}", f"run {SECOND}"]
    assert [record.state for record in desk.queue.select()] == ["done", "done"]


@pytest.mark.usefixtures("prepared")
def test_all_models_of_letters_are_brought_in_lean(tmp_path: Path) -> None:
    happened: list[str] = []
    models = MadeUpModels(tmp_path / "models", happened, budget_bytes=None)
    prefetch = Prefetch(models)

    prefetch.look_ahead(lambda: [DETECTOR])
    prefetch.may_load()
    prefetch.may_load()
    for _ in range(3):
        assert models.have_loaded.acquire(timeout=DEADLINE_SECONDS)
    prefetch.close()

    names = (DETECTOR, CLASSIFIER, RECOGNISER)
    assert happened == [*(f"read {name}" for name in names), *(f"load {name} lean" for name in names)]


def test_a_model_that_is_not_prepared_is_left_to_its_task(tmp_path: Path) -> None:
    happened: list[str] = []
    models = MadeUpModels(tmp_path / "models", happened, budget_bytes=None)

    assert not models.load_ahead(FIRST)
    assert happened == []


def test_reading_ahead_asks_the_system_for_the_prepared_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def note(descriptor: int, start: int, length: int, advice: int) -> None:
        assert (start, length) == (0, 0)
        asked.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, advice))

    monkeypatch.setattr(running.os, "posix_fadvise", note)
    folder = prepared_folder(built_in_card(FIRST), tmp_path)
    folder.mkdir(parents=True)
    for name in ("model.onnx", "weights.bin"):
        (folder / name).write_bytes(b"bytes")

    Models(tmp_path, threads=1).read_ahead(FIRST)
    Models(tmp_path, threads=1).read_ahead(SECOND)

    assert asked == [("model.onnx", os.POSIX_FADV_WILLNEED), ("weights.bin", os.POSIX_FADV_WILLNEED)]
