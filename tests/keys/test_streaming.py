"""Streams are Tink's: each reads the other's, and what was changed is refused by both."""

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
import tink
from hypothesis import given, settings
from hypothesis import strategies as st
from tink import streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

from audobon.errors import Corrupt
from audobon.keys import streaming
from audobon.keys.streaming import DecryptingReader, EncryptingWriter, decrypt, encrypt, encrypted_bytes

KEY = bytes(range(32))
CONTEXT = b"pack and place"
SEGMENT, HEADER, TAG = 1 << 20, 40, 16
FIRST = SEGMENT - HEADER - TAG
NEXT = SEGMENT - TAG
SIZES = [
    0, 1, 15, 16, 17, 4096,
    FIRST - 1, FIRST, FIRST + 1,
    SEGMENT - 1, SEGMENT, SEGMENT + 1,
    FIRST + NEXT - 1, FIRST + NEXT, FIRST + NEXT + 1,
    FIRST + 2 * NEXT, FIRST + 2 * NEXT + 1,
]  # fmt: skip

streaming_aead.register()


def tink_primitive(key: bytes) -> Any:
    parameters = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
        ciphertext_segment_size=SEGMENT, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
    )
    held = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(version=0, params=parameters, key_value=key)
    keyset = tink_pb2.Keyset(
        primary_key_id=1,
        key=[
            tink_pb2.Keyset.Key(
                key_data=tink_pb2.KeyData(
                    type_url="type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
                    value=held.SerializeToString(),
                    key_material_type=tink_pb2.KeyData.SYMMETRIC,
                ),
                status=tink_pb2.ENABLED,
                key_id=1,
                output_prefix_type=tink_pb2.RAW,
            )
        ],
    )
    from tink import secret_key_access

    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


class _Kept(io.BytesIO):
    """Tink closes what it writes into; the bytes shall outlast that."""

    kept = b""

    def close(self) -> None:
        self.kept = self.getvalue()
        super().close()


def pattern(size: int) -> bytes:
    return hashlib.shake_128(size.to_bytes(8, "big")).digest(size)


@pytest.mark.parametrize("size", SIZES)
def test_tink_reads_our_streams(size: int) -> None:
    plain = pattern(size)
    stream = encrypt(KEY, plain, context=CONTEXT)
    assert len(stream) == encrypted_bytes(size)
    with tink_primitive(KEY).new_decrypting_stream(io.BytesIO(stream), CONTEXT) as opened:
        assert opened.read() == plain


@pytest.mark.parametrize("size", SIZES)
def test_we_read_tinks_streams(size: int) -> None:
    plain = pattern(size)
    target = _Kept()
    with tink_primitive(KEY).new_encrypting_stream(target, CONTEXT) as opened:
        opened.write(plain)
    assert decrypt(KEY, target.kept, context=CONTEXT) == plain
    assert read_all(target.kept) == plain


def read_all(stream: bytes, key: bytes = KEY, context: bytes = CONTEXT) -> bytes:
    reader = DecryptingReader(io.BytesIO(stream), key, context=context, start=0, length=len(stream))
    return reader.read() or b""


def test_any_size_of_writes_makes_a_stream_that_holds_the_same() -> None:
    plain = pattern(FIRST + NEXT + 5)
    for step in (1 << 16, FIRST, SEGMENT, len(plain)):
        target = io.BytesIO()
        writer = EncryptingWriter(target, KEY, context=CONTEXT)
        for at in range(0, len(plain), step):
            writer.write(plain[at : at + step])
        writer.finish()
        assert decrypt(KEY, target.getvalue(), context=CONTEXT) == plain


PLAIN = pattern(FIRST + NEXT + 1000)
STREAM = encrypt(KEY, PLAIN, context=CONTEXT)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(PLAIN) + 10), st.integers(0, 3000)), max_size=8))
def test_any_part_reads_as_it_was_written(reads: list[tuple[int, int]]) -> None:
    padding = b"before"
    reader = io.BufferedReader(
        DecryptingReader(
            io.BytesIO(padding + STREAM + b"after"),
            KEY,
            context=CONTEXT,
            start=len(padding),
            length=len(STREAM),
        ),
        buffer_size=512,
    )
    for start, count in reads:
        reader.seek(start)
        assert reader.read(count) == PLAIN[start : start + count]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(STREAM) * 8 - 1))
def test_any_flipped_bit_is_noticed(place: int) -> None:
    changed = bytearray(STREAM)
    changed[place // 8] ^= 1 << place % 8
    with pytest.raises(Corrupt):
        decrypt(KEY, changed, context=CONTEXT)
    with pytest.raises(Corrupt):
        read_all(bytes(changed))


VECTORS = json.loads(Path(__file__).with_name("stream_vectors.json").read_text())


def base_stream(name: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    base = VECTORS["bases"][name]
    randoms = [bytes.fromhex(base["salt"]), bytes.fromhex(base["prefix"])]
    monkeypatch.setattr(streaming.os, "urandom", lambda size: randoms.pop(0)[:size])
    stream = encrypt(
        bytes.fromhex(base["key"]), pattern(base["plain_bytes"]), context=base["context"].encode()
    )
    monkeypatch.setattr(streaming.os, "urandom", os.urandom)
    return stream


def changed_stream(stream: bytes, change: dict[str, Any]) -> bytes:
    """Apply what a vector says: flip [byte, bit], cut to a length, append, or put segments in an order."""
    if "flip" in change:
        at, bit = change["flip"]
        held = bytearray(stream)
        held[at] ^= 1 << bit
        return bytes(held)
    if "cut_to" in change:
        return stream[: change["cut_to"]]
    if "append" in change:
        return stream + bytes.fromhex(change["append"])
    if "set" in change:
        at, data = change["set"]
        return stream[:at] + bytes.fromhex(data) + stream[at + len(data) // 2 :]
    header, body = stream[:HEADER], stream[HEADER:]
    first = SEGMENT - HEADER
    segments = [body[:first], *(body[at : at + SEGMENT] for at in range(first, len(body), SEGMENT))]
    return header + b"".join(segments[number] for number in change["segments"])


@pytest.mark.parametrize("name", VECTORS["bases"])
def test_a_stream_with_known_salt_has_the_bytes_it_always_had(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = base_stream(name, monkeypatch)
    assert hashlib.sha256(stream).hexdigest() == VECTORS["bases"][name]["sha256"]


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=[each["comment"] for each in VECTORS["vectors"]])
def test_a_vector_has_its_result(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    base = VECTORS["bases"][vector["base"]]
    stream = changed_stream(base_stream(vector["base"], monkeypatch), vector.get("change", {"append": ""}))
    key = bytes.fromhex(vector.get("key", base["key"]))
    context = vector.get("context", base["context"]).encode()
    if vector["result"] == "valid":
        assert decrypt(key, stream, context=context) == pattern(base["plain_bytes"])
        return
    with pytest.raises(Corrupt):
        decrypt(key, stream, context=context)
    with pytest.raises(Corrupt):
        read_all(stream, key, context)
