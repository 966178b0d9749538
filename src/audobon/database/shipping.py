"""Ships a database: everything that is committed, in order, into a store of objects."""

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from audobon.clock import Clock, utc_now
from audobon.database import wal_checksums
from audobon.database.checkpoints import TURN_FRAMES, Checkpoints
from audobon.database.compacting import compact_shipped
from audobon.database.generations import Position, generations, latest_info
from audobon.database.shipped import (
    Info,
    ShippedWriter,
    generation_name,
    new_key,
    object_name,
    read_info,
    start_of,
)
from audobon.database.shipping_state import ShippingState, StateFile, lost_state
from audobon.database.snapshots import HeldCommit, hold
from audobon.database.wal_format import LogIndex
from audobon.database.wal_reader import Broken, LogPlace
from audobon.errors import AlreadyRunning, CorruptBackup, ObjectExists, ObjectNotFound
from audobon.keys.service import DataKey, Keys
from audobon.processes import FileLock
from audobon.sqlite import Connection
from audobon.storage.port import ObjectStore

_TRIES = 4
_TRIES_TO_HOLD = 20


class Shipper:
    """Ships a database into one store; for many processes at once, one after the other.

    A segment is there, whole and durable, before a later one is. What is shipped was on the disk here before.
    A database has one store that it is shipped into; what others hold is copied from there (`mirroring`).
    """

    def __init__(self, path: Path, store: ObjectStore, keys: Keys, *, clock: Clock = utc_now) -> None:
        self._path = path
        self._store = store
        self._keys = keys
        self._clock = clock
        self._checkpoints = Checkpoints(path)
        self._states = StateFile(path)
        self._state: ShippingState | None = None
        self._noted: ShippingState | None = None
        self._thread_lock = threading.RLock()
        self._shut_out_frames = 0
        # Commits counted by the index when the log was begun anew; None: no round was begun since.
        self._counted: int | None = None

    def close(self) -> None:
        """Close what it has open; ships nothing."""
        with self._thread_lock:
            self._checkpoints.close()

    def ship(self, *, waits: bool = True, takes_snapshots: bool = True) -> Position:
        """Ship what is committed and not shipped yet; return how far everything is shipped now.

        waits            for another process that ships; otherwise AlreadyRunning
        takes_snapshots  also takes a snapshot when one is due, which may take long
        raises           DiskFull, Denied, sqlite3.Error, CorruptBackup
        """
        with self._shipping(waits=waits):
            index = self._ship_all()
            if index.frames >= TURN_FRAMES + self._shut_out_frames:
                # Everything is shipped; that others kept the lock, or the disk is full, only puts this off.
                with suppress(sqlite3.OperationalError):
                    self._turn()
            state = self._known()
        if takes_snapshots and state.needs_snapshot:
            self.snapshot()
        return Position(state.generation, state.commit, state.at)

    @property
    def is_snapshot_due(self) -> bool:
        """Whether `ship` has found that a snapshot is due."""
        return self._state is not None and self._state.needs_snapshot

    @property
    def is_without_snapshot(self) -> bool:
        """Whether `ship` has found that nothing of what it ships can be restored yet."""
        return self._state is not None and not self._state.has_snapshot

    def snapshot(self, *, waits: bool = False) -> None:
        """Take a snapshot, if one is due; segments may be shipped meanwhile.

        waits  while another process takes one; otherwise nothing is done then
        """
        with suppress(AlreadyRunning), self._lock("snapshot", waits=waits):
            reader = self._checkpoints.reader()
            try:
                if (found := self._hold(reader)) is None:
                    return
                held, state = found
                try:
                    self._store_snapshot(held, state)
                finally:
                    held.release()
            finally:
                reader.close()
            with self._shipping(waits=True):
                # Others may have shipped more meanwhile.
                self._note((self._current() or state).with_snapshot(state))

    def compact(self) -> None:
        """Put small segments together, unless another process does, or takes a snapshot.

        raises  DiskFull, Denied
        """
        with suppress(AlreadyRunning), self._lock("snapshot", waits=False):
            with self._shipping(waits=True):
                state = self._current()
            compact_shipped(self._store, self._keys, is_alone=True)
            with self._shipping(waits=True):
                now = self._current()
                if state is not None and now is not None and now.generation == state.generation:
                    self._note(msgspec.structs.replace(now, compacted=min(state.segments, now.segments)))

    @property
    def is_compacting_due(self) -> bool:
        """Whether `ship` has found that there are many small segments."""
        return self._state is not None and self._state.needs_compacting

    def has_news(self) -> bool:
        """Tell whether something is committed that is not shipped, or not known to be; asks no keys."""
        index = self._checkpoints.log.index()
        state = self._states.read()
        return (
            index is None
            or state is None
            or not state.has_snapshot
            or state.place != LogPlace(index.salts, index.frames, index.checksum)
        )

    def get_ready(self) -> None:
        """Load what it takes to ship what there is, before others are kept from shipping."""
        index, state = self._checkpoints.log.index(), self._states.read()
        if index is not None:
            is_begun = state is not None and state.place.salts == index.salts
            wal_checksums.get_ready(index.frames - (state.place.frame if state and is_begun else 0))

    def _hold(self, reader: Connection) -> tuple[HeldCommit, ShippingState] | None:
        """Hold the last commit, shipped, with a reader; None when no snapshot is due."""
        for left in reversed(range(_TRIES_TO_HOLD)):
            # Between the tries others ship.
            with self._shipping(waits=True):
                self._ship_all()
                if not self._known().needs_snapshot:
                    return None
                try:
                    with self._checkpoints.writers_kept_out():
                        self._ship_all()
                        held = hold(reader, self._checkpoints.log, str(self._path), self._checkpoints.index)
                    return held, self._known()
                except sqlite3.OperationalError:
                    if not left:
                        raise
        return None

    # Under the lock

    def _ship_all(self) -> LogIndex:
        """Ship up to the last commit, in a new generation when the old one cannot be gone on with."""
        state = self._current()
        why = "the first copy"
        for _ in range(_TRIES):
            index = self._checkpoints.index()
            if state is not None:
                try:
                    self._ship_from(state, index)
                except Broken as error:
                    why = str(error)
                    # Without a frame there is no round yet that could be gone on with.
                    self._checkpoints.begin_log()
                    index = self._checkpoints.index()
                    state = self._begun(index, state, why)
                    continue
                except ObjectExists:
                    # What we noted of the store is not the newest.
                    state = self._stored()
                    self._counted = None
                    continue
                return index
            self._checkpoints.begin_log()
            index = self._checkpoints.index()
            state = self._begun(index, None, why)
        raise AlreadyRunning(f"{self._path} is shipped elsewhere too, or its log is begun anew ever again")

    def _ship_from(self, state: ShippingState, index: LogIndex) -> None:
        if index.salts != state.place.salts:
            # By others, or by one who died before its first frames were shipped.
            state = state.moved(self._checkpoints.log.next_round(state.place, index))
            self._counted = None
        place = state.place
        # Of a round without a frame the index tells no checksum.
        is_same = index.frames != place.frame or not place.frame or index.checksum == place.checksum
        if index.frames < place.frame or not is_same:
            raise Broken("the log is not the one that was shipped")
        if index.frames == place.frame:
            self._note(state)
            return
        # Else a power cut could leave the copy ahead of the database.
        self._checkpoints.log.sync()
        key = self._key(state)
        name = object_name(state.generation, state.commit + 1, "segment")
        with self._store.create(name) as file:
            writer = ShippedWriter(file, key, name)
            commits = 0
            for raw, frames in self._checkpoints.log.frames(place, index):
                writer.write(raw)
                commits += sum(1 for frame in frames if frame[1])
            if self._checkpoints.index().salts != index.salts:
                raise Broken("the log was begun anew by others")
            if self._counted is not None and (index.changes - self._counted) & 0xFFFFFFFF != commits:
                raise Broken("others wrote while the log was begun anew")
            info = Info(
                "segment",
                secrets.token_bytes(16),
                state.id,
                state.generation,
                state.commit + 1,
                state.commit + commits,
                max(state.at, self._clock()),
                index.page_bytes,
                index.pages,
                place,
                LogPlace(index.salts, index.frames, index.checksum),
            )
            writer.finish(info)
        self._counted = None
        self._note(state.after(info, name))

    def _turn(self) -> None:
        """Have the log begun anew."""

        def began_anew(now: LogIndex) -> None:
            header = self._checkpoints.log.header()
            if header is None or header.salts != now.salts:
                return
            self._counted = shipped_changes[-1]
            self._note(self._known().moved(LogPlace(now.salts, 0, header.checksum)), is_proven=False)

        shipped_changes = []

        def ship() -> LogIndex:
            index = self._ship_all()
            shipped_changes.append(index.changes)
            return index

        # If somebody reads in the log for long: to try again costs, so not at once.
        self._shut_out_frames = self._checkpoints.index().frames
        self._checkpoints.turn(ship, began_anew)
        if self._ship_all().frames < TURN_FRAMES:
            self._shut_out_frames = 0

    def _begun(self, index: LogIndex, before: ShippingState | None, why: str) -> ShippingState:
        """Return the state in which a new generation begins; nothing is stored yet."""
        if before is None:
            before = self._stored()
        self._counted = None
        self._shut_out_frames = 0
        # What was shipped and is gone from the store is not counted twice.
        noted = self._states.read()
        reach = max(0 if each is None else each.commit for each in (before, noted))
        commit = reach + 1
        generation = generation_name(commit)
        key = new_key(self._keys)
        return ShippingState(
            generation=generation,
            commit=commit,
            at=max(self._clock(), 0.0 if before is None else before.at),
            id=start_of(generation),
            place=LogPlace(index.salts, index.frames, index.checksum),
            page_bytes=index.page_bytes,
            pages=index.pages,
            why=why,
            last_name="",
            key_id=key.id,
            subject=key.subject,
            subject_version=key.subject_version,
            wrapped=key.wrapped,
        )

    def _store_snapshot(self, held: HeldCommit, state: ShippingState) -> None:
        name = object_name(state.generation, state.commit, "snapshot")
        with suppress(ObjectExists), self._store.create(name) as file:
            writer = ShippedWriter(file, self._key(state), name)
            for data in held.content():
                writer.write(data)
            writer.finish(
                Info(
                    "snapshot",
                    secrets.token_bytes(16),
                    state.id,
                    state.generation,
                    state.commit,
                    state.commit,
                    state.at,
                    held.page_bytes,
                    held.pages,
                    state.place,
                    state.place,
                    state.why,
                )
            )

    # What is known

    def _current(self) -> ShippingState | None:
        """Return how far everything is shipped, by whomever; None when nothing is."""
        noted = self._states.read()
        if noted is not None and noted == self._noted and self._state is not None:
            return self._state
        self._counted = None
        if noted is not None and (self._has(noted.last_name) if noted.last_name else self._is_newest(noted)):
            self._state = self._noted = noted
            return noted
        return self._stored()

    def _is_newest(self, state: ShippingState) -> bool:
        """Tell whether a generation that was begun, and stored nothing yet, is still the newest."""
        found = generations(self._store)
        return not found or found[-1].name == state.generation or found[-1].first < state.commit

    def _stored(self) -> ShippingState | None:
        """Return how far everything is shipped, from the store alone."""
        found = generations(self._store)
        if not found:
            return None
        generation = found[-1]
        try:
            info, name = latest_info(self._store, self._keys, generation)
        except CorruptBackup:
            return lost_state(generation)
        _, key = read_info(self._store, self._keys, name)
        state = ShippingState(
            generation=generation.name,
            commit=info.last,
            at=info.at,
            id=info.previous if info.kind == "snapshot" else info.id,
            place=info.ends,
            page_bytes=info.page_bytes,
            pages=info.pages,
            why=info.why,
            last_name=name,
            key_id=key.id,
            subject=key.subject,
            subject_version=key.subject_version,
            wrapped=key.wrapped,
            has_snapshot=bool(generation.snapshots),
        )
        since = max(generation.snapshots, default=0)
        later = [entry for first, entry in generation.segments.items() if first > since]
        state.segments = len(later)
        state.frame_bytes = sum(entry.size_bytes for entry in later)
        return state

    def _known(self) -> ShippingState:
        if self._state is None:
            raise RuntimeError("nothing was shipped yet")
        return self._state

    def _note(self, state: ShippingState, *, is_proven: bool = True) -> None:
        self._state = state
        # That a round follows is only known here, until its first frames are shipped.
        if is_proven and state != self._noted:
            self._noted = state
            self._states.write(state)

    def _has(self, name: str) -> bool:
        try:
            self._store.stat(name)
        except ObjectNotFound:
            return False
        return True

    def _key(self, state: ShippingState) -> DataKey:
        key = self._keys.open_data_key(state.key_id, state.subject, state.subject_version, state.wrapped)
        return DataKey(state.key_id, state.subject, state.subject_version, state.wrapped, key)

    @contextmanager
    def _shipping(self, *, waits: bool) -> Iterator[None]:
        with self._thread_lock, self._lock("shipping", waits=waits):
            yield

    def _lock(self, name: str, *, waits: bool) -> FileLock:
        path = self._path.parent / "locks" / f"{self._path.name}.{name}.lock"
        return FileLock(path, purpose=f"{name} of {self._path}", wait=waits)
