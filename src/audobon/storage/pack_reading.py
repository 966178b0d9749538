"""Reads packs: their headers, their records one after the other, single blobs."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec

from audobon.errors import AudobonError, Corrupt
from audobon.keys.service import Keys
from audobon.keys.streaming import decrypt
from audobon.storage import zstd_frames
from audobon.storage.notes import Note, decode
from audobon.storage.pack_format import (
    BLOB,
    FOOTER_MAGIC,
    HEAD_BYTES,
    MOST_FOOTER_BYTES,
    MOST_HEADER_BYTES,
    NOTE,
    PROBE_BYTES,
    RECORD_MAGIC,
    TRAILER_BYTES,
    ZSTD,
    Head,
    Header,
    PackCipher,
    footer_bytes,
    parse_header,
)

_MOST_HELD = 256
_SEARCH_BYTES = 1 << 20


class Scan(NamedTuple):
    """What was found in a pack from some place on.

    records     with their offsets
    end         of the last whole record; beyond it lies what a dead writer left, or the footer
    is_sealed   a footer follows
    is_damaged  something before `end` is not as it was written
    """

    records: list[tuple[int, Head]]
    end: int
    is_sealed: bool
    is_damaged: bool

    @property
    def blobs(self) -> list[tuple[int, Head]]:
        """The records that hold blobs."""
        return [record for record in self.records if record[1].type == BLOB]

    def notes(self, descriptor: int, cipher: PackCipher) -> list[Note]:
        """Return the notes among the records, read from the pack; what cannot be read is left out."""
        found: list[Note] = []
        for offset, head in self.records:
            if head.type == NOTE:
                with suppress(Corrupt, msgspec.DecodeError):
                    found += decode(read_plain(descriptor, cipher, offset, head.stored_bytes)[1])
        return found


class Ciphers:
    """Gives the cipher of a pack; those used last are held, as long as `Keys` still gives their data key."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._held: OrderedDict[str, PackCipher] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, name: str, descriptor: int) -> PackCipher:
        """Return the cipher of an open pack. raises Corrupt, NewerFormat, SubjectErased, CorruptKeyring."""
        with self._lock:
            held = self._held.get(name)
        header = parse_header(os.pread(descriptor, MOST_HEADER_BYTES, 0)) if held is None else held.header
        if header.name != name:
            # A pack in the place of another one.
            raise Corrupt(f"{name} holds another pack")
        key = self.demand(header)
        return self.hold(header, key) if held is None else held

    def demand(self, header: Header) -> bytes:
        """Return the data key of a pack; one that is given no more is not held any longer either.

        raises  SubjectErased, SubjectNotFound, CorruptKeyring
        """
        try:
            return self._keys.open_data_key(
                header.key_id, header.subject, header.subject_version, header.wrapped
            )
        except AudobonError:
            self.forget(header.name)
            raise

    def hold(self, header: Header, key: bytes) -> PackCipher:
        """Make and hold the cipher of a pack."""
        cipher = PackCipher(header, key)
        with self._lock:
            self._held[header.name] = cipher
            if len(self._held) > _MOST_HELD:
                self._held.popitem(last=False)
        return cipher

    def forget(self, name: str) -> None:
        """Let go of the cipher of a pack."""
        with self._lock:
            self._held.pop(name, None)


def read_record(descriptor: int, cipher: PackCipher, offset: int, stored_bytes: int) -> tuple[Head, bytes]:
    """Return the head of a record and what its stream holds. raises Corrupt."""
    data = os.pread(descriptor, HEAD_BYTES + stored_bytes, offset)
    head = cipher.open_head(data[:PROBE_BYTES])
    if head is None or head.stored_bytes != stored_bytes or len(data) != HEAD_BYTES + stored_bytes:
        raise Corrupt("a record is not as it was written")
    return head, decrypt(cipher.key, memoryview(data)[HEAD_BYTES:], context=cipher.context)


def read_plain(descriptor: int, cipher: PackCipher, offset: int, stored_bytes: int) -> tuple[Head, bytes]:
    """Return the head of a record and the bytes that were stored. raises Corrupt."""
    head, plain = read_record(descriptor, cipher, offset, stored_bytes)
    return head, zstd_frames.decompress(plain, head.size_bytes) if head.flags & ZSTD else plain


def read_footer(descriptor: int, cipher: PackCipher) -> tuple[list[tuple[int, Head]], bytes, int] | None:
    """Return the records of a sealed pack, the digest of all before its footer, and where that begins.

    None when there is no footer, or it is not as it was written
    """
    size = os.fstat(descriptor).st_size
    length = footer_bytes(os.pread(descriptor, TRAILER_BYTES, max(0, size - TRAILER_BYTES)))
    if length is None or not TRAILER_BYTES < length <= min(size, MOST_FOOTER_BYTES):
        return None
    found = cipher.open_footer(os.pread(descriptor, length, size - length))
    return None if found is None else (*found, size - length)


def scan(descriptor: int, cipher: PackCipher, start: int) -> Scan:
    """Walk through the records of a pack from a place on, whatever happened to it."""
    size = os.fstat(descriptor).st_size
    records: list[tuple[int, Head]] = []
    at = end = start
    is_damaged = False
    while at < size:
        probe = os.pread(descriptor, PROBE_BYTES, at)
        if probe.startswith(FOOTER_MAGIC) and read_footer(descriptor, cipher) is not None:
            return Scan(records, end, is_sealed=True, is_damaged=is_damaged)
        head = cipher.open_head(probe)
        if head is not None and at + head.record_bytes <= size:
            records.append((at, head))
            at = end = at + head.record_bytes
            continue
        found = _next_record(descriptor, cipher, at + 1, size)
        if found is None:
            break
        # What lies between is no tail: somebody wrote on after it.
        is_damaged = True
        at = found
    return Scan(records, end, is_sealed=False, is_damaged=is_damaged)


def _next_record(descriptor: int, cipher: PackCipher, start: int, size: int) -> int | None:
    for at in _occurrences(descriptor, start, size):
        head = cipher.open_head(os.pread(descriptor, PROBE_BYTES, at))
        if head is not None and at + head.record_bytes <= size:
            return at
    return None


def _occurrences(descriptor: int, start: int, size: int) -> Iterator[int]:
    for at in range(start, size, _SEARCH_BYTES):
        block = os.pread(descriptor, _SEARCH_BYTES + len(RECORD_MAGIC) - 1, at)
        place = block.find(RECORD_MAGIC)
        while place >= 0:
            yield at + place
            place = block.find(RECORD_MAGIC, place + 1)
