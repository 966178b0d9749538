"""What a worker process is told; light, so that the telling side loads no model runtime."""

import msgspec

from audobon.pages.picture_limits import PictureLimits
from audobon.storage.facts import Keeping


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker needs to begin.

    folder        the data folder
    owner         its name on leases
    pool          whose capacity its tasks are taken from
    threads       processors to use; 0: as tuned, else all it may
    device        what models run on: auto, cpu or cuda
    budget_bytes  for all processes of the engine together
    cache_bytes   the most that results from before may take; 0: none are kept
    keeping       how blobs are kept
    idle_seconds  it ends after so long without a task; 0: never
    """

    folder: str
    owner: str
    pool: str
    threads: int
    limits: PictureLimits
    max_seconds: float
    budget_bytes: int
    cache_bytes: int = 0
    keeping: Keeping = Keeping()
    idle_seconds: float = 0.0
    device: str = "auto"


class Order(msgspec.Struct, frozen=True):
    """What the worker is told while it works.

    budget_bytes  the new budget, for all processes of the engine together
    """

    budget_bytes: int


RECYCLE_STATUS = 75
"""A worker ends with this when its memory did not come back; another one is to be started."""
