"""The memory of a page, as those who do it ask for it, and what is said when there is too little."""

from typing import Protocol

from audobon.errors import Exhausted, MemoryTooSmall


class PageMemory(Protocol):
    """The memory a page may take."""

    def room_bytes(self) -> int:
        """Return what all tasks of this process may hold together now."""

    def pool_bytes(self) -> int:
        """Return what all tasks of the engine may hold together."""

    def hold(self, ram_bytes: int) -> None:
        """Reserve what the page is going to take; Exhausted when it is gone."""

    def hold_graphics(self, vram_bytes: int) -> None:
        """Reserve what the page's models may take of a card."""

    def held_bytes(self) -> int:
        """Return what all tasks of this process hold."""


def refusal(needed_bytes: int, *, pool_bytes: int, asked_bytes: int | None) -> Exhausted:
    """Return what to fail a page with that does not fit what it may take now.

    Only what others hold may come free: a page that needs more than all there is, or than was asked for,
    is not to be tried again.
    needed_bytes  the least it can be done in
    asked_bytes   the most it may take; None: no bound was set
    """
    needed = -(-needed_bytes // (1 << 20))
    if needed_bytes > pool_bytes:
        return MemoryTooSmall(
            f"the page needs {needed} MB, the engine has {pool_bytes >> 20} MB",
            hint=f"start `audobon up`, or the run whose engine it is, with --memory {needed}MB",
        )
    if asked_bytes is not None and needed_bytes > asked_bytes:
        return MemoryTooSmall(
            f"the page needs {needed} MB, the budget is {asked_bytes >> 20} MB",
            hint=f"--memory {needed}MB",
        )
    return Exhausted(
        f"the page needs {needed} MB, and others hold too much of the {pool_bytes >> 20} MB there are",
        hint="run the same command again",
    )
