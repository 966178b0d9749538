"""Turns at a bucket that several machines share: who removes works alone, by flags in it.

Who adds leaves a flag and looks whether somebody works alone; who is to work alone leaves another and looks
whether anybody is there. Whichever is second sees the first, and gives up. That somebody ended is a flag too:
the right to create must be enough. Whoever works alone clears the flags that are over.
"""

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from audobon.clock import Clock, utc_now
from audobon.errors import AlreadyRunning, AudobonError, Denied, ObjectNotFound
from audobon.ids import new_id
from audobon.storage.port import ObjectInfo, ObjectStore

TURNS = "turns/"
STALE_SECONDS = 24 * 3600.0
"""After so long whoever left a flag is taken to have died."""

_ADDS, _ALONE, _ENDED = ".adds", ".alone", ".ended"


@contextmanager
def adding(store: ObjectStore, *, clock: Clock = utc_now) -> Iterator[None]:
    """Add objects that nobody removes meanwhile; needs the right to create.

    raises  AlreadyRunning while somebody works alone
    """
    with _flagged(store, _ADDS):
        refuse_while_alone(store, clock=clock)
        yield


def refuse_while_alone(store: ObjectStore, *, clock: Clock = utc_now) -> None:
    """Raise AlreadyRunning while somebody works alone."""
    for flag in _under_way(list(store.list(TURNS)), clock()):
        if flag.name.endswith(_ALONE):
            raise AlreadyRunning(
                f"old backups are being removed{_by(store, flag)}", hint="run the same command again later"
            )


@contextmanager
def alone(store: ObjectStore, *, clock: Clock = utc_now) -> Iterator[None]:
    """Work while nobody adds or removes anything; needs full rights to clear flags.

    raises  AlreadyRunning when it cannot be had now
    """
    with _flagged(store, _ALONE) as own:
        flags = [flag for flag in store.list(TURNS) if flag.name != own]
        for flag in _under_way(flags, clock()):
            raise AlreadyRunning(
                f"work with the backups of this place is under way{_by(store, flag)}",
                hint="wait for it to end; if it died, its flag counts for a day",
            )
        yield
        with suppress(Denied, ObjectNotFound):
            for flag in flags:
                store.delete(flag.name)


@contextmanager
def _flagged(store: ObjectStore, kind: str) -> Iterator[str]:
    stem = f"{TURNS}{new_id()}"
    _write(store, stem + kind)
    try:
        yield stem + kind
    finally:
        # Where that cannot be told now, it counts for a day.
        with suppress(AudobonError):
            _write(store, stem + _ENDED)


def _under_way(flags: list[ObjectInfo], now: float) -> Iterable[ObjectInfo]:
    ended = {flag.name.removesuffix(_ENDED) for flag in flags if flag.name.endswith(_ENDED)}
    return (
        flag
        for flag in flags
        if flag.name.endswith((_ADDS, _ALONE))
        and flag.name.rpartition(".")[0] not in ended
        and now - flag.created_at < STALE_SECONDS
    )


def _write(store: ObjectStore, name: str) -> None:
    with store.create(name) as file:
        file.write(socket.gethostname().encode())


def _by(store: ObjectStore, flag: ObjectInfo) -> str:
    """Return by which machine, for a message; nothing where that cannot be told."""
    with suppress(AudobonError), store.open(flag.name) as file:
        return f" by {file.read(100).decode(errors='replace')}"
    return ""
