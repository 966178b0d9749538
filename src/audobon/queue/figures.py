"""What can be read off the queue for monitoring."""

import msgspec

from audobon.queue.tasks import QueueState

WINDOW_SECONDS = 60.0
"""Over which rates are counted."""


class KindFigures(msgspec.Struct, frozen=True):
    """How the tasks of one kind fared within the window."""

    kind: str
    done: int
    failed: int


class QueueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One queue at one instant.

    oldest_age_seconds  how long the oldest due task has waited; 0 when none waits
    done_per_second     finished within the window
    failed_per_second   given up within the window
    dead                tasks given up and kept
    by_kind             within the window, kinds in order
    """

    queue: str
    state: QueueState
    ready: int
    waiting: int
    leased: int
    dead: int
    oldest_age_seconds: float
    done_per_second: float
    failed_per_second: float
    by_kind: tuple[KindFigures, ...]


class PoolFigures(msgspec.Struct, frozen=True):
    """The memory of one machine: what tasks may hold, and what they hold."""

    pool: str
    ram_bytes: int
    vram_bytes: int
    reserved_ram_bytes: int
    reserved_vram_bytes: int
