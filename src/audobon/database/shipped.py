"""The objects a database is shipped as: snapshots and segments of its log, sealed and named."""

import io
import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Literal, cast

import msgspec
import zstandard

from audobon.database.wal_reader import LogPlace
from audobon.errors import Corrupt, CorruptBackup, NewerFormat, SubjectNotFound
from audobon.keys.service import SYSTEM, DataKey, Keys
from audobon.keys.streaming import DecryptingReader, EncryptingWriter
from audobon.storage.port import ObjectStore

PREFIX = "wal/"
_SEGMENT = ".segment"

_MAGIC = b"AUDWAL\0\1"
_CONTEXT = b"audobon wal 1\0"
_HEAD = struct.Struct(">H")
_TAIL = struct.Struct(">I")
_LEVEL = 1
_READ_BYTES = 1 << 20
_MOST_INFO_BYTES = 1 << 20


class Info(msgspec.Struct, frozen=True):
    """What an object tells of itself, at its end.

    id          drawn at random
    previous    id of the segment before, or the generation's name for the first one
    first       number of its first commit; of a snapshot, the same as `last`
    last        number of its last commit: that of which a snapshot is
    at          UTC instant up to which it holds everything; never earlier than that of the one before
    begins      place in the log before its first frame
    ends        place in the log after its last frame
    pages       of the database then
    why         what a generation was begun for
    marks       of segments put together: the last commit of each, and its `at`
    """

    kind: Literal["snapshot", "segment"]
    id: bytes
    previous: bytes
    generation: str
    first: int
    last: int
    at: float
    page_bytes: int
    pages: int
    begins: LogPlace
    ends: LogPlace
    why: str = ""
    marks: tuple[tuple[int, float], ...] = ()

    @property
    def name(self) -> str:
        """The name of the object that tells this."""
        if self.marks:
            return f"{PREFIX}{self.generation}/{self.first:012d}-{self.last:012d}{_SEGMENT}"
        return object_name(self.generation, self.first, self.kind)

    @property
    def ships(self) -> tuple[tuple[int, float], ...]:
        """The last commit, and the instant, of each time something was shipped into it."""
        return self.marks or ((self.last, self.at),)


class Head(msgspec.Struct, frozen=True, array_like=True):
    """The data key of an object, wrapped, as it stands in clear before everything else."""

    key_id: bytes
    subject: str
    subject_version: int
    wrapped: bytes


def generation_name(first_commit: int) -> str:
    """Return a new name; names sort as their generations follow one another."""
    return f"{first_commit:012d}-{secrets.token_hex(4)}"


def object_name(generation: str, commit: int, kind: Literal["snapshot", "segment"]) -> str:
    """Return the name of a snapshot, or of the segment that begins with a commit."""
    return f"{PREFIX}{generation}/{commit:012d}.{kind}"


class ShippedWriter:
    """Writes one object: bytes, compressed and sealed, then what it tells of itself."""

    def __init__(self, file: IO[bytes], key: DataKey, name: str) -> None:
        head = msgspec.msgpack.encode(Head(key.id, key.subject, key.subject_version, key.wrapped))
        start = _MAGIC + _HEAD.pack(len(head)) + head
        file.write(start)
        self._sealing = EncryptingWriter(file, key.key, context=_context(name, start))
        self._packing = zstandard.ZstdCompressor(level=_LEVEL).compressobj()

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        if packed := self._packing.compress(data):
            self._sealing.write(packed)

    def finish(self, info: Info) -> None:
        """End the object."""
        self._sealing.write(self._packing.flush())
        told = msgspec.msgpack.encode(info)
        self._sealing.write(told + _TAIL.pack(len(told)))
        self._sealing.finish()


class ShippedObject:
    """One object to read; every fault is a CorruptBackup that names it."""

    def __init__(self, file: IO[bytes], keys: Keys, name: str) -> None:
        self.name = name
        with naming(name):
            head, start = _head(file, name)
            key = keys.open_data_key(head.key_id, head.subject, head.subject_version, head.wrapped)
            length = file.seek(0, 2) - len(start)
            self._stream = DecryptingReader(
                file, key, context=_context(name, start), start=len(start), length=length
            )
            self.key = DataKey(head.key_id, head.subject, head.subject_version, head.wrapped, key)
            self.info = self._info()

    def plain(self) -> Iterator[bytes]:
        """Yield the bytes it holds, in pieces of at most a mebibyte."""
        with naming(self.name):
            packed = _Packed(self._stream, self._packed_bytes)
            source = cast(IO[bytes], packed)
            # Not by what goes in: a little of it may unfold to all of a database.
            with zstandard.ZstdDecompressor().stream_reader(source, closefd=False) as unpacking:
                while data := unpacking.read(_READ_BYTES):
                    yield data
            if packed.left:
                raise Corrupt("there is something behind its end")

    def _info(self) -> Info:
        size = self._stream.size_bytes
        if size < _TAIL.size:
            raise Corrupt("it is too short")
        self._stream.seek(size - _TAIL.size)
        length = _TAIL.unpack(_read(self._stream, _TAIL.size))[0]
        self._packed_bytes = size - _TAIL.size - length
        if length > _MOST_INFO_BYTES or self._packed_bytes < 0:
            raise Corrupt("what it tells of itself is not whole")
        self._stream.seek(self._packed_bytes)
        info = msgspec.msgpack.decode(_read(self._stream, length), type=Info)
        if info.name != self.name:
            raise Corrupt("it stands under another's name")
        return info


class _Packed(io.RawIOBase):
    """The first bytes of a stream, which are packed."""

    def __init__(self, stream: DecryptingReader, count: int) -> None:
        super().__init__()
        stream.seek(0)
        self._stream = stream
        self.left = count

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill a buffer, as far as there is something."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if not self.left:
            return 0
        count = self._stream.readinto(view[: self.left])
        if not count:
            raise Corrupt("it ends too early")
        self.left -= count
        return count


def read_info(store: ObjectStore, keys: Keys, name: str) -> tuple[Info, DataKey]:
    """Return what an object tells of itself, with its data key. raises ObjectNotFound, CorruptBackup."""
    with store.open(name) as file:
        shipped = ShippedObject(file, keys, name)
        return shipped.info, shipped.key


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Turn what is wrong with an object into a CorruptBackup that names it."""
    try:
        yield
    except CorruptBackup:
        raise
    except (Corrupt, SubjectNotFound) as error:
        raise CorruptBackup(
            f"{name} of the shipped database is not as it was written: {error.message}"
        ) from error
    except (msgspec.MsgspecError, zstandard.ZstdError, struct.error, ValueError, OverflowError) as error:
        raise CorruptBackup(f"{name} of the shipped database is not as it was written: {error}") from error


def new_key(keys: Keys) -> DataKey:
    """Return a data key for what a generation will hold."""
    return keys.new_data_key(SYSTEM)


def _context(name: str, start: bytes) -> bytes:
    # With the wrapped key: else what was changed there would show only to those who have not opened it yet.
    return _CONTEXT + name.encode() + b"\0" + start


def _head(file: IO[bytes], name: str) -> tuple[Head, bytes]:
    """Return the head, and all bytes before the stream."""
    start = _read(file, len(_MAGIC) + _HEAD.size)
    if start[: len(_MAGIC)] != _MAGIC:
        if start[:6] == _MAGIC[:6]:
            raise NewerFormat(f"{name} was written by a newer Audobon", hint="upgrade Audobon")
        raise Corrupt("it does not begin as one")
    length = _HEAD.unpack(start[len(_MAGIC) :])[0]
    head = _read(file, length)
    return msgspec.msgpack.decode(head, type=Head), start + head


def _read(file: IO[bytes] | DecryptingReader, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = file.read(count - len(data))
        if not piece:
            raise Corrupt("it ends too early")
        data += piece
    return data


def start_of(generation: str) -> bytes:
    """Return what the first segment of a generation names as the one before."""
    return generation.encode()
