"""Wires the rooms together: settings in, a working Audobon out. It decides nothing."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from audobon.backup.swapping import finish_swap
from audobon.compute.engine import Engine, engine_lock
from audobon.compute.engine_news import Tell
from audobon.compute.engine_settings import EngineSettings
from audobon.compute.results import Results
from audobon.config import (
    cache_bytes,
    config_file,
    keyrings_folder,
    load,
    parse_bytes,
    passphrase_from_environment,
)
from audobon.database.copies import continuous_shipping
from audobon.database.service import Database
from audobon.jobs.report import NEW_SUBJECT
from audobon.jobs.rooms import JobLimits, Rooms
from audobon.jobs.service import Jobs
from audobon.keys.passphrase import Ask, Passphrase, ask_at_terminal
from audobon.keys.service import PERSONAL, Keys
from audobon.keys.unlocking import HereProtectors
from audobon.models.catalogue import use_own_models
from audobon.pages.documents import ArchiveLimits
from audobon.pages.picture_limits import PictureLimits
from audobon.processes import available_bytes, family, family_resident_bytes
from audobon.queue.embedded import SqliteQueue
from audobon.queue.port import Queue
from audobon.settings import Settings
from audobon.storage.facts import Keeping
from audobon.storage.opening import open_storage
from audobon.storage.result_cache import ResultCache
from audobon.telemetry.history import ResourceHistory
from audobon.telemetry.logs import Log
from audobon.telemetry.recorder import ResourceRecorder
from audobon.telemetry.resources import ResourceMonitor

if TYPE_CHECKING:
    from audobon.backup.locations import Location
    from audobon.backup.service import Backups
    from audobon.data.service import DataRoom
    from audobon.recovery.service import Recovery


class App:
    """Audobon on this machine, as configured."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder: Path = settings.storage.folder
        finish_swap(self.folder)
        self._told_of_storage: list[str] = []
        self.keys = Keys(self.folder, keyring_protectors(settings))
        self.log = Log(self.folder, self.keys.seal_text, level=settings.logs.level)
        shipping = continuous_shipping(
            self.folder,
            self.keys,
            mode=settings.database.shipping,
            seconds=settings.database.ship_seconds,
            keep_days=settings.database.keep_days,
            tell=self._tell_of_database,
        )
        self.database = Database(self.folder, migrates_apart=True, shipping=shipping)
        self.storage = open_storage(self.folder, self.keys, _keeping(settings), tell=self._tell_of_storage)
        use_own_models(self.models_folder)
        self.cache = ResultCache(self.folder, self.keys, budget_bytes=cache_bytes(settings))
        rooms = Rooms(
            self.folder,
            self.storage,
            self.log,
            _limits(settings),
            _engine_settings(settings, self.folder, self.keys.passphrase),
            self.memory_budget_bytes,
            self.cache,
            Results(self.cache, self.storage, device=settings.models.device),
            self.keys,
        )
        self.jobs = Jobs(self.database, rooms)

    def _tell_of_database(self, words: str) -> None:
        self.log.write("database", "news of the database", level="warning", words=words)

    def _tell_of_storage(self, words: str) -> None:
        self._told_of_storage.append(words)
        self.log.write("storage", "storage was mended", level="warning", words=words)

    @property
    def data(self) -> "DataRoom":
        """What is kept of whom."""
        from audobon.backup.places import Places
        from audobon.data.certificate import KeepTimes
        from audobon.data.service import DataRoom

        def places() -> "list[Location]":
            return [place.path for place in Places(self.folder, self.settings.backup.places).list()]

        return DataRoom(
            self.folder,
            self.database,
            self.jobs,
            self.storage,
            self.cache,
            self.keys,
            places,
            KeepTimes.of(self.settings),
        )

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

    def subject(self, project: str | None, *, is_made: bool = True) -> str:
        """Return the id of whom work is for: the project named, or set, else the user's own person.

        is_made  one that is not known is made; otherwise it is NEW_SUBJECT
        raises   InvalidInput
        """
        name = project or self.settings.data.project or PERSONAL
        if is_made:
            return self.keys.subject(name)
        if name == PERSONAL and not self.keys.exists:
            return PERSONAL
        known = self.keys.subjects() if self.keys.exists else []
        found = [subject.id for subject in known if subject.name == name and subject.erased_at is None]
        return found[0] if found else NEW_SUBJECT

    @contextmanager
    def queue(self) -> Iterator[Queue]:
        """Open the queue of the data folder, creating its database when there is none."""
        with (
            self.database.errors(),
            closing(self.database.open()) as connection,
            SqliteQueue(connection, keys=self.keys) as queue,
        ):
            yield queue

    def backups(self) -> "Backups":
        """Return the backups of the data folder."""
        # Dear to import, and needed by few commands.
        from audobon.backup.opening import open_backups
        from audobon.backup.sources import Sources

        return open_backups(
            Sources(
                folder=self.folder,
                keys=self.keys,
                storage=self.storage,
                database=self.database,
                settings_file=config_file(),
            ),
            self.settings.backup,
            self.log,
        )

    @property
    def recovery(self) -> "Recovery":
        """What finds out whether the data folder is sound, and mends it."""
        # Needed where an engine starts, and by few commands besides.
        from audobon.recovery.parts import Parts
        from audobon.recovery.service import Recovery

        return Recovery(
            Parts(
                folder=self.folder,
                keys=self.keys,
                protectors=keyring_protectors(self.settings),
                database=self.database,
                storage=self.storage,
                log=self.log,
                backups=self.backups,
                is_shipped=self.settings.database.shipping != "off",
                settle=lambda: self.data.settle_ledger(),
                told_of_storage=self._told_of_storage,
            )
        )

    def engine(self, queue: Queue, *, memory: str | None, tell: Tell | None = None) -> Engine:
        """Return the engine of the data folder, for a process that stays.

        memory  its budget; None: as configured, or a share of what is free, looked at again and again
        tell    told what happens to the workers
        """
        self.jobs.seal_what_is_clear()
        self.jobs.schedule_upkeep()
        settings = msgspec.structs.replace(
            _engine_settings(self.settings, self.folder, self.keys.passphrase),
            idle_seconds=self.settings.compute.idle_seconds,
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


def keyring_protectors(settings: Settings, *, ask: Ask | None = ask_at_terminal) -> HereProtectors:
    """Return what protects keyrings on this machine, as configured.

    ask  asks for the passphrase when one is needed and none is configured; None: nobody is there
    """
    file = settings.keys.passphrase_file
    passphrase = Passphrase(
        given=passphrase_from_environment(), file=Path(file).expanduser() if file else None, ask=ask
    )
    return HereProtectors(
        keyrings_folder(), passphrase, wanted=settings.keys.protector, cloud_key=settings.cloud.kms_key
    )


def _limits(settings: Settings) -> JobLimits:
    pictures, archives = settings.pictures, settings.archives
    return JobLimits(
        archives=ArchiveLimits(archives.max_entries, archives.max_gigabytes * 10**9, archives.max_ratio),
        pictures=picture_limits(settings),
        max_seconds=pictures.max_seconds,
    )


def _engine_settings(settings: Settings, folder: Path, passphrase: Callable[[], str]) -> EngineSettings:
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
        ships_first=settings.database.shipping == "sync",
        passphrase=passphrase,
    )


def _keeping(settings: Settings) -> Keeping:
    storage = settings.storage
    return Keeping(
        nearline="" if storage.nearline == Path() else str(storage.nearline),
        archive="" if storage.archive == Path() else str(storage.archive),
        keep_removed_days=storage.keep_removed_days,
        keep_days=storage.keep_days,
        scrub_days=storage.scrub_days,
    )
