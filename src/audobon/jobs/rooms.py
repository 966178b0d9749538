"""What a run works with."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from audobon.compute.engine_settings import EngineSettings
from audobon.compute.results import Results
from audobon.keys.service import Keys
from audobon.pages.documents import ArchiveLimits
from audobon.pages.picture_limits import PictureLimits
from audobon.storage.result_cache import ResultCache
from audobon.storage.service import Storage
from audobon.telemetry.logs import Log


class JobLimits(msgspec.Struct, frozen=True):
    """What documents and pictures may cost."""

    archives: ArchiveLimits
    pictures: PictureLimits
    max_seconds: float


class Rooms(msgspec.Struct, frozen=True):
    """What a run works with.

    budget_bytes  asked ever again: what an engine may hold when nobody named a budget
    cache         results from before; `results` finds pages among them
    keys          seal what is on record of names and contents
    """

    folder: Path
    storage: Storage
    log: Log
    limits: JobLimits
    engine: EngineSettings
    budget_bytes: Callable[[], int]
    cache: ResultCache
    results: Results
    keys: Keys
