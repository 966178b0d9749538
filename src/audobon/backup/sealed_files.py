"""Small files as encrypted objects, each named by what it holds: an unchanged one is there already."""

import io
import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import blake3

from audobon.atomic import disk_errors
from audobon.backup.copying import digest_of
from audobon.backup.files import SmallFile
from audobon.backup.manifest import FileEntry
from audobon.backup.repository import FILES
from audobon.errors import Corrupt, CorruptBackup, NewerFormat, NotFound, ObjectExists
from audobon.keys.service import SYSTEM, Keys
from audobon.keys.streaming import DecryptingReader, EncryptingWriter
from audobon.storage.port import ObjectStore

_MAGIC = b"AUDOFIL1"
_HEAD = struct.Struct(">8s16sIH")
_PIECE_BYTES = 1 << 20
_PATH_CONTEXT = b"path of a file in a backup"


def keep_file(
    store: ObjectStore, keys: Keys, file: SmallFile, known: dict[str, FileEntry]
) -> tuple[FileEntry, int]:
    """Put a file into a store unless the same bytes are there; return its entry and the bytes added.

    known   entries of the backup before that are there in their size, by the names of their objects: their
            digests need not be found again
    raises  Denied, DiskFull, NotFound when it went away meanwhile
    """
    with disk_errors(file.source), file.source.open("rb") as source:
        size_bytes = source.seek(0, io.SEEK_END)
        name = FILES + _id(keys, source, size_bytes)
        sealed_path = keys.seal_text(SYSTEM, file.path, context=_PATH_CONTEXT)
        before = known.get(name)
        if before is not None:
            return FileEntry(file.role, sealed_path, before.object, before.size_bytes, before.digest), 0
        try:
            with store.create(name) as target:
                _encrypt(keys, name, source, target, size_bytes)
        except ObjectExists:
            added = True
            with suppress(NewerFormat), store.open(name) as there:
                added = not is_sound(keys, there, name)
            if added:
                # It cannot be changed, but another name can be had.
                name = f"{name}-{secrets.token_hex(4)}"
                with store.create(name) as target:
                    _encrypt(keys, name, source, target, size_bytes)
        else:
            added = True
    digest, stored_bytes = digest_of(store, name)
    return FileEntry(file.role, sealed_path, name, stored_bytes, digest), stored_bytes if added else 0


def path_of(keys: Keys, entry: FileEntry) -> str:
    """Return where a file of a backup lay in the data folder. raises CorruptKeyring."""
    return keys.unseal_text(entry.sealed_path, context=_PATH_CONTEXT)


def restore_file(store: ObjectStore, keys: Keys, entry: FileEntry, target: IO[bytes]) -> None:
    """Write what a file of a backup held. raises ObjectNotFound, CorruptBackup, Corrupt."""
    with _opened(store, keys, entry.object) as plain:
        while piece := plain.read(_PIECE_BYTES):
            target.write(piece)


def name_of(keys: Keys, file: SmallFile) -> str:
    """Return the name of the object a file is kept as, by what it holds now. raises NotFound, Denied."""
    with disk_errors(file.source), file.source.open("rb") as source:
        return FILES + _id(keys, source, source.seek(0, io.SEEK_END))


def is_sound(keys: Keys, file: IO[bytes], name: str) -> bool:
    """Tell whether an object holds what its name says, whoever encrypted it and when. raises NewerFormat."""
    found = blake3.blake3(key=keys.blob_id_key(SYSTEM))
    try:
        plain = _plain(file, keys, name)
        while piece := plain.read(_PIECE_BYTES):
            found.update(piece)
    except Corrupt:
        return False
    return name.partition("-")[0] == FILES + found.hexdigest()


@contextmanager
def _opened(store: ObjectStore, keys: Keys, name: str) -> Iterator[IO[bytes]]:
    with store.open(name) as file:
        yield _plain(file, keys, name)


def _plain(file: IO[bytes], keys: Keys, name: str) -> IO[bytes]:
    file.seek(0)
    head = file.read(_HEAD.size)
    if head[:7] == _MAGIC[:7] and head[7:8] > _MAGIC[7:]:
        raise NewerFormat(f"{name} was written by a newer Audobon", hint="upgrade Audobon")
    if len(head) < _HEAD.size or not head.startswith(_MAGIC):
        raise CorruptBackup(f"{name} is no file of a backup")
    _, key_id, version, wrapped_bytes = _HEAD.unpack(head)
    wrapped = file.read(wrapped_bytes)
    start = _HEAD.size + wrapped_bytes
    length = file.seek(0, io.SEEK_END) - start
    key = keys.open_data_key(key_id, SYSTEM, version, wrapped)
    reader = DecryptingReader(file, key, context=_context(name), start=start, length=length)
    return io.BufferedReader(reader, _PIECE_BYTES)


def _encrypt(keys: Keys, name: str, source: IO[bytes], target: IO[bytes], size_bytes: int) -> None:
    key = keys.new_data_key(SYSTEM)
    target.write(_HEAD.pack(_MAGIC, key.id, key.subject_version, len(key.wrapped)) + key.wrapped)
    writer = EncryptingWriter(target, key.key, context=_context(name))
    for piece in _pieces(source, size_bytes):
        writer.write(piece)
    writer.finish()


def _id(keys: Keys, source: IO[bytes], size_bytes: int) -> str:
    found = blake3.blake3(key=keys.blob_id_key(SYSTEM))
    for piece in _pieces(source, size_bytes):
        found.update(piece)
    return found.hexdigest()


def _pieces(source: IO[bytes], size_bytes: int) -> Iterator[bytes]:
    """Yield a file as far as it went when it was opened: a log grows."""
    source.seek(0)
    while size_bytes > 0:
        piece = source.read(min(_PIECE_BYTES, size_bytes))
        if not piece:
            raise NotFound("a file was cut short while it was read", hint="run the same command again")
        size_bytes -= len(piece)
        yield piece


def _context(name: str) -> bytes:
    return b"audobon file 1\0" + name.encode()


def plain_path(folder: Path, relative: str) -> Path:
    """Return where a restored file goes; CorruptBackup when its path would leave the folder."""
    parts = Path(relative).parts
    if not parts or Path(relative).is_absolute() or ".." in parts:
        raise CorruptBackup(f"{relative!r} is no path of a file in a data folder")
    return folder.joinpath(*parts)
