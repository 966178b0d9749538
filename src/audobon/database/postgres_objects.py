"""What a PostgreSQL server is kept as: objects, compressed and sealed with a key of Audobon's own.

An object is bound to its name, so that none can stand in for another.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TypeVar, cast

import msgspec
import zstandard

from audobon.errors import Corrupt, CorruptBackup, NewerFormat, ObjectNotFound, SubjectNotFound
from audobon.keys.service import SYSTEM, Keys
from audobon.keys.streaming import DecryptingReader, EncryptingWriter
from audobon.storage.port import ObjectStore

_MAGIC = b"AUDPG\0\1"
_CONTEXT = b"audobon postgres 1\0"
_HEAD_BYTES = struct.Struct(">H")
_READ_BYTES = 1 << 20

Told = TypeVar("Told")


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """The data key, wrapped, as it stands in clear before everything else."""

    key_id: bytes
    subject_version: int
    wrapped: bytes


class PostgresObjects:
    """Sealed objects in a store."""

    def __init__(self, store: ObjectStore, keys: Keys) -> None:
        self.store = store
        self._keys = keys

    @contextmanager
    def create(self, name: str) -> Iterator["SealedWriter"]:
        """Write a new object, which is there when the block ends well. raises as the store."""
        with self.store.create(name) as file:
            key = self._keys.new_data_key(SYSTEM)
            head = msgspec.msgpack.encode(_Head(key.id, key.subject_version, key.wrapped))
            file.write(_MAGIC + _HEAD_BYTES.pack(len(head)) + head)
            writer = SealedWriter(EncryptingWriter(file, key.key, context=_context(name, head)))
            yield writer
            writer.finish()

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Read an object from its beginning. raises CorruptBackup naming it, also when it is missing."""
        with naming(name):
            try:
                with self.store.open(name) as file:
                    stream = cast("IO[bytes]", self._stream(file, name))
                    yield zstandard.ZstdDecompressor().stream_reader(stream, read_size=_READ_BYTES)
            except ObjectNotFound as error:
                raise CorruptBackup(f"{name} is missing", hint="audobon database postgres list") from error

    def read(self, name: str) -> bytes:
        """Return all of a small object. raises CorruptBackup."""
        with self.open(name) as file:
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        """Write a small object."""
        with self.create(name) as file:
            file.write(data)

    def told(self, name: str, kind: type[Told]) -> Told:
        """Return an object of JSON. raises CorruptBackup."""
        with naming(name):
            return msgspec.json.decode(self.read(name), type=kind)

    def has(self, name: str) -> bool:
        """Tell whether there is an object."""
        try:
            self.store.stat(name)
        except ObjectNotFound:
            return False
        return True

    def _stream(self, file: IO[bytes], name: str) -> DecryptingReader:
        start = file.read(len(_MAGIC) + _HEAD_BYTES.size)
        if start[: len(_MAGIC)] != _MAGIC:
            if start[: len(_MAGIC) - 1] == _MAGIC[:-1]:
                raise NewerFormat(f"{name} was written by a newer Audobon", hint="upgrade Audobon")
            raise Corrupt("it does not begin as one")
        if len(start) != len(_MAGIC) + _HEAD_BYTES.size:
            raise Corrupt("it ends too early")
        length = _HEAD_BYTES.unpack(start[len(_MAGIC) :])[0]
        raw = file.read(length)
        head = msgspec.msgpack.decode(raw, type=_Head)
        key = self._keys.open_data_key(head.key_id, SYSTEM, head.subject_version, head.wrapped)
        begin = len(start) + length
        return DecryptingReader(
            file, key, context=_context(name, raw), start=begin, length=file.seek(0, 2) - begin
        )


class SealedWriter:
    """Takes bytes, compresses and seals them."""

    def __init__(self, sealing: EncryptingWriter) -> None:
        self._sealing = sealing
        # Zeros, of which logs are full, become nothing at the lowest level too.
        self._packing = zstandard.ZstdCompressor(level=1).compressobj()

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        if packed := self._packing.compress(data):
            self._sealing.write(packed)

    def finish(self) -> None:
        """End the object."""
        self._sealing.write(self._packing.flush())
        self._sealing.finish()


def _context(name: str, head: bytes) -> bytes:
    # With the head: a key that is held in memory would be used whatever is written there.
    return _CONTEXT + name.encode() + b"\0" + head


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Turn what is wrong with an object into a CorruptBackup that names it."""
    try:
        yield
    except CorruptBackup:
        raise
    except (Corrupt, SubjectNotFound) as error:
        raise _corrupt(name, error.message) from error
    except (msgspec.MsgspecError, zstandard.ZstdError, struct.error) as error:
        raise _corrupt(name, str(error)) from error


def _corrupt(name: str, what: str) -> CorruptBackup:
    return CorruptBackup(f"{name} is not as it was written: {what}", hint="audobon database postgres verify")
