"""A database beyond the page that SQLite locks, at one gibibyte: that page is never in it."""

import sqlite3
import struct
from contextlib import closing
from pathlib import Path

from shipped_desk import Desk

from audobon.database.restoring import faults_of

PAGE_BYTES = 65536
LOCK_PAGE = (1 << 30) // PAGE_BYTES + 1
PAGES = LOCK_PAGE + 5


def make_large(path: Path) -> None:
    """Write a database of a little over 1 GiB, nearly all of it free pages that take no room on the disk."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("CREATE TABLE large (filling BLOB)")
        used = connection.execute("PRAGMA page_count").fetchone()[0]
    first, second = used + 1, used + 2
    leaves = [page for page in range(used + 3, PAGES + 1) if page != LOCK_PAGE]
    half = len(leaves) // 2
    with path.open("rb+") as file:
        file.truncate(PAGES * PAGE_BYTES)
        for trunk, following, its in ((first, second, leaves[half:]), (second, 0, leaves[:half])):
            file.seek((trunk - 1) * PAGE_BYTES)
            file.write(struct.pack(f">{2 + len(its)}I", following, len(its), *its))
        file.seek(28)
        file.write(struct.pack(">III", PAGES, first, len(leaves) + 2))
    assert faults_of(path) == []


def test_a_database_beyond_one_gibibyte_is_shipped_and_restored(tmp_path: Path) -> None:
    make_large(tmp_path / "audobon.db")
    desk = Desk(tmp_path)
    desk.ship()
    # The free pages at the end are taken first: those around the one that is never used.
    desk.write(f"INSERT INTO large VALUES (zeroblob({8 * PAGE_BYTES}))")
    desk.ship()
    assert desk.restored() == desk.seen[desk.number]
    restored = tmp_path / "restored.db"
    assert restored.stat().st_size == PAGES * PAGE_BYTES
    # Its holes are holes again.
    assert restored.stat().st_blocks * 512 < 50_000_000
    desk.close()
