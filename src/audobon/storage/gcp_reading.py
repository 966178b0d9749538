"""Reads an object of a bucket where it lies: from any place in it, and on after a break."""

import io
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from audobon.errors import CorruptBlob
from audobon.storage.gcp_errors import TIMEOUTS_SECONDS, bucket_errors, missing

_FIRST_BYTES = 1 << 20
_SKIPPED_BYTES = 256 << 10
_RANGE = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")
_CRC32C = re.compile(r"crc32c=([A-Za-z0-9+/=]+)")


class _Facts(msgspec.Struct, frozen=True):
    """What an answer tells of its object; crc32c in base64, "" when it is not told."""

    size_bytes: int
    generation: str
    crc32c: str


class BucketReader(io.RawIOBase):
    """An object, to read and to move in; opened at once. Read from end to end, its CRC32C is proved.

    Reading goes on from a stream of bytes as long as it is read in order. What is read stays the same object
    when its tier changes meanwhile; when it is deleted, what the stream brings still is read to its end.

    session  of `requests`, with credentials
    url      where its bytes are had
    retry    of `google.api_core`, what it retries and for how long
    name     of the object, for messages, and where it lies
    raises   ObjectNotFound, CorruptBlob, Unavailable, CloudDenied, CloudUnavailable
    """

    def __init__(self, session: Any, url: str, *, retry: Any, name: str, where: str) -> None:
        super().__init__()
        self._session = session
        self._url = url
        self._retry = retry
        self._name = name
        self._where = where
        self._answer: Any = None
        self._position = 0
        self._stream_position = 0
        self._stream_end = 0
        self._summed_bytes = 0
        self._sum = 0
        self._facts: _Facts | None = None
        self._size_bytes: int = self._repeated(lambda: self._connect(_FIRST_BYTES))

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Return the present position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, which costs nothing before something is read there."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as far as the stream brings something; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._position >= self._size_bytes or not view:
            return 0
        piece: bytes = self._repeated(lambda: self._read(min(len(view), self._size_bytes - self._position)))
        view[: len(piece)] = piece
        self._add(piece)
        self._position += len(piece)
        return len(piece)

    def readall(self) -> bytes:
        """Return all from here to the end."""
        found = bytearray(max(0, self._size_bytes - self._position))
        view, filled = memoryview(found), 0
        while count := self.readinto(view[filled:]):
            filled += count
        return bytes(view[:filled])

    def close(self) -> None:
        """Let go of the connection."""
        self._disconnect()
        super().close()

    def _repeated(self, act: Callable[[], Any]) -> Any:
        with bucket_errors("reading", self._name, self._where):
            return self._retry(act)()

    def _read(self, most_bytes: int) -> bytes:
        """Return what comes next from the present position; at least one byte."""
        from requests.exceptions import ConnectionError as Broken

        try:
            gap = self._position - self._stream_position
            if self._answer is None or not 0 <= gap <= _SKIPPED_BYTES or self._position >= self._stream_end:
                self._connect()
            elif gap:
                self._stream_position += len(self._answer.raw.read(gap, decode_content=False))
            piece = bytes(self._answer.raw.read(most_bytes, decode_content=False))
            if not piece:
                raise Broken(f"the answer ended {self._stream_end - self._position} bytes too early")
        except BaseException:
            self._disconnect()
            raise
        self._stream_position += len(piece)
        return piece

    def _connect(self, most_bytes: int | None = None) -> int:
        """Ask for the bytes from the present position on, of the same object as before; return its size."""
        self._disconnect()
        end = "" if most_bytes is None else str(self._position + most_bytes - 1)
        answer = self._ask(f"bytes={self._position}-{end}")
        if answer.status_code == 404 and self._facts is not None and self._has_moved():
            answer = self._ask(f"bytes={self._position}-{end}")
        if answer.status_code not in (200, 206, 416):
            from google.api_core.exceptions import from_http_response

            try:
                raise from_http_response(answer)
            finally:
                answer.close()
        found = _facts(answer)
        self._facts = self._facts or found
        if (found.size_bytes, found.crc32c) != (self._facts.size_bytes, self._facts.crc32c):
            answer.close()
            # Objects never change: it is another's.
            raise missing(self._name)
        self._answer = answer
        self._stream_position = 0 if answer.status_code == 200 else self._position
        told = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")[0]
        self._stream_end = int(told.partition("-")[2]) + 1 if "-" in told else found.size_bytes
        return found.size_bytes

    def _ask(self, asked: str) -> Any:
        parameters = {"alt": "media"}
        if self._facts is not None and self._facts.generation:
            parameters["generation"] = self._facts.generation
        headers = {"Range": asked, "Accept-Encoding": "identity"}
        return self._session.get(
            self._url, params=parameters, headers=headers, stream=True, timeout=TIMEOUTS_SECONDS
        )

    def _has_moved(self) -> bool:
        """Tell whether the same bytes lie under the name in another generation; that one is read then."""
        facts, self._facts = self._facts, None
        assert facts is not None
        answer = self._ask("bytes=0-0")
        found = _facts(answer) if answer.status_code == 206 else None
        answer.close()
        is_same = found is not None and (found.size_bytes, found.crc32c) == (facts.size_bytes, facts.crc32c)
        self._facts = found if is_same else facts
        return is_same

    def _disconnect(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _add(self, piece: bytes) -> None:
        """Add to the sum what was read in order from the beginning; prove it at the end."""
        if self._position != self._summed_bytes or self._facts is None or not self._facts.crc32c:
            return
        import google_crc32c

        self._sum = google_crc32c.extend(self._sum, piece)
        self._summed_bytes += len(piece)
        if self._summed_bytes == self._size_bytes and in_base64(self._sum) != self._facts.crc32c:
            raise CorruptBlob(f"{self._where}/{self._name} is not as it was written, or came damaged")


def open_reader(
    session: Any, host: str, bucket: str, full_name: str, *, retry: Any, name: str, where: str
) -> io.BufferedReader:
    """Return an object of a bucket to read, buffered. raises as `BucketReader`."""
    url = f"{host}/download/storage/v1/b/{quote(bucket, safe='')}/o/{quote(full_name, safe='')}"
    return io.BufferedReader(BucketReader(session, url, retry=retry, name=name, where=where), _FIRST_BYTES)


def in_base64(crc32c: int) -> str:
    """Return a CRC32C as Cloud Storage writes it."""
    import base64

    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()


def _facts(answer: Any) -> _Facts:
    match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    size = int(match[1]) if match is not None else int(answer.headers.get("Content-Length") or 0)
    sums = _CRC32C.search(answer.headers.get("x-goog-hash", ""))
    return _Facts(size, answer.headers.get("x-goog-generation", ""), "" if sums is None else sums[1])
