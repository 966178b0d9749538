"""Turns at a bucket that several machines share: who removes from it works alone, by marks that lie in it.

Who adds leaves a mark and looks whether somebody works alone; who is to work alone leaves another and looks
whether anybody is there. Whichever is second sees the first, and gives up. That somebody ended is a mark too:
the right to create must be enough. Whoever works alone clears the marks that are over.
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
"""After so long whoever left a mark is taken to have died."""

_ADDS, _ALONE, _ENDED = ".adds", ".alone", ".ended"


@contextmanager
def adding(store: ObjectStore, *, clock: Clock = utc_now) -> Iterator[None]:
    """Add objects that nobody removes meanwhile; needs the right to create.

    raises  AlreadyRunning while somebody works alone
    """
    with _marked(store, _ADDS):
        refuse_while_alone(store, clock=clock)
        yield


def refuse_while_alone(store: ObjectStore, *, clock: Clock = utc_now) -> None:
    """Raise AlreadyRunning while somebody works alone."""
    for mark in _under_way(list(store.list(TURNS)), clock()):
        if mark.name.endswith(_ALONE):
            raise AlreadyRunning(
                f"old backups are being removed{_by(store, mark)}", hint="run the same command again later"
            )


@contextmanager
def alone(store: ObjectStore, *, clock: Clock = utc_now) -> Iterator[None]:
    """Work while nobody adds or removes anything; needs full rights to clear marks.

    raises  AlreadyRunning when it cannot be had now
    """
    with _marked(store, _ALONE) as own:
        marks = [mark for mark in store.list(TURNS) if mark.name != own]
        for mark in _under_way(marks, clock()):
            raise AlreadyRunning(
                f"work with the backups of this place is under way{_by(store, mark)}",
                hint="wait for it to end; if it died, its mark counts for a day",
            )
        yield
        with suppress(Denied, ObjectNotFound):
            for mark in marks:
                store.delete(mark.name)


@contextmanager
def _marked(store: ObjectStore, kind: str) -> Iterator[str]:
    stem = f"{TURNS}{new_id()}"
    _write(store, stem + kind)
    try:
        yield stem + kind
    finally:
        # Where that cannot be told now, it counts for a day.
        with suppress(AudobonError):
            _write(store, stem + _ENDED)


def _under_way(marks: list[ObjectInfo], now: float) -> Iterable[ObjectInfo]:
    ended = {mark.name.removesuffix(_ENDED) for mark in marks if mark.name.endswith(_ENDED)}
    return (
        mark
        for mark in marks
        if mark.name.endswith((_ADDS, _ALONE))
        and mark.name.rpartition(".")[0] not in ended
        and now - mark.created_at < STALE_SECONDS
    )


def _write(store: ObjectStore, name: str) -> None:
    with store.create(name) as file:
        file.write(socket.gethostname().encode())


def _by(store: ObjectStore, mark: ObjectInfo) -> str:
    """Return by which machine, for a message; nothing where that cannot be told."""
    with suppress(AudobonError), store.open(mark.name) as file:
        return f" by {file.read(100).decode(errors='replace')}"
    return ""
