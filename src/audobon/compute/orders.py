"""What a worker process is told while it works, read beside its work."""

import os
import threading
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from audobon.compute.worker_messages import Order


class Orders:
    """The orders that come in over a pipe; `listen` begins to read them.

    Reads the descriptor itself: a thread caught inside Python's own buffer would bring the interpreter down
    at its end.
    """

    def __init__(self, *, on_budget: Callable[[int], None]) -> None:
        self._on_budget = on_budget

    def listen(self, pipe: BinaryIO) -> None:
        """Read orders until the pipe closes; then the other side is gone, and this process ends at once."""
        threading.Thread(target=self._listen, args=(pipe.fileno(),), daemon=True).start()

    def _listen(self, descriptor: int) -> None:
        held = b""
        while piece := os.read(descriptor, 4096):
            held += piece
            *lines, held = held.split(b"\n")
            for line in lines:
                self.take(msgspec.json.decode(line, type=Order))
        os._exit(0)

    def take(self, order: Order) -> None:
        """Follow one order."""
        self._on_budget(order.budget_bytes)
