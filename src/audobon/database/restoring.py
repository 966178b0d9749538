"""Restores a database from what was shipped: exact to the commit, checked before it takes its place."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from audobon.atomic import (
    clear_leftovers,
    disk_errors,
    exists_already,
    sync_folder,
    take_free_name,
    temporary_beside,
)
from audobon.database.generations import Chosen, Position, check_follows, choose
from audobon.database.shipped import Info, ShippedObject, naming
from audobon.database.syncing_ahead import SyncingAhead
from audobon.database.wal_format import FRAME_HEADER_BYTES
from audobon.errors import Corrupt, CorruptBackup, ObjectNotFound
from audobon.keys.service import Keys
from audobon.storage.port import ObjectStore

_HELD_BYTES = 64 << 20
_TRIES = 3


class Restored(msgspec.Struct, frozen=True):
    """What a restore made.

    position    up to which everything is in it
    broken_off  why it does not reach as far as was asked; None when it does
    """

    position: Position
    size_bytes: int
    segments: int
    broken_off: str | None = None


def restore_database(
    store: ObjectStore,
    keys: Keys,
    into: Path,
    *,
    to: datetime | int | Position | None = None,
    overwrite: bool = False,
    as_far_as_possible: bool = False,
) -> Restored:
    """Write the database as it was at an instant, after a commit, or at last; return what was made.

    At an instant means: with all that was shipped until then; shipping follows a commit within its interval.
    into                the file; it appears whole and checked, or not at all
    overwrite           also when there is one, which nobody may have open
    as_far_as_possible  stop before the first object that is missing or damaged, rather than refuse
    raises              BackupNotFound, CorruptBackup naming the object, OutputExists, DiskFull, Denied
    """
    if not overwrite and (into.exists() or Path(f"{into}-wal").exists()):
        raise exists_already(into)
    temporary = temporary_beside(into)
    with disk_errors(into):
        into.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(into)
        try:
            with temporary.open("xb+", buffering=0) as file:
                syncing = SyncingAhead(file.fileno())
                building = _Building(store, keys, file, syncing)
                try:
                    broken_off = building.build(to, as_far_as_possible=as_far_as_possible)
                    syncing.begin_last()
                    faults = faults_of(temporary)
                finally:
                    syncing.finish()
                if faults:
                    raise CorruptBackup(f"the restored database is damaged: {'; '.join(faults)}")
            # A log that lies there belongs to the file that was.
            for name in (f"{into}-wal", f"{into}-shm"):
                Path(name).unlink(missing_ok=True)
            sync_folder(into.parent)
            if overwrite:
                temporary.replace(into)
            else:
                take_free_name(temporary, into)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(into.parent)
    info = building.info
    return Restored(
        Position(info.generation, building.commit, building.at),
        into.stat().st_size,
        building.segments,
        broken_off,
    )


class _Building:
    """A database file that is being put together."""

    def __init__(self, store: ObjectStore, keys: Keys, file: IO[bytes], syncing: SyncingAhead) -> None:
        self._store = store
        self._keys = keys
        self._file = file.fileno()
        self._syncing = syncing
        self.info: Info
        self.commit = 0
        self.segments = 0

    def build(self, to: datetime | int | Position | None, *, as_far_as_possible: bool) -> str | None:
        """Put it together; return why it was broken off, if it was."""
        chosen = self._chosen(to)
        while True:
            try:
                return self._build(chosen, as_far_as_possible=as_far_as_possible)
            except ObjectNotFound as error:
                # Unless it was put together with others meanwhile, or pruned.
                again = self._chosen(to)
                if again == chosen:
                    raise CorruptBackup(f"{error.message} in the shipped database") from None
                chosen = again

    def _chosen(self, to: datetime | int | Position | None) -> Chosen:
        for _ in range(_TRIES):
            with suppress(ObjectNotFound):
                return choose(self._store, self._keys, to)
        return choose(self._store, self._keys, to)

    def _build(self, chosen: Chosen, *, as_far_as_possible: bool) -> str | None:
        os.ftruncate(self._file, 0)
        self.segments = 0
        self._write_snapshot(chosen.snapshot)
        for name in chosen.segments:
            try:
                self._apply(name, chosen.commit)
            except CorruptBackup as error:
                if not as_far_as_possible:
                    raise CorruptBackup(
                        error.message,
                        hint=f"--as-far-as-possible restores to commit {self.commit}, the last before it",
                    ) from error
                return error.message
        if chosen.commit is not None and self.commit != chosen.commit:
            message = f"the segment that holds commit {self.commit + 1} is missing"
            if not as_far_as_possible:
                raise CorruptBackup(
                    message, hint=f"--as-far-as-possible restores to commit {self.commit}, the last before it"
                )
            return message
        return None

    def _write_snapshot(self, name: str) -> None:
        with self._opened(name) as file:
            shipped = ShippedObject(file, self._keys, name)
            at = 0
            for data in shipped.plain():
                # Zeros need no room: a hole in the file reads as such.
                if data[:64].strip(b"\0") or data.count(0) != len(data):
                    _write_all(self._file, data, at)
                at += len(data)
                self._syncing.wrote(len(data))
            if at != shipped.info.pages * shipped.info.page_bytes:
                raise CorruptBackup(f"{name} of the shipped database is not whole")
            os.ftruncate(self._file, at)
        self.info = shipped.info
        self.commit = shipped.info.last

    def _apply(self, name: str, last_commit: int | None) -> None:
        """Apply a segment, whole or up to a commit; when it is not sound, what comes before that."""
        with self._opened(name) as file, naming(name):
            shipped = ShippedObject(file, self._keys, name)
            check_follows(shipped.info, self.info)
            taking = _Taking(self._file, shipped.info, self.commit, self.info.pages)
            try:
                for number, pages_then, data in _frames(shipped):
                    taking.take(number, pages_then, data)
                    if taking.commit == last_commit:
                        break
                else:
                    taking.demand_whole()
            finally:
                taking.write()
                self.commit = taking.commit
                if taking.commit >= shipped.info.first:
                    self.info = shipped.info
        self.segments += 1

    @property
    def at(self) -> float:
        """The instant up to which it holds everything."""
        return next((at for commit, at in self.info.ships if commit >= self.commit), self.info.at)

    def _opened(self, name: str) -> AbstractContextManager[IO[bytes]]:
        try:
            self._store.stat(name)
        except ObjectNotFound:
            raise ObjectNotFound(f"{name} is missing") from None
        return self._store.open(name)


class _Taking:
    """Commits on their way from a segment into the file."""

    def __init__(self, descriptor: int, info: Info, commit: int, pages: int) -> None:
        self._descriptor = descriptor
        self._info = info
        self.commit = commit
        self._count = pages
        self._pages: dict[int, bytes] = {}
        self._pending: dict[int, bytes] = {}

    def take(self, number: int, pages_then: int, data: bytes) -> None:
        """Take a frame."""
        self._pending[number] = data
        if not pages_then:
            return
        self.commit, self._count = self.commit + 1, pages_then
        self._pages.update(self._pending)
        self._pending.clear()
        if len(self._pages) * self._info.page_bytes > _HELD_BYTES:
            self.write()

    def demand_whole(self) -> None:
        """Raise Corrupt unless all the commits were there that the segment tells of."""
        if self._pending or self.commit != self._info.last or self._count != self._info.pages:
            raise Corrupt("it does not hold the commits it tells of")

    def write(self) -> None:
        """Write the commits that are whole."""
        page_bytes = self._info.page_bytes
        for number, data in sorted(self._pages.items()):
            if number <= self._count:
                _write_all(self._descriptor, data, (number - 1) * page_bytes)
        os.ftruncate(self._descriptor, self._count * page_bytes)
        self._pages.clear()


def _frames(shipped: ShippedObject) -> Iterator[tuple[int, int, bytes]]:
    size = FRAME_HEADER_BYTES + shipped.info.page_bytes
    held = b""
    for piece in shipped.plain():
        held = held + piece if held else piece
        whole = len(held) - len(held) % size
        for at in range(0, whole, size):
            head = held[at : at + 8]
            yield (
                int.from_bytes(head[:4], "big"),
                int.from_bytes(head[4:], "big"),
                held[at + FRAME_HEADER_BYTES : at + size],
            )
        held = held[whole:]
    if held:
        raise Corrupt("it ends within a frame")


def faults_of(path: Path) -> list[str]:
    """Return what is wrong inside a database file that nobody has open; at most ten lines."""
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            return faults_in(connection)
    except sqlite3.DatabaseError as error:
        return [str(error)]


def faults_in(connection: sqlite3.Connection) -> list[str]:
    """Return what is wrong inside an open database; at most ten lines of each kind."""
    told = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
    faults = [] if told == ["ok"] else told
    for row in connection.execute("PRAGMA foreign_key_check"):
        if len(faults) >= 10:
            break
        faults.append(f"row {row[1]} of {row[0]} names a row of {row[2]} that is not there")
    return faults


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, at)
        view, at = view[count:], at + count
