"""Reads a stream on a thread of its own: what is made while it is read is made beside its use."""

import queue
import threading
from types import TracebackType
from typing import IO

# What fits into a core's own memory is copied, hashed and cut up faster than more of it.
_PIECE_BYTES = 1 << 18
_PIECES = 16


class ReadingAhead:
    """A stream read a few MiB ahead, in order; nothing else may touch it until the block ends.

    What goes wrong in the stream is raised by the read that comes to it.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._pieces: queue.Queue[bytes | BaseException] = queue.Queue(_PIECES)
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reading ahead", daemon=True)
        self._held = memoryview(b"")
        self._ended: BaseException | None = None
        self._is_through = False

    def __enter__(self) -> "ReadingAhead":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._given_up.set()
        # Room for the one piece that it may be waiting to put.
        while self._thread.is_alive():
            try:
                self._pieces.get(timeout=0.01)
            except queue.Empty:
                continue
        self._thread.join()

    def read(self, count: int = -1) -> bytes:
        """Return at most so many bytes, none at the end. raises what reading the stream raised."""
        if not self._held and not self._is_through:
            self._take()
        if self._ended is not None:
            raise self._ended
        if count < 0 or count >= len(self._held):
            data, self._held = bytes(self._held), memoryview(b"")
        else:
            data, self._held = bytes(self._held[:count]), self._held[count:]
        return data

    def _take(self) -> None:
        piece = self._pieces.get()
        if isinstance(piece, BaseException):
            self._ended = piece
        else:
            self._held = memoryview(piece)
        self._is_through = not self._held

    def _run(self) -> None:
        while not self._given_up.is_set():
            try:
                piece = self._stream.read(_PIECE_BYTES)
            except BaseException as error:  # noqa: BLE001 - raised by the reader
                self._pieces.put(error)
                return
            self._pieces.put(piece)
            if not piece:
                return
