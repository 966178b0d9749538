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
from audobon.keys.service import Keys
from audobon.sqlite import connect_to_look
from audobon.storage.port import ObjectStore

_TRIES = 3
# Of the first page: the counter of changes and what is bound to it, and the way of journalling.
_FREE_OF_PAGE_ONE = ((18, 20), (24, 28), (92, 100))


def faults_against_copy(path: Path, store: ObjectStore, keys: Keys) -> Iterator[str]:
    """Yield what differs between a database and the last commit of its copy, in words; writes nothing there.

    Only when all that was committed is shipped can this be told; otherwise, and without a copy, nothing is.
    raises  CorruptBackup when the copy does not restore
    """
    for _ in range(_TRIES):
        before = latest_position(store, keys)
        if before is None:
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
            if has_news or latest_position(store, keys) != before:
                continue
            ours, theirs = Path(folder) / "ours.db", Path(folder) / "theirs.db"
            with closing(sqlite3.connect(ours)) as copy:
                connection.backup(copy)
            restore_database(store, keys, theirs, to=before.commit)
            yield from _differences(path, ours, theirs)
        return


def _differences(path: Path, ours: Path, theirs: Path) -> Iterator[str]:
    with ours.open("rb") as one, theirs.open("rb") as other:
        page_bytes = int.from_bytes(one.read(18)[16:], "big") or 1
        page_bytes = 65536 if page_bytes == 1 else page_bytes
        one.seek(0)
        number, wrong = 0, []
        while True:
            number += 1
            left, right = one.read(page_bytes), other.read(page_bytes)
            if not left and not right:
                break
            if number == 1:
                left, right = _compared(left), _compared(right)
            if left != right:
                wrong.append(number)
    if wrong:
        yield f"{path}: {len(wrong)} pages differ from what was committed, the first is page {wrong[0]}"


def _compared(page: bytes) -> bytes:
    data = bytearray(page)
    for start, end in _FREE_OF_PAGE_ONE:
        data[start:end] = bytes(end - start)
    return bytes(data)
