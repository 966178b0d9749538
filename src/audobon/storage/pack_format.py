"""The bytes of a pack: header, records, footer (docs/reference/pack-format.md).

Everything in it is bound to its header: a record that is changed, moved into another pack or given another
head, is noticed by whoever has the pack's data key.
"""

import struct

import blake3
import msgspec

from audobon.errors import Corrupt, NewerFormat
from audobon.keys.streaming import HEADER_BYTES as STREAM_HEADER_BYTES
from audobon.storage.facts import KINDS, Kind

FORMAT = 1
BLOB, NOTE = 1, 2
ZSTD, LEGACY = 1, 2

_MAGIC = b"AUDOPACK"
_END_MAGIC = b"AUDOEND1"
RECORD_MAGIC = b"\x89REC"
FOOTER_MAGIC = b"\x89DIR"

_PREFIX = struct.Struct(">8sHH")
_FIXED = struct.Struct(">16sBd16sIBH")
_CHECK_BYTES = 16
_HEAD = struct.Struct(">BB32sQQd")
_OFFSET = struct.Struct(">Q")
_COUNT = struct.Struct(">I")

HEAD_BYTES = len(RECORD_MAGIC) + _HEAD.size + _CHECK_BYTES
"""What lies before the encrypted stream of a record."""

PROBE_BYTES = HEAD_BYTES + STREAM_HEADER_BYTES
"""What `PackCipher.open_head` must see of a record: its head is bound to the beginning of its stream."""

MOST_HEADER_BYTES = 4096
_LATEST = 1e11
MOST_FOOTER_BYTES = 64 << 20
"""More than a pack of empty blobs has; what claims more is not read into memory."""

TRAILER_BYTES = _COUNT.size + len(_END_MAGIC)
_ENTRY_BYTES = _OFFSET.size + _HEAD.size


class Header(msgspec.Struct, frozen=True):
    """The beginning of a pack.

    key_id, subject_version, wrapped   of its data key, as `Keys` gave it
    data                               all of it as it lies in the file
    """

    pack_id: str
    kind: Kind
    created_at: float
    key_id: bytes
    subject_version: int
    subject: str
    wrapped: bytes
    data: bytes

    @property
    def name(self) -> str:
        """The name of the pack in its store."""
        return f"{self.kind}/{self.subject}/{self.pack_id[:2]}/{self.pack_id}.pack"


class Head(msgspec.Struct, frozen=True):
    """What stands before a record's stream.

    type          blob or note
    flags         zstd: compressed before it was encrypted; legacy: named by the plain BLAKE3 of its bytes
    blob_id       of a note: zeros
    size_bytes    of the bytes themselves
    stored_bytes  of the encrypted stream
    """

    type: int
    flags: int
    blob_id: bytes
    size_bytes: int
    stored_bytes: int
    created_at: float

    @property
    def record_bytes(self) -> int:
        """What the record takes in the pack."""
        return HEAD_BYTES + self.stored_bytes

    def packed(self) -> bytes:
        """Return it as it stands in a head and in the directory."""
        return _HEAD.pack(
            self.type, self.flags, self.blob_id, self.size_bytes, self.stored_bytes, self.created_at
        )


def make_header(
    *,
    pack_id: str,
    kind: Kind,
    created_at: float,
    key_id: bytes,
    subject_version: int,
    subject: str,
    wrapped: bytes,
) -> Header:
    """Return the header of a new pack."""
    name = subject.encode()
    fixed = _FIXED.pack(
        bytes.fromhex(pack_id),
        KINDS.index(kind),
        created_at,
        key_id,
        subject_version,
        len(name),
        len(wrapped),
    )
    length = _PREFIX.size + len(fixed) + len(name) + len(wrapped) + _CHECK_BYTES
    data = _PREFIX.pack(_MAGIC, FORMAT, length) + fixed + name + wrapped
    data += blake3.blake3(data).digest(_CHECK_BYTES)
    return Header(pack_id, kind, created_at, key_id, subject_version, subject, wrapped, data)


def parse_header(data: bytes) -> Header:
    """Return the header that a file begins with.

    data    its first bytes, MOST_HEADER_BYTES or all
    raises  Corrupt, NewerFormat
    """
    if len(data) < _PREFIX.size:
        raise Corrupt("it is too short for a pack")
    magic, format_, length = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise Corrupt("it does not begin as a pack does")
    if format_ > FORMAT:
        raise NewerFormat("the pack was written by a newer Audobon", hint="upgrade Audobon")
    whole = data[:length]
    body, check = whole[:-_CHECK_BYTES], whole[-_CHECK_BYTES:]
    if len(whole) < length or length < _PREFIX.size + _FIXED.size + _CHECK_BYTES:
        raise Corrupt("its header is cut off")
    if blake3.blake3(body).digest(_CHECK_BYTES) != check:
        raise Corrupt("its header is not as it was written")
    pack_id, kind, created_at, key_id, version, name_bytes, wrapped_bytes = _FIXED.unpack_from(
        body, _PREFIX.size
    )
    rest = body[_PREFIX.size + _FIXED.size :]
    # Its check is one that anybody can make: what it says is not believed yet.
    is_ascii = rest[:name_bytes].isascii()
    if (
        len(rest) != name_bytes + wrapped_bytes
        or kind >= len(KINDS)
        or not (is_ascii and 0 <= created_at < _LATEST)
    ):
        raise Corrupt("its header is not as it was written")
    subject = rest[:name_bytes].decode("ascii")
    return Header(pack_id.hex(), KINDS[kind], created_at, key_id, version, subject, rest[name_bytes:], whole)


def parse_head(data: bytes) -> Head | None:
    """Return a record's head without proof; None when none begins here."""
    if len(data) < HEAD_BYTES or not data.startswith(RECORD_MAGIC):
        return None
    return Head(*_HEAD.unpack_from(data, len(RECORD_MAGIC)))


class PackCipher:
    """Seals and proves what lies in one pack, with its data key."""

    def __init__(self, header: Header, key: bytes) -> None:
        self.header = header
        self.key = key
        digest = blake3.blake3(header.data).digest()
        self.context = b"audobon pack 1\0" + digest
        """Of every stream in the pack; see `keys.streaming`."""
        self._check_key = blake3.blake3(key + digest, derive_key_context="audobon pack 1 heads").digest()

    def seal_head(self, head: Head, stream_header: bytes) -> bytes:
        """Return the bytes before a stream; the stream's own header binds the two."""
        packed = head.packed()
        return RECORD_MAGIC + packed + self._check(packed, stream_header)

    def open_head(self, data: bytes) -> Head | None:
        """Return the head that begins here; None when there is none, or it is not as it was written.

        data  PROBE_BYTES
        """
        head = parse_head(data)
        if head is None or len(data) < PROBE_BYTES:
            return None
        packed = data[len(RECORD_MAGIC) : HEAD_BYTES - _CHECK_BYTES]
        is_ours = data[HEAD_BYTES - _CHECK_BYTES : HEAD_BYTES] == self._check(
            packed, data[HEAD_BYTES:PROBE_BYTES]
        )
        return head if is_ours else None

    def seal_footer(self, records: list[tuple[int, Head]], body_digest: bytes) -> bytes:
        """Return the footer of a pack.

        records      with their offsets
        body_digest  BLAKE3 of all before it
        """
        entries = b"".join(_OFFSET.pack(offset) + head.packed() for offset, head in records)
        body = FOOTER_MAGIC + _COUNT.pack(len(records)) + entries + body_digest
        length = len(body) + _CHECK_BYTES + TRAILER_BYTES
        return body + self._check(body, b"") + _COUNT.pack(length) + _END_MAGIC

    def open_footer(self, footer: bytes) -> tuple[list[tuple[int, Head]], bytes] | None:
        """Return the records of a footer and the digest of all before it; None when it is none of ours."""
        body = footer[: -(_CHECK_BYTES + TRAILER_BYTES)]
        check = footer[len(body) : len(body) + _CHECK_BYTES]
        if not body.startswith(FOOTER_MAGIC) or check != self._check(body, b""):
            return None
        start = len(FOOTER_MAGIC) + _COUNT.size
        (count,) = _COUNT.unpack_from(body, len(FOOTER_MAGIC))
        if len(body) != start + count * _ENTRY_BYTES + 32:
            return None
        records = []
        for at in range(start, start + count * _ENTRY_BYTES, _ENTRY_BYTES):
            (offset,) = _OFFSET.unpack_from(body, at)
            records.append((offset, Head(*_HEAD.unpack_from(body, at + _OFFSET.size))))
        return records, body[-32:]

    def _check(self, data: bytes, more: bytes) -> bytes:
        return blake3.blake3(data + more, key=self._check_key).digest(_CHECK_BYTES)


def footer_bytes(trailer: bytes) -> int | None:
    """Return how long the footer is that ends with these bytes; None when there is none."""
    if len(trailer) != TRAILER_BYTES or not trailer.endswith(_END_MAGIC):
        return None
    return int(_COUNT.unpack_from(trailer)[0])
