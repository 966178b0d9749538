"""The last fence around a worker's memory: the system refuses what lies beyond it."""

import sys
import threading
from collections.abc import Callable

# Above what is promised: a prediction that is a little low must not end a page that fits.
_SLACK_SHARE = 0.25
_SLACK_BYTES = 512 << 20


def fence_memory(budget_bytes: int) -> None:
    """Let this process hold no more private memory than its budget and some slack.

    What it asks for beyond that fails as memory that ran out, and the page is tried in smaller tiles.
    Only where the system counts private memory alone (Linux); elsewhere the prediction is the only fence.
    source  getrlimit(2), RLIMIT_DATA: also private mappings since Linux 4.7
    """
    if fence_kind() == "none" or sys.platform == "win32":
        return
    import resource

    wanted = budget_bytes + round(budget_bytes * _SLACK_SHARE) + _SLACK_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))


def fence_kind() -> str:
    """Return what keeps a worker within its memory here: "RLIMIT_DATA", or "none" but the prediction."""
    return "RLIMIT_DATA" if sys.platform == "linux" else "none"


class Fence:
    """The fence of a worker whose budget changes: raised at once, lowered when no task is at work.

    A task that was given its memory keeps it; a fence drawn closer around it would end it.
    bound  draws the fence around this process
    """

    def __init__(self, budget_bytes: int, *, bound: Callable[[int], None] = fence_memory) -> None:
        self._bound = bound
        self._lock = threading.Lock()
        self._wanted_bytes = self._drawn_bytes = budget_bytes
        bound(budget_bytes)

    def set_budget(self, budget_bytes: int) -> None:
        """Take note of a new budget, from any thread."""
        with self._lock:
            self._wanted_bytes = budget_bytes
            if budget_bytes > self._drawn_bytes:
                self._draw()

    def settle(self) -> None:
        """Draw the fence where it should be; to be called while no task is at work."""
        with self._lock:
            if self._wanted_bytes != self._drawn_bytes:
                self._draw()

    def _draw(self) -> None:
        self._bound(self._wanted_bytes)
        self._drawn_bytes = self._wanted_bytes
