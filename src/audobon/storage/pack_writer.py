"""Writes blobs in pieces: small ones go to an open pack, large ones into a pack of their own."""

import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import IO, Any

import blake3

from audobon.atomic import make_private_folder
from audobon.keys.streaming import HEADER_BYTES as STREAM_HEADER_BYTES
from audobon.keys.streaming import EncryptingWriter
from audobon.storage import zstd_frames
from audobon.storage.pack_format import BLOB, HEAD_BYTES, ZSTD, Head, Header, PackCipher

LONE_BYTES = 1 << 20
"""Blobs of this size and more get a pack of their own."""

_AHEAD_PIECES = 4
_READ_BYTES = 1 << 20


class LonePack:
    """A pack of one blob, being written under a temporary name.

    Hashing and encrypting go on while another thread writes.
    """

    def __init__(self, folder: Path, header: Header, cipher: PackCipher, *, is_packed: bool) -> None:
        make_private_folder(folder)
        self.header = header
        self.path = folder / f"{os.getpid()}-{secrets.token_hex(8)}.part"
        self._cipher = cipher
        self._is_packed = is_packed
        self._lengths: list[int] = []
        self._pending = bytearray()
        self._file = self.path.open("x+b", buffering=0)
        self._behind = _WriteBehind(self._file, start=len(header.data) + HEAD_BYTES)
        self._stream = EncryptingWriter(self._behind, cipher.key, context=cipher.context)  # type: ignore[arg-type]
        self._sync_error: OSError | None = None
        self.size_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes of the blob."""
        self.size_bytes += len(data)
        if not self._is_packed:
            self._stream.write(data)
            return
        self._pending += data
        whole = len(self._pending) - len(self._pending) % zstd_frames.PIECE_BYTES
        self._compress(whole)

    def finish(self, blob_id: bytes, flags: int, created_at: float) -> tuple[Head, int, str]:
        """Write what is left; return the record's head, the size of the file and the digest of it."""
        if self._is_packed:
            self._compress(len(self._pending))
            self._stream.write(zstd_frames.table(self._lengths))
            flags |= ZSTD
        self._stream.finish()
        stored_bytes = self._behind.finish()
        head = Head(BLOB, flags, blob_id, self.size_bytes, stored_bytes, created_at)
        start = len(self.header.data)
        beginning = self.header.data + self._cipher.seal_head(head, self._behind.beginning)
        os.pwrite(self._file.fileno(), beginning, 0)
        # The digest needs all bytes in their order, and the head was known last. The disk works meanwhile.
        syncing = threading.Thread(target=self._sync)
        syncing.start()
        found = self._digest()
        syncing.join()
        if self._sync_error is not None:
            # Told only once: the sync below would not know of it.
            raise self._sync_error
        footer = self._cipher.seal_footer([(start, head)], found.digest())
        end = start + head.record_bytes
        os.pwrite(self._file.fileno(), footer, end)
        os.fsync(self._file.fileno())
        self._file.close()
        return head, end + len(footer), found.update(footer).hexdigest()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._behind.abandon()
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _compress(self, count: int) -> None:
        with memoryview(self._pending) as view:
            for at in range(0, count, zstd_frames.PIECE_BYTES):
                frame = zstd_frames.compressed(view[at : min(count, at + zstd_frames.PIECE_BYTES)])
                self._lengths.append(len(frame))
                self._stream.write(frame)
        del self._pending[:count]

    def _sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self._sync_error = error

    def _digest(self) -> "blake3.blake3":
        found = blake3.blake3()
        at = 0
        while piece := os.pread(self._file.fileno(), _READ_BYTES, at):
            found.update(piece)
            at += len(piece)
        return found


class _WriteBehind:
    """Writes what it is given in another thread, a few pieces behind.

    beginning  the header of the stream, which comes first
    """

    def __init__(self, file: IO[bytes], *, start: int) -> None:
        self._file = file
        self._start = self._at = start
        self._pieces: Queue[bytes | None] = Queue(maxsize=_AHEAD_PIECES)
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self.beginning = b""

    def write(self, data: bytes) -> int:
        """Take a piece; raises what an earlier one met."""
        if self._error is not None:
            raise self._error
        if len(self.beginning) < STREAM_HEADER_BYTES:
            self.beginning += data[: STREAM_HEADER_BYTES - len(self.beginning)]
        self._pieces.put(data)
        return len(data)

    def finish(self) -> int:
        """Wait until all is written; return how many bytes it was."""
        self.abandon()
        if self._error is not None:
            raise self._error
        return self._at - self._start

    def abandon(self) -> None:
        """Wait for the thread, whatever it met."""
        if self._thread.is_alive():
            self._pieces.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (piece := self._pieces.get()) is not None:
            if self._error is not None:
                continue
            try:
                done = 0
                while done < len(piece):
                    done += os.pwrite(self._file.fileno(), memoryview(piece)[done:], self._at + done)
                self._at += len(piece)
            except OSError as error:
                self._error = error


class BlobWriter:
    """A blob being written; `key` is known once the block that wrote it has ended."""

    def __init__(
        self,
        hashes: tuple["blake3.blake3", ...],
        begin_pack: Callable[[bool], LonePack],
    ) -> None:
        self._hashes = hashes
        self._begin_pack = begin_pack
        self.start = bytearray()
        self.lone: LonePack | None = None
        self.size_bytes = 0
        self.key = ""

    def write(self, data: Any) -> int:
        """Append bytes."""
        for each in self._hashes:
            each.update(data)
        count = len(data)
        self.size_bytes += count
        if self.lone is not None:
            self.lone.write(data)
        elif self.size_bytes < LONE_BYTES:
            self.start += data
        else:
            self.start += data
            self.lone = self._begin_pack(zstd_frames.helps(self.start))
            self.lone.write(self.start)
            self.start = bytearray()
        return count

    def flush(self) -> None:
        """Do nothing: what is written is taken at once."""

    def digests(self) -> list[bytes]:
        """Return the hashes of what was written so far."""
        return [each.digest() for each in self._hashes]

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self.lone is not None:
            self.lone.abandon()
