"""Content-addressed blobs on disk."""

import math
import os
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import blake3

from audobon.atomic import disk_errors, sync_folder
from audobon.errors import BlobNotFound, CorruptBlob
from audobon.processes import FileLock

_PIECE_BYTES = 1 << 20


class BlobWriter:
    """A blob being written; `key` is known once the block that wrote it has ended."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = blake3.blake3()
        self.size_bytes = 0
        self.key = ""

    def write(self, data: Any) -> int:
        """Append bytes."""
        self._hash.update(data)
        self.size_bytes += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        self._file.flush()

    def seal(self) -> str:
        """Return the key of what was written so far."""
        self.key = self._hash.hexdigest()
        return self.key


def blob_key(data: bytes) -> str:
    """Return the key that these bytes have, or would have, in storage."""
    return blake3.blake3(data).hexdigest()


class Storage:
    """Blobs under a folder, each named by the BLAKE3 of its bytes.

    A key is returned only once the bytes would survive a power cut. Writing the same bytes twice keeps
    one copy. Safe for many processes at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "blobs"
        self._incoming = self._folder / "incoming"
        self._lock = folder / "locks" / "blobs.lock"

    @contextmanager
    def writing(self) -> Iterator[BlobWriter]:
        """Write a blob in pieces; it exists, under `writer.key`, when the block ends well.

        raises  DiskFull, Denied
        """
        temporary = self._incoming / f"{os.getpid()}-{secrets.token_hex(8)}"
        with disk_errors(self._folder):
            self._incoming.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb") as file:
                    writer = BlobWriter(file)
                    yield writer
                    file.flush()
                    os.fsync(file.fileno())
                target = self._path(writer.seal())
                target.parent.mkdir(exist_ok=True)
                temporary.replace(target)
                sync_folder(target.parent)
                # The folder of this key may itself be new.
                sync_folder(self._folder)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Keep blobs from being removed until what needs them is on record.

        Hold it from before a blob gets its key until the row that names the key is committed.
        """
        with FileLock(self._lock, purpose="removing blobs", wait=True, shared=True):
            yield

    def put(self, data: bytes) -> str:
        """Keep some bytes; return their key."""
        with self.writing() as writer:
            writer.write(data)
        return writer.key

    def get(self, key: str) -> bytes:
        """Return a blob whole, checked against its key.

        raises  BlobNotFound, CorruptBlob
        """
        with self.open(key) as file:
            data = file.read()
        if blob_key(data) != key:
            raise self._set_aside(key)
        return data

    @contextmanager
    def open(self, key: str) -> Iterator[IO[bytes]]:
        """Open a blob for reading; BlobNotFound when there is none."""
        with disk_errors(self._path(key)):
            try:
                file = self._path(key).open("rb")
            except FileNotFoundError as error:
                raise BlobNotFound(f"no blob {key[:12]}…", hint="run the job again") from error
        with file:
            yield file

    def copy_to(self, key: str, target: IO[bytes]) -> None:
        """Write a blob to a stream piece by piece, checked against its key.

        raises  BlobNotFound, CorruptBlob after the last piece
        """
        found = blake3.blake3()
        with self.open(key) as file:
            while piece := file.read(_PIECE_BYTES):
                found.update(piece)
                target.write(piece)
        if found.hexdigest() != key:
            raise self._set_aside(key)

    def _set_aside(self, key: str) -> CorruptBlob:
        """Move a damaged blob out of the way, so that the same bytes can be stored anew."""
        damaged = self._folder / "damaged"
        damaged.mkdir(exist_ok=True)
        # Another reader may have found the damage first.
        with suppress(FileNotFoundError):
            self._path(key).replace(damaged / key)
        return CorruptBlob(
            f"blob {key[:12]}… is not what was stored; it was moved to {damaged}",
            hint="run the same command again: what it held is made anew; and check the disk",
        )

    def has(self, key: str) -> bool:
        """Tell whether a blob is there."""
        return self._path(key).is_file()

    def is_intact(self, key: str) -> bool:
        """Tell whether a blob is there with every byte as it was stored; a damaged one is set aside."""
        try:
            found = blake3.blake3(max_threads=blake3.blake3.AUTO).update_mmap(self._path(key)).hexdigest()
        except OSError:
            return False
        if found != key:
            self._set_aside(key)
        return found == key

    def keys(self) -> Iterator[str]:
        """Yield the key of every blob, in no order."""
        for folder in self._folder.glob("??"):
            for path in folder.iterdir():
                yield folder.name + path.name

    def sweep(self, needed: Callable[[], Collection[str]], *, broken_before: float) -> int:
        """Remove blobs nobody needs, and writes broken off long ago; return how many bytes came free.

        needed         asked for the keys still needed once nobody can add one
        broken_before  UTC instant; unfinished writes older than it have no writer any more
        raises         AlreadyRunning when somebody is putting blobs on record right now
        """
        freed = 0
        with FileLock(self._lock, purpose="work with blobs"):
            keep = needed()
            for key in list(self.keys()):
                if key not in keep:
                    freed += _remove(self._path(key))
            if self._incoming.is_dir():
                for path in self._incoming.iterdir():
                    freed += _remove(path, older_than=broken_before)
        return freed

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]


def _remove(path: Path, *, older_than: float = math.inf) -> int:
    try:
        status = path.stat()
        if status.st_mtime >= older_than:
            return 0
        path.unlink()
    except FileNotFoundError:
        return 0
    return status.st_size
