"""The memory that a job's pages must fit, and what to do when it is too small."""

import msgspec

from audobon.compute.engine_settings import POOL
from audobon.jobs.report import JobRequest
from audobon.queue.port import Queue


class RoomForPages(msgspec.Struct, frozen=True):
    """What each page of a job may take.

    asked_bytes      as the user named it, or what is free
    is_budget_asked  the user named it
    engine_bytes     of the engine that was joined; None: the work is this run's own
    """

    asked_bytes: int
    is_budget_asked: bool = False
    engine_bytes: int | None = None

    @property
    def page_bytes(self) -> int:
        """What a page must fit: the engine's memory, unless less was asked for."""
        if self.engine_bytes is None:
            return self.asked_bytes
        return min(self.asked_bytes, self.engine_bytes) if self.is_budget_asked else self.engine_bytes

    @property
    def is_asked_in_vain(self) -> bool:
        """Whether more was asked for than the engine has."""
        return self.is_budget_asked and self.engine_bytes is not None and self.asked_bytes > self.engine_bytes

    def remedy(self, needed_megabytes: int) -> str:
        """Return what to do so that a page may take so much."""
        option = f"--memory {needed_megabytes}MB"
        if self.engine_bytes is None or needed_megabytes << 20 <= self.engine_bytes:
            return option
        return f"start `audobon up` with {option}, or stop it and run again with {option}"


def room_for(request: JobRequest, queue: Queue | None, *, engine_pid: int | None) -> RoomForPages:
    """Return the room for the pages of a request.

    queue       of the data folder; None when there is none yet
    engine_pid  the process of the engine that would do the work; None: the run's own
    """
    engine_bytes = None
    if engine_pid is not None and queue is not None:
        pools = {figures.pool: figures.ram_bytes for figures in queue.pools()}
        engine_bytes = pools.get(POOL)
    return RoomForPages(request.budget_bytes, request.is_budget_asked, engine_bytes)
