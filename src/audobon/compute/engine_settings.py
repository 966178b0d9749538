"""How an engine works."""

from pathlib import Path

import msgspec

from audobon.pages.picture_limits import PictureLimits
from audobon.storage.facts import Keeping

POOL = "here"
"""The name of this machine's memory in its own queue."""


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine works.

    workers        processes that do tasks
    threads        processors each may use; 0: as tuned, else all it may
    device         what models run on: auto, cpu or cuda
    cache_bytes    the most that results from before may take; 0: none are kept
    keeping        how blobs are kept
    idle_seconds   a worker without a task for so long ends, and is started again when there is one; 0: never
    stall_seconds  a task that makes no step for so long is taken from its worker, which is ended
    """

    folder: Path
    limits: PictureLimits
    max_seconds: float
    threads: int = 0
    workers: int = 1
    idle_seconds: float = 0.0
    stall_seconds: float = 600.0
    device: str = "auto"
    cache_bytes: int = 0
    keeping: Keeping = Keeping()
