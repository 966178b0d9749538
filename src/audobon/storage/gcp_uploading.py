"""Brings a file into a bucket piece by piece: a broken connection costs the last piece."""

import json
import re
from contextlib import suppress
from typing import IO, Any
from urllib.parse import urlencode

from audobon.storage.gcp_errors import TIMEOUTS_SECONDS
from audobon.storage.gcp_reading import in_base64

PIECE_BYTES = 8 << 20
"""What is sent at once; a multiple of 256 KiB, as Cloud Storage asks."""

_READ_BYTES = 1 << 20
_MOST_SESSIONS = 3
_RANGE = re.compile(r"bytes=0-(\d+)")
_DONE = (200, 201)


class SessionLost(Exception):
    """Cloud Storage knows the upload no more, or cannot go on with it."""


def crc32c_of(file: IO[bytes]) -> str:
    """Return the CRC32C of a file from its beginning to its end, in base64."""
    import google_crc32c

    file.seek(0)
    found = 0
    while piece := file.read(_READ_BYTES):
        found = google_crc32c.extend(found, piece)
    return in_base64(found)


def upload(
    session: Any,
    host: str,
    bucket: str,
    fields: dict[str, Any],
    file: IO[bytes],
    size_bytes: int,
    *,
    generation: int,
    retry: Any,
) -> dict[str, Any]:
    """Make a file an object; return what Cloud Storage tells of it.

    session     of `requests`, with credentials
    fields      of the object: its name, its CRC32C, which Cloud Storage proves, and so on
    generation  that must live under the name at the end; 0: none may
    retry       of `google.api_core`, what it retries and for how long
    raises      what `google.api_core` and `requests` do, when it was tried long enough; then nothing is left
    """
    query = urlencode({"uploadType": "resumable", "ifGenerationMatch": generation})
    url = f"{host}/upload/storage/v1/b/{bucket}/o?{query}"
    for turn in range(_MOST_SESSIONS):
        sending = _Sending(session, retry, file, size_bytes)
        sending.begin(url, fields)
        try:
            return sending.finish()
        except SessionLost:
            if turn == _MOST_SESSIONS - 1:
                raise
        except BaseException:
            sending.give_up()
            raise
    raise AssertionError("unreachable: the last turn returns or raises")


class _Sending:
    """One session of an upload."""

    def __init__(self, session: Any, retry: Any, file: IO[bytes], size_bytes: int) -> None:
        self._session = session
        self._retry = retry
        self._file = file
        self._size_bytes = size_bytes
        self._where = ""
        self._sent_bytes = 0
        # Whether the other side may have more or less than this side thinks.
        self._is_unsure = False
        self._result: dict[str, Any] | None = None

    def begin(self, url: str, fields: dict[str, Any]) -> None:
        """Ask for an address to send to."""
        headers = {
            "Content-Type": "application/json; charset=UTF-8",
            "X-Upload-Content-Length": str(self._size_bytes),
        }
        answer = self._retry(
            lambda: self._request("POST", url, json.dumps(fields).encode(), headers, _DONE)
        )()
        self._where = answer.headers["Location"]

    def finish(self) -> dict[str, Any]:
        """Send all that is not there yet. raises SessionLost."""
        send = self._retry(self._step)
        while self._result is None:
            send()
        return self._result

    def give_up(self) -> None:
        """Have nothing of it kept; what is not told now goes by itself within a week."""
        with suppress(Exception):
            self._session.delete(self._where, headers={"Content-Length": "0"}, timeout=TIMEOUTS_SECONDS)

    def _step(self) -> None:
        if self._is_unsure:
            self._take(self._put(b"", f"bytes */{self._size_bytes}"))
            self._is_unsure = False
            if self._result is not None:
                return
        self._file.seek(self._sent_bytes)
        piece = self._file.read(min(PIECE_BYTES, self._size_bytes - self._sent_bytes))
        last = self._sent_bytes + len(piece) - 1
        said = f"{self._sent_bytes}-{last}" if piece else "*"
        before = self._sent_bytes
        self._is_unsure = True
        self._take(self._put(piece, f"bytes {said}/{self._size_bytes}"))
        self._is_unsure = False
        if self._result is None and self._sent_bytes <= before:
            raise SessionLost(f"nothing of what was sent from byte {before} on was taken")

    def _put(self, piece: bytes, content_range: str) -> Any:
        headers = {"Content-Range": content_range}
        try:
            return self._request("PUT", self._where, piece, headers, (*_DONE, 308))
        except Exception as error:
            if getattr(error, "code", None) in (404, 410):
                raise SessionLost(str(error)) from error
            raise

    def _take(self, answer: Any) -> None:
        if answer.status_code in _DONE:
            self._result = answer.json()
            return
        match = _RANGE.fullmatch(answer.headers.get("Range", ""))
        self._sent_bytes = 0 if match is None else int(match[1]) + 1

    def _request(
        self, method: str, url: str, body: bytes, headers: dict[str, str], expected: tuple[int, ...]
    ) -> Any:
        from google.api_core.exceptions import from_http_response

        # A 308 is an answer here, and leads nowhere else.
        answer = self._session.request(
            method, url, data=body, headers=headers, timeout=TIMEOUTS_SECONDS, allow_redirects=False
        )
        if answer.status_code not in expected:
            raise from_http_response(answer)
        return answer
