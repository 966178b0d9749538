"""The memory a worker may take for a task, and what it holds of its machine's pool."""

from contextlib import AbstractContextManager

from audobon.errors import Exhausted
from audobon.queue.figures import PoolFigures
from audobon.queue.port import Queue
from audobon.queue.tasks import Lease

_ATTEMPTS = 5


class Allowance:
    """What one worker may take of its pool, beside the other workers.

    Its own leases are known here, so the pool's figures tell what the others hold.
    turn  entered around every use of the queue, by one thread at a time
    """

    def __init__(self, queue: Queue, pool: str, turn: AbstractContextManager[object]) -> None:
        self._queue = queue
        self._pool = pool
        self._turn = turn
        self._held: dict[int, int] = {}
        self._held_graphics: dict[int, int] = {}

    def held_bytes(self) -> int:
        """Return what this worker's tasks hold together."""
        return sum(self._held.values())

    def take_up(self, lease: Lease) -> None:
        """Count what the claim reserved."""
        self._held[lease.id] = lease.ram_bytes
        self._held_graphics[lease.id] = lease.vram_bytes

    def let_go(self, lease: Lease) -> None:
        """Stop counting a task that ended."""
        self._held.pop(lease.id, None)
        self._held_graphics.pop(lease.id, None)

    def room_bytes(self) -> int:
        """Return what all tasks of this worker may hold together now: the pool less what others hold."""
        figures = self._figures()
        if figures is None:
            return 0
        return figures.ram_bytes - max(0, figures.reserved_ram_bytes - self.held_bytes())

    def pool_bytes(self) -> int:
        """Return what all tasks of the pool may hold together."""
        figures = self._figures()
        return 0 if figures is None else figures.ram_bytes

    def _figures(self) -> PoolFigures | None:
        with self._turn:
            pools = {figures.pool: figures for figures in self._queue.pools()}
        return pools.get(self._pool)

    def of_task(self, lease: Lease) -> "TaskMemory":
        """Return the memory of one task."""
        return TaskMemory(self, lease)

    def hold(self, lease: Lease, ram_bytes: int) -> None:
        """Reserve what a task is going to take, in place of what its claim reserved.

        raises  Exhausted when another worker took it meanwhile, LeaseLost
        """
        for _ in range(_ATTEMPTS):
            if self._reserve(lease, ram_bytes, self._held_graphics.get(lease.id, 0)):
                self._held[lease.id] = ram_bytes
                return
            if ram_bytes > self.room_bytes():
                break
        raise Exhausted(
            f"{ram_bytes >> 20} MB were free and are taken now", hint="run the same command again"
        )

    def hold_graphics(self, lease: Lease, vram_bytes: int) -> None:
        """Reserve what a task's models may take of a card, which the driver had left for them.

        Never refused, since they have it: where the pool has less to give than that, it has nothing left.
        raises  LeaseLost
        """
        ram_bytes, held_bytes = self._held[lease.id], self._held_graphics[lease.id]
        for _ in range(_ATTEMPTS):
            if self._reserve(lease, ram_bytes, vram_bytes):
                self._held_graphics[lease.id] = vram_bytes
                return
            figures = self._figures()
            assert figures is not None
            left_bytes = max(0, figures.vram_bytes - figures.reserved_vram_bytes)
            vram_bytes = min(vram_bytes, held_bytes + left_bytes)

    def _reserve(self, lease: Lease, ram_bytes: int, vram_bytes: int) -> bool:
        with self._turn:
            return self._queue.reserve(lease, ram_bytes=ram_bytes, vram_bytes=vram_bytes)


class TaskMemory:
    """The memory one task may take, as those who do it see it."""

    def __init__(self, allowance: Allowance, lease: Lease) -> None:
        self._allowance = allowance
        self._lease = lease

    def room_bytes(self) -> int:
        """Return what all tasks of this worker may hold together now."""
        return self._allowance.room_bytes()

    def pool_bytes(self) -> int:
        """Return what all tasks of the pool may hold together."""
        return self._allowance.pool_bytes()

    def held_bytes(self) -> int:
        """Return what all tasks of this worker hold."""
        return self._allowance.held_bytes()

    def hold(self, ram_bytes: int) -> None:
        """Reserve what the task is going to take; Exhausted when it is gone."""
        self._allowance.hold(self._lease, ram_bytes)

    def hold_graphics(self, vram_bytes: int) -> None:
        """Reserve what the task's models may take of a card."""
        self._allowance.hold_graphics(self._lease, vram_bytes)
