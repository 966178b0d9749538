"""How bytes come into a fake Cloud Storage: at once, with their description, or piece by piece."""

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from fakes.refusal import Refused
from fakes.storage_fields import bad
from fakes.storage_state import DAY_SECONDS

PIECE_BYTES = 256 * 1024
"""A piece of an upload, but for the last, has a multiple of this."""

_SESSION_SECONDS = 7 * DAY_SECONDS
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class Session(msgspec.Struct, kw_only=True):
    """An upload piece by piece.

    done  the answer to its last piece, given again to whoever asks again
    """

    id: str
    bucket: str
    tree: dict[str, Any]
    parameters: dict[str, str]
    begun_at: float
    total_bytes: int | None = None
    data: bytearray = msgspec.field(default_factory=bytearray)
    done: dict[str, Any] | None = None


class Sessions:
    """The uploads under way."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    @property
    def unfinished(self) -> list[Session]:
        """Those that are not over."""
        return [each for each in self._sessions.values() if each.done is None]

    def begin(
        self, bucket: str, tree: dict[str, Any], parameters: Mapping[str, str], total: str | None, now: float
    ) -> Session:
        """Begin an upload."""
        session = Session(
            id=secrets.token_urlsafe(24),
            bucket=bucket,
            tree=tree,
            parameters=dict(parameters),
            begun_at=now,
            total_bytes=None if total is None else int(total),
        )
        self._sessions[session.id] = session
        return session

    def find(self, upload_id: str, now: float) -> Session:
        """Return an upload that is under way, or just over. raises Refused when there is none any more."""
        session = self._sessions.get(upload_id)
        if session is None or now - session.begun_at >= _SESSION_SECONDS:
            self._sessions.pop(upload_id, None)
            raise Refused(404, "No such upload session", reason="notFound")
        return session

    def cancel(self, upload_id: str, now: float) -> None:
        """Give an upload up."""
        del self._sessions[self.find(upload_id, now).id]


def take_piece(session: Session, content_range: str | None, piece: bytes, *, is_cut: bool) -> bool:
    """Add a piece to an upload; tell whether it is whole now. raises Refused.

    content_range  as the header says it; None: all in one
    is_cut         the connection broke: `piece` is what came, of whatever the header says
    """
    if content_range is None:
        start, end, total = 0, None, None
    else:
        match = _RANGE.fullmatch(content_range)
        if match is None:
            raise bad(f"Invalid Content-Range: {content_range}")
        start = len(session.data) if match[1] is None else int(match[1])
        end = None if match[2] is None else int(match[2])
        total = None if match[3] == "*" else int(match[3])
        if match[1] is None and piece:
            raise bad("A piece must say where it belongs")
    if total is not None and session.total_bytes not in (None, total):
        raise bad(f"The upload was said to have {session.total_bytes} bytes, and now {total}")
    if end is not None and not is_cut and end - start + 1 != len(piece):
        raise bad(f"Content-Range says {end - start + 1} bytes, and {len(piece)} came")
    if start > len(session.data):
        raise Refused(503, "bytes before these are missing", reason="backendError")
    total = session.total_bytes if total is None else total
    if content_range is None and not is_cut:
        total = len(piece)
    is_last = end is None or end + 1 == total
    if not is_last and not is_cut and len(piece) % PIECE_BYTES:
        raise bad(f"A piece must have a multiple of {PIECE_BYTES} bytes, not {len(piece)}")
    session.total_bytes = total
    # What is there already is passed over; what is kept of a broken piece ends at a whole one.
    fresh = piece[len(session.data) - start :]
    if is_cut:
        fresh = fresh[: len(fresh) - (len(session.data) + len(fresh)) % PIECE_BYTES]
    session.data += fresh
    return not is_cut and session.total_bytes is not None and len(session.data) == session.total_bytes


def parse_related(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes, str]:
    """Return the description and the bytes of a multipart/related body, and the type of the bytes."""
    match = re.search(r'boundary="?([^";]+)"?', content_type)
    if match is None:
        raise bad("multipart/related needs a boundary")
    boundary = b"--" + match[1].encode()
    parts = body.split(boundary + b"\r\n")
    if len(parts) != 3 or not parts[2].endswith(b"\r\n" + boundary + b"--"):
        raise bad("A multipart upload has two parts: the description and the bytes")
    _, _, text = parts[1].partition(b"\r\n\r\n")
    head, _, data = parts[2].removesuffix(b"\r\n" + boundary + b"--").partition(b"\r\n\r\n")
    try:
        tree = json.loads(text)
    except ValueError:
        raise Refused(400, "Parse Error", reason="parseError") from None
    return tree, data, head.decode().partition(":")[2].strip()
