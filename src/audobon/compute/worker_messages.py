"""What a worker process is told; light, so that the telling side loads no model runtime."""

import msgspec

from audobon.pages.picture_limits import PictureLimits


class Hello(msgspec.Struct, frozen=True):
    """What the worker needs to get ready.

    folder   the data folder
    threads  processors to use; 0: all it may
    """

    folder: str
    threads: int
    limits: PictureLimits
    max_seconds: float


class Go(msgspec.Struct, frozen=True):
    """What the worker is to do.

    owner         its name on leases
    budget_bytes  for all processes of the run together
    """

    job_id: str
    owner: str
    budget_bytes: int
