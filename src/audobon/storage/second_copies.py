"""What storage is told of second copies of packs, such as those in backup places."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import IO, Protocol


class SecondCopies(Protocol):
    """Where packs lie a second time."""

    def fetch(self, name: str, make: Callable[[], AbstractContextManager[IO[bytes]]]) -> bool:
        """Write a pack, proved against what was backed up, into a file that is made for it.

        make    called for each try; what it made is thrown away when its block raises
        return  False when nobody has it whole
        """


class NoCopies:
    """Nothing lies anywhere a second time."""

    def fetch(self, name: str, make: Callable[[], AbstractContextManager[IO[bytes]]]) -> bool:
        """Find nothing."""
        return False
