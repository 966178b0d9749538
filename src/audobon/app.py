"""Wires the rooms together: settings in, a working Audobon out. It decides nothing."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from audobon.compute.engine import Engine, engine_lock
from audobon.compute.engine_news import Tell
from audobon.compute.engine_settings import EngineSettings
from audobon.compute.results import Results
from audobon.config import Settings, cache_bytes, keyrings_folder, load, parse_bytes
from audobon.database.service import Database
from audobon.jobs.rooms import JobLimits, Rooms
from audobon.jobs.service import Jobs
from audobon.keys.unlocking import open_keys
from audobon.models.catalogue import use_own_models
from audobon.pages.documents import ArchiveLimits
from audobon.pages.picture_limits import PictureLimits
from audobon.processes import available_bytes, family, family_resident_bytes
from audobon.queue.embedded import SqliteQueue
from audobon.queue.port import Queue
from audobon.storage.facts import Keeping
from audobon.storage.opening import open_storage
from audobon.storage.result_cache import ResultCache
from audobon.telemetry.history import ResourceHistory
from audobon.telemetry.logs import Log
from audobon.telemetry.recorder import ResourceRecorder
from audobon.telemetry.resources import ResourceMonitor


class App:
    """Audobon on this machine, as configured."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder: Path = settings.storage.folder
        self.database = Database(self.folder, migrates_apart=True)
        self.log = Log(self.folder, level=settings.logs.level)
        self.keys = open_keys(self.folder, unlock_folder=keyrings_folder())
        self.storage = open_storage(self.folder, self.keys, _keeping(settings), tell=self._tell_of_storage)
        use_own_models(self.models_folder)
        self.cache = ResultCache(self.folder, budget_bytes=cache_bytes(settings))
        rooms = Rooms(
            self.folder,
            self.storage,
            self.log,
            _limits(settings),
            _engine_settings(settings, self.folder),
            self.memory_budget_bytes,
            self.cache,
            Results(self.cache, self.storage, device=settings.models.device),
        )
        self.jobs = Jobs(self.database, rooms)

    def _tell_of_storage(self, words: str) -> None:
        self.log.write("storage", words, level="warning")

    @property
    def models_folder(self) -> Path:
        """Where prepared models lie."""
        return self.folder / "models"

    def memory_budget_bytes(self, asked: str | None = None) -> int:
        """Return the memory a run may take: as asked, as configured, or a share of what is free now."""
        text = asked or self.settings.memory.budget
        if text:
            return parse_bytes(text)
        # What this process and its workers hold already is theirs to use again.
        usable = available_bytes() + family_resident_bytes([os.getpid()])
        return int(usable * self.settings.memory.share)

    @contextmanager
    def queue(self) -> Iterator[Queue]:
        """Open the queue of the data folder, creating its database when there is none."""
        with (
            self.database.errors(),
            closing(self.database.open()) as connection,
            SqliteQueue(connection) as queue,
        ):
            yield queue

    def engine(self, queue: Queue, *, memory: str | None, tell: Tell | None = None) -> Engine:
        """Return the engine of the data folder, for a process that stays.

        memory  its budget; None: as configured, or a share of what is free, looked at again and again
        tell    told what happens to the workers
        """
        settings = msgspec.structs.replace(
            _engine_settings(self.settings, self.folder), idle_seconds=self.settings.compute.idle_seconds
        )
        return Engine(
            settings, queue, self.log, budget_bytes=lambda: self.memory_budget_bytes(memory), tell=tell
        )

    def engine_pid(self) -> int | None:
        """Return the process whose engine has the data folder; None when none runs."""
        return engine_lock(self.folder).living_holder()

    def resource_recorder(self) -> ResourceRecorder:
        """Return what records the use of resources by this process and its workers; enter it to begin."""
        monitor = ResourceMonitor(self.folder, lambda: family([os.getpid()]))
        return ResourceRecorder(monitor, ResourceHistory(self.folder))


def open_app(config: Path | None = None) -> App:
    """Return Audobon as configured; Misconfigured names every fault in the settings."""
    return App(load(config))


def picture_limits(settings: Settings) -> PictureLimits:
    """Return what a picture may cost to open, as configured."""
    pictures = settings.pictures
    return PictureLimits(
        pictures.max_megapixels * 10**6,
        pictures.suspicious_megapixels * 10**6,
        pictures.max_pixels_per_byte,
    )


def _limits(settings: Settings) -> JobLimits:
    pictures, archives = settings.pictures, settings.archives
    return JobLimits(
        archives=ArchiveLimits(archives.max_entries, archives.max_gigabytes * 10**9, archives.max_ratio),
        pictures=picture_limits(settings),
        max_seconds=pictures.max_seconds,
    )


def _engine_settings(settings: Settings, folder: Path) -> EngineSettings:
    limits = _limits(settings)
    return EngineSettings(
        folder=folder,
        limits=limits.pictures,
        max_seconds=limits.max_seconds,
        threads=settings.models.threads,
        device=settings.models.device,
        workers=settings.compute.workers,
        stall_seconds=settings.compute.stall_seconds,
        cache_bytes=cache_bytes(settings),
        keeping=_keeping(settings),
    )


def _keeping(settings: Settings) -> Keeping:
    storage = settings.storage
    return Keeping(
        nearline="" if storage.nearline == Path() else str(storage.nearline),
        archive="" if storage.archive == Path() else str(storage.archive),
        keep_removed_days=storage.keep_removed_days,
        keep_days=storage.keep_days,
    )
