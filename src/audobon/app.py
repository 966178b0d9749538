"""Wires the rooms together: settings in, a working Audobon out. It decides nothing."""

from pathlib import Path

from audobon.config import Settings, load, parse_bytes
from audobon.database.service import Database
from audobon.jobs.run import JobLimits
from audobon.jobs.service import Jobs
from audobon.pages.documents import ArchiveLimits
from audobon.pages.picture_limits import PictureLimits
from audobon.processes import available_bytes
from audobon.storage.service import Storage
from audobon.telemetry.logs import Log


class App:
    """Audobon on this machine, as configured."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder: Path = settings.storage.folder
        self.database = Database(self.folder)
        self.storage = Storage(self.folder)
        self.log = Log(self.folder, level=settings.logs.level)
        self.jobs = Jobs(self.folder, self.database, self.storage, self.log, _limits(settings))

    @property
    def models_folder(self) -> Path:
        """Where prepared models lie."""
        return self.folder / "models"

    def memory_budget_bytes(self, asked: str | None = None) -> int:
        """Return the memory a run may take: as asked, as configured, or a share of what is free now."""
        text = asked or self.settings.memory.budget
        if text:
            return parse_bytes(text)
        return int(available_bytes() * self.settings.memory.share)


def open_app(config: Path | None = None) -> App:
    """Return Audobon as configured; Misconfigured names every fault in the settings."""
    return App(load(config))


def _limits(settings: Settings) -> JobLimits:
    pictures, archives = settings.pictures, settings.archives
    return JobLimits(
        archives=ArchiveLimits(archives.max_entries, archives.max_gigabytes * 10**9, archives.max_ratio),
        pictures=PictureLimits(
            pictures.max_megapixels * 10**6,
            pictures.suspicious_megapixels * 10**6,
            pictures.max_pixels_per_byte,
        ),
        max_seconds=pictures.max_seconds,
        threads=settings.models.threads,
    )
