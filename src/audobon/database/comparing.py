"""Compares a database, page by page, with what its shipped copy restores to."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from audobon.atomic import disk_errors
from audobon.database.generations import latest_position
from audobon.database.restoring import restore_database
from audobon.database.shipping import Shipper
from audobon.database.shipping_state import StateFile
from audobon.database.wal_checksums import sound_frames
from audobon.database.wal_format import HEADER_BYTES, parse_header
from audobon.keys.service import Keys
from audobon.sqlite import connect_to_look
from audobon.storage.port import ObjectStore

_TRIES = 3
# Of the first page: counters of changes and what is bound to them, and the way of journalling.
_FREE_OF_PAGE_ONE = ((18, 20), (24, 28), (40, 44), (92, 100))


def faults_against_copy(path: Path, store: ObjectStore, keys: Keys) -> Iterator[str]:
    """Yield what differs between a database and the last commit of its copy, in words.

    Only when all that was committed is shipped can this be told; otherwise, and without a copy, nothing is.
    raises  CorruptBackup when the copy does not restore
    """
    state = StateFile(path).read()
    has_log = Path(f"{path}-wal").exists() and Path(f"{path}-wal").stat().st_size > 0
    for _ in range(_TRIES):
        before = latest_position(store, keys)
        if before is None:
            if state is not None and state.has_snapshot:
                yield f"{path}: the snapshot of its copy is missing"
            return
        if not path.exists():
            yield f"{path}: it is gone; its copy reaches to commit {before.commit}"
            return
        with (
            disk_errors(path),
            tempfile.TemporaryDirectory(prefix=".comparing-", dir=path.parent) as folder,
            closing(connect_to_look(path)) as connection,
        ):
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            with closing(Shipper(path, store, keys)) as shipper:
                has_news = shipper.has_news()
            # Without a log nothing can be committed that is not in the file.
            if (has_news and has_log) or latest_position(store, keys) != before:
                continue
            ours, theirs = Path(folder) / "ours.db", Path(folder) / "theirs.db"
            with closing(sqlite3.connect(ours)) as copy:
                connection.backup(copy)
            restore_database(store, keys, theirs, to=before.commit)
            if wrong := differing_pages(ours, theirs):
                yield (
                    f"{path}: {len(wrong)} pages differ from what was committed, the first is page {wrong[0]}"
                )
        return


def faults_in_log(path: Path) -> Iterator[str]:
    """Yield whether the log of a database lacks what was shipped out of it, in words."""
    state, log = StateFile(path).read(), Path(f"{path}-wal")
    if state is None or not state.place.frame or not log.exists():
        return
    with disk_errors(log):
        raw = log.read_bytes()
    header = parse_header(raw)
    if header is None:
        if raw:
            yield f"{log}: its head is not as it was written"
        return
    if header.salts != state.place.salts:
        # Begun anew since.
        return
    frames = sound_frames(
        memoryview(raw)[HEADER_BYTES:],
        header.page_bytes,
        salts=header.salts,
        byte_order=header.byte_order,
        start=header.checksum,
    )
    if len(frames) < state.place.frame or frames[state.place.frame - 1][2] != state.place.checksum:
        yield f"{log}: frame {len(frames) + 1} is not as it was written, and what follows it is lost here"


def differing_pages(ours: Path, theirs: Path) -> list[int]:
    """Return the numbers of the pages in which two database files differ, but for counters of changes."""
    with ours.open("rb") as one, theirs.open("rb") as other:
        page_bytes = int.from_bytes(one.read(18)[16:], "big") or 1
        page_bytes = 65536 if page_bytes == 1 else page_bytes
        one.seek(0)
        number = 0
        wrong: list[int] = []
        while True:
            number += 1
            left, right = one.read(page_bytes), other.read(page_bytes)
            if not left and not right:
                return wrong
            if number == 1:
                left, right = _compared(left), _compared(right)
            if left != right:
                wrong.append(number)


def _compared(page: bytes) -> bytes:
    data = bytearray(page)
    for start, end in _FREE_OF_PAGE_ONE:
        data[start:end] = bytes(end - start)
    return bytes(data)
