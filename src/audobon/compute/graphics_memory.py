"""What tasks may hold of the graphics cards together: a share of what no other program holds."""

import time
from collections.abc import Callable, Iterable

from audobon.clock import Clock
from audobon.models.devices import VRAM_SHARE
from audobon.telemetry.gpus import Gpu, GpuDriver

# A driver that was not there a moment ago is not asked for again and again.
_RETRY_SECONDS = 60.0


class GraphicsMemory:
    """Asks the driver again and again; 0 without a card.

    read    the cards, and why there is none
    family  the engine's own processes, whose part counts as free: it is what is to be shared out
    """

    def __init__(
        self,
        family: Callable[[], Iterable[int]],
        *,
        read: Callable[[], tuple[tuple[Gpu, ...], str | None]] | None = None,
        share: float = VRAM_SHARE,
        clock: Clock = time.monotonic,
    ) -> None:
        self._family = family
        self._read = read or GpuDriver().read
        self._share = share
        self._clock = clock
        self._not_before = float("-inf")

    def budget_bytes(self) -> int:
        """Return what tasks may hold of all cards together now.

        Where the driver does not tell who holds what, what is ours counts as taken: cautious, never too much.
        """
        now = self._clock()
        if now < self._not_before:
            return 0
        gpus, _ = self._read()
        if not gpus:
            self._not_before = now + _RETRY_SECONDS
            return 0
        ours = set(self._family())
        usable = sum(
            gpu.free_bytes + sum(held for pid, held in gpu.held_bytes.items() if pid in ours) for gpu in gpus
        )
        return int(usable * self._share)
