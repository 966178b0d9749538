"""Finds out whether a database is sound, and as new as what was shipped of it."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal

import msgspec

from audobon.database.generations import generations, latest_info
from audobon.database.restoring import restore_database
from audobon.database.service import damage_mark
from audobon.database.shipping_state import StateFile
from audobon.database.wal_format import HEADER_BYTES, LogIndex, parse_header
from audobon.database.wal_reader import LogPlace, LogReader
from audobon.errors import AudobonError
from audobon.keys.service import Keys
from audobon.sqlite import connect
from audobon.storage.port import ObjectStore

SMALL_BYTES = 16 << 20
"""What is not larger is checked at every start; what is, after an unclean stop."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_ROUNDS = 1 << 20


class Doubt(msgspec.Struct, frozen=True):
    """What is wrong with a database.

    kind    damaged: it, or its log, cannot be read; gone; older: it is sound, and older than its copy
    why     in words
    commit  last commit that was shipped; None when it is not known
    """

    kind: Literal["damaged", "gone", "older"]
    why: str
    commit: int | None = None


def examine(
    path: Path, store: ObjectStore, keys: Keys, *, is_thorough: bool, is_shipped: bool
) -> Doubt | None:
    """Return what is wrong with a database; None when nothing is. Changes nothing.

    store        its own copy
    is_shipped   whether that is kept up, so that it tells how new the database must be
    is_thorough  check it whatever its size, and look into the copy rather than rely on notes
    raises       Unavailable, Denied when it cannot be read for other reasons
    """
    if not path.exists() or path.stat().st_size == 0:
        if not any(generation.snapshots for generation in generations(store)):
            return None
        return Doubt("gone", f"{path.name} was {'empty' if path.exists() else 'gone'}")
    log = Path(f"{path}-wal")
    is_small = sum(file.stat().st_size for file in (path, log) if file.exists()) <= SMALL_BYTES
    is_checked = is_thorough or is_small or damage_mark(path).exists()
    try:
        # Without its log, nothing would tell that it holds less than was shipped.
        with closing(connect(path, keeps_log=True)) as connection:
            if why := _fault(connection, is_checked=is_checked):
                return Doubt("damaged", why)
            reader = LogReader(path)
            try:
                index = reader.index()
            finally:
                reader.close()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _DAMAGED:
            raise
        return Doubt("damaged", f"{path.name} is damaged: {error}")
    return _compared(path, log, index, store, keys, is_thorough=is_thorough) if is_shipped else None


def _fault(connection: sqlite3.Connection, *, is_checked: bool) -> str:
    if is_checked:
        told = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
        if told != ["ok"]:
            return "the database is damaged: " + "; ".join(line.replace("\n", ": ") for line in told)
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    return "" if not names or {"alembic_version", "task"} <= names else "the database lacks its tables"


def _compared(
    path: Path,
    log: Path,
    index: LogIndex | None,
    store: ObjectStore,
    keys: Keys,
    *,
    is_thorough: bool,
) -> Doubt | None:
    """Return what is wrong when the database holds less than was shipped."""
    shipped = _shipped_place(path, store, keys, is_thorough=is_thorough)
    if shipped is None:
        return None
    place, commit = shipped
    if not place.frame and (index is None or index.salts == place.salts):
        # Nothing that was shipped needs the log: what the round before held is in the database itself.
        return None
    if index is not None and index.salts == place.salts:
        if index.frames > place.frame or (index.frames, index.checksum) == (place.frame, place.checksum):
            return None
        return Doubt("damaged", f"{log.name} is damaged or cut off behind frame {index.frames}", commit)
    if index is not None and index.frames and 0 < _rounds_between(place.salts, index.salts) < _ROUNDS:
        return None
    return _by_content(path, log, index, store, keys, commit)


def _shipped_place(
    path: Path, store: ObjectStore, keys: Keys, *, is_thorough: bool
) -> tuple[LogPlace, int] | None:
    noted = StateFile(path).read()
    found = None if noted is None or not noted.last_name else (noted.place, noted.commit)
    if found is not None and not is_thorough:
        return found
    # A copy that is damaged has its own ways to be found; here what can be known is enough.
    with suppress(AudobonError):
        with_snapshots = [generation for generation in generations(store) if generation.snapshots]
        if with_snapshots:
            info = latest_info(store, keys, with_snapshots[-1])[0]
            if found is None or info.last > found[1]:
                return info.ends, info.last
    return found


def _rounds_between(before: bytes, after: bytes) -> int:
    return (int.from_bytes(after[:4], "big") - int.from_bytes(before[:4], "big")) & 0xFFFFFFFF


def _by_content(
    path: Path, log: Path, index: LogIndex | None, store: ObjectStore, keys: Keys, commit: int
) -> Doubt | None:
    """Compare with what was shipped last, row ids that only rise telling which of two is the older."""
    scratch = path.parent / "restoring"
    scratch.mkdir(exist_ok=True)
    newest = scratch / "newest.db"
    try:
        restore_database(store, keys, newest, overwrite=True)
        if (index is None or not index.frames) and _are_alike(path, newest):
            return None
        here, shipped = _last_ids(path, is_live=True), _last_ids(newest, is_live=False)
    except AudobonError:
        # Nothing to compare with; the database is sound.
        return None
    finally:
        newest.unlink(missing_ok=True)
    if any(here.get(table, 0) > last for table, last in shipped.items()):
        return None
    if _is_unreadable(log):
        return Doubt("damaged", f"{log.name} cannot be read", commit)
    if any(here.get(table, 0) < last for table, last in shipped.items()):
        return Doubt("older", f"{path.name} is older than its copy, which goes up to commit {commit}", commit)
    return None


def _are_alike(left: Path, right: Path) -> bool:
    if left.stat().st_size != right.stat().st_size:
        return False
    with left.open("rb") as one, right.open("rb") as other:
        while piece := one.read(1 << 20):
            if piece != other.read(1 << 20):
                return False
    return True


def _last_ids(path: Path, *, is_live: bool) -> dict[str, int]:
    with closing(connect(path, keeps_log=is_live)) as connection:
        return {
            str(row[0]): int(row[1]) for row in connection.execute("SELECT name, seq FROM sqlite_sequence")
        }


def _is_unreadable(log: Path) -> bool:
    try:
        with log.open("rb") as file:
            head = file.read(HEADER_BYTES)
    except FileNotFoundError:
        return False
    return bool(head) and parse_header(head) is None
