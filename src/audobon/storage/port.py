"""What holds objects: immutable bytes under names, in tiers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import IO, Literal

import msgspec

Tier = Literal["standard", "nearline", "archive"]
"""How quickly and cheaply an object is kept."""

TIERS: tuple[Tier, ...] = ("standard", "nearline", "archive")

Rights = Literal["read", "create", "full"]
"""read: nothing is written; create: also new objects, but none is changed or deleted; full: all."""


class ObjectInfo(msgspec.Struct, frozen=True):
    """An object as its store knows it.

    name        path with forward slashes, as "packs/ab/ab12…"
    created_at  UTC instant of its creation; moving it to another tier does not change it
    """

    name: str
    size_bytes: int
    created_at: float
    tier: Tier


class ObjectStore(ABC):
    """Objects under names, for many processes at once. An object never changes once it is there.

    Where a tier cannot be reached, as when its disk is not attached, what might lie there is neither missing
    nor taken: every method that would have to know raises Unavailable.
    """

    @abstractmethod
    def create(self, name: str, *, tier: Tier = "standard") -> AbstractContextManager[IO[bytes]]:
        """Write a new object; it is there, whole and durable, when the block ends well, else not at all.

        raises  InvalidInput for a name no object can have; ObjectExists when it is taken, in any tier,
                also by one who was quicker; Denied, DiskFull
        """

    @abstractmethod
    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open an object to read; the file can be moved in. raises ObjectNotFound, Denied."""

    @abstractmethod
    def stat(self, name: str) -> ObjectInfo:
        """Return what is known of an object. raises ObjectNotFound."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose names begin so, in the order of their names.

        What is there from the first to the last is told, also when it changes its tier meanwhile.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove an object. raises ObjectNotFound, Denied without full rights."""

    @abstractmethod
    def set_tier(self, name: str, tier: Tier) -> None:
        """Move an object to a tier; it can be read all the while, and broken off it is whole in one of both.

        The same call again finishes what was broken off.
        raises  as `delete`; DiskFull; CorruptBlob when the copy is not what was read, and the object stays
        """

    @abstractmethod
    def replacing(self, name: str, *, tier: Tier = "standard") -> AbstractContextManager[IO[bytes]]:
        """Write an object anew, be there one or none; it changes at once, when the block ends well.

        To mend what is damaged: whole objects never change. The file can be read and moved in.
        raises  Denied without full rights
        """

    @abstractmethod
    def clear_abandoned(self) -> None:
        """Remove what killed processes of this machine left half written; whole objects are never touched."""

    @abstractmethod
    def clear_unfinished(self, *, before: float) -> int:
        """Remove what broken-off writes left, begun before a UTC instant; return the bytes that came free.

        raises  Denied without full rights
        """
