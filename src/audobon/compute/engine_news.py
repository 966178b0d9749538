"""What an engine tells of its workers: to the log, and to whoever watches."""

from collections.abc import Callable
from typing import Literal

import msgspec

Happening = Literal[
    "worker started", "worker ended", "worker recycled", "worker called off", "worker stalled", "worker died"
]


class News(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a worker.

    what    for programs; stable
    pid     the worker's process
    words   the same for people, as a sentence without a full stop
    status  what it ended with, in words; None while it lives
    tasks   tasks it held, which are done again
    """

    what: Happening
    pid: int
    words: str
    status: str | None = None
    tasks: int = 0

    @property
    def is_grave(self) -> bool:
        """Whether a person should look into it."""
        return self.what in ("worker stalled", "worker died")


Tell = Callable[[News], None]
