"""Proves a pack whole: every byte of it read, every record decrypted and hashed anew."""

import io
import os
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

import blake3

from audobon.errors import Corrupt
from audobon.keys.streaming import DecryptingReader
from audobon.storage import zstd_frames
from audobon.storage.pack_format import BLOB, HEAD_BYTES, LEGACY, PROBE_BYTES, ZSTD, Head, PackCipher
from audobon.storage.pack_reading import Scan, read_footer, read_plain, scan

_PIECE_BYTES = 1 << 20
_STREAMED_BYTES = 8 << 20


class Proof(NamedTuple):
    """What proving a pack found.

    records     that are as they were written, with their offsets
    bad         records whose heads are, but not their bytes
    fault       what is wrong, in words; None: every byte is as it was written
    is_sealed   it has its footer
    digest      BLAKE3 of the whole file, in hexadecimal
    """

    records: list[tuple[int, Head]]
    bad: list[tuple[int, Head]]
    fault: str | None
    is_sealed: bool
    digest: str
    size_bytes: int

    @property
    def blobs(self) -> dict[bytes, tuple[int, Head]]:
        """The blobs that can be read, by their keys."""
        return {record[1].blob_id: record for record in self.records if record[1].type == BLOB}


def prove_pack(
    descriptor: int, cipher: PackCipher, id_key: bytes, pool: Executor, *, end: int | None = None
) -> Proof:
    """Read a pack whole; never raises for what it finds in it.

    id_key  under which blobs of its subject are hashed
    pool    hashes the file while this decrypts
    end     of an open pack: as far as it is looked at; None: it must be sealed
    """
    size = os.fstat(descriptor).st_size if end is None else end
    if hasattr(os, "posix_fadvise"):
        # From the disk, not from memory.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    hashing = pool.submit(_digest, descriptor, size)
    found, fault, body_end, body_digest = _directory(descriptor, cipher, size, is_open=end is not None)
    good: list[tuple[int, Head]] = []
    bad: list[tuple[int, Head]] = []
    for offset, head in found.records:
        try:
            _prove_record(descriptor, cipher, id_key, offset, head)
            good.append((offset, head))
        except Corrupt:
            bad.append((offset, head))
    digest = hashing.result()
    if bad:
        fault = f"{len(bad)} of {len(found.records)} records are not as they were written"
    elif fault is None and body_digest is not None and _digest_bytes(descriptor, body_end) != body_digest:
        fault = "its bytes are not those that were sealed"
    return Proof(good, bad, fault, found.is_sealed, digest, size)


def _directory(
    descriptor: int, cipher: PackCipher, size: int, *, is_open: bool
) -> tuple[Scan, str | None, int, bytes | None]:
    """Return the records, what is wrong with them as a whole, and what the footer says of all before it."""
    start = len(cipher.header.data)
    footer = None if is_open else read_footer(descriptor, cipher)
    if footer is not None:
        records, body_digest, body_end = footer
        at = start
        for offset, head in records:
            if offset != at:
                # Sealed with a hole, where something was damaged before.
                return Scan(records, body_end, True, True), None, body_end, body_digest
            at += head.record_bytes
        if at == body_end:
            # Each record is proved by itself, and nothing lies between them.
            return Scan(records, body_end, True, False), None, body_end, None
        return Scan(records, body_end, True, True), None, body_end, body_digest
    found = scan(descriptor, cipher, start)
    if is_open:
        records = [record for record in found.records if record[0] + record[1].record_bytes <= size]
        reached = records[-1][0] + records[-1][1].record_bytes if records else start
        is_hurt = found.is_damaged or reached < size
        return found._replace(records=records), "it is damaged in part" if is_hurt else None, size, None
    fault = "it is damaged in part" if found.is_damaged else "its end is missing, or not as it was written"
    return found, fault, size, None


def _prove_record(descriptor: int, cipher: PackCipher, id_key: bytes, offset: int, head: Head) -> None:
    if cipher.open_head(os.pread(descriptor, PROBE_BYTES, offset)) != head:
        raise Corrupt("a record's head is not as it was written")
    proof = blake3.blake3() if head.flags & LEGACY else blake3.blake3(key=id_key)
    if head.stored_bytes <= _STREAMED_BYTES:
        proof.update(read_plain(descriptor, cipher, offset, head.stored_bytes)[1])
    else:
        _stream(descriptor, cipher, offset, head, proof)
    if head.type == BLOB and proof.digest() != head.blob_id:
        raise Corrupt("its bytes have another hash")


def _stream(descriptor: int, cipher: PackCipher, offset: int, head: Head, proof: "blake3.blake3") -> None:
    with os.fdopen(os.dup(descriptor), "rb", buffering=0) as file:
        plain: io.RawIOBase = DecryptingReader(
            file, cipher.key, context=cipher.context, start=offset + HEAD_BYTES, length=head.stored_bytes
        )
        if head.flags & ZSTD:
            stored_bytes = plain.size_bytes  # type: ignore[attr-defined]
            plain = zstd_frames.PiecesReader(
                io.BufferedReader(plain, _PIECE_BYTES), stored_bytes, head.size_bytes
            )
        buffer = bytearray(_PIECE_BYTES)
        view = memoryview(buffer)
        while count := plain.readinto(buffer) or 0:
            proof.update(view[:count])


def _digest(descriptor: int, end: int) -> str:
    return _hash(descriptor, end).hexdigest()


def _digest_bytes(descriptor: int, end: int) -> bytes:
    return _hash(descriptor, end).digest()


def _hash(descriptor: int, end: int) -> "blake3.blake3":
    found = blake3.blake3()
    at = 0
    buffer = bytearray(_PIECE_BYTES)
    view = memoryview(buffer)
    while at < end and (count := os.preadv(descriptor, [view[: min(_PIECE_BYTES, end - at)]], at)):
        found.update(view[:count])
        at += count
    return found


IdKey = Callable[[str], bytes]
"""Gives the key under which blobs of a subject are hashed."""
