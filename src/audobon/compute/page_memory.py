"""The memory of a page, as those who do it ask for it."""

from typing import Protocol


class PageMemory(Protocol):
    """The memory a page may take."""

    def room_bytes(self) -> int:
        """Return what all tasks of this process may hold together now."""

    def hold(self, ram_bytes: int) -> None:
        """Reserve what the page is going to take; MemoryTooSmall when it is gone."""

    def hold_graphics(self, vram_bytes: int) -> None:
        """Reserve what the page's models may take of a card."""

    def held_bytes(self) -> int:
        """Return what all tasks of this process hold."""
