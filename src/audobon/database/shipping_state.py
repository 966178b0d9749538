"""How far a database is shipped, noted beside it so that not every ship reads the store.

The note is a convenience: a lost, old or torn one costs a look into the store, never a commit. Old ones are
found out because the next object is there already, and the log proves itself by its checksums.
"""

import hashlib
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import msgspec

from audobon.database.generations import Generation
from audobon.database.shipped import Info, generation_name, start_of
from audobon.database.wal_format import LogIndex
from audobon.database.wal_reader import LogPlace
from audobon.keys.service import DataKey
from audobon.sqlite import files_held, kept_open

# They are put together meanwhile, so what a restore has to read is bounded by bytes.
_MOST_SEGMENTS = 100_000
_SEGMENTS_PUT_TOGETHER = 1000
_LEAST_BYTES = 16 << 20
# More commits than a segment ever holds: numbers go on behind one that cannot be read.
_MOST_COMMITS = 100_000
_PIECES = 64
_PIECE_BYTES = 4096
# Length and CRC-32 of the note that follows: bytes of an older, longer one may lie behind it.
_FRAME = struct.Struct(">II")


class FileMark(msgspec.Struct, frozen=True):
    """By what is seen that others changed the file of a database.

    digest  of a few pieces of it, spread over all of it
    """

    size_bytes: int
    changed_ns: int
    digest: bytes


def mark_of(database: Path) -> FileMark | None:
    """Return the mark of a database file as it is now; None when it is gone."""
    try:
        status = database.stat()
    except FileNotFoundError:
        return None
    digest = hashlib.blake2b(digest_size=16)
    with files_held(database):
        descriptor = kept_open(str(database), database=str(database))
        for number in range(_PIECES):
            digest.update(os.pread(descriptor, _PIECE_BYTES, status.st_size * number // _PIECES))
    return FileMark(status.st_size, status.st_mtime_ns, digest.digest())


class ShippingState(msgspec.Struct, kw_only=True):
    """How far a database is shipped.

    id           of the last segment, or what stands for one at the start of a generation
    last_name    of the last object; empty when the generation has none yet
    segments     since the last snapshot
    frame_bytes  of the log, in those
    compacted    of those segments, how many there were when they were put together last
    file         the database file since the log was copied into it last; None while that is done
    begun        up to which frame it was, or was begun to be, by then
    """

    generation: str
    commit: int
    at: float
    id: bytes
    place: LogPlace
    page_bytes: int
    pages: int
    why: str
    last_name: str
    key_id: bytes
    subject: str
    subject_version: int
    wrapped: bytes
    has_snapshot: bool = False
    segments: int = 0
    frame_bytes: int = 0
    compacted: int = 0
    file: FileMark | None = None
    begun: int = 0

    def is_changed(self, database: Path) -> bool:
        """Tell whether others seem to have changed the file of the database; at once."""
        if self.file is None:
            return False
        try:
            status = database.stat()
        except FileNotFoundError:
            return True
        return (status.st_size, status.st_mtime_ns) != (self.file.size_bytes, self.file.changed_ns)

    @property
    def needs_compacting(self) -> bool:
        """Whether there are many segments that could be put together."""
        return self.segments - self.compacted >= _SEGMENTS_PUT_TOGETHER

    @property
    def needs_snapshot(self) -> bool:
        """Whether to restore without a new snapshot would take too long, or not be possible."""
        most = max(self.pages * self.page_bytes, _LEAST_BYTES)
        return not self.has_snapshot or self.segments >= _MOST_SEGMENTS or self.frame_bytes > most

    def after(self, info: Info, name: str) -> "ShippingState":
        """Return the state after a segment."""
        frames = info.ends.frame - info.begins.frame
        return msgspec.structs.replace(
            self,
            commit=info.last,
            at=info.at,
            id=info.id,
            place=info.ends,
            page_bytes=info.page_bytes,
            pages=info.pages,
            last_name=name,
            segments=self.segments + 1,
            frame_bytes=self.frame_bytes + frames * info.page_bytes,
        )

    def moved(self, place: LogPlace) -> "ShippingState":
        """Return the same state at the beginning of the next round of the log."""
        return msgspec.structs.replace(self, place=place, file=None)

    def with_snapshot(self, then: "ShippingState") -> "ShippingState":
        """Return the state once there is a snapshot of an earlier one."""
        if then.generation != self.generation:
            return self
        return msgspec.structs.replace(
            self,
            has_snapshot=True,
            segments=max(0, self.segments - then.segments),
            frame_bytes=max(0, self.frame_bytes - then.frame_bytes),
            compacted=max(0, self.compacted - then.segments),
        )


def begun_state(index: LogIndex, key: DataKey, *, commit: int, at: float, why: str) -> ShippingState:
    """Return the state in which a new generation begins with a commit, of which an index tells."""
    generation = generation_name(commit)
    return ShippingState(
        generation=generation,
        commit=commit,
        at=at,
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


def lost_state(generation: Generation) -> ShippingState:
    """Return a state that cannot be gone on with, for a generation whose end cannot be read."""
    newest = max((*generation.segments, *generation.snapshots))
    return ShippingState(
        generation=generation.name,
        commit=newest + _MOST_COMMITS,
        at=max(entry.created_at for entry in (*generation.segments.values(), *generation.snapshots.values())),
        id=b"",
        place=LogPlace(b"", 0, (0, 0)),
        page_bytes=0,
        pages=0,
        why="",
        last_name="",
        key_id=b"",
        subject="",
        subject_version=0,
        wrapped=b"",
    )


class StateFile:
    """The note, overwritten in place and not synced; to replace the file would cost as much as a sync."""

    def __init__(self, database: Path) -> None:
        self._path = database.parent / "locks" / f"{database.name}.shipped"

    def read(self) -> ShippingState | None:
        """Return what was noted last; None when that cannot be read, as while it is being written."""
        try:
            data = self._path.read_bytes()
            length, check = _FRAME.unpack_from(data)
            note = data[_FRAME.size : _FRAME.size + length]
            if len(note) != length or zlib.crc32(note) != check:
                return None
            return msgspec.msgpack.decode(note, type=ShippingState)
        except (OSError, struct.error, msgspec.MsgspecError):
            return None

    def write(self, state: ShippingState) -> None:
        """Note a state, under the lock of shipping. It is noted anew at the next, if it cannot be."""
        note = msgspec.msgpack.encode(state)
        with suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
            try:
                os.write(descriptor, _FRAME.pack(len(note), zlib.crc32(note)) + note)
            finally:
                os.close(descriptor)

    def remove(self) -> None:
        """Forget what was noted, as where a database begins anew."""
        self._path.unlink(missing_ok=True)


class Failure(msgspec.Struct, frozen=True):
    """That shipping failed, and has not worked since."""

    at: float
    message: str


class FailureFile:
    """A note beside the database that shipping fails, for those who look from outside."""

    def __init__(self, database: Path) -> None:
        self._path = database.parent / "locks" / f"{database.name}.shipping-failed"

    def read(self) -> Failure | None:
        """Return why shipping fails; None when it works."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Failure)
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, failure: Failure) -> None:
        """Note a failure, if there is room for it."""
        with suppress(OSError):
            self._path.write_bytes(msgspec.json.encode(failure))

    def clear(self) -> None:
        """Note that it works."""
        self._path.unlink(missing_ok=True)
