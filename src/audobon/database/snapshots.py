"""Takes a snapshot of a database that others go on writing to, without a second copy on the disk.

A reader holds the state of one commit. While it does, nothing later than that gets into the database file
and no new round of the log begins; what else may be copied into the file meanwhile is in the log up to that
commit, from which those pages are taken. So file and log together are exactly that commit, read at leisure.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator

from audobon.database.wal_format import LOCK_BYTE, LogIndex
from audobon.database.wal_reader import Broken, LogReader
from audobon.errors import Corrupt, Unavailable
from audobon.sqlite import kept_open

_READ_BYTES = 1 << 20


class HeldCommit:
    """The state of one commit, held by a reader until `release`."""

    def __init__(self, reader: sqlite3.Connection, log: LogReader, path: str, index: LogIndex) -> None:
        self._reader = reader
        self._log = log
        self._path = path
        self.index = index
        self.page_bytes = int(reader.execute("PRAGMA page_size").fetchone()[0])
        self.pages = int(reader.execute("PRAGMA page_count").fetchone()[0])
        if self.page_bytes != index.page_bytes and index.frames:
            raise Corrupt(f"{path} and its log differ in the size of their pages")

    def content(self) -> Iterator[bytes]:
        """Yield the database file as of this commit."""
        in_log = self._log.page_offsets(self.index)
        run = max(1, _READ_BYTES // self.page_bytes)
        for first in range(1, self.pages + 1, run):
            count = min(run, self.pages + 1 - first)
            data = self._read(first, count, in_log)
            if in_log and not self._is_same_round():
                # That begins only when all of the log was in the file before the state was held.
                in_log = {}
                data = self._read(first, count, in_log)
            yield data

    def _read(self, first: int, count: int, in_log: dict[int, int]) -> bytes:
        size = self.page_bytes
        descriptor = kept_open(self._path, database=self._path)
        raw = os.pread(descriptor, count * size, (first - 1) * size)
        lock_page = LOCK_BYTE // size + 1
        others = in_log.keys() & range(first, first + count)
        if len(raw) == count * size and not others and not first <= lock_page < first + count:
            return raw
        # Pages that are only in the log so far may lie beyond the end of the file.
        data = bytearray(raw.ljust(count * size, b"\0"))
        for number in others:
            at = (number - first) * size
            data[at : at + size] = self._log.page(in_log[number], size)
        if first <= lock_page < first + count:
            at = (lock_page - first) * size
            data[at : at + size] = bytes(size)
        return bytes(data)

    def _is_same_round(self) -> bool:
        try:
            header = self._log.header()
        except Broken:
            return False
        return header is not None and header.salts == self.index.salts

    def release(self) -> None:
        """Let go of the state."""
        self._reader.execute("ROLLBACK")


def hold(reader: sqlite3.Connection, log: LogReader, path: str, index: Callable[[], LogIndex]) -> HeldCommit:
    """Return the state of the last commit, held; call only while nobody may write."""
    before = index()
    reader.execute("BEGIN")
    try:
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if index() != before:
            raise Unavailable("the database changed while its writers were kept out", hint="try again")
        return HeldCommit(reader, log, path, before)
    except BaseException:
        reader.execute("ROLLBACK")
        raise
