"""Finds out whether a database is sound, and as new as what was shipped of it."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal

import msgspec

from audobon.database.comparing import differing_pages
from audobon.database.exchanged import EXCHANGED, is_exchanged
from audobon.database.generations import generations, latest_info
from audobon.database.restoring import faults_of, restore_database
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
_TABLES = {"alembic_version", "task"}


class Doubt(msgspec.Struct, frozen=True):
    """What is wrong with a database.

    kind    damaged: it, or its log, cannot be read; gone; older: it is sound, and older than its copy;
            exchanged: it is sound, and its log is another's
    why     in words
    commit  last commit that was shipped; None when it is not known
    """

    kind: Literal["damaged", "gone", "older", "exchanged"]
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
    state = StateFile(path).read() if is_shipped else None
    is_changed = state is not None and state.is_changed(path)
    if state is not None and is_changed and is_exchanged(path, state, store, keys):
        # Before SQLite lays the log over it.
        if not _is_sound_alone(path):
            return Doubt("damaged", f"{EXCHANGED}, and that is no sound database", state.commit)
        return Doubt("exchanged", EXCHANGED, state.commit)
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
    if not is_shipped:
        return None
    return _compared(path, log, index, store, keys, is_thorough=is_thorough, is_changed=is_changed)


def _fault(connection: sqlite3.Connection, *, is_checked: bool) -> str:
    if is_checked:
        told = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
        if told != ["ok"]:
            return "the database is damaged: " + "; ".join(line.replace("\n", ": ") for line in told)
    names = _names(connection)
    return "" if not names or names >= _TABLES else "the database lacks its tables"


def _is_sound_alone(path: Path) -> bool:
    """Tell whether a file is a database of ours without the log that lies beside it."""
    if faults_of(path):
        return False
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        return _names(connection) >= _TABLES


def _names(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


def _compared(
    path: Path,
    log: Path,
    index: LogIndex | None,
    store: ObjectStore,
    keys: Keys,
    *,
    is_thorough: bool,
    is_changed: bool,
) -> Doubt | None:
    """Return what is wrong when the database holds less than was shipped.

    is_changed  its file is not as it was left
    """
    shipped = _shipped_place(path, store, keys, is_thorough=is_thorough)
    if shipped is None:
        return None
    place, commit = shipped
    if not is_changed and not place.frame and (index is None or index.salts == place.salts):
        # Nothing that was shipped needs the log: what the round before held is in the database itself.
        return None
    if index is not None and index.salts == place.salts:
        if index.frames > place.frame or (index.frames, index.checksum) == (place.frame, place.checksum):
            return None
        return Doubt("damaged", f"{log.name} is damaged or cut off behind frame {index.frames}", commit)
    if index is not None and index.frames and 0 < _rounds_between(place.salts, index.salts) < _ROUNDS:
        return None
    return _by_content(path, log, index, store, keys, commit, is_changed=is_changed)


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
    path: Path,
    log: Path,
    index: LogIndex | None,
    store: ObjectStore,
    keys: Keys,
    commit: int,
    *,
    is_changed: bool,
) -> Doubt | None:
    """Compare with what was shipped last, row ids that only rise telling which of two is the older."""
    scratch = path.parent / "restoring"
    scratch.mkdir(exist_ok=True)
    newest = scratch / "newest.db"
    try:
        restore_database(store, keys, newest, overwrite=True)
        is_whole = index is None or not index.frames
        if is_whole and not differing_pages(path, newest):
            return None
        here, shipped = _last_ids(path, is_live=True), _last_ids(newest, is_live=False)
    except AudobonError:
        # Nothing to compare with; the database is sound.
        return None
    finally:
        newest.unlink(missing_ok=True)
    if not here and shipped:
        return Doubt("damaged", f"{path.name} holds nothing without its log", commit)
    if any(here.get(table, 0) > last for table, last in shipped.items()):
        return None
    if _is_unreadable(log):
        return Doubt("damaged", f"{log.name} cannot be read", commit)
    if any(here.get(table, 0) < last for table, last in shipped.items()):
        return Doubt("older", f"{path.name} is older than its copy, which goes up to commit {commit}", commit)
    if is_whole and is_changed:
        why = f"{path.name} is not as its copy, up to commit {commit}: an older one, or written to by others"
        return Doubt("older", why, commit)
    return None


def _last_ids(path: Path, *, is_live: bool) -> dict[str, int]:
    with closing(connect(path, keeps_log=is_live)) as connection:
        if "sqlite_sequence" not in _names(connection):
            return {}
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
