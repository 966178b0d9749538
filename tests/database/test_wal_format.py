"""The log as SQLite writes it: checksums, heads, and what does not belong to it."""

import os
import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from audobon.database import wal_checksums
from audobon.database.wal_checksums import sound_frames
from audobon.database.wal_format import (
    FRAME_HEADER_BYTES,
    HEADER_BYTES,
    next_salt,
    parse_header,
    parse_index,
    rolled_slowly,
)


@pytest.fixture
def log(tmp_path: Path) -> tuple[bytes, bytes]:
    """Return a log of SQLite's with 40 commits, and its index."""
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE a (b)")
        for _ in range(39):
            connection.execute("INSERT INTO a VALUES (randomblob(3000))")
        return (tmp_path / "a.db-wal").read_bytes(), (tmp_path / "a.db-shm").read_bytes()


@pytest.mark.parametrize("at_once", [False, True])
def test_the_checksums_of_sqlite_come_out(
    log: tuple[bytes, bytes], at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal_checksums, "_TOO_MANY_FRAMES", 0 if at_once else 10**9)
    if not at_once:
        monkeypatch.delitem(sys.modules, "numpy", raising=False)
    header, index = parse_header(log[0]), parse_index(log[1][:96])
    assert header is not None
    assert index is not None
    raw = memoryview(log[0])[HEADER_BYTES:]
    frames = sound_frames(
        raw, header.page_bytes, salts=header.salts, byte_order=header.byte_order, start=header.checksum
    )
    assert len(frames) == index.frames
    assert frames[-1][2] == index.checksum
    assert sum(1 for frame in frames if frame[1]) == index.changes == 40
    # A changed byte ends what is sound there.
    size = FRAME_HEADER_BYTES + header.page_bytes
    for number in (0, 7, len(frames) - 1):
        changed = bytearray(raw)
        changed[number * size + random.Random(number).randrange(FRAME_HEADER_BYTES, size)] ^= 4
        found = sound_frames(
            memoryview(changed),
            header.page_bytes,
            salts=header.salts,
            byte_order=header.byte_order,
            start=header.checksum,
        )
        assert found == frames[:number]


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_frames_of_either_byte_order_are_summed_as_the_definition_says(byte_order: str) -> None:
    salts, checksum = os.urandom(8), (1, 2)
    raw, expected = b"", []
    for number in range(1, 6):
        head, page = number.to_bytes(4, "big") + b"\0\0\0\7", os.urandom(1024)
        checksum = rolled_slowly(checksum, head + page, byte_order)
        raw += head + salts + checksum[0].to_bytes(4, "big") + checksum[1].to_bytes(4, "big") + page
        expected.append((number, 7, checksum))
    found = sound_frames(memoryview(raw), 1024, salts=salts, byte_order=byte_order, start=(1, 2))
    assert found == expected


def test_a_torn_index_tells_nothing(log: tuple[bytes, bytes]) -> None:
    whole = log[1][:96]
    for at in range(96):
        torn = bytearray(whole)
        torn[at] ^= 255
        assert parse_index(bytes(torn)) is None
    assert parse_index(whole[:95]) is None
    assert parse_index(bytes(96)) is None


def test_a_torn_head_tells_nothing(log: tuple[bytes, bytes]) -> None:
    for at in range(HEADER_BYTES):
        torn = bytearray(log[0][:HEADER_BYTES])
        torn[at] ^= 255
        assert parse_header(bytes(torn)) is None
    assert parse_header(b"") is None


def test_salts_count_on_and_round() -> None:
    assert next_salt(b"\0\0\0\1abcd") == b"\0\0\0\2"
    assert next_salt(b"\xff\xff\xff\xffabcd") == b"\0\0\0\0"
